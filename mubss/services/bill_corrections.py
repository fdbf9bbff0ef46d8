"""Bills after a run: voided before anybody has them, paid, credited. Each is one transaction, whatever is killed when.

A bill's document changes with the account, as a guarded document: who read another version of it begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.core.crediting import credit_note
from mubss.core.errors import AccountChanged, Busy, InputError, LedgerError
from mubss.core.issuing import CreditBill, PayBill, VoidBill
from mubss.core.model import POSTPAID, Account
from mubss.core.money import format_amount
from mubss.core.settling import ISSUED, NEW, VOID, settle, with_settled
from mubss.core.tariff import Tables
from mubss.services.lifecycle import check_text, run
from mubss.storage import bill_documents, bills, subscribers
from mubss.storage.database import Doc, Store

_Result = TypeVar("_Result")
UNSENT = (NEW, bill_documents.FAILED)  # nobody has such a bill: it waits for its document, or can't have one
_TRIES = 20  # where others change the same bill, or take the same number


class Payment(NamedTuple):
    """A payment that is recorded, and the bill after it."""

    payment: Doc
    bill: Doc
    before: bool = False  # it was recorded already; nothing moved


def find_bill(store: Store, number: str) -> Doc:
    """A bill, statement or credit note by its number; InputError for one that there isn't."""
    doc = bills.by_number(store, number)
    if doc is None:
        raise InputError(f"number: {number[:40]!r}; expected that of a bill; `mubss bills list` shows them")
    return doc


def void(engine: Engine, store: Store, number: str, reason: str, now_s: int) -> Doc:
    """Takes back a bill or statement that nobody has yet, the last one of its account; it keeps its number.

    The next run of its period makes another.
    """
    _check_reason(reason)

    def once() -> Doc:
        doc = find_bill(store, number)
        if doc["state"] not in UNSENT or "before" not in doc:
            way = "`mubss bills credit` gives money back" if doc["state"] in ISSUED else f"it is {doc['state']}"
            raise LedgerError(f"number: {number}; expected a bill in {NEW}, which nobody has yet: {way}")
        if bill_documents.is_held(doc, now_s):
            raise Busy(f"bill {number} is being rendered; try again")
        account = subscribers.get_account(store, doc["account"]) or {}
        if account.get("billing", {}).get("bill") != doc["_id"]:
            raise LedgerError(f"number: {number}; expected the last bill of its account: void those behind it first")
        after = {
            **{name: value for name, value in doc.items() if name != "lease"},
            "version": doc["version"] + 1,
            "state": VOID,
            "void_reason": reason,
            "voided_s": now_s,
            "settled": {"paid": 0, "credited": 0, "open": 0},
        }
        command = VoidBill(doc["_id"], doc["posted"], doc["before"], doc["total"], doc["settled"])
        run(engine, Order(command, account=doc["account"], guards=[Guard(bills.BILLS, after, doc["version"])]))
        return after

    return _until_done(once)


def pay(engine: Engine, store: Store, number: str, amount_micros: int, reference: str, now_s: int) -> Payment:
    """Records a payment of a bill; what is more than is open of it is the account's credit, for bills to come.

    A reference is an account's once: the same payment again is told as it was recorded, and moves nothing.
    """
    check_text("reference", reference)
    if not reference.strip():
        raise InputError("reference: ''; expected what tells this payment from others of the subscriber")

    def once() -> Payment:
        doc = find_bill(store, number)
        if doc["kind"] != POSTPAID or doc["state"] == VOID:
            what = "void" if doc["state"] == VOID else f"a document of kind {doc['kind']}"
            raise LedgerError(f"number: {number} is {what}; expected a bill that is to be paid")
        amount = _minor(doc, amount_micros)
        used = min(amount, doc["settled"]["open"])
        payment = {
            "_id": bills.payment_id(doc["account"], reference),
            "version": 1,
            "account": doc["account"],
            "bill": doc["_id"],
            "number": number,
            "reference": reference,
            "amount": amount,
            "used": used,
            "currency": doc["currency"],
            "decimals": doc["decimals"],
            "at_s": now_s,
        }
        after = with_settled(doc, paid=used)
        command = PayBill(doc["_id"], amount_micros, used, amount - used, reference)
        guards = [Guard(bills.PAYMENTS, payment), Guard(bills.BILLS, after, doc["version"])]
        try:
            run(engine, Order(command, account=doc["account"], guards=guards))
        except GuardConflict as conflict:
            if conflict.collection != bills.PAYMENTS or conflict.stored is None:
                raise
            return _repeated(conflict.stored, doc, amount)
        return Payment(payment, after)

    return _until_done(once)


def _repeated(stored: Doc, doc: Doc, amount: int) -> Payment:
    if (stored["bill"], stored["amount"]) == (doc["_id"], amount):
        return Payment(stored, doc, before=True)
    was = f"{stored['number']} and {_amount(doc, stored['amount'])}"
    raise InputError(f"reference: {stored['reference']!r} is of a payment for {was}; expected one of its own")


def credit(
    engine: Engine,
    store: Store,
    tables: Tables,
    number: str,
    amount_micros: int | None,
    reason: str,
    series: str,
    now_s: int,
) -> Doc:
    """Issues a credit note for a bill: of an amount with taxes, or None for all that isn't credited yet.

    It comes off what is open of the bill; what is more than that is the account's credit.
    """
    _check_reason(reason)
    today = datetime.fromtimestamp(now_s, tables.calendar.zone).date()

    def once() -> Doc:
        doc = find_bill(store, number)
        if doc["kind"] != POSTPAID or doc["state"] not in ISSUED:
            way = "void it instead" if doc["state"] in UNSENT and doc["kind"] == POSTPAID else f"it is {doc['state']}"
            raise LedgerError(f"number: {number}; expected a bill that is issued; {way}")
        left = doc["total"] - doc["settled"]["credited"]
        amount = left if amount_micros is None else _minor(doc, amount_micros)
        if not 0 < amount <= left:
            raise InputError(
                f"amount: {_amount(doc, amount)}; expected up to the {_amount(doc, left)} not credited yet"
            )
        counter = bills.counter_id(series, str(today.year))
        last = bills.last_number(store, counter)
        notes = doc.get("credit_notes", [])
        note = {
            "_id": bills.note_id(doc["_id"], len(notes)),
            "version": 1,
            "number": f"{series}-{today.year}-{last + 1:07}",
            "state": NEW,
            "issued_s": now_s,
            "due_day": doc["due_day"],
            "reason": reason,
            **credit_note(doc, amount),
        }
        used = min(amount, doc["settled"]["open"])
        after = {**with_settled(doc, credited=amount), "credit_notes": [*notes, note["number"]]}
        command = CreditBill(doc["_id"], note["_id"], amount * _scale(doc), used, amount - used)
        guards = [
            Guard(bills.BILLS, note),
            Guard(bills.BILLS, after, doc["version"]),
            Guard(bills.COUNTERS, {"_id": counter, "version": last + 1}, last or None),
        ]
        run(engine, Order(command, account=doc["account"], guards=guards))
        return note

    return _until_done(once)


def settle_account(engine: Engine, store: Store, tables: Tables, account_id: str) -> bool:
    """Gives what an account has to its credit, and what was paid without a bill, to its oldest open bills.

    Whether there was anything to give. No money moves.
    """

    def once() -> bool:
        account = cast("Account | None", subscribers.get_account(store, account_id))
        if account is None or "billing" not in account or account["currency"] not in tables.currencies:
            return False
        open_bills = bills.open_of(store, account_id)
        billing = account["billing"]
        postings = subscribers.postings(store, account_id, billing.get("looked", billing["sequence"]))
        scale = 10 ** (6 - tables.currencies[account["currency"]].decimals)
        found = settle(account, postings, open_bills, scale) if open_bills else None
        if found is None:
            return False
        guards = [Guard(bills.BILLS, doc, doc["version"] - 1) for doc in found.bills]
        run(engine, Order(found.command, account=account_id, guards=guards))
        return True

    return _until_done(once)


def _until_done(once: Callable[[], _Result]) -> _Result:
    """Does it again as long as others come first."""
    for _ in range(_TRIES - 1):
        try:
            return once()
        except (GuardConflict, AccountChanged):
            continue
    return once()


def _check_reason(reason: str) -> None:
    check_text("reason", reason)
    if not reason.strip():
        raise InputError("reason: ''; expected why, in a few words")


def _scale(doc: Doc) -> int:
    return int(10 ** (6 - doc["decimals"]))


def _minor(doc: Doc, amount_micros: int) -> int:
    """An amount in the minor units of a bill; InputError for one that isn't whole, or not above 0."""
    minor, rest = divmod(amount_micros, _scale(doc))
    if rest or minor <= 0:
        least = f"{format_amount(_scale(doc), 0)} {doc['currency']}"
        raise InputError(f"amount: {format_amount(amount_micros)}; expected a multiple of {least} above 0")
    return minor


def _amount(doc: Doc, minor: int) -> str:
    return f"{format_amount(minor * _scale(doc), doc['decimals'])} {doc['currency']}"
