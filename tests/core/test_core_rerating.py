"""Re-rating: by the same prices it changes nothing; by others an account is where they would have brought it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import (
    ANY,
    INITIAL,
    NOW_S,
    PEAK,
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
from core_steps import DATA, SMS, TABLES, VOICE
from core_world import World
from mubss.core.cdr import Cdr, CdrItem, ChargeCdrs, call_key
from mubss.core.corrections import Rerate
from mubss.core.rerating import Repriced, UsageChanged, plans, reprice
from mubss.core.tariff import Step, Tables

SETTINGS = settings(max_examples=120)
ALWAYS = 0, 1 << 40
MONTH_START = utc(2026, 11, 2)


def tables_of(price: int, free: int, block: int = 60, setup: int = 0, night: int = 0) -> Tables:
    """One plan with calls by band, and messages."""
    rows = [(ANY, "peak", price, block, setup, 0), (ANY, ANY, night or price, block, setup, 0)]
    return make_tables(
        plan(
            "one",
            plan_service(VOICE, *rows, free_units=free),
            plan_service(SMS, flat(price, 1), free_units=free // 100),
            plan_service(DATA, flat(price, 10)),
        ),
        bands=(PEAK,),
        services={service.code: service for service in (DATA, VOICE, SMS)},
    )


def cdr(number: int, service: str, start_s: int, units: int, call: str = "", part: int = 0) -> Cdr:
    counts = {"VOICE": (units, 0, 0), "DATA": (0, units, 0), "SMS": (0, 0, units)}[service]
    who = "49", "49", "4915", "", "", ""
    seconds, octets, events = counts
    return Cdr(
        f"r{number}", service, service, *who, start_s, 60, seconds, 0, octets, events, 0, "", "", call, part, False
    )


def charge(world: World, cdrs: list[Cdr]) -> None:
    for one in cdrs:
        item = CdrItem(f"k{one.record_id}", one, call_key("pgw", one, "acc1"))
        world.do(ChargeCdrs("f1", [item], True), now_s=max(world.now_s, one.start_s + 10_000))


def priced(world: World, tables: Tables, by: str = "", range_s: tuple[int, int] = ALWAYS, plan: str = "") -> Repriced:
    usage = [one for one in world.usage if one["account"] == "acc1"]
    return reprice(world.account, usage, tables, plans(tables, by), *range_s, plan)


def apply(world: World, repriced: Repriced, tables: Tables) -> None:
    world.tables = tables
    sequence = world.account["usage_sequence"]
    world.do(Rerate("run1", sequence, repriced.corrections))


CDRS = st.lists(
    st.tuples(
        st.sampled_from(["VOICE", "SMS", "DATA"]),
        st.integers(MONTH_START, MONTH_START + 20 * 86_400),
        st.integers(0, 700),
        st.sampled_from(["", "", "c1", "c2"]),
    ),
    max_size=12,
)


def made(given_cdrs: list[tuple[str, int, int, str]]) -> list[Cdr]:
    return [
        cdr(number, service, start_s, units, f"{call}{service}" if call else "", number if call else 0)
        for number, (service, start_s, units, call) in enumerate(given_cdrs, 1)
    ]


@SETTINGS
@given(CDRS)
def test_by_the_same_prices_nothing_changes(given_cdrs: list[tuple[str, int, int, str]]) -> None:
    """Whatever the account drew, in whatever order."""
    world = World(TABLES, make_account("rich", "100"))
    charge(world, made(given_cdrs))
    repriced = priced(world, TABLES)
    assert repriced.corrections == [] and repriced.kept == 0 and repriced.before_micros == repriced.after_micros
    assert repriced.before_micros == sum(usage["charge_micros"] for usage in world.usage)


def drawn(world: World) -> dict[tuple[str, str], int]:
    months = world.account["counters"].items()
    return {(month, code): units for month, codes in months for code, units in codes.items() if units}


@SETTINGS
@given(
    CDRS,
    st.tuples(st.integers(0, 90), st.sampled_from([0, 300, 5_000]), st.sampled_from([1, 7, 60]), st.integers(0, 50)),
    st.tuples(st.integers(0, 90), st.sampled_from([0, 300, 5_000]), st.sampled_from([1, 7, 60]), st.integers(0, 50)),
)
def test_by_other_prices_the_account_is_where_they_would_have_brought_it(
    given_cdrs: list[tuple[str, int, int, str]], old: tuple[int, int, int, int], new: tuple[int, int, int, int]
) -> None:
    """Charged by the old tariff and corrected by the new one, or charged by the new one."""
    corrected, right = (
        World(tables_of(*old), make_account("one", "100")),
        World(tables_of(*new), make_account("one", "100")),
    )
    charge(corrected, made(given_cdrs))
    charge(right, made(given_cdrs))
    repriced = priced(corrected, right.tables)
    apply(corrected, repriced, right.tables)
    assert corrected.account["balance_micros"] == right.account["balance_micros"]
    assert drawn(corrected) == drawn(right)
    for name in ("charge_micros", "free_units", "units"):
        assert sum(one[name] for one in corrected.usage) == sum(one[name] for one in right.usage)
    again = priced(corrected, right.tables)
    assert again.corrections == [] and again.records == repriced.records


def test_a_session_is_priced_as_one() -> None:
    """Its records of several days have one setup fee, and one block is begun."""
    old, new = tables_of(60, 0, 60, 1_000), tables_of(30, 0, 60, 500)
    world = World(old, make_account("one", "100"))
    start_s = utc(2026, 11, 10, 22)
    world.ask(ccr(old, INITIAL, 0, mscc(1, service="VOICE"), called="49"), now_s=start_s)
    for number, hours in enumerate((1, 2, 2, 1), 1):
        start_s += hours * 3600
        kind = TERMINATE if number == 4 else UPDATE
        world.ask(ccr(old, kind, number, mscc(1, used=hours * 3600, service="VOICE"), called="49"), now_s=start_s)
    assert len(world.usage) > 1
    repriced = priced(world, new)
    assert (repriced.before_micros, repriced.after_micros) == (1_000 + 360 * 60, 500 + 360 * 30)
    apply(world, repriced, new)
    assert world.account["balance_micros"] == 100_000_000 - 500 - 360 * 30


def test_an_open_session_waits() -> None:
    world = World(TABLES, make_account("rich", "100"))
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, service="SMS")))
    world.ask(ccr(TABLES, UPDATE, 1, mscc(1, used=9, service="SMS")))
    world.ask(ccr(TABLES, UPDATE, 2, mscc(1, used=9, service="SMS")), now_s=NOW_S + 90_000)
    assert world.usage and priced(world, tables_of(5, 0)).records == 0


def stepped(free: int, *steps: tuple[int, int], shared: bool = False) -> Tables:
    """Calls whose price falls with what was paid for in the month."""
    made = tables_of(90, free)
    voice = made.plans["one"].services["VOICE"]
    by_band = {
        key: (Step(0, key), *(Step(after, voice.rates[at]._replace(price_micros=price).key) for after, price in steps))
        for at, key in voice.rate_keys.items()
    }
    services = {**made.plans["one"].services, "VOICE": replace(voice, steps=by_band if steps else {})}
    return replace(made, plans={"one": replace(made.plans["one"], services=services)})


VARIANTS = (
    stepped(0),
    stepped(300),
    stepped(0, (600, 30)),
    stepped(300, (600, 30), (2_000, 10)),
    stepped(5_000, (100, 7)),
)


@SETTINGS
@given(CDRS, st.lists(st.sampled_from(range(len(VARIANTS))), min_size=2, max_size=5), st.booleans())
def test_tariffs_come_and_go(given_cdrs: list[tuple[str, int, int, str]], path: list[int], members: bool) -> None:
    """Discounts and free units of one tariff after the other: each time the account is where that alone would be."""
    account = make_account("one", "100")
    if members:
        account["members"] = {"e164:49": "acc1", "e164:50": "acc2"}
    world = World(VARIANTS[path[0]], account)
    charge(world, made(given_cdrs))
    for place in path[1:]:
        tables = VARIANTS[place]
        apply(world, priced(world, tables), tables)
        assert priced(world, tables).corrections == []
        if not members:
            right = World(tables, make_account("one", "100"))
            charge(right, made(given_cdrs))
            assert world.account["balance_micros"] == right.account["balance_micros"]
            assert drawn(world) == drawn(right)
    assert all(units >= 0 for codes in world.account.get("paid", {}).values() for units in codes.values())


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 400), st.integers(0, 40_000)), max_size=10), st.booleans())
def test_what_gy_charged_is_the_same_by_the_same_prices(reports: list[tuple[int, int, int]], steps: bool) -> None:
    """Sessions side by side, over bands and days, that share free units."""
    tables = VARIANTS[3] if steps else TABLES
    world = World(tables, make_account("one" if steps else "rich", "100"))
    now_s, opened = MONTH_START, set()
    for number, (which, units, later_s) in enumerate(reports):
        now_s += later_s
        service = ("VOICE", "SMS", "DATA", "DATA", "VOICE")[which]
        kind = UPDATE if which in opened else INITIAL
        opened.add(which)
        request = mscc(1, used=None if kind == INITIAL else units, service=service)
        world.ask(ccr(tables, kind, number, request, session=f"s{which}", called="49"), now_s=now_s)
    for which in opened:
        end = ccr(tables, TERMINATE, 99, mscc(1, used=5, service="SMS"), session=f"s{which}", called="49")
        world.ask(end, now_s=now_s + 60)
    assert priced(world, tables).corrections == []


def simple() -> World:
    world = World(tables_of(60, 0), make_account("one", "100"))
    charge(world, [cdr(number, "SMS", NOW_S + number * 3_600, 1) for number in range(4)])
    return world


def test_only_usage_of_the_range_and_the_plan() -> None:
    world, new = simple(), tables_of(10, 0)
    assert priced(world, new, range_s=(NOW_S + 3_600, NOW_S + 3 * 3_600)).records == 2
    assert priced(world, new, plan="one").records == 4
    assert priced(world, new, plan="two").records == 0


def test_what_is_on_a_bill_is_left_alone() -> None:
    world = simple()
    world.account["billing"] = {"bill": "b", "period": "2026-11", "due": 0, "sequence": 1, "usage": [[1, 3]]}
    repriced = priced(world, tables_of(10, 0))
    assert [one.record["sequence"] for one in repriced.corrections] == [4]


def test_each_correction_is_told() -> None:
    world, new = simple(), tables_of(10, 0)
    apply(world, priced(world, new), new)
    [posting] = [one for one in world.postings["acc1"] if one["cause"]["kind"] == "rerate"]
    assert posting["cause"] == {"kind": "rerate", "run": "run1", "records": 4}
    assert posting["amount_micros"] == 200
    corrections = [one for one in world.usage if one["source"] == "rerate"]
    assert [one["charge_micros"] for one in corrections] == [-50] * 4
    assert [one["corrects"] for one in corrections] == [one["_id"] for one in world.usage[:4]]
    assert all(one["units"] == 0 and one["run"] == "run1" for one in corrections)


def test_usage_that_came_meanwhile_is_noticed() -> None:
    world, new = simple(), tables_of(10, 0)
    repriced = priced(world, new)
    with pytest.raises(UsageChanged, match="usage_sequence: 4; expected 3"):
        world.do(Rerate("run1", 3, repriced.corrections))


def test_what_has_no_price_now_stays() -> None:
    world = simple()
    new = make_tables(plan("one", plan_service(VOICE, flat(1, 1))))
    repriced = priced(world, new)
    assert (repriced.records, repriced.kept, repriced.corrections) == (0, 4, [])


def test_another_plan_and_one_of_its_versions() -> None:
    world = simple()
    early, late = (
        plan("two", plan_service(SMS, flat(price, 1)), valid_from_s=at_s)
        for price, at_s in ((7, utc(2026, 1, 1)), (3, utc(2026, 12, 1)))
    )
    tables = make_tables(late)
    tables = Tables(1, tables.calendar, tables.services, tables.plans, versions={"two": (early, late)})
    assert priced(world, tables, "two").after_micros == 4 * 7
    assert priced(world, tables, "two@2026-12-01").after_micros == 4 * 3
