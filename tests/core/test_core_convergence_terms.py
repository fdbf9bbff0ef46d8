"""With terms, free units that roll over and bundles, too, a session costs and draws what its usage at once would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from core_builders import (
    INITIAL,
    NOW_S,
    TERMINATE,
    UPDATE,
    ccr,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)
from core_tariffs import EVENTS, OCTETS, SECONDS, Counted, Tariff, a_world, tariffs
from core_world import World
from mubss.core.allowance import Allowance
from mubss.core.draft import Draft
from mubss.core.model import BuyBundle, Movement, UnitRequest
from mubss.core.rater import rate_usage
from mubss.core.rates import Terms, Tier

SETTINGS = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
Reports = list[list[int]]  # units by report, requests of several reports
REPORTS = st.lists(st.lists(st.integers(0, 700), min_size=1, max_size=3), min_size=1, max_size=7)
USED = st.sampled_from([0, 0, 100, 190, 600])
MONTH_TURN_S = utc(2026, 11, 30, 23)


class Result(NamedTuple):
    """What a session cost and drew."""

    micros: int
    free_units: Counted
    bundle_units: dict[str, int]
    paid_units: Counted


def played(world: World, tariff: Tariff, reports: Reports, steps_s: Sequence[int], asks: int | None) -> Result:
    """Plays a session that reports so many units after so many seconds each: what its postings say."""
    code, first = tariff.service.code, len(world.postings["acc1"])
    wanted = mscc(1, asks=asks, service=code)
    world.ask(ccr(world.tables, INITIAL, 0, wanted, called="49"))
    now_s = world.now_s
    for number, (units, step_s) in enumerate(zip(reports, steps_s, strict=True), 1):
        requests: list[UnitRequest] = [mscc(n, used, asks, service=code) for n, used in enumerate(units, 1)]
        now_s += step_s
        world.ask(ccr(world.tables, UPDATE, number, *requests, called="49"), now_s=now_s)
    world.ask(ccr(world.tables, TERMINATE, len(reports) + 1, called="49"))
    assert world.account["reserved_micros"] == 0
    assert sum(record["units"] for record in world.usage) == sum(map(sum, reports))
    postings = world.postings["acc1"][first:]
    micros = -sum(posting["amount_micros"] for posting in postings)
    assert sum(record["charge_micros"] for record in world.usage) == micros
    return Result(
        micros,
        _sums(postings, "month", "free_units"),
        {bucket: -units for bucket, units in _sums(postings, "bucket", "units").items()},
        _sums(postings, "month", "paid_units"),
    )


def _sums(postings: list[dict[str, Any]], by: str, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for posting in postings:
        if posting.get(name):
            found[posting[by]] = found.get(posting[by], 0) + posting[name]
    return found


def at_once(world: World, tariff: Tariff, units: int, at_s: int) -> Result:
    """What one CDR of all the units comes to."""
    account, code = world.account, tariff.service.code
    plan = world.tables.plans["one"].services[code]
    allowance = Draft(account, world.tables, at_s * 1000).allowance(code)
    usage = rate_usage(world.tables, plan, "home", units, at_s, {}, allowance)
    assert not usage.unpriced_units
    return Result(usage.charge_micros, usage.free_units, usage.bundle_units, usage.paid_units)


def world_of(tariff: Tariff, now_s: int, used: tuple[int, int, int], since_s: int) -> World:
    """An account that used units in the month and the one before, with every bundle; `now_s` is when it bought them."""
    free = {month: units for month, units in (("2026-10", used[0]), ("2026-11", used[1])) if units}
    if tariff.service.code not in tariff.tables.plans["one"].services or not _has_free(tariff):
        free = {}
    world = a_world(tariff, now_s, free, {"2026-11": used[2]} if used[2] else {}, since_s)
    for code in tariff.tables.bundles:
        world.do(BuyBundle(code))
    return world


def _has_free(tariff: Tariff) -> bool:
    return tariff.tables.plans["one"].services[tariff.service.code].free_units > 0


@pytest.mark.conforms("Rule 5", "with terms, rollover and bundles, too, any split of updates costs and draws the same")
@SETTINGS
@given(
    tariffs(OCTETS, SECONDS, EVENTS),
    REPORTS,
    st.tuples(USED, USED, USED),
    st.sampled_from([0, utc(2026, 9, 2), utc(2026, 11, 2)]),
    st.sampled_from([None, 1, 250]),
    st.data(),
)
def test_any_split_within_a_band_and_a_month(
    tariff: Tariff, reports: Reports, used: tuple[int, int, int], since_s: int, asks: int | None, data: st.DataObject
) -> None:
    total = sum(map(sum, reports))
    world = world_of(tariff, NOW_S, used, since_s)
    if tariff.service is SECONDS:  # they lie where they are reported: the steps are their own
        steps_s = [sum(units) for units in reports]
    else:
        steps_s = data.draw(st.lists(st.integers(0, 1_500), min_size=len(reports), max_size=len(reports)))
    expected = at_once(world, tariff, total, NOW_S) if total else Result(0, {}, {}, {})
    for name in ("free_units", "bundle_units", "paid_units"):
        if getattr(expected, name):
            event(name)
    assert played(world, tariff, reports, steps_s, asks) == expected


@pytest.mark.conforms("Rule 5", "a call over the turn of a month, too, whose free units roll over")
@SETTINGS
@given(
    tariffs(SECONDS),
    st.integers(1, 700),  # the meter starts with the first seconds reported
    REPORTS,
    st.tuples(USED, USED, USED),
    st.sampled_from([0, utc(2026, 9, 2)]),
    st.integers(0, 2_000),
)
def test_a_call_over_the_turn_of_a_month(
    tariff: Tariff, first: int, reports: Reports, used: tuple[int, int, int], since_s: int, before_s: int
) -> None:
    """From Monday to Tuesday, December 1st, which may be a holiday, and where bundles of November end."""
    reports = [[first], *reports]
    start_s = MONTH_TURN_S - before_s
    world = world_of(tariff, start_s, used, since_s)
    expected = at_once(world, tariff, sum(map(sum, reports)), start_s)
    assert played(world, tariff, reports, [sum(units) for units in reports], None) == expected


def _turned(value: Any) -> Any:
    """The same with every dictionary the other way round."""
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(list(value))}
    return value


@SETTINGS
@given(
    tariffs(OCTETS, SECONDS, EVENTS),
    st.lists(st.integers(1, 900), min_size=1, max_size=3),
    st.tuples(USED, USED, USED),
    st.integers(-2_000, 2_000),
)
def test_rating_again_comes_to_the_same_whatever_the_order_of_entries(
    tariff: Tariff, reports: list[int], used: tuple[int, int, int], after_s: int
) -> None:
    """The order of buckets and of a meter's rates counts, that of months, rates, services and steps doesn't."""
    at_s = MONTH_TURN_S + after_s
    world = world_of(tariff, at_s, used, 0)
    code = tariff.service.code
    allowance = Draft(world.account, world.tables, at_s * 1000).allowance(code)
    other = Allowance(
        _turned(allowance.free_used), _turned(allowance.paid_used), list(map(_turned, allowance.buckets)), 0
    )
    plan = world.tables.plans["one"].services[code]
    turned = type(plan)(**{field.name: _turned(getattr(plan, field.name)) for field in fields(plan)})
    rates: dict[str, int] = {}
    for units in reports:
        first = rate_usage(world.tables, plan, "home", units, at_s, rates, allowance)
        again = rate_usage(world.tables, plan, "home", units, at_s, rates, allowance)
        differently = rate_usage(world.tables, turned, "home", units, at_s, rates, other)
        assert first == again == differently
        assert list(first.rates) == list(again.rates) == list(differently.rates)
        rates, allowance, other = first.rates, allowance.after(first), other.after(first)


@pytest.mark.conforms("Rule 5", "what is used within grants is never more than the balance, with terms, too")
@SETTINGS
@given(
    tariffs(OCTETS, EVENTS),
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from([1, 60, 400])), min_size=1, max_size=8),
    st.integers(0, 60_000),
)
def test_usage_within_grants_never_overruns(tariff: Tariff, reports: list[tuple[int, int]], balance: int) -> None:
    """Where prices climb with the month's units, each price rounds up by itself: that alone may be more."""
    code = tariff.service.code
    assume(not tariff.tables.plans["one"].services[code].steps)
    world = a_world(tariff, NOW_S, {}, {}, 0)
    world.do(Movement("adjustment", balance - world.account["balance_micros"]))
    granted = 0
    for number, (percent, asks) in enumerate(reports):
        request = mscc(1, granted * percent // 100 if number else None, asks, service=code)
        outcome = world.ask(ccr(world.tables, UPDATE if number else INITIAL, number, request, called="49"))
        granted = outcome.answers[0].granted_units or 0
        assert world.available_micros >= 0
        if not world.account["sessions"]:
            break
    assert not any(posting.get("overrun_micros") for posting in world.postings["acc1"])


def test_what_a_tier_took_off_is_not_granted_twice() -> None:
    """601 units cost less than 600 did; a grant on top of them is reserved from what they cost."""
    tiers = (Tier(600, 500),)
    dear = plan_service(OCTETS, flat(1_000, 1))
    rate = dear.rates["any", "any"]._replace(terms=Terms(next_units=1, tiers=tiers, by_volume=True))
    tables = make_tables(plan("one", replace(dear, rate_keys={("any", "any"): rate.key})))
    world = World(tables, make_account("one", "0.65"))
    assert world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=601))).answers[0].granted_units == 601
    again = world.ask(ccr(tables, UPDATE, 1, mscc(1, used=601, asks=700)))
    assert world.account["balance_micros"] == 650_000 - 300_500
    assert again.answers[0].granted_units == 699, "349,500 are there"
    world.ask(ccr(tables, TERMINATE, 2, mscc(1, used=699)))
    assert world.available_micros == 0
