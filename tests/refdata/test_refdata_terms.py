"""What rates, plans and zones may have beside a price: from a file to the tables, and the price that comes of it."""

from __future__ import annotations

from datetime import datetime

import pytest

from mubss.core.allowance import Allowance
from mubss.core.rater import rate_usage
from mubss.core.tariff import BillDiscount, Bundle, DunningStep, Tables
from refdata_samples import CALENDAR, TARIFF, tables_of

VOICE = '[[price_plans.rates]]\nservice = "VOICE"\nprice = "0.60"\nper_units = 60\n'
ABROAD = '[[networks]]\nzone = "abroad"\ncodes = ["208"]\n'


def utc_s(local: str) -> int:
    """An instant with its zone as UTC seconds."""
    return int(datetime.fromisoformat(local).timestamp())


NOON = utc_s("2026-11-23T12:00+01:00")


def price(tables: Tables, units: int, at_s: int = NOON, zone: str = "any", paid: int = 0, plan: str = "basic") -> int:
    """What a call costs, in micros."""
    found = tables.plan_at(plan, at_s)
    assert found is not None
    return rate_usage(
        tables, found.services["VOICE"], zone, units, at_s, {}, Allowance({}, {"2026-11": paid})
    ).charge_micros


@pytest.mark.parametrize(
    ("terms", "units", "micros"),
    [
        ("", 61, 1_200_000),
        ('increments = "60/1"', 61, 610_000),
        ('increments = "30/6"', 31, 360_000),
        ('maximum = "2.00"', 3_600, 2_000_000),
        ('tiers_by = "session"\ntiers = [{ after_units = 60, price = "0.30" }]', 180, 1_200_000),
        ('tiers_by = "volume"\ntiers = [{ after_units = 60, price = "0.30" }]', 180, 900_000),
        ('tiers_by = "month"\ntiers = [{ after_units = 90, price = "0.30" }]', 180, 1_800_000),  # 2 started, and 2
    ],
)
def test_terms_of_a_rate(terms: str, units: int, micros: int) -> None:
    assert price(tables_of(TARIFF + VOICE + terms), units) == micros


@pytest.mark.parametrize(
    ("paid", "units", "micros"),
    [(0, 60, 600_000), (0, 120, 1_200_000), (60, 120, 600_000 + 300_000), (120, 60, 300_000), (600, 60, 300_000)],
)
def test_tiers_of_the_month_count_what_was_paid_before(paid: int, units: int, micros: int) -> None:
    tables = tables_of(TARIFF + VOICE + 'tiers_by = "month"\ntiers = [{ after_units = 120, price = "0.30" }]')
    assert price(tables, units, paid=paid) == micros


@pytest.mark.parametrize(
    ("discounts", "paid", "micros"),
    [
        ('percent = "10"', 0, 540_000),
        ('percent = "10"\nafter_units = 60', 0, 600_000),
        ('percent = "10"\nafter_units = 60', 60, 540_000),
        ('percent = "10"\nzone = "home"', 0, 600_000),
        ('percent = "33.3333"', 0, 400_001),
    ],
)
def test_discounts(discounts: str, paid: int, micros: int) -> None:
    tables = tables_of(TARIFF + VOICE + f'[[price_plans.discounts]]\nservice = "VOICE"\n{discounts}')
    assert price(tables, 60, paid=paid) == micros


def test_how_a_plan_is_billed() -> None:
    text = (
        '[[bill_discounts]]\ncode = "OFF"\nname = "Off"\npercent = "12.5"\n'
        '[[price_plans]]\ncode = "post"\ntype = "postpaid"\ncurrency = "EUR"\nfee_timing = "advance"\n'
        'activation_fee = "9.90"\nminimum_bill = "20"\nbill_discounts = "OFF"\n'
        '[[dunning]]\nstep = 10\ndays = 9\naction = "suspend"\nfee = "2.50"\ncurrency = "EUR"\n'
        '[[dunning]]\nstep = 2\nname = "Reminder"\ndays = 3\naction = "remind"\n'
    )
    tables = tables_of(TARIFF + text)
    post, basic = tables.plans["post"], tables.plans["basic"]
    assert (post.fee_timing, post.activation_fee_micros, post.minimum_bill_micros) == ("advance", 9_900_000, 20_000_000)
    assert (basic.fee_timing, basic.minimum_bill_micros, basic.bill_discounts) == ("arrears", 0, ())
    assert [tables.bill_discounts[code] for code in post.bill_discounts] == [
        BillDiscount("OFF", "Off", ("fees", "usage"), 125_000)
    ]
    reminder, last = tables.dunning
    assert reminder == DunningStep(2, "Reminder", 3, "remind")
    assert last == DunningStep(10, "", 9, "suspend", 2_500_000, "EUR")


def test_the_best_discount_counts() -> None:
    rows = "".join(
        f'[[price_plans.discounts]]\nservice = "VOICE"\npercent = "{percent}"\nafter_units = {after}\n'
        for percent, after in (("50", 0), ("10", 60))
    )
    assert price(tables_of(TARIFF + VOICE + rows), 60, paid=60) == 300_000


HOLIDAYS = """
[[holidays]]
day = "12-25"
[[holidays]]
day = "2027-03-29"
[[bands]]
code = "feast"
weekdays = "holiday"
from = "20:00"
until = "06:00"
[[bands]]
code = "work"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
from = "00:00"
until = "24:00"
"""


@pytest.mark.parametrize(
    ("local", "band"),
    [
        ("2026-12-24T21:00+01:00", "work"),
        ("2026-12-25T12:00+01:00", "any"),  # a Friday, but a holiday
        ("2026-12-25T20:00+01:00", "feast"),
        ("2026-12-26T05:45+01:00", "feast"),  # the morning after
        ("2026-12-26T06:00+01:00", "any"),
        ("2028-12-25T20:00+01:00", "feast"),  # each year
        ("2027-03-29T20:00+02:00", "feast"),
        ("2028-03-29T20:00+02:00", "work"),  # that of 2027 alone
        ("2027-03-30T05:00+02:00", "feast"),
        ("2027-03-30T06:00+02:00", "work"),
    ],
)
def test_holidays_have_bands_of_their_own(local: str, band: str) -> None:
    tables = tables_of(HOLIDAYS)
    for _ in range(2):  # the second time from memory
        assert tables.band(CALENDAR.at(utc_s(local))) == band


def test_holidays_mean_nothing_where_no_band_names_them() -> None:
    tables = tables_of(HOLIDAYS.replace('weekdays = "holiday"', 'weekdays = "sun"'))
    assert tables.holidays == frozenset()
    assert tables.band(CALENDAR.at(utc_s("2026-12-25T12:00+01:00"))) == "work"


def test_special_numbers_and_blocked_zones() -> None:
    special = '[[destinations]]\nzone = "sos"\nnumbers = ["112", "49170000"]\n'
    blocked = '[[destinations]]\nzone = "fraud"\nprefixes = ["882"]\nblocked = true\n'
    tables = tables_of(special + blocked + TARIFF + VOICE)
    zones = {"112": "sos", "1123": "any", "49170000": "sos", "491700001": "home", "88299": "fraud"}
    assert {number: tables.zone(number) for number in zones} == zones
    assert tables.blocked == {"fraud"}
    usage = rate_usage(tables, tables.plans["basic"].services["VOICE"], "fraud", 60, NOON, {}, Allowance())
    assert usage.unpriced_units == 60


def test_calls_from_abroad() -> None:
    rates = "".join(
        f'[[price_plans.rates]]\nservice = "VOICE"\nper_units = 60\nprice = "{price}"\n{where}'
        for price, where in (
            ("1", ""),
            ("2", 'zone = "home"\n'),
            ("3", 'network = "abroad"\n'),
            ("4", 'network = "abroad"\nzone = "home"\n'),
        )
    )
    tables = tables_of(ABROAD + TARIFF + rates)
    zones = ("any", "home", "any@abroad", "home@abroad", "home@elsewhere")
    assert [price(tables, 1, zone=zone) // 1_000_000 for zone in zones] == [1, 2, 3, 4, 2]


def test_the_version_of_its_time_prices_usage() -> None:
    later = '[[price_plans]]\ncode = "basic"\nvalid_from = "2026-12-01"\ntype = "prepaid"\ncurrency = "EUR"\n'
    tables = tables_of(TARIFF + VOICE + later + VOICE.replace("0.60", "0.90"))
    turn_s = utc_s("2026-12-01T00:00+01:00")
    assert [price(tables, 60, at_s) for at_s in (turn_s - 60, turn_s)] == [600_000, 900_000]
    assert price(tables, 120, turn_s - 60) == 600_000 + 900_000, "a call over midnight has a part of each"
    first, second = tables.versions["basic"]
    assert (first.services["DATA"].at(turn_s), second.valid_from_s) == (None, turn_s), "data isn't sold any more"
    assert tables.plan_at("basic", turn_s - 1) is first


def test_a_plan_that_begins_isnt_sold_before() -> None:
    tables = tables_of(TARIFF.replace('code = "basic"\n', 'code = "basic"\nvalid_from = 2026-12-01\n'))
    turn_s = utc_s("2026-12-01T00:00+01:00")
    assert tables.plan_at("basic", turn_s - 1) is None
    assert tables.plan_at("basic", turn_s) is tables.plans["basic"]


def test_a_bundle() -> None:
    tables = tables_of(
        TARIFF + '[[bundles]]\ncode = "DAY"\ncurrency = "EUR"\nservices = ["DATA"]\nunits = 5\nvalidity = "24h"\n'
    )
    assert tables.bundles == {"DAY": Bundle("DAY", "", "EUR", 0, ("DATA",), (), 5, 86_400, 100)}


def test_a_limit_of_each_member() -> None:
    text = TARIFF + VOICE + "[price_plans.member_limits]\nVOICE = 600\n"
    services = tables_of(text).plans["basic"].services
    assert (services["VOICE"].member_limit, services["DATA"].member_limit) == (600, 0)


def test_a_bundle_that_renews() -> None:
    bundle = '[[bundles]]\ncode = "M"\ncurrency = "EUR"\nservices = ["DATA"]\nunits = 5\nvalidity = "month"\n'
    tables = tables_of(TARIFF + bundle + "renews = true\n")
    assert tables.bundles["M"].renews
    assert not tables_of(TARIFF + bundle + "renews = false\n").bundles["M"].renews


def test_a_service_may_have_a_tax_of_its_own() -> None:
    text = TARIFF.replace('code = "VOICE"\n', 'code = "VOICE"\ntax = "VAT"\n') + VOICE
    services = tables_of(text).plans["basic"].services
    assert (services["VOICE"].tax, services["DATA"].tax) == ("VAT", "")
