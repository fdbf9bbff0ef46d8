"""What commands about bills do to an account (issuing.py). Pure."""

from __future__ import annotations

from typing import Any, cast

from mubss.core.draft import Draft
from mubss.core.errors import AccountChanged, LedgerError
from mubss.core.issuing import CreditBill, DunBill, IssueBill, PayBill, SetDiscounts, SettleBills, VoidBill
from mubss.core.model import ACTIVE, SUSPENDED, Billing
from mubss.core.outbox import ABORT, REAUTH, tell_sessions
from mubss.core.settling import credit_and_open

MAX_DISCOUNTS = 10  # of a subscriber


def issue_bill(draft: Draft, command: IssueBill) -> None:
    """Posts what a bill adds, and notes what is on it; AccountChanged where that isn't what it was reckoned from."""
    account = draft.account
    last = account["billing"]["bill"] if "billing" in account else ""
    if command.version and account["version"] != command.version:
        raise AccountChanged(
            f"version: {account['version']}; expected {command.version}, as when the bill was reckoned"
        )
    if last != command.previous:
        raise AccountChanged(f"bill: {last or 'none'} is the last; expected {command.previous or 'none'}")
    if not draft.can_hold(-sum(command.posted.values())):
        raise LedgerError(f"due: {command.billing['due']}; expected what a balance can bear")
    for what, micros in command.posted.items():
        if micros:
            draft.post(-micros, {"kind": "bill", "bill": command.bill, "what": what})
    account["billing"] = cast(Billing, dict(command.billing))


def set_discounts(draft: Draft, command: SetDiscounts) -> bool:
    """Gives the account discounts; whether they are others than it had."""
    codes = list(dict.fromkeys(command.codes))
    known = draft.tables.bill_discounts
    for code in codes:
        if code not in known:
            expected = ", ".join(sorted(known)) or "none: none is loaded"
            raise LedgerError(f"discount: {code[:40]!r}; expected one of {expected}")
    if len(codes) > MAX_DISCOUNTS:
        raise LedgerError(f"discounts: {len(codes)}; expected up to {MAX_DISCOUNTS}")
    if codes == draft.account.get("discounts", []):
        return False
    draft.account["discounts"] = codes
    return True


def void_bill(draft: Draft, command: VoidBill) -> None:
    """Takes back what the last bill posted and fixed: all of it is on the next one. What was paid meanwhile stays."""
    account = draft.account
    billing = account.get("billing")
    if billing is None or billing["bill"] != command.bill:
        raise LedgerError(f"bill: {command.bill}; expected the account's last one")
    if not draft.can_hold(sum(command.posted.values())):
        raise LedgerError(f"total: {command.total}; expected what a balance can bear")
    for what, micros in command.posted.items():
        if micros:
            draft.post(micros, {"kind": "void", "bill": command.bill, "what": what})
    credit, still_open = credit_and_open(billing)
    after: dict[str, Any] = dict(command.before)
    after["credit"] = credit + command.settled["paid"] + min(command.total, 0)
    after["open"] = still_open - command.settled["open"]
    after["looked"] = billing.get("looked", billing["sequence"])
    account["billing"] = cast(Billing, after)


def pay_bill(draft: Draft, command: PayBill) -> None:
    """Adds a payment to the balance."""
    cause = {"kind": "payment", "bill": command.bill, "reference": command.reference}
    _give(draft, command.amount_micros, cause, command.used, command.rest)


def credit_bill(draft: Draft, command: CreditBill) -> None:
    """Adds to the balance what a credit note gives back."""
    cause = {"kind": "credit", "bill": command.bill, "note": command.note}
    _give(draft, command.amount_micros, cause, command.used, command.rest)


def _give(draft: Draft, amount_micros: int, cause: dict[str, Any], used: int, rest: int) -> None:
    if amount_micros <= 0 or not draft.can_hold(amount_micros):
        raise LedgerError(f"amount_micros: {amount_micros}; expected more than 0, and what a balance can hold")
    draft.post(amount_micros, cause)
    _settle(draft, credit=rest, paid=used)
    tell_sessions(draft, REAUTH, cause["kind"])  # a session that got little or nothing may ask again


def settle_bills(draft: Draft, command: SettleBills) -> None:
    """Notes what of the credit has gone to bills; no money moves."""
    if draft.account["version"] != command.version:
        raise AccountChanged(f"version: {draft.account['version']}; expected {command.version}")
    _settle(draft, credit=command.found - command.used, paid=command.used)
    draft.account["billing"]["looked"] = command.looked


def _settle(draft: Draft, credit: int, paid: int) -> None:
    """What the account has to its credit, and what is open of its bills, in a copy."""
    billing = draft.account.get("billing")
    if billing is None:
        raise LedgerError("bill: the account has none; expected one of its own")
    before, still_open = credit_and_open(billing)
    draft.account["billing"] = {**billing, "credit": before + credit, "open": still_open - paid}


def dun_bill(draft: Draft, command: DunBill) -> bool:
    """The fee of a step, and the account's suspension where it is active."""
    account = draft.account
    if command.fee_micros:
        if not draft.can_hold(-command.fee_micros):
            raise LedgerError(f"fee_micros: {command.fee_micros}; expected what a balance can bear")
        cause = {"kind": "dunning", "bill": command.bill, "reference": command.number, "step": command.step}
        draft.post(-command.fee_micros, cause)
    if command.suspends and account["state"] == ACTIVE:
        account["state"] = SUSPENDED
        draft.note_history(draft.now_s)
        tell_sessions(draft, ABORT, SUSPENDED)
    return bool(command.fee_micros or account["state"] != draft.original["state"])
