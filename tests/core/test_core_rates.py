"""Rates with terms: counted steps, tiers, discounts and a session's maximum, and their keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core.errors import InputError
from mubss.core.meter import charge, cover, covered_units
from mubss.core.rates import Rate, Terms, Tier, parse_rate


def rate(price: int, block: int, setup: int = 0, minimum: int = 0, **terms: object) -> Rate:
    """A call's rate."""
    return Rate("VOICE", "any", "any", price, block, setup, minimum, Terms(**terms) if terms else None)  # type: ignore[arg-type]


MINUTE = {"price": 90_000, "block": 60}
TIERS = (Tier(120, 60_000), Tier(600, 30_000))


@pytest.mark.parametrize(
    ("first", "following", "units", "micros"),
    [
        (60, 1, 1, 90_000),
        (60, 1, 60, 90_000),
        (60, 1, 61, 91_500),
        (60, 1, 3_600, 5_400_000),
        (1, 1, 1, 1_500),
        (1, 1, 59, 88_500),
        (30, 6, 1, 45_000),
        (30, 6, 31, 54_000),
        (30, 6, 36, 54_000),
        (30, 6, 37, 63_000),
        (0, 30, 31, 90_000),  # steps of 30 from the first
        (90, 0, 91, 225_000),  # 90, then whole minutes
    ],
)
def test_counted_in_steps(first: int, following: int, units: int, micros: int) -> None:
    assert rate(**MINUTE, first_units=first, next_units=following).cost_micros(units) == micros


@pytest.mark.parametrize(
    ("by_volume", "units", "micros"),
    [
        (False, 120, 180_000),
        (False, 121, 181_000),
        (False, 600, 180_000 + 480_000),
        (False, 660, 180_000 + 480_000 + 30_000),
        (True, 120, 180_000),
        (True, 121, 121_000),
        (True, 600, 600_000),
        (True, 601, 300_500),
    ],
)
def test_tiers_price_their_own_units_or_all(by_volume: bool, units: int, micros: int) -> None:
    tiered = rate(**MINUTE, next_units=1, tiers=TIERS, by_volume=by_volume)
    assert tiered.cost_micros(units) == micros
    assert tiered.worst_micros(units, 0) >= tiered.cost_micros(units) == tiered.worst_micros(units, units)


def test_what_fewer_units_cost_more_is_reserved() -> None:
    tiered = rate(**MINUTE, next_units=1, tiers=TIERS, by_volume=True)
    assert (tiered.worst_micros(600, 0), tiered.worst_micros(601, 0)) == (600_000, 600_000)
    assert tiered.worst_micros(602, 601) == 301_000, "what was used is past the dear ones"
    assert cover(tiered.key, 700, {}, 0, 10**9).micros == 600_000
    assert cover(tiered.key, 700, {}, 0, 599_999).units == 599, "all 601 would cost less, but may be cut short"


@pytest.mark.parametrize(
    ("discount_ppm", "units", "micros"),
    [(0, 61, 180_000), (100_000, 61, 162_000), (333_333, 60, 60_001), (1_000_000, 600, 0)],
)
def test_a_discount_is_off_the_units_alone(discount_ppm: int, units: int, micros: int) -> None:
    cheap = rate(**MINUTE, discount_ppm=discount_ppm, setup=10_000)
    assert charge({cheap.key: units}) == 10_000 + micros


@pytest.mark.parametrize(("units", "micros"), [(1, 190_000), (120, 280_000), (1_200, 1_000_000), (10**9, 1_000_000)])
def test_a_session_costs_no_more_than_its_maximum(units: int, micros: int) -> None:
    capped = rate(**MINUTE, setup=100_000, maximum_micros=1_000_000)
    assert charge({capped.key: units}) == micros
    assert covered_units({capped.key: units}, capped.key, 0, 5_000) == (5_000 if micros == 1_000_000 else -units % 60)


@pytest.mark.parametrize(
    "key",
    [
        "VOICE/any/any/90000/60/0/0",
        "VOICE/home@eu/any/90000/60/1/2/i60+1",
        "VOICE/any/peak/90000/60/1/2/i30+6/x5000000/d50000/g120=60000,600=30000",
        "VOICE/any/peak/90000/60/0/0/v120=60000",
    ],
)
def test_a_key_is_the_whole_rate(key: str) -> None:
    assert parse_rate(key).key == key


@pytest.mark.parametrize(
    "key",
    ["", "VOICE", "VOICE/any/any/1/2/3", "VOICE/any/any/a/60/0/0", "VOICE/any/any/1/60/0/0/",
     "VOICE/any/any/1/60/0/0/q7", "VOICE/any/any/1/60/0/0/i6", "VOICE/any/any/1/60/0/0/g5", "x" * 1000],
)  # fmt: skip
def test_what_is_no_rate_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="rate: "):
        parse_rate(key)


def tiers(steps: list[tuple[int, int]]) -> tuple[Tier, ...]:
    """By what comes after what."""
    found, after = [], 0
    for length, price in steps:
        after += length
        found.append(Tier(after, price))
    return tuple(found)


TERMS = st.builds(
    Terms,
    st.integers(0, 90),
    st.integers(0, 90),
    st.sampled_from([0, 0, 700, 5_000]),
    st.sampled_from([0, 0, 50_000, 333_333, 1_000_000]),
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 500)), max_size=3).map(tiers),
    st.booleans(),
)
RATES = st.builds(
    lambda name, price, block, setup, minimum, terms: Rate("S", "any", name, price, block, setup, minimum, terms).key,
    st.sampled_from("abc"),
    st.integers(0, 500),
    st.integers(1, 100),
    st.sampled_from([0, 0, 70, 500]),
    st.sampled_from([0, 0, 300]),
    st.none() | TERMS,
)
METERS = st.dictionaries(RATES, st.integers(1, 2_000), max_size=3)


@given(METERS, RATES, st.integers(0, 100_000), st.integers(1, 3_000), st.integers(0, 100))
def test_cover_is_the_most_that_the_budget_covers(
    rates: dict[str, int], key: str, budget_micros: int, wanted: int, percent_used: int
) -> None:
    used = [[key, units * percent_used // 100] for key, units in rates.items()]
    covered = cover(key, wanted, rates, 0, budget_micros, used)
    held, before = rates.get(key, 0), charge(rates, used)
    assert covered.micros <= budget_micros
    if covered.units:
        assert charge({**rates, key: held + covered.units}, used) - before == covered.micros
    if covered.units < wanted:
        assert charge({**rates, key: held + covered.units + 1}, used) - before > budget_micros


@given(METERS, RATES, st.integers(1, 2_000))
def test_what_is_reserved_covers_every_report_on_the_way(rates: dict[str, int], key: str, granted: int) -> None:
    used = rates.get(key, 0)
    there_micros = charge({**rates, key: used + granted}, rates.items())
    for units in range(1, granted + 1, max(1, granted // 50)):
        assert charge({**rates, key: used + units}) <= there_micros
    assert charge(rates, rates.items()) == charge(rates), "nothing is reserved where nothing is granted"
