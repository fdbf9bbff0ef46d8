"""What costs nothing: free units, what rolls over of them, and bundles; and prices that depend on the month's use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    SMS,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)  # fmt: skip
from core_world import World
from mubss.core.allowance import Allowance, Bucket, rolled_units
from mubss.core.bundles import LATE_S
from mubss.core.errors import LedgerError
from mubss.core.ledger import apply, check_account
from mubss.core.model import BuyBundle, Result, Rules
from mubss.core.rater import rate_usage
from mubss.core.tariff import Bundle, PlanService, Step, Tables

TALK = Bundle("TALK", "", "EUR", 2_000_000, ("VOICE",), (), 100, 86_400, 100)
FREE_SMS = Bundle("FREE-SMS", "", "EUR", 0, ("SMS",), ("home",), 3, 0, 5)


def bucket(name: str, left: int, from_s: int = 0, until_s: int = 1 << 40, **more: object) -> Bucket:
    """Units of a bundle for calls."""
    plain: Bucket = {
        "id": name, "services": ["VOICE"], "zones": [], "units": left, "left": left,
        "from_s": from_s, "until_s": until_s, "priority": 1,
    }  # fmt: skip
    return {**plain, **more}  # type: ignore[typeddict-item]


def tables_with(*services: PlanService, bundles: tuple[Bundle, ...] = (TALK, FREE_SMS)) -> Tables:
    """A plan "one", and bundles."""
    return replace(make_tables(plan("one", *services)), bundles={one.code: one for one in bundles})


PAID = plan_service(VOICE, flat(1_000, 1))


@pytest.mark.parametrize(
    ("buckets", "zone", "drawn", "micros"),
    [
        ([], "any", {}, 60_000),
        ([bucket("a", 40)], "any", {"a": 40}, 20_000),
        ([bucket("a", 40), bucket("b", 40)], "any", {"a": 40, "b": 20}, 0),
        ([bucket("a", 40, until_s=NOW_S)], "any", {}, 60_000),
        ([bucket("a", 40, until_s=NOW_S + 10)], "any", {"a": 10}, 50_000),
        ([bucket("a", 40, from_s=NOW_S + 50)], "any", {"a": 10}, 50_000),
        ([bucket("a", 40, zones=["home"])], "any", {}, 60_000),
        ([bucket("a", 40, zones=["home"])], "home", {"a": 40}, 20_000),
        ([bucket("a", 40, zones=["home"])], "home@abroad", {"a": 40}, 20_000),
        ([bucket("a", 40, zones=["home@abroad"])], "home", {}, 60_000),
    ],
)
def test_bundles_are_drawn_by_time_and_zone(
    buckets: list[Bucket], zone: str, drawn: dict[str, int], micros: int
) -> None:
    usage = rate_usage(make_tables(), PAID, zone, 60, NOW_S, {}, Allowance(buckets=buckets))
    assert (usage.bundle_units, usage.charge_micros) == (drawn, micros)


def test_free_units_go_before_bundles() -> None:
    free = plan_service(VOICE, flat(1_000, 1), free_units=30)
    usage = rate_usage(make_tables(), free, "any", 60, NOW_S, {}, Allowance({"2026-11": 5}, {}, [bucket("a", 20)]))
    assert (usage.free_units, usage.bundle_units, usage.charge_micros) == ({"2026-11": 25}, {"a": 20}, 15_000)


@pytest.mark.parametrize(
    ("used", "since", "rolled"),
    [
        ({"2026-10": 100, "2026-09": 100}, "2026-01", 0),
        ({"2026-10": 100}, "2026-01", 50),
        ({"2026-10": 70, "2026-09": 100}, "2026-01", 30),
        ({}, "2026-01", 50),  # up to the limit
        ({}, "2026-11", 0),  # a new account
        ({}, "2026-10", 50),
        ({"2026-10": 140, "2026-09": 60}, "2026-01", 0),  # 40 of September went to October, and were used
        ({"2026-10": 90, "2026-09": 80}, "2026-01", 30),
        ({"2026-10": 300}, "2026-01", 0),
    ],
)
def test_unused_free_units_roll_over(used: dict[str, int], since: str, rolled: int) -> None:
    rolling = replace(plan_service(VOICE, flat(1_000, 1), free_units=100), rollover_units=50)
    assert rolled_units(rolling, "2026-11", used, since) == rolled
    since_s = utc(int(since[:4]), int(since[5:]), 2)
    usage = rate_usage(make_tables(), rolling, "any", 500, NOW_S, {}, Allowance(used, since_s=since_s))
    assert usage.free_units == {"2026-11": 100 + rolled}


@given(st.lists(st.integers(1, 70), min_size=1, max_size=8), st.integers(0, 100))
def test_steps_of_the_month_in_any_split_cost_the_same(reports: list[int], before: int) -> None:
    dear, cheap, least = (plan_service(VOICE, flat(price, 1)).rate_keys["any", "any"] for price in (9, 5, 1))
    stepped = replace(
        PAID, rate_keys={("any", "any"): dear}, steps={dear: (Step(0, dear), Step(50, cheap), Step(120, least))}
    )
    allowance, rates, total = Allowance({}, {"2026-11": before}), {}, 0
    for units in reports:
        usage = rate_usage(make_tables(), stepped, "any", units, NOW_S, rates, allowance)
        rates, allowance, total = usage.rates, allowance.after(usage), total + usage.charge_micros
    prices = [9] * 50 + [5] * 70 + [1] * 2_000
    assert total == sum(prices[before : before + sum(reports)])
    assert allowance.paid_used == {"2026-11": before + sum(reports)}


def test_a_bundle_is_bought_promised_and_used() -> None:
    tables = tables_with(plan_service(VOICE, flat(1_000, 1)), plan_service(SMS, flat(80_000, 1)))
    world = World(tables, make_account("one", "2.05"))
    world.do(BuyBundle("TALK", "shop 7"))
    assert world.account["balance_micros"] == 50_000
    [bought] = world.account["buckets"]
    assert (bought["id"], bought["left"], bought["until_s"]) == ("TALK:3", 100, NOW_S + 86_400)
    granted = world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=120, service="VOICE")))
    assert granted.answers[0].granted_units == 120
    assert world.account["reserved_micros"] == 20_000
    other = world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=120, service="VOICE"), session="s2"))
    assert other.answers[0].granted_units == 16, "a share of what the first was not promised"
    world.ask(ccr(tables, TERMINATE, 1, mscc(1, used=110, service="VOICE")))
    assert world.account["balance_micros"] == 40_000
    assert world.account["buckets"][0]["left"] == 0
    assert world.usage[-1]["bundle_units"] == 100
    assert check_account(world.account, world.postings["acc1"]) == []


@pytest.mark.parametrize(
    ("command", "changes", "text"),
    [
        (BuyBundle("NONE"), {}, "bundle: 'NONE'; expected one of FREE-SMS, TALK"),
        (
            BuyBundle("TALK"),
            {"balance_micros": 1_999_999},
            "price: 2.00 EUR; expected no more than the 1.999999 available",
        ),
        (BuyBundle("TALK"), {"currency": "GBP"}, "bundle: TALK is sold in EUR; expected GBP"),
        (BuyBundle("TALK"), {"state": "suspended"}, "state: suspended; a bundle needs an active subscriber"),
        (BuyBundle("TALK"), {"buckets": [bucket(str(one), 1) for one in range(50)]}, "buckets: 50 bundles already"),
    ],
)
def test_a_bundle_that_cant_be_bought(command: BuyBundle, changes: dict[str, object], text: str) -> None:
    account = {**make_account("one", "10"), **changes}
    with pytest.raises(LedgerError, match=text):
        apply(account, command, None, NOW_S * 1000, Rules(), tables_with(PAID))  # type: ignore[arg-type]


def test_a_bundle_to_the_end_of_the_month_of_one_zone() -> None:
    tables = replace(tables_with(plan_service(SMS, flat(80_000, 1))), prefixes={"49": "home"}, longest_prefix=2)
    world = World(tables, make_account("one", "1"))
    world.do(BuyBundle("FREE-SMS"))
    assert world.account["buckets"][0]["until_s"] == utc(2026, 11, 30, 23)
    asked = world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=5, service="SMS"), called="4915"))
    assert world.account["reserved_micros"] == 160_000
    assert asked.answers[0].granted_units == 5


def test_units_nobody_used_are_posted_away_when_the_bucket_goes() -> None:
    tables = tables_with(PAID)
    world = World(tables, make_account("one", "10"))
    world.do(BuyBundle("TALK"))
    world.now_s += 86_400 + LATE_S + 900
    world.do(BuyBundle("TALK"))
    assert [one["id"] for one in world.account["buckets"]] == ["TALK:6"]
    assert check_account(world.account, world.postings["acc1"]) == []
    world.account["buckets"][0]["left"] -= 1
    assert check_account(world.account, world.postings["acc1"]) == ["buckets[TALK:6]: 99 left; the postings sum to 100"]


def test_a_blocked_zone_is_denied() -> None:
    tables = replace(make_tables(plan("one", PAID), prefixes={"88": "fraud"}), blocked=frozenset(["fraud"]))
    world = World(tables, make_account("one", "10"))
    outcome = world.ask(ccr(tables, INITIAL, 0, mscc(1, service="VOICE"), called="8812"))
    assert outcome.answers[0].result == Result.END_USER_SERVICE_DENIED
    outcome = world.ask(ccr(tables, UPDATE, 1, mscc(1, used=5, service="VOICE"), called="8812"))
    assert world.account["balance_micros"] == 10_000_000


def test_data_of_a_bundle_says_when_it_ends() -> None:
    bundle = Bundle("MB", "", "EUR", 0, ("DATA",), (), 5 * MB, 3600, 1)
    tables = tables_with(plan_service(DATA, flat(20_000, MB)), bundles=(bundle,))
    world = World(tables, make_account("one", "10"))
    world.now_s += 60
    world.do(BuyBundle("MB"))
    outcome = world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=MB)), now_s=world.now_s + 900)
    assert outcome.answers[0].change_s == NOW_S + 3600 + 900
