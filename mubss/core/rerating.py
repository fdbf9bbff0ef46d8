"""Pricing stored usage again: what it would have cost by other prices, and the corrections that make it so. Pure.

A correction is a usage record of its own (`source` "rerate", `corrects` the record it is about) with the difference in
charge and free units, and a posting; the record it corrects stays as it was. What was corrected before is taken as
corrected, so doing it again changes nothing. Usage on a bill is never touched.

The records of a session or a call in parts are priced on one meter, in the order they were written: seconds where they
lie in time, octets and events of a CDR at its start, those of Gy at the band that they were charged at. Free units
stay where they were drawn, unless the month's allowance is another now: then they are drawn anew in that order, from
what usage outside of the range has left. Steps of the month count what was paid before, in that order.

What can't be told from the records is kept as it is, and counted: octets and events of a Gy session over several bands
or versions, Gy's usage where a price depends on the month's units, other such usage across a month's turn, and what has
no price now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, NamedTuple

from mubss.core.allowance import Allowance, Usage, rolled_units
from mubss.core.corrections import Correction, Rerate
from mubss.core.draft import Draft, Drawn
from mubss.core.errors import LedgerError
from mubss.core.history import find_range
from mubss.core.model import Account, Applied, UsagePart
from mubss.core.quota import reserve
from mubss.core.rater import rate_usage
from mubss.core.rates import parse_rate
from mubss.core.tariff import ANY, PlanService, Tables, Unit

RERATE, CDR = "rerate", "cdr"  # sources of usage records
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
        self._charges = _summed(usage, "charge_micros")  # of each record, with its corrections
        self._free = _summed(usage, "free_units")
        self._counted = _summed(usage, "paid_units")
        self._last = {_meter(one): place for place, one in enumerate(self._usage) if one["_id"] in chosen}
        kept = {_meter(one) for place, one in enumerate(self._usage) if self._is_lost(place, one)}
        self._chosen = {one["_id"] for one in self._usage if one["_id"] in chosen and _meter(one) not in kept}
        self._wanted = len(chosen)
        self._kept = self._wanted - len(self._chosen)
        self._drawn = {
            (month, code): units for month, codes in account["counters"].items() for code, units in codes.items()
        }
        self._redrawn = self._allowances_that_changed()
        self._before: dict[tuple[str, str], int] = {}  # paid units of the month so far

    def _is_lost(self, place: int, record: Record) -> bool:
        """Whether a record on a meter that is to be priced can't be."""
        if self._last.get(_meter(record), -1) < place:
            return False
        plan = self._plan_of(record["plan"], record["service"], _start(record))
        if plan is None:
            return False
        has_steps = bool(plan.steps or self._counted[record["_id"]])
        if has_steps and (record["source"] == "gy" or not self._is_in_a_month(record)):
            return True
        if plan.service.unit is Unit.SECONDS or record["source"] == CDR:
            return False
        rates = [parse_rate(key) for key in record["rates"]]
        return len({(rate.zone, rate.band) for rate in rates}) > 1 or (len(rates) > 1 and not has_steps)

    def _allowances_that_changed(self) -> set[tuple[str, str]]:
        """(month, service) of which other units are free now than were drawn; what was drawn of them is given back."""
        wanted: dict[tuple[str, str], list[Record]] = {}
        for one in self._usage:
            if one["_id"] in self._chosen and "members" not in self._account and self._is_in_a_month(one):
                wanted.setdefault((self._month(one), one["service"]), []).append(one)
        found = set()
        for at, records in wanted.items():
            month, service = at
            plan = self._plan_of(records[0]["plan"], service, _start(records[0]))
            months = self._account["counters"]
            if plan is None or (months and month < min(months)):
                continue
            drawn = sum(self._free[one["_id"]] for one in records)
            there = plan.free_units
            if plan.rollover_units:
                used = {name: units for (name, code), units in self._drawn.items() if code == service}
                since_month = self._tables.calendar.at(self._account.get("since_s", 0)).month
                there += rolled_units(plan, month, used, since_month)
            there = max(0, there - self._drawn.get(at, 0) + drawn)
            if min(there, sum(one["units"] - one.get("bundle_units", 0) for one in records)) != drawn:
                found.add(at)
                self._drawn[at] = self._drawn.get(at, 0) - drawn
        return found

    def run(self) -> Repriced:
        """Prices every chosen record, with those before it on its meter."""
        meters: dict[tuple[str, str], dict[str, int]] = {}
        corrections: list[Correction] = []
        before = after = 0
        for place, record in enumerate(self._usage):
            key, month = _meter(record), (self._month(record), record["service"])
            is_chosen = record["_id"] in self._chosen
            on_meter = self._last.get(key, -1) >= place
            priced = self._price(record, meters.setdefault(key, {}), is_chosen=is_chosen) if on_meter else None
            free = self._free[record["_id"]]
            if priced is not None:
                meters[key] = priced.rates
                free = sum(priced.free_units.values()) if is_chosen else free
            elif is_chosen:
                self._kept += 1
                if month in self._redrawn and self._is_in_a_month(record):
                    self._drawn[month] += free
            if is_chosen and priced is not None:
                before += self._charges[record["_id"]]
                after += priced.charge_micros
                correction = self._correction(record, priced)
                if correction.charge_micros or correction.free_units or correction.paid_units:
                    corrections.append(correction)
            paid = record["units"] - free - record.get("bundle_units", 0)
            self._before[month] = self._before.get(month, 0) + paid
        return Repriced(before, after, self._wanted - self._kept, corrections, self._kept)

    def _month(self, record: Record) -> str:
        return self._tables.calendar.at(_start(record)).month

    def _is_in_a_month(self, record: Record) -> bool:
        until_s = max(_start(record), record["until_s"] - 1)
        return self._tables.calendar.at(until_s).month == self._month(record)

    def _price(self, record: Record, rates: dict[str, int], *, is_chosen: bool) -> Usage | None:
        """The record's usage on its meter; None where it has no price. Counts what it draws."""
        service, at_s, month = record["service"], _start(record), self._month(record)
        plan = self._plan_of(record["plan"], service, at_s)
        if plan is None:
            return None
        draws = is_chosen and (month, service) in self._redrawn and self._is_in_a_month(record)
        free = 0 if draws else self._free[record["_id"]]
        taken = record.get("bundle_units", 0) + free
        if plan.service.unit is Unit.SECONDS:
            at_s += taken  # they were drawn first
        elif record["source"] != CDR and record["rates"]:
            band = parse_rate(record["rates"][0]).band
            rate = plan.rate_key(record["zone"], band)
            if rate is None:
                return None
            plan = replace(plan, rate_keys={(ANY, ANY): rate}, until_s=0, later=None)
        paid = {name: units for (name, code), units in self._before.items() if code == service}
        allowance = Allowance({}, paid)
        if draws:
            used = {name: units for (name, code), units in self._drawn.items() if code == service}
            allowance = Allowance(used, paid, (), self._account.get("since_s", 0))
        else:
            plan = _without_free(plan)
        priced = rate_usage(self._tables, plan, record["zone"], record["units"] - taken, at_s, rates, allowance)
        if priced.unpriced_units:
            return None
        if not draws:
            return priced._replace(free_units={month: free})
        for name, units in priced.free_units.items():
            self._drawn[name, service] = self._drawn.get((name, service), 0) + units
        return priced

    def _correction(self, record: Record, priced: Usage) -> Correction:
        place, months = record["_id"], self._account["counters"]
        month = self._month(record)
        is_known = self._is_in_a_month(record) and not (months and month < min(months))
        return Correction(
            record,
            priced.charge_micros - self._charges[place],
            sum(priced.free_units.values()) - self._free[place],
            sum(priced.paid_units.values()) - self._counted[place] if is_known else 0,
            month,
            list(priced.rates),
        )


def _summed(usage: Iterable[Record], field: str) -> dict[str, int]:
    """What each record has of a field, with its corrections."""
    sums: dict[str, int] = {}
    for record in usage:
        about = record.get("corrects", record["_id"])
        sums[about] = sums.get(about, 0) + record.get(field, 0)
    return sums


def _without_free(plan: PlanService) -> PlanService:
    """The plan and its later versions without free units."""
    return replace(plan, free_units=0, later=None if plan.later is None else _without_free(plan.later))


def _start(record: Record) -> int:
    """When its first units were used, or charged."""
    return int(record.get("at_s", record["from_s"]))


def _meter(record: Record) -> tuple[str, str]:
    """What a record counts on: its session's meter, its call's, or its own."""
    whose = record.get("session") or record.get("call") or record["_id"]
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
    if one.paid_units:
        part["paid_units"] = one.paid_units
    source = {"source": RERATE, "run": run, "corrects": record["_id"]}
    if "member" in record:
        source["member"] = record["member"]
    rates = dict.fromkeys(one.rates, 0)
    draft.record_usage(source, record["service"], record["zone"], rates, part, record["until_s"])
