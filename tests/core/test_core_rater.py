from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import (
    DATA,
    MB,
    NIGHT,
    NOW_S,
    PEAK,
    VOICE,
    flat,
    make_tables,
    plan_service,
    utc,
)
from mubss.core.allowance import Allowance
from mubss.core.meter import UNLIMITED, charge, cover, covered_units
from mubss.core.rater import Piece, pieces, rate_usage, wanted
from mubss.core.rates import Rate
from mubss.core.tariff import ANY, Tables

PLAIN = Rate("DATA", ANY, ANY, 20_000, MB, 0, 0).key
SETUP = Rate("VOICE", ANY, "peak", 90_000, 60, 50_000, 0).key
CHEAP = Rate("VOICE", ANY, ANY, 30_000, 60, 7_000, 0).key
MINIMUM = Rate("VOICE", "x", ANY, 10_000, 60, 5_000, 100_000).key
FREE = Rate("SMS", ANY, ANY, 0, 1, 0, 0).key
FREE_BUT_SETUP = Rate("SMS", "x", ANY, 0, 1, 40_000, 0).key


@pytest.mark.parametrize(
    ("rates", "micros"),
    [
        ({}, 0),
        ({PLAIN: 1}, 20_000),
        ({PLAIN: MB}, 20_000),
        ({PLAIN: MB + 1}, 40_000),
        ({PLAIN: 2**50}, (2**50 // MB + 1) * 20_000),
        ({SETUP: 1}, 140_000),
        ({SETUP: 60}, 140_000),
        ({SETUP: 61}, 230_000),
        ({SETUP: 60, CHEAP: 1}, 50_000 + 90_000 + 30_000),  # the setup fee of the first alone
        ({CHEAP: 1, SETUP: 60}, 7_000 + 30_000 + 90_000),
        ({MINIMUM: 1}, 100_000),
        ({MINIMUM: 9 * 60}, 100_000),  # 5,000 + 90,000
        ({MINIMUM: 9 * 60 + 31}, 105_000),
        ({MINIMUM: 60, SETUP: 60}, 5_000 + 10_000 + 90_000),
        ({MINIMUM: 60, CHEAP: 60}, 100_000),  # the minimum is for the session, whatever the rates
        ({CHEAP: 1, MINIMUM: 60}, 47_000),
        ({FREE: 10**9}, 0),
        ({FREE_BUT_SETUP: 1}, 40_000),
    ],
)
def test_charge(rates: dict[str, int], micros: int) -> None:
    assert charge(rates) == micros


@pytest.mark.parametrize(
    ("rates", "key", "budget", "units"),
    [
        ({}, PLAIN, 0, 0),
        ({}, PLAIN, 19_999, 0),
        ({}, PLAIN, 20_000, MB),
        ({}, PLAIN, 10_000_000, 500 * MB),
        ({PLAIN: 1}, PLAIN, 0, MB - 1),  # the started block is paid for
        ({PLAIN: 1}, PLAIN, 39_999, 2 * MB - 1),
        ({PLAIN: MB}, PLAIN, 0, 0),
        ({PLAIN: 1}, PLAIN, -1, 0),
        ({}, SETUP, 139_999, 0),
        ({}, SETUP, 140_000, 60),
        ({CHEAP: 60}, SETUP, 89_999, 0),
        ({CHEAP: 60}, SETUP, 90_000, 60),
        ({}, MINIMUM, 99_999, 0),
        ({}, MINIMUM, 100_000, 9 * 60),
        ({MINIMUM: 60}, MINIMUM, 0, 8 * 60),
        ({MINIMUM: 60}, CHEAP, 0, 2 * 60),  # 5,000 + 10,000 + 60,000 is still below the minimum
        ({}, FREE, 0, UNLIMITED),
        ({}, FREE_BUT_SETUP, 39_999, 0),
        ({}, FREE_BUT_SETUP, 40_000, UNLIMITED),
    ],
)
def test_covered_units(rates: dict[str, int], key: str, budget: int, units: int) -> None:
    assert covered_units(rates, key, budget) == units


RATES = st.builds(
    lambda name, price, block, setup, minimum: Rate("S", "any", name, price, block, setup, minimum).key,
    st.sampled_from("abc"),
    st.integers(0, 500),
    st.integers(1, 100),
    st.sampled_from([0, 0, 70, 500]),
    st.sampled_from([0, 0, 300, 2000]),
)


@given(st.dictionaries(RATES, st.integers(1, 10_000), max_size=3), RATES, st.integers(0, 100_000))
def test_covered_units_is_the_exact_inverse_of_charge(rates: dict[str, int], key: str, budget_micros: int) -> None:
    units = covered_units(rates, key, budget_micros)
    used, before = rates.get(key, 0), charge(rates)
    if units:
        assert charge({**rates, key: used + units}) - before <= budget_micros
    if units < UNLIMITED:
        assert charge({**rates, key: used + units + 1}) - before > budget_micros


@given(st.dictionaries(RATES, st.integers(1, 10_000), max_size=3), RATES, st.integers(1, 500), st.integers(1, 500))
def test_more_units_never_cost_less(rates: dict[str, int], key: str, one: int, other: int) -> None:
    used = rates.get(key, 0)
    first = {**rates, key: used + one}
    both = {**rates, key: used + one + other}
    assert charge(rates) <= charge(first) <= charge(both)


def _tables() -> Tables:
    return make_tables(bands=(PEAK, NIGHT))


SOLD = plan_service(
    VOICE, (ANY, "peak", 90_000, 60, 50_000, 0), (ANY, "night", 10_000, 60, 0, 0), (ANY, ANY, 30_000, 60, 7_000, 0)
)
P, N, A = (SOLD.rate_keys[ANY, band] for band in ("peak", "night", ANY))
EIGHT_PM = utc(2026, 11, 16, 19)  # in Berlin


@pytest.mark.parametrize(
    ("start_s", "units", "expected"),
    [
        (NOW_S, 0, []),
        (NOW_S, 1, [("2026-11", P, 1)]),
        (NOW_S + 7, 3600, [("2026-11", P, 3600)]),
        (EIGHT_PM - 1, 1, [("2026-11", P, 1)]),
        (EIGHT_PM - 1, 2, [("2026-11", P, 1), ("2026-11", A, 1)]),
        (EIGHT_PM, 60, [("2026-11", A, 60)]),
        (EIGHT_PM - 100, 300, [("2026-11", P, 100), ("2026-11", A, 200)]),
        # to 20:00, to midnight, to 06:00, to 08:00, and into the next peak
        (
            EIGHT_PM - 3600,
            14 * 3600,
            [
                ("2026-11", P, 3600),
                ("2026-11", A, 4 * 3600),
                ("2026-11", N, 6 * 3600),
                ("2026-11", A, 2 * 3600),
                ("2026-11", P, 3600),
            ],
        ),
        # Over the turn of the month by the operator's clock; the band turns with it.
        (utc(2026, 11, 30, 22, 59, 30), 60, [("2026-11", A, 30), ("2026-12", N, 30)]),
        # The night of 29 March has five hours, the one of 25 October seven.
        (utc(2026, 3, 28, 23), 6 * 3600, [("2026-03", N, 5 * 3600), ("2026-03", A, 3600)]),
        (utc(2026, 10, 24, 22), 8 * 3600, [("2026-10", N, 7 * 3600), ("2026-10", A, 3600)]),
    ],
)
def test_seconds_are_cut_where_band_and_month_turn(
    start_s: int, units: int, expected: list[tuple[str, str, int]]
) -> None:
    assert [piece[:3] for piece in pieces(_tables(), SOLD, ANY, units, start_s)] == expected


def test_a_month_turns_within_one_band_too() -> None:
    service = plan_service(VOICE, flat(90_000, 60))
    turn_s = utc(2026, 11, 30, 23)
    found = list(pieces(make_tables(), service, ANY, 100, turn_s - 40))
    assert [(piece.month, piece.units) for piece in found] == [("2026-11", 40), ("2026-12", 60)]


def test_octets_take_the_band_they_are_reported_in() -> None:
    service = plan_service(DATA, (ANY, "peak", 1, MB, 0, 0), (ANY, ANY, 2, MB, 0, 0))
    before, after = (list(pieces(_tables(), service, ANY, 10**12, at_s)) for at_s in (EIGHT_PM - 1, EIGHT_PM))
    assert before == [Piece("2026-11", service.rate_keys[ANY, "peak"], 10**12, EIGHT_PM - 1, service)]
    assert after == [Piece("2026-11", service.rate_keys[ANY, ANY], 10**12, EIGHT_PM, service)]


def test_half_hour_zones_cut_on_their_own_clock() -> None:
    tables = make_tables(bands=(PEAK,), zone=ZoneInfo("Asia/Kathmandu"))
    eight_am_s = utc(2026, 11, 16, 2, 15)  # +05:45
    found = list(pieces(tables, SOLD, ANY, 120, eight_am_s - 60))
    assert [(piece.rate, piece.units) for piece in found] == [(A, 60), (P, 60)]


@given(st.integers(utc(2026, 3, 20), utc(2026, 4, 10)), st.lists(st.integers(1, 200_000), min_size=1, max_size=6))
def test_seconds_laid_end_to_end_are_cut_the_same(start_s: int, lengths: list[int]) -> None:
    def total(cut: list[Piece]) -> dict[tuple[str, str | None], int]:
        sums: dict[tuple[str, str | None], int] = {}
        for month, rate, units, *_ in cut:
            sums[month, rate] = sums.get((month, rate), 0) + units
        return sums

    tables = _tables()
    whole = list(pieces(tables, SOLD, ANY, sum(lengths), start_s))
    split: list[Piece] = []
    at_s = start_s
    for length in lengths:
        split += pieces(tables, SOLD, ANY, length, at_s)
        at_s += length
    assert total(split) == total(whole)
    assert sum(piece.units for piece in whole) == sum(lengths)


@pytest.mark.parametrize(
    ("units", "rates", "free_used", "expected"),
    [
        (30, {}, {}, ({}, 0, {"2026-11": 30}, 0)),
        (100, {}, {}, ({}, 0, {"2026-11": 100}, 0)),
        (101, {}, {}, ({P: 1}, 140_000, {"2026-11": 100}, 0)),
        (60, {}, {"2026-11": 70}, ({P: 30}, 140_000, {"2026-11": 30}, 0)),
        (60, {}, {"2026-11": 100}, ({P: 60}, 140_000, {}, 0)),
        (60, {}, {"2026-11": 9999}, ({P: 60}, 140_000, {}, 0)),  # the plan has fewer than it had
        (60, {}, {"2026-10": 100}, ({}, 0, {"2026-11": 60}, 0)),
        (60, {P: 1}, {"2026-11": 100}, ({P: 61}, 90_000, {}, 0)),
        (59, {P: 1}, {"2026-11": 100}, ({P: 60}, 0, {}, 0)),
        (60, {A: 60}, {"2026-11": 100}, ({A: 60, P: 60}, 90_000, {}, 0)),
    ],
)
def test_rate_usage(units: int, rates: dict[str, int], free_used: dict[str, int], expected: tuple[object, ...]) -> None:
    service = plan_service(VOICE, *((*at, *rate[3:]) for at, rate in SOLD.rates.items()), free_units=100)
    given_rates, given_free = dict(rates), dict(free_used)
    assert rate_usage(_tables(), service, ANY, units, NOW_S, rates, Allowance(free_used))[:4] == expected
    assert (rates, free_used) == (given_rates, given_free)


def test_free_units_of_two_months() -> None:
    service = plan_service(VOICE, flat(90_000, 60), free_units=100)
    turn_s = utc(2026, 11, 30, 23)
    rated = rate_usage(make_tables(), service, ANY, 300, turn_s - 150, {}, Allowance({"2026-11": 10}))
    assert rated.free_units == {"2026-11": 90, "2026-12": 100}
    assert list(rated.rates.values()) == [110]


def test_what_is_not_sold_is_not_priced_and_takes_no_free_units() -> None:
    service = plan_service(VOICE, (ANY, "peak", 90_000, 60, 0, 0), free_units=50)
    rated = rate_usage(_tables(), service, ANY, 300, EIGHT_PM - 100, {}, Allowance())
    assert rated[:4] == ({service.rate_keys[ANY, "peak"]: 50}, 90_000, {"2026-11": 50}, 200)


@pytest.mark.parametrize(
    ("wanted_units", "rates", "free_left", "budget", "units", "free", "micros"),
    [
        (100, {}, 0, 0, 0, 0, 0),
        (100, {}, 200, 0, 100, 100, 0),
        (100, {}, 40, 0, 40, 40, 0),
        (100, {}, -40, 0, 0, 0, 0),
        (100, {}, 40, 139_999, 40, 40, 0),
        (100, {}, 40, 140_000, 100, 40, 140_000),
        (200, {}, 40, 140_000, 100, 40, 140_000),
        (100, {SETUP: 30}, 40, 0, 70, 40, 0),
        (100, {}, 0, 10**9, 100, 0, 230_000),
        (100, {SETUP: 30}, 0, -5, 30, 0, 0),  # an overdrawn account may use up the block it paid for
        (100, {}, 40, -5, 40, 40, 0),
    ],
)
def test_cover(
    wanted_units: int, rates: dict[str, int], free_left: int, budget: int, units: int, free: int, micros: int
) -> None:
    covered = cover(SETUP, wanted_units, rates, free_left, budget)
    assert (covered.units, covered.free_units, covered.micros) == (units, free, micros)
    assert charge(covered.rates) - charge(rates) == micros
    assert sum(covered.rates.values()) - sum(rates.values()) == units - free


def test_what_costs_nothing_is_covered_by_an_overdrawn_balance() -> None:
    assert cover(FREE, 10, {}, 0, -1).units == 10


@given(
    st.dictionaries(RATES, st.integers(1, 1000), max_size=2),
    RATES,
    st.integers(1, 5000),
    st.integers(-100, 3000),
    st.integers(0, 50_000),
)
def test_cover_stays_in_its_budget_and_leaves_nothing(
    rates: dict[str, int], key: str, wanted_units: int, free_left: int, budget_micros: int
) -> None:
    units, free, micros, after = cover(key, wanted_units, rates, free_left, budget_micros)
    assert 0 <= units <= wanted_units
    assert free == max(0, min(wanted_units, free_left))
    assert 0 <= micros <= budget_micros
    assert micros == charge(after) - charge(rates)
    if units < wanted_units:
        more = {**rates, key: rates.get(key, 0) + units - free + 1}
        assert charge(more) - charge(rates) > budget_micros


@pytest.mark.parametrize(
    ("requested", "units"), [(None, 300), (0, 300), (-5, 300), (1, 1), (3600, 3600), (3601, 3600), (2**64 - 1, 3600)]
)
def test_wanted(requested: int | None, units: int) -> None:
    assert wanted(SOLD, requested) == units
