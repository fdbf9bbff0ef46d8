"""Pricing stored usage again: what it would have cost by other prices, and the corrections that make it so. Pure.

A correction is a usage record of its own (`source` "rerate", `corrects` the record it is about) with the difference in
charge and free units, and a posting; the record it corrects stays as it was. What was corrected before is taken as
corrected, so doing it again changes nothing. Usage on a bill is never touched.

The records of a session or a call in parts are priced on one meter, in the order they were written. Free units of a
month are drawn anew in that order, from what usage outside of the range has left; units of bundles stay as they were
drawn, and so do free units of records across a month's turn, of months whose counters are gone, and of accounts that
several subscribers share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, NamedTuple

from mubss.core.allowance import Allowance, Usage
from mubss.core.corrections import Correction, Rerate
from mubss.core.draft import Draft, Drawn
from mubss.core.errors import LedgerError
from mubss.core.history import find_range
from mubss.core.model import Account, Applied, UsagePart
from mubss.core.quota import reserve
from mubss.core.rater import rate_usage
from mubss.core.tariff import PlanService, Tables, Unit

RERATE = "rerate"
Record = Mapping[str, Any]  # a usage document
PlanOf = Callable[[str, str, int], PlanService | None]  # by plan, service and UTC seconds: how it is to be priced


class Repriced(NamedTuple):
    """What an account's usage in a range comes to; `kept` records have no price now and stay as they are."""

    before_micros: int
    after_micros: int
    records: int
    corrections: list[Correction]
    kept: int


class UsageChanged(LedgerError):
    """The account has more usage than the corrections were reckoned from: they must be reckoned anew."""


def plans(tables: Tables, wanted: str) -> PlanOf:
    """How usage is to be priced: by its own plan ("" ), by another, or by one version of that ("CODE@2026-12-01")."""
    code, _, day = wanted.partition("@")

    def find(own: str, service: str, at_s: int) -> PlanService | None:
        if not day:
            plan = tables.plan_at(code or own, at_s)
            return plan.services.get(service) if plan is not None else None
        version = next(one for one in tables.versions[code] if tables.calendar.at(one.valid_from_s).day == day)
        found = version.services.get(service)
        return replace(found, until_s=0, later=None) if found is not None else None

    return find


def reprice(
    account: Account,
    usage: Sequence[Record],
    tables: Tables,
    plan_of: PlanOf,
    from_s: int,
    until_s: int,
    only_plan: str = "",
) -> Repriced:
    """Prices an account's usage that begins within [from_s, until_s) again; `usage` is all of it, in its order.

    With `only_plan` that of this plan alone: the account may have had others.
    """
    billing, open_sessions = account.get("billing"), account["sessions"]
    billed = billing["usage"] if billing else []
    chosen = {
        record["_id"]
        for record in usage
        if from_s <= record["from_s"] < until_s
        and record["source"] != RERATE
        and find_range(billed, record["sequence"]) is None
        and record["units"] > 0
        and record.get("session") not in open_sessions
        and only_plan in ("", record["plan"])
    }
    return _Repricing(account, usage, tables, plan_of, chosen).run()


class _Repricing:
    """One account's; what it draws is counted by (month, service) as it goes."""

    def __init__(
        self, account: Account, usage: Sequence[Record], tables: Tables, plan_of: PlanOf, chosen: Set[str]
    ) -> None:
        self._account = account
        self._tables = tables
        self._plan_of = plan_of
        self._usage = [record for record in usage if record["source"] != RERATE]
        self._charges: dict[str, int] = {}  # of each record, with its corrections
        self._free: dict[str, int] = {}
        for record in usage:
            about = record.get("corrects", record["_id"])
            self._charges[about] = self._charges.get(about, 0) + record["charge_micros"]
            self._free[about] = self._free.get(about, 0) + record["free_units"]
        self._chosen = chosen
        self._drawn: dict[tuple[str, str], int] = {}
        self._paid: dict[tuple[str, str], int] = {}
        for months, field in ((account["counters"], self._drawn), (account.get("paid", {}), self._paid)):
            field.update(
                {(month, code): units for month, services in months.items() for code, units in services.items()}
            )
        for record in self._usage:
            if record["_id"] in self._chosen and self._draws_anew(record):
                self._give_back(record)

    def run(self) -> Repriced:
        """Prices every chosen record, with those before it on its meter."""
        meters: dict[tuple[str, str], dict[str, int]] = {}
        corrections, kept, before, after = [], 0, 0, 0
        chosen = self._chosen
        last_chosen = {_meter(record): place for place, record in enumerate(self._usage) if record["_id"] in chosen}
        for place, record in enumerate(self._usage):
            key = _meter(record)
            if last_chosen.get(key, -1) < place:
                continue
            is_chosen = record["_id"] in chosen
            priced = self._price(record, meters.setdefault(key, {}), draws=is_chosen and self._draws_anew(record))
            if priced is None:
                kept += is_chosen
                if is_chosen:
                    self._keep(record)
                continue
            meters[key] = priced.rates
            if is_chosen:
                before += self._charges[record["_id"]]
                after += priced.charge_micros
                correction = self._correction(record, priced)
                if correction.charge_micros or correction.free_units or correction.paid_units:
                    corrections.append(correction)
        return Repriced(before, after, len(self._chosen) - kept, corrections, kept)

    def _month(self, record: Record) -> str:
        return self._tables.calendar.at(record["from_s"]).month

    def _draws_anew(self, record: Record) -> bool:
        """Whether its free units can be drawn again: they lie in one month whose counters are there, not shared."""
        months = self._account["counters"]
        month = self._month(record)
        is_known = not months or month >= min(months)
        until_s = max(record["from_s"], record["until_s"] - 1)
        return is_known and "members" not in self._account and self._tables.calendar.at(until_s).month == month

    def _give_back(self, record: Record) -> None:
        at, paid = (self._month(record), record["service"]), self._paid_of(record)
        self._drawn[at] = self._drawn.get(at, 0) - self._free[record["_id"]]
        if at in self._paid:
            self._paid[at] -= paid

    def _keep(self, record: Record) -> None:
        if self._draws_anew(record):
            at = self._month(record), record["service"]
            self._drawn[at] = self._drawn.get(at, 0) + self._free[record["_id"]]
            if at in self._paid:
                self._paid[at] += self._paid_of(record)

    def _paid_of(self, record: Record) -> int:
        return int(record["units"] - self._free[record["_id"]] - record.get("bundle_units", 0))

    def _price(self, record: Record, rates: dict[str, int], *, draws: bool) -> Usage | None:
        """The record's usage on its meter; None where it has no price. Counts what it draws."""
        service, at_s = record["service"], record["from_s"]
        plan = self._plan_of(record["plan"], service, at_s)
        if plan is None:
            return None
        free = 0 if draws else self._free[record["_id"]]
        taken = record.get("bundle_units", 0) + free
        if plan.service.unit is Unit.SECONDS:
            at_s += taken  # they were drawn first
        allowance = Allowance()
        if draws:
            used = {month: units for (month, code), units in self._drawn.items() if code == service}
            paid = {month: units for (month, code), units in self._paid.items() if code == service}
            allowance = Allowance(used, paid, (), self._account.get("since_s", 0))
        else:
            plan = replace(plan, free_units=0)
        priced = rate_usage(self._tables, plan, record["zone"], record["units"] - taken, at_s, rates, allowance)
        if priced.unpriced_units:
            return None
        if draws:
            for field, drawn in ((self._drawn, priced.free_units), (self._paid, priced.paid_units)):
                for month, units in drawn.items():
                    field[month, service] = field.get((month, service), 0) + units
            return priced
        return priced._replace(free_units={self._month(record): free})

    def _correction(self, record: Record, priced: Usage) -> Correction:
        month, place = self._month(record), record["_id"]
        paid = 0
        if (month, record["service"]) in self._paid and self._draws_anew(record):
            paid = sum(priced.paid_units.values()) - self._paid_of(record)
        return Correction(
            record,
            priced.charge_micros - self._charges[place],
            sum(priced.free_units.values()) - self._free[place],
            paid,
            month,
            list(priced.rates),
        )


def _meter(record: Record) -> tuple[str, str]:
    """What a record counts on: its session's meter, its call's, or its own."""
    whose = record.get("session") or record.get("call_id") or record["_id"]
    return str(whose), record["service"]


def apply_rerate(draft: Draft, command: Rerate) -> Applied:
    """Writes the corrections: a usage record for each, and one posting for each service and month."""
    account = draft.account
    if account["usage_sequence"] != command.usage_sequence:
        text = f"usage_sequence: {account['usage_sequence']}; expected {command.usage_sequence}"
        raise UsageChanged(f"{text}, as it was when corrections were reckoned")
    total = sum(one.charge_micros for one in command.corrections)
    if not draft.can_hold(-total):
        raise LedgerError(f"charge_micros: {total} more; expected what a balance can bear")
    by_service: dict[tuple[str, str], list[Correction]] = {}
    for one in command.corrections:
        by_service.setdefault((one.record["service"], one.month), []).append(one)
    for (service, month), corrections in sorted(by_service.items()):
        drawn = _drawn(corrections, month)
        draft.draw(service, Usage({}, 0, dict(drawn.free_units), 0, {}, dict(drawn.paid_units)))
        draft.post_usage({"kind": RERATE, "run": command.run, "records": len(corrections)}, service, drawn)
        for one in corrections:
            _record(draft, command.run, one)
    if account["sessions"] and draft.account["counters"] is not draft.original["counters"]:
        reserve(draft)  # free units that were promised to an open session may be gone, or be there again
    return draft.applied() if command.corrections else Applied(None)


def _drawn(corrections: Iterable[Correction], month: str) -> Drawn:
    found = list(corrections)
    free, paid = sum(one.free_units for one in found), sum(one.paid_units for one in found)
    micros = sum(one.charge_micros for one in found)
    return Drawn(micros, {month: free} if free else {}, {}, {month: paid} if paid else {})


def _record(draft: Draft, run: str, one: Correction) -> None:
    record = one.record
    part: UsagePart = {
        "since_s": record["from_s"],
        "units": 0,
        "free_units": one.free_units,
        "charge_micros": one.charge_micros,
    }
    source = {"source": RERATE, "run": run, "corrects": record["_id"]}
    rates = dict.fromkeys(one.rates, 0)
    draft.record_usage(source, record["service"], record["zone"], rates, part, record["until_s"])
