"""What commands about bills do to an account (issuing.py). Pure."""

from __future__ import annotations

from typing import cast

from mubss.core.draft import Draft
from mubss.core.errors import AccountChanged, LedgerError
from mubss.core.issuing import IssueBill, SetDiscounts
from mubss.core.model import Billing

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
