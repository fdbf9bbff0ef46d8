"""Which bills are paid: what is open of each, and what was paid without a bill. Pure.

A bill is owed by itself: `settled` in its document has what was `paid` and `credited`, and what is still `open` of its
total. What is paid without a bill, or more than is open, is the account's `credit`; it settles the oldest bills first.
So at any time what the account owes for bills is the sum of what is open, less its credit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mubss.core.issuing import SettleBills
from mubss.core.model import Account, Billing
from mubss.core.money import Rounding, divide

PAYMENTS = ("opening", "topup", "voucher", "payment")
NEW, UNPAID, PARTLY_PAID, PAID, VOID = (
    f"BILL_STATUS_{name}" for name in ("NEW", "UNPAID", "PARTLY_PAID", "PAID", "VOID")
)
ISSUED = (UNPAID, PARTLY_PAID, PAID)


def credit_and_open(billing: Billing) -> tuple[int, int]:
    """What an account has to its credit, and what is open of its bills, in minor units."""
    due = billing["due"]
    return billing.get("credit", max(0, -due)), billing.get("open", max(0, due))


def unlooked(billing: Billing, postings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Postings of payments that are for no bill, and that nobody has looked at yet."""
    looked = billing.get("looked", billing["sequence"])
    return [
        one
        for one in postings
        if one["sequence"] > looked and one["cause"]["kind"] in PAYMENTS and "bill" not in one["cause"]
    ]


def issued_state(doc: Mapping[str, Any]) -> str:
    """The state of a bill that its subscriber has: unpaid, partly paid or paid."""
    settled = doc.get("settled") or {"paid": 0, "credited": 0, "open": max(0, doc["total"])}
    if settled["open"] <= 0:
        return PAID
    return PARTLY_PAID if settled["paid"] or settled["credited"] else UNPAID


def with_settled(doc: Mapping[str, Any], paid: int = 0, credited: int = 0) -> dict[str, Any]:
    """A bill's next version, with more of it paid or credited; its own figures stay. What is over isn't the bill's."""
    before = doc["settled"]
    left = before["open"] - paid - min(credited, before["open"])
    settled = {"paid": before["paid"] + paid, "credited": before["credited"] + credited, "open": left}
    after = {**doc, "settled": settled, "version": doc["version"] + 1}
    if doc["state"] in ISSUED:
        after["state"] = issued_state(after)
    return after


class Settled(NamedTuple):
    """What settling an account comes to: the command, and the bills as they are after it."""

    command: SettleBills
    bills: list[dict[str, Any]]


def settle(
    account: Account, postings: Iterable[Mapping[str, Any]], bills: Iterable[Mapping[str, Any]], scale: int
) -> Settled | None:
    """Gives an account's credit, and what was paid since without a bill, to `bills`, its open ones, oldest first.

    None where there is nothing to give, or nothing open.
    """
    billing = account.get("billing")
    if billing is None:
        return None
    found = sum(divide(one["amount_micros"], scale, Rounding.HALF_UP) for one in unlooked(billing, postings))
    left = credit_and_open(billing)[0] + found
    changed = []
    for bill in sorted(bills, key=lambda one: (one["due_day"], one["number"])):
        used = min(left, bill["settled"]["open"])
        if used > 0:
            changed.append(with_settled(bill, paid=used))
            left -= used
    if not changed:
        return None
    used = credit_and_open(billing)[0] + found - left
    return Settled(SettleBills(account["version"], account["sequence"], found, used), changed)
