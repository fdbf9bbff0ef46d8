"""What subscribers may be told, and when the operator wants it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mubss.core.tariff import ACTIONS

LOW_BALANCE, TOP_UP = "low_balance", "topup"
BUNDLE_USED, EXPIRY_SOON = "bundle_used", "expiry_soon"
BILL_READY = "bill_ready"
SUSPENDED, SESSION_REFUSED = "suspended", "session_refused"
LICENCE = "licence"
OPERATOR = ""  # whom that is told, in the place of a subscriber's id
KINDS = (
    LOW_BALANCE,
    TOP_UP,
    BUNDLE_USED,
    EXPIRY_SOON,
    BILL_READY,
    SUSPENDED,
    SESSION_REFUSED,
    LICENCE,
)  # if the operator wants
DUNNING = tuple(f"dunning_{action}" for action in ACTIONS)  # steps of the ladder, told wherever there is one
TEST = "test"  # what an operator sends to see whether it comes through


class Notice(NamedTuple):
    """One thing to tell a subscriber; `cause` tells it from others of its kind, and is the same in a repeat."""

    kind: str
    subscriber: str  # its id
    cause: str
    values: Mapping[str, Any]  # what the text is made with
    due_s: int = 0  # 0: at once


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """Which of the ledger's changes subscribers are told of."""

    kinds: frozenset[str]
    low_balance_micros: int = 0  # where the price plan names none; 0: none
    bundle_percent: int = 80  # used; that all is used is told, too
    expiry_soon_s: int = 172_800  # before the end of a bundle that has units left
