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

    Steps come in their order, and one a day: after a rest of the pass nobody gets all of them at once. What was done is
    known by its number, so a ladder that changes goes on behind it.
    """
    done = bill.get("dunned", ())
    if done and done[-1]["day"] >= today.isoformat():
        return None
    last = max((one["step"] for one in done), default=0)
    due = date.fromisoformat(bill["due_day"])
    return next((step for step in ladder if step.step > last and due + timedelta(step.days) <= today), None)


def dunned(bill: Mapping[str, Any], step: DunningStep, fee_micros: int, today: date) -> dict[str, Any]:
    """A bill's next version, once a step is done."""
    entry = {"step": step.step, "action": step.action, "day": today.isoformat(), "fee_micros": fee_micros}
    return {**bill, "version": bill["version"] + 1, "dunned": [*bill.get("dunned", ()), entry]}
