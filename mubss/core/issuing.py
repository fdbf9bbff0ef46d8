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
