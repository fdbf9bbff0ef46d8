"""The demo's prices are what the README promises, and the example has every key there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mubss.core.calendar import LocalQuarter
from mubss.core.tariff import ANY, Tables, Unit
from mubss.refdata.form import read_files
from mubss.refdata.load import validate
from mubss.storage.refdata import TABLES
from refdata_samples import CALENDAR

SAMPLES = Path(__file__).parents[2] / "conf" / "refdata"


def read(name: str) -> Tables:
    return validate(read_files([SAMPLES / name]), CALENDAR)[1]


@pytest.fixture(scope="module")
def demo() -> Tables:
    return read("demo.toml")


@pytest.fixture(scope="module")
def example() -> Tables:
    return read("example.toml")


def test_the_demo_services(demo: Tables) -> None:
    assert {code: service.unit for code, service in demo.services.items()} == {
        "DATA": Unit.OCTETS,
        "VOICE": Unit.SECONDS,
        "SMS": Unit.EVENTS,
    }
    assert all(service.quota.validity_s == 3600 for service in demo.services.values())


@pytest.mark.parametrize(
    ("context", "rating_group", "service"),
    [
        ("32251", None, "DATA"),
        ("32251", 0, None),
        ("32251", 1, "DATA"),
        ("32251", 99, "DATA"),
        ("32251", 100, None),
        ("14.32251", 1, "DATA"),
        ("32260", None, "VOICE"),
        ("ext.01.001.8.32260", 1000, "VOICE"),
        ("32274", None, "SMS"),
        ("32274", 7, "SMS"),
        ("32270", None, None),
    ],
)
def test_the_demo_service_map(demo: Tables, context: str, rating_group: int | None, service: str | None) -> None:
    assert demo.service_of(context, rating_group, None) == service


@pytest.mark.parametrize("code", ["demo-prepaid", "demo-postpaid"])
def test_the_demo_prices(demo: Tables, code: str) -> None:
    plan = demo.plans[code]
    assert {service: list(sold.rate_keys.values()) for service, sold in plan.services.items()} == {
        "DATA": ["DATA/any/any/20000/1000000/0/0"],
        "VOICE": ["VOICE/any/any/90000/60/0/0"],
        "SMS": ["SMS/any/any/80000/1/0/0"],
    }
    assert (plan.type, plan.currency) == (code.removeprefix("demo-"), "EUR")


def test_the_demo_plans(demo: Tables) -> None:
    prepaid, postpaid = demo.plans["demo-prepaid"], demo.plans["demo-postpaid"]
    assert [sold.free_units for sold in prepaid.services.values()] == [0, 0, 0]
    assert {code: sold.free_units for code, sold in postpaid.services.items()} == {
        "DATA": 1_000_000_000,
        "VOICE": 6_000,
        "SMS": 50,
    }
    assert (prepaid.monthly_fee_micros, prepaid.credit_limit_micros, prepaid.tax) == (0, 0, "")
    assert (postpaid.monthly_fee_micros, postpaid.credit_limit_micros) == (15_000_000, 100_000_000)
    assert demo.taxes[postpaid.tax].rate_ppm == 200_000
    assert demo.currencies["EUR"].numeric == 978
    assert demo.bill_cycles[3].closing_day == 3


@pytest.mark.parametrize(
    ("number", "weekday", "quarter", "key"),
    [
        ("4915112345678", 0, 40, "VOICE/national/any/90000/60/0/0"),
        ("4915112345678", 5, 40, "VOICE/national/weekend/50000/60/0/0"),
        ("4990012345", 5, 40, "VOICE/premium/any/490000/60/0/990000"),
        ("43112345", 0, 90, "VOICE/europe/any/6000/1/50000/0"),
        ("12025550123", 0, 40, None),
    ],
)
def test_the_example_prices_a_call(example: Tables, number: str, weekday: int, quarter: int, key: str | None) -> None:
    band = example.band(LocalQuarter("2026-11", f"2026-11-{23 + weekday}", weekday, quarter))
    assert example.plans["start"].services["VOICE"].rate_key(example.zone(number), band) == key


def test_the_example_tells_of_every_table_and_key(example: Tables) -> None:
    text = (SAMPLES / "example.toml").read_text()
    assert set(re.findall(r"^\[\[(\w+)\]\]$", text, re.MULTILINE)) == set(TABLES)
    keys = set(re.findall(r"^(\w+) = ", text, re.MULTILINE))
    refdata = Path(__file__).parents[2] / "mubss" / "refdata"
    source = "".join((refdata / name).read_text() for name in ("rows.py", "quota_rows.py", "plan_rows.py"))
    taken = set(re.findall(r'row\.(?:code|form|choice|integer|amount|texts|counts|rows)\(\s*"(\w+)"', source))
    assert taken - {"free_units", "rates", "quotas", "rollover_units", "discounts", "member_limits"} <= keys
    assert example.band(LocalQuarter("2026-11", "2026-11-23", 0, 40)) == ANY
