"""Charging call detail records to their account: each once, by the rater that prices Gy. Pure.

A record is priced by the plan in force at its start, with the free units of its month. The partial records of a call
count on one meter, so setup fee, blocks and maximum are the call's whatever parts it comes in and in whatever order:
its charge is a function of its cumulative usage, and each part posts the difference.

What Gy has charged is matched, not charged again: by the Session-Id that the record names, or by its 3GPP-Charging-Id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.cdr import (
    BAD_UNITS,
    CALLS,
    CHARGED,
    MATCHED,
    NO_PRICE,
    ONLINE,
    RECORDS,
    SUSPENDED,
    Cdr,
    CdrItem,
    ChargeCdrs,
    Verdict,
)
from mubss.core.draft import Draft, Drawn, whole_part
from mubss.core.errors import LedgerError
from mubss.core.identity import charging_link, session_hash
from mubss.core.members import member_of
from mubss.core.model import ALREADY, PREPAID, Applied, Beside
from mubss.core.quota import reserve
from mubss.core.rater import MAX_UNITS, absurd, rate_usage
from mubss.core.sessions import charged_services
from mubss.core.suspense import without_forgotten_months

_FACTS = ("calling", "called", "imei", "cell", "network", "charging_id", "call_id")  # that its usage record keeps


def links(account_id: str, cdr: Cdr) -> list[str]:
    """Where it would be noted, in `gy_sessions`, that Gy charged this usage."""
    found = [session_hash(cdr.session_id)] if cdr.session_id else []
    return [*found, charging_link(account_id, cdr.charging_id)] if cdr.charging_id else found


def charge_cdrs(draft: Draft, command: ChargeCdrs, beside: Beside) -> Applied:
    """Charges what can be charged; `Applied.verdicts` says of each record what became of it."""
    charging = _Charging(draft, command, beside)
    for item in command.items:
        charging.take(item)
    applied = charging.applied()
    if command.reprocesses:
        told = zip(command.items, applied.verdicts, strict=True)
        applied.settled = {item.key: _settled(draft, verdict, applied) for item, verdict in told}
    return applied


def _settled(draft: Draft, verdict: Verdict, applied: Applied) -> dict[str, Any]:
    """What an entry of suspense becomes; LedgerError where it has to stay there."""
    if verdict.state == SUSPENDED:
        raise LedgerError(verdict.text or "record: another tries it at this moment; expected it to be waited for")
    fields = {
        "state": CHARGED if verdict.state == CHARGED and not verdict.before else ALREADY,
        "settled_s": draft.now_s,
    }
    for usage in applied.usage:
        fields |= {"charge_micros": usage["charge_micros"], "free_units": usage["free_units"]}
    return {**fields, "account": draft.account["_id"], "became": verdict.state}


class _Charging:
    """The records of one command, one after the other."""

    def __init__(self, draft: Draft, command: ChargeCdrs, beside: Beside) -> None:
        self._draft = draft
        self._command = command
        self._beside = beside
        self._calls = dict(beside.calls)
        self._changed_calls: dict[str, dict[str, Any]] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._drawn: dict[str, Drawn] = {}
        self._charged: dict[str, list[str]] = {}  # keys by service
        self._verdicts: list[Verdict] = []

    def take(self, item: CdrItem) -> None:
        """Judges one record, and charges it if it is to be charged."""
        known = self._records.get(item.key) or self._beside.records.get(item.key)
        if known is not None and not (self._command.reprocesses and known["state"] == SUSPENDED):
            self._verdicts.append(Verdict(known["state"], before=True, file=known["file"], offset=known["at"]))
            return
        verdict = self._judged(item)
        self._verdicts.append(verdict)
        if verdict.state != SUSPENDED:
            doc = {"_id": item.key, "file": self._command.file, "at": item.offset, "state": verdict.state}
            self._records[item.key] = doc

    def applied(self) -> Applied:
        """All that is to be written: one posting for each service, a usage record for each that was charged."""
        draft = self._draft
        for service, drawn in self._drawn.items():
            keys = self._charged[service]
            which = {"record": keys[0]} if len(keys) == 1 else {"records": len(keys)}
            draft.post_usage({"kind": "cdr", "file": self._command.file, **which}, service, drawn)
        if draft.account["sessions"] and any(
            draft.account.get(name) is not draft.original.get(name) for name in ("counters", "buckets")
        ):
            reserve(draft)  # free units that were promised to an open session are then reserved as money
        applied = draft.applied() if draft.postings or draft.usage else Applied(None)
        is_new = not self._command.reprocesses
        applied.noted = [(RECORDS, doc, is_new) for doc in self._records.values()]
        applied.noted += [(CALLS, doc, False) for doc in self._changed_calls.values()]
        applied.verdicts = self._verdicts
        return applied

    def _judged(self, item: CdrItem) -> Verdict:
        draft, cdr = self._draft, item.cdr
        draft.member = member_of(draft.account, cdr.identities)  # the same for all of a command
        if draft.account["type"] == PREPAID and not self._command.charges_prepaid:
            return Verdict(ONLINE)
        if (cdr.charging_id or cdr.session_id) and self._is_charged_on_gy(cdr):
            return Verdict(MATCHED)
        plan = draft.plan_service(cdr.service, cdr.start_s)
        if plan is None:
            text = f"service: {cdr.service}; expected one that the plan {draft.account['plan']} sells at that time"
            return Verdict(SUSPENDED, NO_PRICE, text)
        units = cdr.units(plan.service.unit)
        if not units:
            return Verdict(CHARGED)
        if absurd(plan, units, cdr.start_s, draft.now_s):
            return Verdict(SUSPENDED, BAD_UNITS, f"units: {units}; expected no more than there can be")
        rates = dict(self._calls[item.call]["rates"]) if item.call in self._calls else {}
        plan = without_forgotten_months(draft, plan, cdr.start_s)
        zone = draft.tables.usage_zone(cdr.called, cdr.network)
        rated = rate_usage(draft.tables, plan, zone, units, cdr.start_s, rates, draft.allowance(cdr.service))
        if rated.unpriced_units:
            text = (
                f"units: {rated.unpriced_units} of {units} have no price in zone {zone} at that time; expected a rate"
            )
            return Verdict(SUSPENDED, NO_PRICE, text)
        before_micros = sum(drawn.micros for drawn in self._drawn.values())
        if sum(rated.rates.values()) > MAX_UNITS or not draft.can_hold(-before_micros - rated.charge_micros):
            return Verdict(SUSPENDED, BAD_UNITS, f"units: {units}; expected what a balance can bear")
        draft.draw(cdr.service, rated)
        self._drawn[cdr.service] = self._drawn.get(cdr.service, Drawn()).plus(rated)
        self._charged.setdefault(cdr.service, []).append(item.key)
        if item.call:
            self._count(item.call, rated.rates)
        part = whole_part(cdr.start_s, units, rated)
        draft.record_usage(self._source(item), cdr.service, zone, rated.rates, part, cdr.start_s + cdr.duration_s)
        return Verdict(CHARGED)

    def _is_charged_on_gy(self, cdr: Cdr) -> bool:
        """Whether a session that the record names has charged its service; one of another service has not."""
        account = self._draft.account
        session_key = session_hash(cdr.session_id) if cdr.session_id else ""
        for key, session in account["sessions"].items():
            is_named = key == session_key
            if not is_named and cdr.charging_id:
                is_named = session.get("facts", {}).get("charging_id") == cdr.charging_id
            if is_named and cdr.service in charged_services(session):
                return True
        known = (self._beside.sessions.get(link) for link in links(account["_id"], cdr))
        found = (record for record in known if record is not None and record["account"] == account["_id"])
        return any(cdr.service in record.get("services", ()) for record in found)

    def _count(self, call: str, rates: Mapping[str, int]) -> None:
        # `rates` is a list, since the first rate sets setup fee and minimum, and MySQL's JSON sorts an object's keys.
        counted = [list(pair) for pair in rates.items()]
        doc = {"_id": call, "rates": counted, "at_s": self._draft.now_s}
        self._calls[call] = self._changed_calls[call] = doc

    def _source(self, item: CdrItem) -> dict[str, Any]:
        cdr = item.cdr
        facts = {name: value for name in _FACTS if (value := getattr(cdr, name))}
        if item.call:
            facts["call"] = item.call
        if self._draft.member:
            facts["member"] = self._draft.member
        return {"source": "cdr", "file": self._command.file, "record": item.key, "record_id": cdr.record_id, **facts}
