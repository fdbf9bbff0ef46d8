"""Which bills are paid: what is open of each, and what was paid without a bill. Pure.

A bill is owed by itself: `settled` in its document has what was `paid` and `credited`, and what is still `open` of its
total. What is paid without a bill, or more than is open, is the account's `credit`; it settles the oldest bills first.
So at any time what the account owes for bills is the sum of what is open, less its credit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mubss.core.model import Billing

PAYMENTS = ("opening", "topup", "payment")
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
