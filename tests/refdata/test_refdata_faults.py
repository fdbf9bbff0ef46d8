"""What a tariff manager is told: each row a file and every fault it has, in order."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.core.errors import RefdataError
from mubss.refdata.check import MAX_FAULTS
from mubss.refdata.form import MAX_FILE_BYTES, Source, read_files
from mubss.refdata.load import validate
from mubss.storage.refdata import TABLES
from refdata_samples import BAND, CALENDAR, CURRENCY, MAP, PLAN, RATE, SERVICES, TARIFF, TAX, ZONE, faults_of

AMOUNT = 'expected text like "0.02", 0 to 1000000, at most 6 decimals'
CODE = "expected 1 to 24 letters, digits, - or _"
RANGE = 'expected a number or range like "1-99", up to 4294967295'
TIME = 'expected a quarter of an hour like "08:15", up to "24:00"'
PREFIX = '; expected 1 to 15 digits, like "49170"'
DAYS = "expected one of mon, tue, wed, thu, fri, sat, sun, holiday, each once"
NAMES = (
    "currencies, taxes, bill_discounts, services, holidays, bands, destinations, networks, price_plans, bundles, "
    "service_map, bill_cycles, dunning"
)
OFF = '[[bill_discounts]]\ncode = "OFF"\non = ["usage"]\npercent = "5"\n'
POSTPAID = PLAN.replace("basic", "post").replace("prepaid", "postpaid")


def swapped(old: str, new: str) -> str:
    """The good tariff with one thing changed."""
    assert TARIFF.count(old) == 1, old
    return TARIFF.replace(old, new)


# (file, faults, each without its "tariffs.toml: ")
CASES: dict[str, tuple[str, list[str]]] = {
    "good": (TARIFF, []),
    "empty": ("", []),
    "unknown table": ("[[planz]]\n", [f"planz: unknown table; expected one of {NAMES}"]),
    "single table": ('[services]\ncode = "X"\n', ["services: a table of 1; expected rows, each under [[services]]"]),
    "row of text": ('currencies = ["EUR"]', ["currencies[#1]: 'EUR'; expected a table"]),
    "no code": (
        CURRENCY + "[[currencies]]\nnumeric = 1\ndecimals = 0\n",
        ["currencies[#2].code: missing; expected three capital letters of ISO 4217"],
    ),
    "unknown key": (
        swapped("numeric = 978", 'numeric = 978\nnummer = "1"'),
        ["currencies[EUR].nummer: unknown key; expected one of code, name, numeric, decimals"],
    ),
    "small letters": (
        '[[currencies]]\ncode = "eur"\nnumeric = 978\ndecimals = 2\n',
        ["currencies[#1].code: 'eur'; expected three capital letters of ISO 4217"],
    ),
    "numeric as text": (
        swapped("numeric = 978", 'numeric = "978"'),
        ["currencies[EUR].numeric: '978'; expected a whole number, 1 to 999"],
    ),
    "true is no number": (
        swapped("decimals = 2", "decimals = true"),
        ["currencies[EUR].decimals: True; expected a whole number, 0 to 4"],
    ),
    "too many decimals": (
        swapped("decimals = 2", "decimals = 5"),
        ["currencies[EUR].decimals: 5; expected a whole number, 0 to 4"],
    ),
    "huge number": (
        swapped("numeric = 978", f"numeric = 0x{'f' * 6000}"),
        ["currencies[EUR].numeric: a number of over 20 digits; expected a whole number, 1 to 999"],
    ),
    "given twice": (
        TARIFF + CURRENCY,
        ["currencies[EUR]: given twice; the first is tariffs.toml: currencies[EUR]"],
    ),
    "tax as number": (
        swapped('rate_percent = "20"', "rate_percent = 20"),
        ['taxes[VAT].rate_percent: 20; expected text like "0.02", 0 to 100, at most 6 decimals'],
    ),
    "tax over 100": (
        swapped('rate_percent = "20"', 'rate_percent = "100.01"'),
        ["taxes[VAT].rate_percent: '100.01'; expected text like \"0.02\", 0 to 100, at most 6 decimals"],
    ),
    "tax too fine": (
        swapped('rate_percent = "20"', 'rate_percent = "7.77777"'),
        ["taxes[VAT].rate_percent: more than 4 decimals; it is kept in parts per million"],
    ),
    "code with slash": (
        '[[services]]\ncode = "A/B"\nunit = "bytes"\nquota_units = 0\nvalidity_seconds = 0\n',
        [
            f"services[#1].code: 'A/B'; {CODE}",
            "services[#1].unit: 'bytes'; expected octets or seconds or events",
            "services[#1].quota_units: 0; expected a whole number, 1 to 1000000000000000",
            "services[#1].quota_limit_units: missing; expected a whole number, 1 to 1000000000000000",
            "services[#1].validity_seconds: 0; expected a whole number, 1 to 604800",
        ],
    ),
    "code too long": (
        swapped('code = "basic"', f'code = "{"b" * 25}"'),
        [f"price_plans[#1].code: {'b' * 25!r}; {CODE}"],
    ),
    "quota above its limit": (
        SERVICES.replace("quota_limit_units = 100\n", "quota_limit_units = 9\n", 1),
        ["services[DATA].quota_limit_units: 9; expected a whole number, 10 to 1000000000000000"],
    ),
    "seconds beyond CC-Time": (
        '[[services]]\ncode = "VOICE"\nunit = "seconds"\nquota_units = 4294967296\nvalidity_seconds = 60\n'
        "quota_limit_units = 60\n",
        ["services[VOICE].quota_units: 4294967296; expected a whole number, 1 to 4294967295"],
    ),
    "long name": (
        swapped('zone = "home"', f'zone = "home"\nname = "{"x" * 81}"'),
        [f"destinations[home].name: {'x' * 60!r}… of 81 characters; expected one line of up to 80 characters"],
    ),
    "name of two lines": (
        swapped('zone = "home"', 'zone = "home"\nname = "a\\nb"'),
        ["destinations[home].name: 'a\\nb'; expected one line of up to 80 characters"],
    ),
    "band edges": (
        BAND.replace("08:00", "08:10").replace("20:00", "8 pm"),
        [f"bands[peak].from: '08:10'; {TIME}", f"bands[peak].until: '8 pm'; {TIME}"],
    ),
    "band without edges": (
        '[[bands]]\ncode = "peak"\nweekdays = "mon"\n',
        [f"bands[peak].from: missing; {TIME}", f"bands[peak].until: missing; {TIME}"],
    ),
    "band of no time": (
        BAND.replace("20:00", "08:00"),
        ['bands[peak].until: no time lies between from and until; a whole day is "00:00" to "24:00"'],
    ),
    "band from midnight's end": (
        BAND.replace("08:00", "24:00"),
        ['bands[peak].until: no time lies between from and until; a whole day is "00:00" to "24:00"'],
    ),
    "band weekdays": (
        BAND.replace('["mon", "tue"]', '["mon", "Tuesday", "mon"]'),
        [f"bands[peak].weekdays[2]: 'Tuesday'; {DAYS}", f"bands[peak].weekdays[3]: 'mon'; {DAYS}"],
    ),
    "band without weekdays": (
        BAND.replace('["mon", "tue"]', "[]"),
        [
            "bands[peak].weekdays: a list of 0; expected a list of 1 to 8 texts: "
            "mon, tue, wed, thu, fri, sat, sun, holiday"
        ],
    ),
    "band any": (
        BAND.replace('"peak"', '"any"'),
        ["bands[#1].code: 'any' stands for all of them; expected another code"],
    ),
    "prefixes": (
        ZONE.replace('["49", "49170"]', '["49", "+49", "0x1", "", "1234567890123456", "٤٩"]'),
        [
            "destinations[home].prefixes[2]: '49' is there twice",
            f"destinations[home].prefixes[3]: '0x1'{PREFIX}",
            f"destinations[home].prefixes[4]: ''{PREFIX}",
            f"destinations[home].prefixes[5]: '1234567890123456'{PREFIX}",
            f"destinations[home].prefixes[6]: '٤٩'{PREFIX}",
        ],
    ),
    "prefix as number": (
        ZONE.replace('"49170"', "49170"),
        [
            "destinations[home].prefixes: a list of 2; expected a list of 1 to 300000 texts: "
            'the first 1 to 15 digits of international numbers, like "49170"'
        ],
    ),
    "prefix in two zones": (
        ZONE + '[[destinations]]\nzone = "away"\nprefixes = ["1", "49170"]\n',
        ["destinations[away].prefixes: '49170' is in tariffs.toml: destinations[home] too"],
    ),
    "float amount": (
        swapped('price = "0.02"', "price = 0.02"),
        [f"price_plans[basic].rates[1].price: the float 0.02; {AMOUNT} (a TOML float isn't exact)"],
    ),
    "odd amounts": (
        TARIFF
        + "".join(
            f'[[price_plans.rates]]\nservice = "VOICE"\nband = "{band}"\nprice = {price}\n'
            for band, price in (("any", '"-0.02"'), ("peak", '"1000000.01"'))
        )
        + '[[price_plans.rates]]\nservice = "VOICE"\nzone = "home"\nprice = "0.0000001"\n'
        + 'setup_fee = "1e3"\nminimum = 1\n',
        [
            f"price_plans[basic].rates[2].price: '-0.02'; {AMOUNT}",
            f"price_plans[basic].rates[3].price: '1000000.01'; {AMOUNT}",
            f"price_plans[basic].rates[4].price: '0.0000001'; {AMOUNT}",
            f"price_plans[basic].rates[4].setup_fee: '1e3'; {AMOUNT}",
            f"price_plans[basic].rates[4].minimum: 1; {AMOUNT}",
        ],
    ),
    "unknown service": (
        TARIFF + RATE.replace("DATA", "DATAX"),
        ["price_plans[basic].rates[2].service: 'DATAX'; expected one of DATA, VOICE"],
    ),
    "unknown names": (
        TAX + SERVICES + PLAN.replace('"EUR"', '"USD"') + 'tax = "VATX"\n' + RATE + 'zone = "mars"\nband = "noon"\n',
        [
            "price_plans[basic].currency: 'USD'; there is none",
            "price_plans[basic].tax: 'VATX'; expected one of VAT",
            "price_plans[basic].rates[1].zone: 'mars'; expected one of any",
            "price_plans[basic].rates[1].band: 'noon'; expected one of any",
        ],
    ),
    "a broken row is still known": (
        swapped("decimals = 2", "decimals = 9"),
        ["currencies[EUR].decimals: 9; expected a whole number, 0 to 4"],
    ),
    "rate twice": (
        TARIFF + RATE,
        ["price_plans[basic].rates[2]: the same service, zone, network and band as rates[1]"],
    ),
    "rate without blocks": (
        swapped("per_units = 1_000_000", "per_units = 0"),
        ["price_plans[basic].rates[1].per_units: 0; expected a whole number, 1 to 1000000000000000"],
    ),
    "unknown key of a rate": (
        TARIFF + 'prize = "1"\n',
        [
            "price_plans[basic].rates[1].prize: unknown key; "
            "expected one of service, zone, band, price, per_units, setup_fee, minimum, network, increments, maximum, "
            "tiers, tiers_by"
        ],
    ),
    "increments": (
        TARIFF + 'increments = "60"\n',
        ["price_plans[basic].rates[1].increments: '60'; expected first and next steps like \"60/1\""],
    ),
    "maximum": (
        TARIFF + 'minimum = "2"\nmaximum = "1"\n',
        ["price_plans[basic].rates[1].maximum: less than the minimum"],
    ),
    "tiers": (
        TARIFF + 'tiers = [{ after_units = 5, price = "1" }, { after_units = 5, price = "2" }]\n',
        [
            "price_plans[basic].rates[1].tiers: after_units 5, 5; expected each more than the one before",
            "price_plans[basic].rates[1].tiers_by: missing; expected session or volume or month",
        ],
    ),
    "tiers by nothing": (
        TARIFF + 'tiers_by = "month"\n',
        ["price_plans[basic].rates[1].tiers_by: means nothing without tiers"],
    ),
    "network of a rate": (
        TARIFF + 'network = "mars"\n',
        ["price_plans[basic].rates[1].network: 'mars'; there is none"],
    ),
    "valid from": (
        swapped('code = "basic"', 'code = "basic"\nvalid_from = "2026-02-30"'),
        ["price_plans[#1].valid_from: '2026-02-30'; expected a day like \"2026-12-01\""],
    ),
    "a version of a long code": (
        swapped('code = "basic"', 'code = "a-plan-of-twenty-two-l"\nvalid_from = "2026-02-01"'),
        ["price_plans[#1].code: 22 letters; expected up to 21 where there is a valid_from"],
    ),
    "versions of two types": (
        TARIFF + PLAN.replace('"basic"', '"basic"\nvalid_from = "2026-12-01"').replace("prepaid", "postpaid"),
        ["price_plans[basic@2026-12-01].type: postpaid; it is prepaid in tariffs.toml: price_plans[basic]"],
    ),
    "bills of a prepaid plan": (
        TARIFF + OFF + PLAN.replace("basic", "other") + 'monthly_fee = "5"\nfee_timing = "advance"\n'
        'minimum_bill = "1"\nbill_discounts = "OFF"\n' + RATE,
        [
            f"price_plans[other].{name}: is for postpaid plans: no bill would have it"
            for name in ("fee_timing", "minimum_bill", "bill_discounts")
        ]
        + ["price_plans[other].monthly_fee: is for postpaid plans; for prepaid ones sell a bundle that renews"],
    ),
    "how fees are charged": (
        TARIFF + POSTPAID + 'fee_timing = "soon"\nactivation_fee = 5\nminimum_bill = "-1"\n',
        [
            "price_plans[post].fee_timing: 'soon'; expected arrears or advance",
            'price_plans[post].activation_fee: 5; expected text like "0.02", 0 to 1000000, at most 6 decimals',
            "price_plans[post].minimum_bill: '-1'; expected text like \"0.02\", 0 to 1000000, at most 6 decimals",
        ],
    ),
    "discounts on bills": (
        TARIFF + OFF.replace('"usage"', '"usage", "sms"') + POSTPAID + 'bill_discounts = ["OFF", "OFF"]\n',
        [
            "price_plans[post].bill_discounts[2]: 'OFF'; expected the code of a discount, each once",
            "bill_discounts[OFF].on[2]: 'sms'; expected fees or usage, each once",
        ],
    ),
    "unknown discounts on bills": (
        TARIFF + OFF + POSTPAID + 'bill_discounts = ["OFF", "ON"]\n',
        ["price_plans[post].bill_discounts[2]: 'ON'; expected one of OFF"],
    ),
    "dunning": (
        TARIFF + '[[dunning]]\nstep = 1\ndays = 0\naction = "shout"\nfee = "2"\n'
        '[[dunning]]\nstep = 2\ndays = 5\naction = "warn"\ncurrency = "EUR"\n',
        [
            "dunning[1].days: 0; expected a whole number, 1 to 365",
            "dunning[1].action: 'shout'; expected remind or warn or suspend",
            "dunning[1].currency: missing; expected three capital letters of ISO 4217",
            "dunning[2].currency: means nothing without a fee",
        ],
    ),
    "dunning in a row": (
        TARIFF
        + "".join(
            f'[[dunning]]\nstep = {step}\ndays = {days}\naction = "warn"\nfee = "1"\ncurrency = "{currency}"\n'
            for step, days, currency in ((3, 5, "EUR"), (1, 7, "GBP"), (2, 7, "EUR"))
        ),
        [
            "dunning[1].currency: 'GBP'; expected one of EUR",
            "dunning[2].days: 7; expected more than the 7 of step 1",
            "dunning[3].days: 5; expected more than the 7 of step 2",
        ],
    ),
    "rollover of nothing": (
        TARIFF + "[price_plans.rollover_units]\nDATA = 5\n",
        ["price_plans[basic].rollover_units.DATA: none is free; there is none"],
    ),
    "discount": (
        TARIFF
        + '[[price_plans.discounts]]\nservice = "VOICE"\npercent = "101"\n'
        + '[[price_plans.discounts]]\nservice = "VOICE"\npercent = "1"\nzone = "mars"\n',
        [
            "price_plans[basic].discounts[1].percent: '101'; expected text like \"0.02\", 0 to 100, at most 6 decimals",
        ],
    ),
    "discount of nothing sold": (
        TARIFF + '[[price_plans.discounts]]\nservice = "VOICE"\npercent = "1"\nzone = "mars"\n',
        [
            "price_plans[basic].discounts[1].service: no rate prices it; expected one of DATA",
            "price_plans[basic].discounts[1].zone: 'mars'; expected one of any, home",
        ],
    ),
    "bundle": (
        TARIFF
        + '[[bundles]]\ncode = "B"\ncurrency = "EUR"\nservices = ["DATA", "VOICE", "X"]\nunits = 5\n'
        + 'validity = "month"\n',
        [
            "bundles[B].services[3]: 'X'; expected one of DATA, VOICE",
            "bundles[B].services: counted in octets and seconds; expected one unit",
        ],
    ),
    "bundle's validity": (
        TARIFF + '[[bundles]]\ncode = "B"\ncurrency = "EUR"\nservices = "DATA"\nunits = 5\nvalidity = "1w"\n',
        [
            'bundles[B].validity: \'1w\'; expected "24h", "30d" or "month"',
        ],
    ),
    "limit of members": (
        TARIFF + "[price_plans.member_limits]\nVOICE = 600\nDATA = 0\n",
        [
            "price_plans[basic].member_limits.DATA: 0; expected a whole number, 1 to 1000000000000000",
        ],
    ),
    "limit of members for what isn't sold": (
        TARIFF + "[price_plans.member_limits]\nVOICE = 600\n",
        ["price_plans[basic].member_limits.VOICE: no rate prices it; expected one of DATA"],
    ),
    "bundle that renews perhaps": (
        TARIFF
        + '[[bundles]]\ncode = "B"\ncurrency = "EUR"\nservices = "DATA"\nunits = 5\nvalidity = "24h"\n'
        + 'renews = "yes"\n',
        ["bundles[B].renews: 'yes'; expected true or false"],
    ),
    "number twice": (
        TARIFF + '[[destinations]]\nzone = "a"\nnumbers = ["112"]\n[[destinations]]\nzone = "b"\nnumbers = ["112"]\n',
        ["destinations[b].numbers: '112' is in tariffs.toml: destinations[a] too"],
    ),
    "holiday": (
        '[[holidays]]\nday = "13-01"\n',
        ['holidays[#1].day: \'13-01\'; expected a day like "2026-12-25", or "12-25" for each year\'s'],
    ),
    "rates as text": (
        CURRENCY + PLAN + 'rates = "none"\n',
        ["price_plans[basic].rates: 'none'; expected up to 2000 rows"],
    ),
    "free units of nothing sold": (
        TARIFF + '[price_plans.free_units]\nVOICE = 10\nDATA = 0\n"a b" = 1\n',
        [
            f"price_plans[basic].free_units.a b: not a code; {CODE}",
            "price_plans[basic].free_units.DATA: 0; expected a whole number, 1 to 1000000000000000",
        ],
    ),
    "free units without a rate": (
        TARIFF + "[price_plans.free_units]\nVOICE = 10\n",
        ["price_plans[basic].free_units.VOICE: no rate prices it; expected one of DATA"],
    ),
    "plan type": (
        swapped('type = "prepaid"', 'type = "hybrid"'),
        ["price_plans[basic].type: 'hybrid'; expected prepaid or postpaid"],
    ),
    "closing day": (
        swapped("closing_day = 3", "closing_day = 29"),
        ["bill_cycles[3].closing_day: 29; expected a whole number, 1 to 28"],
    ),
    "cycle number": (
        "[[bill_cycles]]\nnumber = 0\nclosing_day = 1\n",
        ["bill_cycles[#1].number: 0; expected a whole number, 1 to 999"],
    ),
    "ranges": (
        MAP.replace('["none", "1-99"]', '["2-1", "x", "4294967296", "5"]'),
        [
            f"service_map[32251][1].rating_groups: '2-1'; {RANGE}",
            f"service_map[32251][1].rating_groups: 'x'; {RANGE}",
            f"service_map[32251][1].rating_groups: '4294967296'; {RANGE}",
        ],
    ),
    "rating group as number": (
        SERVICES + MAP + MAP.replace('["none", "1-99"]', "7"),
        ['service_map[32251][2].rating_groups: 7; expected a list of 1 to 100 texts: "7" or "1-99", "any" or "none"'],
    ),
    "service of the map": (
        SERVICES + MAP + MAP.replace("DATA", "DATAX"),
        ["service_map[32251][2].service: 'DATAX'; expected one of DATA, VOICE"],
    ),
    "context": (
        SERVICES + MAP.replace("32251", "32251@3gpp.org"),
        ["service_map[#1].context: '32251@3gpp.org'; expected the end of a Service-Context-Id like \"32251\""],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_faults_name_file_table_and_key(text: str, expected: list[str]) -> None:
    assert faults_of(text) == [f"tariffs.toml: {fault}" for fault in expected]


NOT_TOML: dict[str, tuple[bytes, str]] = {
    "garbage": (b"\x00\x01", "tariffs.toml: not TOML: Invalid statement (at line 1, column 1)"),
    "not UTF-8": (b'a = "\xff"', "tariffs.toml: not UTF-8 at byte 5"),
    "nested": (b"a = " + b"[" * 100_000, "tariffs.toml: not TOML that can be taken: nested too deep"),
    "digits": (b"a = " + b"9" * 5_000, "tariffs.toml: not TOML: Exceeds the limit (4300 digits)"),
    "dotted": (b"a." * 50_000 + b"a = 1", "tariffs.toml: lines with thousands of dots"),
    "oversized": (b"#" * (MAX_FILE_BYTES + 1), f"tariffs.toml: over {MAX_FILE_BYTES} bytes"),
    "duplicate key": (b"a = 1\na = 2", "tariffs.toml: not TOML: Cannot overwrite a value (at "),
}


@pytest.mark.parametrize(("data", "expected"), NOT_TOML.values(), ids=NOT_TOML.keys())
def test_what_is_not_toml(data: bytes, expected: str) -> None:
    [fault] = faults_of(data)
    assert fault.startswith(expected)


def test_faults_of_every_file_are_told_together() -> None:
    assert faults_of(CURRENCY.replace("978", "0"), CURRENCY, "[[planz]]\n".replace("planz", "taxes")) == [
        "a.toml: currencies[EUR].numeric: 0; expected a whole number, 1 to 999",
        "b.toml: currencies[EUR]: given twice; the first is a.toml: currencies[EUR]",
        f"c.toml: taxes[#1].code: missing; {CODE}",
        'c.toml: taxes[#1].rate_percent: missing; expected text like "0.02", 0 to 100, at most 6 decimals',
    ]
    assert faults_of(SERVICES.replace("unit", "= unit", 1), MAP) == [
        "a.toml: not TOML: Invalid statement (at line 3, column 1)"  # and no word of services that are missing
    ]
    assert faults_of(SERVICES + MAP, MAP) == [
        "b.toml: service_map[32251]: given twice; the first is a.toml: service_map[32251]"
    ]


KEYS = st.sampled_from(
    [
        "code",
        "zone",
        "number",
        "context",
        "name",
        "unit",
        "quota_units",
        "numeric",
        "decimals",
        "rate_percent",
        "weekdays",
        "from",
        "until",
        "prefixes",
        "currency",
        "type",
        "rates",
        "free_units",
        "service",
        "price",
        "per_units",
        "rating_groups",
        "service_identifiers",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["any", "mon", "1-9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ROWS = st.lists(VALUES | st.dictionaries(KEYS, VALUES, max_size=6), max_size=3)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(list(TABLES)), ROWS))
def test_whatever_rows_hold_is_a_fault_or_right(tables: dict[str, list[Any]]) -> None:
    with suppress(RefdataError):
        validate([Source("tariffs.toml", tables, [])], CALENDAR)


def test_faults_are_bounded() -> None:
    faults = faults_of("".join(f'[[taxes]]\ncode = "T{number}"\n' for number in range(MAX_FAULTS + 7)))
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1] == "and 7 more faults"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("x")
    paths: list[str | Path] = [tmp_path / "none.toml", tmp_path, tmp_path / "bad.toml", "a\0b"]
    assert [(source.name, source.faults) for source in read_files(paths)] == [
        (str(tmp_path / "none.toml"), ["can't be read: No such file or directory"]),
        (str(tmp_path), ["can't be read: Is a directory"]),
        (str(tmp_path / "bad.toml"), ["not TOML: Expected '=' after a key in a key/value pair (at end of document)"]),
        ("a\0b", ["can't be read: embedded null byte"]),
    ]
    with pytest.raises(RefdataError, match="files: 0; expected 1 to 100"):
        read_files([])
