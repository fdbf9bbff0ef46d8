"""Commands about bills: issuing, voiding and crediting one, payments, reminders (bill_ledger.py does them). Pure.

Documents that change with them (the bill, its number's counter, a payment, a notification) come with the order, as
guarded documents. Amounts are in minor units of the account's currency unless they end in `_micros`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class IssueBill:
    """Fixes what is billed, if the account is still as it was when the bill was reckoned."""

    bill: str  # its document's id
    version: int  # the account's; 0: whichever, for a bill that moves no money
    previous: str  # the account's last bill before it, "" for none
    posted: Mapping[str, int]  # micros that the bill adds to what is owed, by what they are for
    billing: Mapping[str, Any]  # model.Billing after it


@dataclass(slots=True)
class SetDiscounts:
    """Which discounts of the reference data a subscriber's bills have, beside the plan's."""

    codes: Sequence[str]


@dataclass(slots=True)
class VoidBill:
    """Takes an account's last bill back, before anybody has it: what it posted, and what it fixed."""

    bill: str
    posted: Mapping[str, int]  # as IssueBill's
    before: Mapping[str, Any]  # model.Billing as it was before the bill
    total: int
    settled: Mapping[str, int]  # of the bill, as it stands


@dataclass(slots=True)
class PayBill:
    """A payment for a bill; what is more than is open of it is the account's credit."""

    bill: str
    amount_micros: int
    used: int  # of what is open of the bill
    rest: int  # credit
    reference: str = ""


@dataclass(slots=True)
class SettleBills:
    """Gives what was paid without a bill to bills that are open, if the account is still as it was (`version`)."""

    version: int
    looked: int  # the last posting that was looked at
    found: int  # paid by postings that nobody had looked at before
    used: int  # given to bills


@dataclass(slots=True)
class CreditBill:
    """A credit note: money goes back for a bill, off what is open of it, and else to the account's credit."""

    bill: str
    note: str  # the note's document's id
    amount_micros: int
    used: int
    rest: int


@dataclass(slots=True)
class DunBill:
    """A step of dunning for a bill that is overdue: its fee, and the account's suspension."""

    bill: str
    number: str
    step: int
    fee_micros: int = 0
    suspends: bool = False
