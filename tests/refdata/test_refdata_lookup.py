"""Tables answer as a slow, plain reading of the rows would: zones, bands, services, rates."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.core.rates import parse_rate
from mubss.core.tariff import ANY, Quota
from mubss.refdata.build import build_tables
from mubss.refdata.rows import WEEKDAYS
from mubss.storage.refdata import TABLES, Documents
from refdata_samples import CALENDAR, SERVICES, TARIFF, tables_of

DIGITS = st.text("01", min_size=1, max_size=6)  # two digits, so that prefixes lie in each other often


def documents(**tables: dict[str, dict[str, Any]]) -> Documents:
    """Documents with nothing but these."""
    return {table: tables.get(table, {}) for table in TABLES}


@given(st.dictionaries(DIGITS, st.sampled_from(["a", "b", "c"]), max_size=20), st.lists(DIGITS, min_size=1))
def test_the_zone_is_that_of_the_longest_prefix(owners: dict[str, str], numbers: list[str]) -> None:
    zones = {
        zone: {"_id": zone, "name": "", "prefixes": [prefix for prefix in owners if owners[prefix] == zone]}
        for zone in set(owners.values())
    }
    tables = build_tables(documents(destinations=zones), 1, CALENDAR)
    for number in numbers:
        fitting = [prefix for prefix in owners if number.startswith(prefix)]
        assert tables.zone(number) == (owners[max(fitting, key=len)] if fitting else ANY)


def quarter_text(quarter: int) -> str:
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"


BANDS = st.lists(
    st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 95), st.integers(0, 96)).filter(
        lambda band: band[1] != band[2]
    ),
    max_size=5,
)
# The two weeks of 2026 in which Berlin's clock changes, and a plain one.
TIMES = st.sampled_from([1774738800, 1792882800, 1795388400]).flatmap(
    lambda sunday_s: st.integers(sunday_s - 3 * 86_400, sunday_s + 4 * 86_400)
)


@settings(max_examples=200)
@given(BANDS, TIMES)
def test_the_band_is_the_first_that_holds_the_local_time(bands: list[tuple[set[int], int, int]], time_s: int) -> None:
    text = "".join(
        f'[[bands]]\ncode = "b{number}"\nweekdays = {[WEEKDAYS[day] for day in sorted(days)]}\n'
        f'from = "{quarter_text(start)}"\nuntil = "{quarter_text(end)}"\n'
        for number, (days, start, end) in enumerate(bands)
    )
    tables = tables_of(text)
    local = datetime.fromtimestamp(time_s, ZoneInfo("Europe/Berlin"))
    minute = local.hour * 60 + local.minute

    def holds(days: set[int], start: int, end: int) -> bool:
        if start < end:
            return local.weekday() in days and start * 15 <= minute < end * 15
        yesterday = (local.weekday() - 1) % 7
        return (local.weekday() in days and minute >= start * 15) or (yesterday in days and minute < end * 15)

    holding = [f"b{number}" for number, band in enumerate(bands) if holds(*band)]
    assert tables.band(CALENDAR.at(time_s)) == (holding[0] if holding else ANY)


@pytest.mark.parametrize(
    ("local", "band"),
    [
        ("2026-03-29T01:45+01:00", "night"),  # the quarter before Berlin's clock jumps from 02:00 to 03:00
        ("2026-03-29T03:00+02:00", ANY),
        ("2026-10-25T02:30+02:00", "night"),  # 02:30 comes twice that night
        ("2026-10-25T02:30+01:00", "night"),
        ("2026-10-25T03:00+01:00", ANY),
    ],
)
def test_a_band_follows_the_clock_when_it_changes(local: str, band: str) -> None:
    tables = tables_of('[[bands]]\ncode = "night"\nweekdays = ["sat"]\nfrom = "22:00"\nuntil = "03:00"\n')
    assert tables.band(CALENDAR.at(int(datetime.fromisoformat(local).timestamp()))) == band


SERVICE_MAP = """
[[service_map]]
context = "32251"
rating_groups = "10"
service_identifiers = ["1-20", "77"]
service = "VOICE"
[[service_map]]
context = "32251"
rating_groups = ["none", "1-99", "200"]
service = "DATA"
[[service_map]]
context = "8.32251"
service = "VOICE"
[[service_map]]
context = "only-none"
rating_groups = "none"
service = "DATA"
[[service_map]]
context = "never-none"
rating_groups = "any"
service = "DATA"
"""


@pytest.mark.parametrize(
    ("context", "rating_group", "service_identifier", "service"),
    [
        ("32251", None, None, "DATA"),
        ("32251", 1, None, "DATA"),
        ("32251", 99, 5, "DATA"),
        ("32251", 100, None, None),
        ("32251", 200, None, "DATA"),
        ("32251", 10, None, "DATA"),
        ("32251", 10, 20, "VOICE"),
        ("32251", 10, 21, "DATA"),
        ("32251", 10, 77, "VOICE"),
        ("14.32251", 7, None, "DATA"),
        ("ext.8.32251", 7, None, "VOICE"),
        ("ext.8.32251", None, 3, "VOICE"),
        ("132251", None, None, None),
        ("only-none", None, 1, "DATA"),
        ("only-none", 0, None, None),
        ("only-none", 1, None, None),
        ("never-none", None, None, None),
        ("never-none", 4294967295, None, "DATA"),
    ],
)
def test_the_service_of_a_request(
    context: str, rating_group: int | None, service_identifier: int | None, service: str | None
) -> None:
    assert tables_of(SERVICES + SERVICE_MAP).service_of(context, rating_group, service_identifier) == service


def test_every_key_reaches_the_tables() -> None:
    tables = tables_of(
        TARIFF.replace("rate_percent", 'name = "Value added"\nrate_percent').replace('"20"', '"7.7"')
        + '[price_plans.free_units]\nDATA = 5\n[[price_plans.rates]]\nservice = "VOICE"\nzone = "home"\nband = "peak"\n'
        + 'price = "0.0015"\nper_units = 30\nsetup_fee = "1"\nminimum = "2.5"\n'
        + '[[price_plans]]\ncode = "gold"\nname = "Gold"\ntype = "postpaid"\ncurrency = "EUR"\nmonthly_fee = "15.00"\n'
        + 'credit_limit = "100"\ntax = "VAT"\n'
    )
    basic, gold = tables.plans["basic"], tables.plans["gold"]
    rate = parse_rate(basic.services["VOICE"].rate_key("home", "peak") or "")
    assert rate[:7] == ("VOICE", "home", "peak", 1_500, 30, 1_000_000, 2_500_000)
    assert basic.services["VOICE"].rate_key("home", ANY) is None
    assert basic.services["DATA"].rate_key("home", "peak") == "DATA/any/any/20000/1000000/0/0"
    assert basic.services["DATA"].free_units == 5
    assert (basic.type, basic.monthly_fee_micros, basic.credit_limit_micros, basic.tax) == ("prepaid", 0, 0, "")
    assert (gold.name, gold.type, gold.tax, gold.services) == ("Gold", "postpaid", "VAT", {})
    assert (gold.monthly_fee_micros, gold.credit_limit_micros) == (15_000_000, 100_000_000)
    assert (tables.taxes["VAT"].rate_ppm, tables.taxes["VAT"].name) == (77_000, "Value added")
    assert (tables.currencies["EUR"].numeric, tables.currencies["EUR"].decimals) == (978, 2)
    assert tables.bill_cycles[3].closing_day == 3
    assert tables.longest_prefix == 5
    data = tables.services["DATA"]
    assert (data.unit, data.quota) == ("octets", Quota(10, 100, 60))
