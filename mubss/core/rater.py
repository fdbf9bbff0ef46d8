"""The one rater: what usage costs, for Gy and CDRs alike. Pure arithmetic on integers.

Usage is cut where the month or the tariff turns, free units are drawn raw, and what is left is counted on the session's
meter (meter.py), whose charge is a function of all that it counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mubss.core.allowance import Allowance, Draws, Usage, edges
from mubss.core.calendar import QUARTER_SECONDS
from mubss.core.meter import charge
from mubss.core.tariff import PlanService, Tables, Unit

MAX_UNITS = 1 << 50  # a petabyte: what lies above is no usage but a fault
QUARTERS_A_DAY = 96
MAX_CHANGES = 10_000  # remembered; a day has 96 for each plan, service and zone
MAX_AHEAD_S = 31 * 86_400  # nor is a call that ends over a month from now; so no call has over 3,000 quarters to come


class Piece(NamedTuple):
    """Usage that lies in one month and at one rate; rate None: the plan doesn't sell it there."""

    month: str
    rate: str | None
    units: int
    start_s: int
    plan: PlanService | None  # the version in force; None: the plan doesn't sell the service any more


def absurd(plan: PlanService, units: int, at_s: int, now_s: int) -> bool:
    """Whether so many units from `at_s` on can only be a fault; rating them would take too long, or too many bits."""
    return units > MAX_UNITS or (plan.service.unit is Unit.SECONDS and at_s + units > now_s + MAX_AHEAD_S)


def pieces(
    tables: Tables, plan: PlanService, zone: str, units: int, at_s: int, cuts: Sequence[int] = ()
) -> Iterable[Piece]:
    """Cuts usage that begins at `at_s` where the month, the band or the plan's version turns, and at `cuts`.

    Only seconds lie in time; octets and events take the band and month they are reported in (`at_s`).
    """
    if plan.service.unit is Unit.SECONDS:
        return _pieces_of_time(tables, plan, zone, units, at_s, cuts)
    quarter = tables.calendar.at(at_s)
    now = plan.at(at_s)
    rate = now.rate_key(zone, tables.band(quarter)) if now is not None and zone not in tables.blocked else None
    return (Piece(quarter.month, rate, units, at_s, now),)


def _pieces_of_time(
    tables: Tables, plan: PlanService, zone: str, units: int, at_s: int, cuts: Sequence[int]
) -> Iterator[Piece]:
    calendar = tables.calendar
    is_sold = zone not in tables.blocked
    start_s = at_s
    while units > 0:
        quarter, now = calendar.at(start_s), plan.at(start_s)
        rate, month = now.rate_key(zone, tables.band(quarter)) if now and is_sold else None, quarter.month
        end_s = (start_s // QUARTER_SECONDS + 1) * QUARTER_SECONDS
        while end_s - start_s < units:
            following = calendar.at(end_s)
            if following.month != month or (now is not None and 0 < now.until_s <= end_s):
                break
            if (now.rate_key(zone, tables.band(following)) if now and is_sold else None) != rate:
                break
            end_s += QUARTER_SECONDS
        if cuts:
            end_s = min((cut for cut in cuts if start_s < cut < end_s), default=end_s)
        length = min(units, end_s - start_s)
        yield Piece(month, rate, length, start_s, now)
        start_s, units = start_s + length, units - length


def rate_usage(
    tables: Tables,
    plan: PlanService,
    zone: str,
    units: int,
    at_s: int,
    rates: Mapping[str, int],
    allowance: Allowance,
) -> Usage:
    """Prices `units` more, after the session's `rates`, by what the account may draw on."""
    after = dict(rates)
    draws = Draws(allowance, tables.calendar)
    unpriced = 0
    cuts = edges(allowance.buckets) if allowance.buckets else ()
    for month, rate, length, start_s, now in pieces(tables, plan, zone, units, at_s, cuts):
        if rate is None or now is None:
            unpriced += length
            continue
        if now.free_units or allowance.buckets:
            length = draws.draw(now, month, length, zone, start_s)
        if length:
            for key, paid in draws.climb(now, month, rate, length):
                after[key] = after.get(key, 0) + paid
    return Usage(after, charge(after) - charge(rates), draws.free, unpriced, draws.bundles, draws.paid, draws.member)


def wanted(plan: PlanService, requested_units: int | None) -> int:
    """The quota to aim at: what was asked within the service's limit; its default for nothing or nonsense."""
    quota = plan.quota
    if requested_units is None or requested_units <= 0:
        return quota.units
    return min(requested_units, quota.limit_units)


def next_change(tables: Tables, plan_code: str, plan: PlanService, zone: str, at_s: int) -> int:
    """When the tariff changes next after `at_s`, within a day: the rate, or the month where that makes a difference.

    UTC seconds, a quarter of an hour's beginning; 0 where it doesn't change. Remembered by quarter: 0.2 µs.
    """
    if not (tables.bands or plan.free_units or plan.steps or plan.until_s or plan.member_limit):
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
    at_s = number * QUARTER_SECONDS
    quarter, now = tables.calendar.at(at_s), plan.at(at_s)
    if now is None:
        return None, ""
    return now.rate_key(
        zone, tables.band(quarter)
    ), quarter.month if now.free_units or now.steps or now.member_limit else ""
