from __future__ import annotations

import random

import pytest

from core_builders import (
    NIGHT,
    NOW_S,
    PEAK,
    VOICE,
    demo_tables,
    make_tables,
    plan_service,
    utc,
)
from mubss.core.errors import InputError
from mubss.core.rates import Rate, parse_rate
from mubss.core.tariff import ANY, Band, ServiceRule, Tables

PREFIXES = {"49": "home", "4915": "mobile", "49152": "other-net", "1": "america", "1242": "bahamas", "999": "special"}


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        ("4930123456", "home"),
        ("4915112345", "mobile"),
        ("4915212345", "other-net"),
        ("49", "home"),
        ("4", ANY),
        ("", ANY),
        ("12425551234", "bahamas"),
        ("12415551234", "america"),
        ("124", "america"),
        ("331234", ANY),
        ("9" * 100_000, "special"),
    ],
)
def test_zone_by_the_longest_prefix(number: str, zone: str) -> None:
    assert make_tables(prefixes=PREFIXES).zone(number) == zone


def test_no_prefixes_no_zone() -> None:
    assert make_tables().zone("4930") == ANY


def test_zone_agrees_with_looking_at_every_prefix() -> None:
    seeded = random.Random(7)
    prefixes = {str(seeded.randrange(1, 10 ** seeded.randint(1, 6))): f"z{n}" for n in range(3000)}
    tables = make_tables(prefixes=prefixes)
    for _ in range(300):
        number = str(seeded.randrange(10**11))
        fitting = [prefix for prefix in prefixes if number.startswith(prefix)]
        assert tables.zone(number) == (prefixes[max(fitting, key=len)] if fitting else ANY)


@pytest.mark.parametrize(
    ("time_s", "band"),
    [
        (utc(2026, 11, 16, 6, 59, 59), ANY),  # Monday 07:59:59 in Berlin
        (utc(2026, 11, 16, 7), "peak"),
        (utc(2026, 11, 16, 18, 59, 59), "peak"),
        (utc(2026, 11, 16, 19), ANY),
        (utc(2026, 11, 14, 12), ANY),  # Saturday
        (utc(2026, 11, 14, 23), "night"),
        (utc(2026, 11, 15, 5), ANY),
        (utc(2026, 3, 29, 0, 59), "night"),  # the night with an hour less ends an hour sooner
        (utc(2026, 3, 29, 4), ANY),
        (utc(2026, 10, 25, 4, 59), "night"),
    ],
)
def test_band(time_s: int, band: str) -> None:
    tables = make_tables(bands=(PEAK, NIGHT))
    assert tables.band(tables.calendar.at(time_s)) == band


def test_the_first_band_that_holds_counts() -> None:
    lunch = Band("lunch", frozenset({0}), 13 * 4, 14 * 4)
    for bands, found in (((lunch, PEAK), "lunch"), ((PEAK, lunch), "peak")):
        tables = make_tables(bands=bands)
        assert tables.band(tables.calendar.at(NOW_S)) == found


def _keys(*at: tuple[str, str]) -> dict[tuple[str, str], int]:
    return {place: price for price, place in enumerate(at, 1)}


@pytest.mark.parametrize(
    ("sold", "zone", "band", "price"),
    [
        (_keys((ANY, ANY)), "home", "peak", 1),
        (_keys((ANY, ANY), (ANY, "peak")), "home", "peak", 2),
        (_keys((ANY, ANY), (ANY, "peak"), ("home", ANY)), "home", "peak", 3),
        (_keys((ANY, ANY), (ANY, "peak"), ("home", ANY), ("home", "peak")), "home", "peak", 4),
        (_keys((ANY, ANY), (ANY, "peak"), ("home", ANY), ("home", "peak")), "home", "night", 3),
        (_keys((ANY, ANY), (ANY, "peak"), ("home", ANY), ("home", "peak")), "abroad", "peak", 2),
        (_keys((ANY, ANY), (ANY, "peak"), ("home", ANY), ("home", "peak")), ANY, ANY, 1),
        (_keys(("home", ANY)), "abroad", "peak", None),
        (_keys((ANY, "peak")), "home", ANY, None),
        ({}, "home", "peak", None),
    ],
)
def test_the_more_specific_rate_counts(
    sold: dict[tuple[str, str], int], zone: str, band: str, price: int | None
) -> None:
    service = plan_service(VOICE, *((*place, price, 60, 0, 0) for place, price in sold.items()))
    key = service.rate_key(zone, band)
    assert (parse_rate(key).price_micros if key else None) == price


def test_a_rate_is_its_key() -> None:
    rate = Rate("VOICE", "any", "peak", 90_000, 60, 10_000, 5)
    assert rate.key == "VOICE/any/peak/90000/60/10000/5"
    assert parse_rate(rate.key) == rate


@pytest.mark.parametrize("key", ["", "VOICE", "VOICE/any/peak/1/2/3", "VOICE/any/peak/1/2/3/4/5"])
def test_not_a_rate(key: str) -> None:
    with pytest.raises(InputError, match="expected service/zone/band/price/block/setup/minimum"):
        parse_rate(key)


@pytest.mark.conforms("Rule 9", "the service of a context, Rating-Group and Service-Identifier")
@pytest.mark.parametrize(
    ("context", "rating_group", "identifier", "service"),
    [
        ("32251", None, None, "DATA"),
        ("32251", 1, None, "DATA"),
        ("32251", 99, 7, "DATA"),
        ("32251", 0, None, None),
        ("32251", 100, None, None),
        ("32251", 2**32 - 1, None, None),
        ("14.32251", 5, None, "DATA"),
        ("ext.01.001.8.32260", None, None, "VOICE"),
        ("32260", 4711, None, "VOICE"),
        ("132260", None, None, None),
        ("32274", None, 1, "SMS"),
        ("", None, None, None),
        ("32270", None, None, None),
    ],
)
def test_service_of_a_request(
    context: str, rating_group: int | None, identifier: int | None, service: str | None
) -> None:
    tables = demo_tables()
    for _ in range(2):  # the second time from the memo
        assert tables.service_of(context, rating_group, identifier) == service


@pytest.mark.parametrize(
    ("rating_group", "identifier", "service"),
    [
        (1, 5, "VIDEO"),
        (1, 6, "VIDEO"),
        (1, 7, "WEB"),
        (1, None, "WEB"),
        (2, 5, None),
        (None, 5, "MEDIA"),
        (None, None, None),
    ],
)
def test_service_rules_in_their_order(rating_group: int | None, identifier: int | None, service: str | None) -> None:
    demo = demo_tables()
    rules = (
        ServiceRule("32251", (1, 1), (5, 6), False, "VIDEO"),
        ServiceRule("32251", (1, 1), None, False, "WEB"),
        ServiceRule("32251", (7, 7), (5, 5), True, "MEDIA"),
    )
    tables = Tables(1, demo.calendar, demo.services, demo.plans, service_rules=rules)
    assert tables.service_of("32251", rating_group, identifier) == service
