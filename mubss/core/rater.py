"""The one rater: what usage costs, and how much usage a balance covers. Pure arithmetic on integers.

A session's charge for a service is a function of its cumulative charged units by rate (`rates`: rate key →
units, in order of first use), so it is the same in whatever steps the units were reported. Free units are
drawn raw, before anything is rounded up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mubss.core.calendar import QUARTER_SECONDS
from mubss.core.tariff import PlanService, Rate, Tables, Unit, parse_rate

UNLIMITED = 1 << 62  # units: more than any request can ask for
MAX_UNITS = 1 << 50  # a petabyte: what lies above is no usage but a fault
QUARTERS_A_DAY = 96
MAX_CHANGES = 10_000  # remembered; a day has 96 for each plan, service and zone
MAX_AHEAD_S = 31 * 86_400  # nor is a call that ends over a month from now; so no call has over 3,000 quarters to come


class Piece(NamedTuple):
    """Usage that lies in one month and at one rate; rate None: the plan doesn't sell it there."""

    month: str
    rate: str | None
    units: int


def charge(rates: Mapping[str, int]) -> int:
    """What these units (each above 0) cost together, in micros: blocks at each rate, setup and minimum of the first."""
    total = least = 0
    first = True
    for key, units in rates.items():
        rate = parse_rate(key)
        if first:
            total, least, first = rate.setup_micros, rate.minimum_micros, False
        total += -(-units // rate.block_units) * rate.price_micros
    return max(least, total)


def covered_units(rates: Mapping[str, int], key: str, budget_micros: int) -> int:
    """The most units at rate `key` that, after `rates`, cost no more than `budget_micros` on top of them."""
    used = rates.get(key, 0)
    limit_micros = charge(rates) + budget_micros
    if budget_micros < 0 or charge({**rates, key: used + 1}) > limit_micros:
        return 0
    rate = parse_rate(key)
    if rate.price_micros == 0:
        return UNLIMITED
    first = next(iter(rates), key)
    fixed_micros = parse_rate(first).setup_micros
    for other, units in rates.items():
        if other != key:
            fixed_micros += _blocks_micros(parse_rate(other), units)
    # What was spent on this rate's blocks may reach up to here; the units left in the last one are paid for.
    return (limit_micros - fixed_micros) // rate.price_micros * rate.block_units - used


def _blocks_micros(rate: Rate, units: int) -> int:
    return -(-units // rate.block_units) * rate.price_micros


def absurd(plan: PlanService, units: int, at_s: int, now_s: int) -> bool:
    """Whether so many units from `at_s` on can only be a fault; rating them would take too long, or too many bits."""
    return units > MAX_UNITS or (plan.service.unit is Unit.SECONDS and at_s + units > now_s + MAX_AHEAD_S)


def pieces(tables: Tables, plan: PlanService, zone: str, units: int, at_s: int) -> Iterable[Piece]:
    """Cuts usage that begins at `at_s` where the month or the band turns.

    Only seconds lie in time; octets and events take the band and month they are reported in (`at_s`).
    """
    if plan.service.unit is Unit.SECONDS:
        return _pieces_of_time(tables, plan, zone, units, at_s)
    quarter = tables.calendar.at(at_s)
    return (Piece(quarter.month, plan.rate_key(zone, tables.band(quarter)), units),)


def _pieces_of_time(tables: Tables, plan: PlanService, zone: str, units: int, at_s: int) -> Iterator[Piece]:
    calendar = tables.calendar
    start_s = at_s
    while units > 0:
        quarter = calendar.at(start_s)
        rate, month = plan.rate_key(zone, tables.band(quarter)), quarter.month
        end_s = (start_s // QUARTER_SECONDS + 1) * QUARTER_SECONDS
        while end_s - start_s < units:
            following = calendar.at(end_s)
            if following.month != month or plan.rate_key(zone, tables.band(following)) != rate:
                break
            end_s += QUARTER_SECONDS
        length = min(units, end_s - start_s)
        yield Piece(month, rate, length)
        start_s, units = start_s + length, units - length


class Usage(NamedTuple):
    """Usage priced: the meter's rates after it, what it costs on top of them, and where free units went."""

    rates: dict[str, int]
    charge_micros: int
    free_units: dict[str, int]  # by month
    unpriced_units: int


def rate_usage(
    tables: Tables,
    plan: PlanService,
    zone: str,
    units: int,
    at_s: int,
    rates: Mapping[str, int],
    free_used: Mapping[str, int],
) -> Usage:
    """Prices `units` more, after the session's `rates`; `free_used` are the free units used by month so far."""
    after = dict(rates)
    free: dict[str, int] = {}
    unpriced = 0
    for month, rate, length in pieces(tables, plan, zone, units, at_s):
        if rate is None:
            unpriced += length
            continue
        drawn = min(length, plan.free_units - free_used.get(month, 0) - free.get(month, 0))
        if drawn > 0:
            free[month] = free.get(month, 0) + drawn
            length -= drawn
        if length:
            after[rate] = after.get(rate, 0) + length
    return Usage(after, charge(after) - charge(rates), free, unpriced)


class Cover(NamedTuple):
    """A grant that a balance covers: `free_units` of `units` from the month's free ones; the rest costs `micros`."""

    units: int
    free_units: int
    micros: int
    rates: dict[str, int]  # with the units that cost


def cover(rate: str, wanted_units: int, rates: dict[str, int], free_left: int, budget_micros: int) -> Cover:
    """As many of the wanted units as the free units left and the budget cover; `rates` with all grants in them.

    Units that cost nothing (a price of 0, the rest of a started block) are covered whatever the balance.
    """
    free = max(0, min(wanted_units, free_left))
    paid = wanted_units - free
    if not paid:
        return Cover(free, free, 0, rates)
    before_micros = charge(rates)
    after = {**rates, rate: rates.get(rate, 0) + paid}
    micros = charge(after) - before_micros
    if micros > budget_micros and micros > 0:
        paid = covered_units(rates, rate, max(0, budget_micros))
        if not paid:
            return Cover(free, free, 0, rates)
        after[rate] = rates.get(rate, 0) + paid
        micros = charge(after) - before_micros
    return Cover(free + paid, free, micros, after)


def wanted(plan: PlanService, requested_units: int | None) -> int:
    """The quota to aim at: what was asked within the service's limit; its default for nothing or nonsense."""
    quota = plan.quota
    if requested_units is None or requested_units <= 0:
        return quota.units
    return min(requested_units, quota.limit_units)


def next_change(tables: Tables, plan_code: str, plan: PlanService, zone: str, at_s: int) -> int:
    """When the tariff changes next after `at_s`, within a day: the rate, or the month where units are free in it.

    UTC seconds, a quarter of an hour's beginning; 0 where it doesn't change. Remembered by quarter: 0.2 µs.
    """
    if not tables.bands and not plan.free_units:
        return 0
    number = at_s // QUARTER_SECONDS
    place = plan_code, plan.service.code, zone, number
    known = tables.changes.get(place)
    if known is None:
        if len(tables.changes) >= MAX_CHANGES:
            tables.changes.clear()
        known = tables.changes[place] = _find_change(tables, plan, zone, number)
    return known


def _find_change(tables: Tables, plan: PlanService, zone: str, number: int) -> int:
    now = _tariff_at(tables, plan, zone, number)
    for later in range(number + 1, number + QUARTERS_A_DAY + 1):
        if _tariff_at(tables, plan, zone, later) != now:
            return later * QUARTER_SECONDS
    return 0


def _tariff_at(tables: Tables, plan: PlanService, zone: str, number: int) -> tuple[str | None, str]:
    quarter = tables.calendar.at(number * QUARTER_SECONDS)
    return plan.rate_key(zone, tables.band(quarter)), quarter.month if plan.free_units else ""
