"""Issuing a bill: the command that fixes it in the account, with the money that it adds (bill.py). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class IssueBill:
    """Fixes what is billed, if the account is still as it was when the bill was reckoned (`version`).

    The bill's document and its number come with the order, as guarded documents.
    """

    bill: str  # its document's id
    version: int  # the account's
    sequence: int  # of the last posting that is on it: a bundle may renew as the bill is issued
    period: str
    fees_micros: int
    taxes_micros: int
    rounding_micros: int
    usage: list[list[int]]  # sequences of all usage that is on a bill now
    due: int  # minor units
