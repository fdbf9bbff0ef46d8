"""Which step of the ladder comes next for a bill that is overdue. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from mubss.core.tariff import DunningStep


def days_overdue(bill: Mapping[str, Any], today: date) -> int:
    """How many days after its due day it is; 0 or less: it isn't overdue."""
    return (today - date.fromisoformat(bill["due_day"])).days


def next_step(bill: Mapping[str, Any], ladder: Sequence[DunningStep], today: date) -> DunningStep | None:
    """The first step that is due and hasn't been done for the bill; None where there is none today.

    Steps come in their order and as far apart as the ladder has them, whenever the one before was done: who hears the
    first one late has as long to pay until the next. What was done is known by its number, so a ladder that changes
    goes on behind it.
    """
    done = bill.get("dunned", ())
    last = max((one["step"] for one in done), default=0)
    days = next((step.days for step in ladder if step.step == last), 0)
    due, since = date.fromisoformat(bill["due_day"]), date.fromisoformat(done[-1]["day"]) if done else None
    for step in ladder:
        if step.step > last:
            apart = timedelta(max(1, step.days - days))
            return step if due + timedelta(step.days) <= today and (since is None or since + apart <= today) else None
    return None


def dunned(bill: Mapping[str, Any], step: DunningStep, fee_micros: int, today: date) -> dict[str, Any]:
    """A bill's next version, once a step is done."""
    entry = {"step": step.step, "action": step.action, "day": today.isoformat(), "fee_micros": fee_micros}
    return {**bill, "version": bill["version"] + 1, "dunned": [*bill.get("dunned", ()), entry]}
