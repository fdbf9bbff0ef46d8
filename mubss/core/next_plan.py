"""A price plan that waits: which plan an account, or a subscriber's document, has at a time. Pure.

Both kinds of document keep `plan`, and while another one is ordered `next_plan` with `next_plan_from_s`, its first
second. From then on the next plan is in force whether or not anything has been written since: who reads `plan` asks
here. The ledger writes it down with the first command for the account at or after that second (plan_change.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from mubss.core.bill_period import following, last_closed, start_of
from mubss.core.model import Account

FIELDS = ("plan", "next_plan", "next_plan_from_s")


def is_due(doc: Mapping[str, Any], now_s: int) -> bool:
    """Whether a plan that waited is in force."""
    return "next_plan" in doc and bool(doc["next_plan_from_s"] <= now_s)


def plan_at(doc: Mapping[str, Any], now_s: int) -> str:
    """The plan in force at a time that isn't before the document's last change."""
    return str(doc["next_plan"] if is_due(doc, now_s) else doc["plan"])


def as_of(doc: Mapping[str, Any], now_s: int) -> dict[str, Any]:
    """A document as it stands at a time: `next_plan` is there while it waits."""
    if not is_due(doc, now_s):
        return dict(doc)
    return {**without(doc), "plan": doc["next_plan"]}


def without(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A document without what it says of plans."""
    return {name: value for name, value in doc.items() if name not in FIELDS}


def plans_of(account: Account) -> dict[str, Any]:
    """What an account says of plans, for the documents of its subscribers."""
    known: Mapping[str, Any] = account
    return {name: known[name] for name in FIELDS if name in known}


def history_until(account: Account, until_s: int) -> list[list[Any]]:
    """Since when the account has had which plan and state, with the plan that waits if it is in force by then."""
    history = account.get("history") or [[account.get("since_s", 0), account["plan"], account["state"]]]
    if not is_due(account, until_s):
        return history
    return [*history, [account["next_plan_from_s"], account["next_plan"], account["state"]]]


def next_start(closing_day: int | None, now_s: int, zone: tzinfo) -> int:
    """The first second of the bill period behind the one that holds `now_s`; without a cycle, of the next month."""
    if closing_day is not None:
        return following(last_closed(closing_day, now_s, zone), zone).end_s
    today = datetime.fromtimestamp(now_s, zone).date()
    return start_of((today.replace(day=1) + timedelta(32)).replace(day=1), zone)
