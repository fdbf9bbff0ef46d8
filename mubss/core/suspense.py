"""Charging what lies in suspense: units that clients reported and that couldn't be charged when they came. Pure.

Whether an entry is charged hangs on what had become of its request (`taken`):

- Its request was refused as a whole (5002, 4010, 5030, 5012; an event of which nothing moved): it isn't in the
  session's history. If the client sent it again later and it was taken, it is there by now, and what it reported was
  charged then: the entry moves nothing and becomes "already". If not, the entry is charged and the request is put into
  the history, so that a repeat to come moves nothing; the other entries of that request then count as taken.
- Its request was taken and the rest of it charged, but not these units (5031: no price; 5004: more than there can be):
  it is in the history, and says nothing of these units. They are charged.
- The history no longer says whether (a key in an uncertain range, history.py): the operator has judged; it is charged.

Once an entry isn't open any more it never moves again: it is a guarded document of the order (charging/order.py), and a
report that comes again doesn't replace it. What can't be told apart: history is kept for `Rules.replay_s` after a
session's end; a request that was taken before that, and comes again, is refused (5002) as one never seen.

Units are priced by the account's plan at the time of the report (month, band, free units), as a session of these
reports alone would be: entries of one order count up together, those of another order begin anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mubss.core.allowance import KEPT_MONTHS
from mubss.core.draft import Draft, Drawn, whole_part
from mubss.core.errors import LedgerError
from mubss.core.history import find_range, with_key
from mubss.core.members import member_of
from mubss.core.model import (
    ALREADY,
    CHARGED,
    Action,
    Applied,
    ChargeSuspense,
    Rules,
    SessionRecord,
)
from mubss.core.quota import reserve
from mubss.core.rater import MAX_AHEAD_S, MAX_UNITS, absurd, rate_usage
from mubss.core.reports import gy_source
from mubss.core.tariff import PlanService, Unit

# Of entries that don't say it themselves: these reasons were given for single reports of requests that were taken.
OF_TAKEN_REQUESTS = ("no price for these units", "no price in this zone and band", "more units than there can be")


class NotChargeable(LedgerError):
    """One entry can't be charged, and so none of its order was; `entry_id` says which."""

    def __init__(self, entry: dict[str, Any], text: str) -> None:
        super().__init__(text)
        self.entry_id = str(entry["_id"])


def request_was_taken(entry: dict[str, Any]) -> bool:
    """Whether an entry's request is in the history of its session, but for this report."""
    return bool(entry.get("taken", entry["reason"] in OF_TAKEN_REQUESTS))


def request_key(entry: dict[str, Any]) -> int:
    """What tells its request apart in the session's history (CreditControl.key)."""
    return int(entry["type"]) << 32 | int(entry["number"])


def charge_suspense(draft: Draft, command: ChargeSuspense, record: SessionRecord | None, rules: Rules) -> Applied:
    """Charges entries; `Applied.settled` says of each what it becomes. LedgerError: none was charged."""
    account = draft.account
    session = account["sessions"].get(command.session_hash)
    if session is None and record is not None and record["open"]:
        raise LedgerError(f"session: it is open in account {record['account']}; expected that subscriber, or its end")
    seen = session["seen"] if session else record["seen"] if record else []
    settled: dict[str, dict[str, Any]] = {}
    taken: list[int] = []
    meters: dict[str, _Meter] = {}
    for entry in command.entries:
        if not request_was_taken(entry):
            known = find_range(seen, request_key(entry))
            if known is not None and len(known) == 2:
                settled[entry["_id"]] = {"state": ALREADY, "settled_s": draft.now_s}
                continue
            taken.append(request_key(entry))
        settled[entry["_id"]] = _charge(draft, entry, meters)
    if all(fields["state"] == ALREADY for fields in settled.values()):
        return Applied(None, settled=settled)
    if any(draft.account.get(name) is not draft.original.get(name) for name in ("counters", "buckets")):
        reserve(draft)  # free units that were promised to an open session are then reserved as money
    if taken:
        for key in taken:
            seen = with_key(seen, key)
        _remember(draft, command.session_hash, record, seen, rules)
        settled |= {entry["_id"]: {"taken": True} for entry in command.beside if request_key(entry) in taken}
    applied = draft.applied()
    applied.settled = settled
    return applied


class _Meter:
    """What the entries of an order used of one service so far."""

    __slots__ = ("cursor_s", "rates")

    def __init__(self) -> None:
        self.rates: dict[str, int] = {}
        self.cursor_s = 0  # seconds services: where the next second of usage falls


def _charge(draft: Draft, entry: dict[str, Any], meters: dict[str, _Meter]) -> dict[str, Any]:
    """Charges one entry, whole or not at all; returns what it becomes."""
    service, units, reported_s = entry["service"], entry["units"], entry["at_s"]
    plan = draft.plan_service(service, reported_s)
    if plan is None:
        raise NotChargeable(entry, f"service: {service!r}; expected one that the plan {draft.account['plan']} sells")
    if entry.get("action", Action.DIRECT_DEBITING) != Action.DIRECT_DEBITING:
        raise NotChargeable(entry, f"action: {Action(entry['action']).name}; expected usage to charge: discard it")
    if entry.get("unit", plan.service.unit) != plan.service.unit:
        text = f"units: in {entry['unit']}; expected {plan.service.unit.value}, which {service} is sold by: discard it"
        raise NotChargeable(entry, text)
    draft.member = member_of(draft.account, entry["identities"], draft.account["sessions"].get(entry["session"]))
    meter = meters.setdefault(service, _Meter())
    at_s = ended_s = reported_s
    if plan.service.unit is Unit.SECONDS:  # it ended when it was reported; what follows lies end to end
        at_s = meter.cursor_s or reported_s - min(units, MAX_AHEAD_S)
        meter.cursor_s = ended_s = at_s + units
    if absurd(plan, units, at_s, reported_s):
        raise NotChargeable(entry, f"units: {units}; expected no more than there can be: discard it")
    plan = without_forgotten_months(draft, plan, at_s)
    zone = draft.tables.usage_zone(entry.get("called", ""), entry.get("network", ""))
    rated = rate_usage(draft.tables, plan, zone, units, at_s, meter.rates, draft.allowance(service))
    if rated.unpriced_units:
        text = f"units: {rated.unpriced_units} of {units} have no price in zone {zone} at that time; expected a rate"
        raise NotChargeable(entry, text)
    if sum(rated.rates.values()) > MAX_UNITS or not draft.can_hold(-rated.charge_micros):
        raise NotChargeable(entry, f"units: {units}; expected what a balance can bear: discard it")
    meter.rates = rated.rates
    draft.draw(service, rated)
    cause = {"kind": "suspense", "session": entry["session"], "number": entry["number"], "entry": entry["_id"]}
    draft.post_usage(cause, service, Drawn().plus(rated))
    free_units = sum(rated.free_units.values())
    source = gy_source(entry["session"], entry["session_id"], entry["peer"], entry.get("facts", {}), draft.member)
    part = whole_part(at_s, units, rated)
    draft.record_usage({**source, "suspense": entry["_id"]}, service, zone, rated.rates, part, ended_s)
    return {
        "state": CHARGED,
        "taken": True,
        "account": draft.account["_id"],
        "service": service,
        "charge_micros": rated.charge_micros,
        "free_units": free_units,
        "settled_s": draft.now_s,
    }


def without_forgotten_months(draft: Draft, plan: PlanService, at_s: int) -> PlanService:
    """How many free units were used isn't known any more of months long past: then none is drawn."""
    months = draft.original["counters"]
    if len(months) >= KEPT_MONTHS and draft.tables.calendar.at(at_s).month < min(months):
        return replace(plan, free_units=0)
    return plan


def _remember(
    draft: Draft, session_hash: str, record: SessionRecord | None, seen: list[list[int]], rules: Rules
) -> None:
    """Puts the requests that are now taken into the history: the open session's, or the record's."""
    sessions = draft.account["sessions"]
    if session_hash in sessions:
        sessions[session_hash] = {**sessions[session_hash], "seen": seen}
        return
    due_s = draft.now_s + rules.replay_s
    draft.records.append(
        {
            "_id": session_hash,
            "account": record["account"] if record else draft.account["_id"],
            "open": False,
            "due_s": max(record["due_s"], due_s) if record else due_s,
            "seen": seen,
            "outcomes": record["outcomes"] if record else [],
        }
    )
