"""Bundles that renew: bought again when their time is over, once each period, until they can't be or are stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import (
    INITIAL,
    NOW_S,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    event,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)
from core_world import World
from mubss.core.bundles import MAX_BUCKETS
from mubss.core.errors import LedgerError
from mubss.core.ledger import apply, check_account
from mubss.core.model import Action, BuyBundle, Movement, Rules, SetState, StopBundle
from mubss.core.tariff import Bundle, Tables

DAY_S = 86_400
DAILY = Bundle("DAILY", "", "EUR", 2_000_000, ("VOICE",), (), 100, DAY_S, 100, renews=True)
MONTHLY = Bundle("MONTHLY", "", "EUR", 2_000_000, ("VOICE",), (), 100, 0, 100, renews=True)
ONCE = Bundle("ONCE", "", "EUR", 1_000_000, ("VOICE",), (), 100, DAY_S, 100)


def tables_with(*bundles: Bundle) -> Tables:
    """Calls at 0.001 a second, and bundles."""
    tables = make_tables(plan("one", plan_service(VOICE, flat(1_000, 1))))
    return replace(tables, bundles={bundle.code: bundle for bundle in bundles})


TABLES = tables_with(DAILY, MONTHLY, ONCE)


def a_world(bundle: str = "DAILY", balance: str = "10.00", **fields: Any) -> World:
    """An account that bought a bundle at NOW_S."""
    world = World(TABLES, {**make_account("one", balance), **fields})  # type: ignore[typeddict-item]
    world.do(BuyBundle(bundle))
    return world


def touch(world: World, now_s: int, session: str = "touch") -> None:
    """An access that itself moves nothing."""
    request = event(world.tables, mscc(asks=1, service="VOICE"), action=Action.CHECK_BALANCE, session=session)
    world.ask(request, now_s=now_s)


def spans(world: World) -> list[tuple[int, int, int, bool]]:
    """Buckets as (from, until, left, renews), in the order of time."""
    return sorted(
        (one["from_s"], one["until_s"], one["left"], one.get("renews", False)) for one in world.account["buckets"]
    )


def causes(world: World) -> list[str]:
    """What the postings say, the opening balance's left out."""
    return [
        " ".join(str(posting["cause"].get(name, "")) for name in ("kind", "bundle", "reference")).strip()
        for posting in world.postings["acc1"][1:]
    ]


def test_it_is_bought_again_when_its_time_is_over() -> None:
    world = a_world()
    end_s = NOW_S + DAY_S
    touch(world, end_s - 1)
    assert spans(world) == [(NOW_S, end_s, 100, True)]
    touch(world, end_s)
    assert spans(world) == [(NOW_S, end_s, 100, False), (end_s, end_s + DAY_S, 100, True)]
    assert world.account["balance_micros"] == 6_000_000
    assert causes(world) == ["bundle DAILY"] * 2 + ["renewal DAILY"] * 2
    touch(world, end_s + 5)
    assert len(world.postings["acc1"]) == 5, "once each period"


@pytest.mark.parametrize(
    ("bundle", "now_s", "from_s", "until_s"),
    [
        ("DAILY", NOW_S + 3 * DAY_S + 7, NOW_S + 3 * DAY_S, NOW_S + 4 * DAY_S),
        ("DAILY", NOW_S + 30 * DAY_S - 1, NOW_S + 29 * DAY_S, NOW_S + 30 * DAY_S),
        ("MONTHLY", utc(2026, 11, 30, 23), utc(2026, 11, 30, 23), utc(2026, 12, 31, 23)),
        ("MONTHLY", utc(2026, 12, 24, 12), utc(2026, 11, 30, 23), utc(2026, 12, 31, 23)),
        ("MONTHLY", utc(2027, 4, 9, 5), utc(2027, 3, 31, 22), utc(2027, 4, 30, 22)),  # summer time
    ],
)
def test_only_the_present_period_is_bought(bundle: str, now_s: int, from_s: int, until_s: int) -> None:
    world = a_world(bundle)
    touch(world, now_s)
    assert spans(world)[-1] == (from_s, until_s, 100, True)
    assert world.account["balance_micros"] == 6_000_000, "paid for the first and the present one"


def test_a_call_over_the_end_draws_on_both_in_any_split() -> None:
    for steps in ([120], [60, 60], [30, 30, 1, 59]):
        world = a_world(balance="4.30")
        start_s = NOW_S + DAY_S - 60
        world.ask(ccr(TABLES, INITIAL, 0, mscc(1, service="VOICE")), now_s=start_s)
        now_s = start_s
        for number, units in enumerate(steps, 1):
            kind, now_s = TERMINATE if number == len(steps) else UPDATE, now_s + units
            world.ask(ccr(TABLES, kind, number, mscc(1, used=units, service="VOICE")), now_s=now_s)
        assert [span[2] for span in spans(world)] == [40, 40]
        assert world.account["balance_micros"] == 300_000


@pytest.mark.parametrize(
    ("change", "tables", "reason"),
    [
        (Movement("adjustment", -6_000_001), TABLES, "1.999999 available, the price is 2.00"),
        (SetState("suspended"), TABLES, "the subscriber is suspended"),
        (SetState("terminated"), TABLES, "the subscriber is terminated"),
        (None, tables_with(ONCE), "the tariff doesn't renew it any more"),
        (None, tables_with(replace(DAILY, renews=False)), "the tariff doesn't renew it any more"),
        (None, tables_with(replace(DAILY, currency="GBP")), "the tariff doesn't renew it any more"),
        (None, tables_with(replace(DAILY, price_micros=8_000_001)), "8.00 available, the price is 8.000001"),
    ],
)
def test_what_cant_be_bought_again_is_over_and_a_posting_says_why(change: Any, tables: Tables, reason: str) -> None:
    world = a_world()
    if change is not None:
        world.do(change)
    world.tables = tables
    world.do(Movement("adjustment", 20_000_000), now_s=NOW_S + DAY_S)
    assert [one for one in causes(world) if "refused" in one] == [f"renewal refused DAILY {reason}"]
    assert "renews_s" not in world.account
    touch(world, NOW_S + 9 * DAY_S)
    assert [one for one in causes(world) if "renewal" in one] == [f"renewal refused DAILY {reason}"], "for good"


def test_at_the_price_and_with_the_units_of_the_tariff_of_that_time() -> None:
    world = a_world()
    world.tables = tables_with(replace(DAILY, price_micros=3_000_000, units=70, validity_s=3_600))
    touch(world, NOW_S + DAY_S + 1)
    assert spans(world)[-1] == (NOW_S + DAY_S, NOW_S + DAY_S + 3_600, 70, True)
    assert world.account["balance_micros"] == 5_000_000


def test_who_pays_later_owes_it() -> None:
    world = a_world(balance="2.00", type="postpaid")
    touch(world, NOW_S + DAY_S)
    assert world.account["balance_micros"] == -2_000_000


def test_it_renews_before_the_command_that_comes() -> None:
    """As it would have in time: a top-up comes too late for it, a suspension doesn't keep it back."""
    poor = a_world(balance="2.00")
    poor.do(Movement("topup", 5_000_000), now_s=NOW_S + DAY_S)
    assert causes(poor)[-2:] == ["renewal refused DAILY 0.00 available, the price is 2.00", "topup"]
    late = a_world()
    late.do(SetState("suspended"), now_s=NOW_S + DAY_S)
    assert causes(late)[-1] == "renewal DAILY"


def test_stopped_it_stays_until_its_end() -> None:
    world = a_world()
    world.do(StopBundle("DAILY", "customer's wish"))
    assert spans(world) == [(NOW_S, NOW_S + DAY_S, 100, False)]
    assert causes(world)[-1] == "renewal stopped DAILY customer's wish"
    touch(world, NOW_S + DAY_S)
    assert world.account["balance_micros"] == 8_000_000
    with pytest.raises(LedgerError, match="bundle: 'DAILY'; expected one of none: no bundle of this subscriber renews"):
        world.do(StopBundle("DAILY"))


def test_bought_again_before_its_end_the_new_one_renews_in_its_place() -> None:
    world = a_world()
    world.do(BuyBundle("DAILY"), now_s=NOW_S + 3_600)
    assert [span[3] for span in spans(world)] == [False, True]
    touch(world, NOW_S + DAY_S + 3_600)
    assert world.account["balance_micros"] == 4_000_000


def test_of_several_the_one_that_ended_first_is_paid_first() -> None:
    tables = tables_with(DAILY, replace(DAILY, code="HOURLY", validity_s=3_600))
    world = World(tables, make_account("one", "6.00"))
    world.do(BuyBundle("DAILY"))
    world.do(BuyBundle("HOURLY"))
    world.do(Movement("adjustment", 1), now_s=NOW_S + 2 * DAY_S)
    assert [one for one in causes(world) if "renewal" in one][-1].startswith("renewal refused DAILY")
    assert world.account["renews_s"] == NOW_S + 2 * DAY_S + 3_600


def test_an_hour_that_renews_for_days_keeps_the_account_small() -> None:
    world = World(tables_with(replace(DAILY, validity_s=3_600, price_micros=0), ONCE), make_account("one", "1.00"))
    world.do(BuyBundle("DAILY"))
    for hour in range(1, 80):
        touch(world, NOW_S + hour * 3_600)
    assert len(world.account["buckets"]) == MAX_BUCKETS
    world.do(BuyBundle("ONCE"))
    assert len(world.account["buckets"]) == MAX_BUCKETS
    assert check_account(world.account, world.postings["acc1"]) == []


def test_a_faulty_command_renews_nothing() -> None:
    account = a_world().account
    with pytest.raises(LedgerError):
        apply(account, BuyBundle("NONE"), None, (NOW_S + DAY_S) * 1000, Rules(), TABLES)


def test_a_planted_fault_is_found() -> None:
    world = a_world()
    world.account["renews_s"] += 900
    text = f"renews_s: {NOW_S + DAY_S + 900}; the first bucket that renews ends at {NOW_S + DAY_S}"
    assert check_account(world.account, world.postings["acc1"]) == [text]


ACTS = st.lists(
    st.tuples(
        st.sampled_from([1, 3_599, 3_600, DAY_S, 3 * DAY_S, 31 * DAY_S]),
        st.sampled_from(["touch", "touch", "call", "DAILY", "MONTHLY", "ONCE", "topup", "stop", "suspend", "activate"]),
    ),
    max_size=25,
)


@given(ACTS, st.sampled_from(["prepaid", "postpaid"]))
def test_whatever_happens_each_period_is_bought_once(acts: list[tuple[int, str]], kind: str) -> None:
    """The world proves the ledger at each step; here: of one bundle, renewed periods never overlap."""
    world, now_s = World(TABLES, {**make_account("one", "20.00"), "type": kind}), NOW_S  # type: ignore[typeddict-item]
    commands: dict[str, Any] = {
        "topup": Movement("topup", 3_000_000),
        "stop": StopBundle("DAILY"),
        "suspend": SetState("suspended"),
        "activate": SetState("active"),
    }
    for number, (after_s, act) in enumerate(acts):
        now_s += after_s
        try:
            if act in TABLES.bundles:
                world.do(BuyBundle(act), now_s=now_s)
            elif act == "call":
                world.ask(event(TABLES, mscc(used=30, service="VOICE"), session=f"e{number}"), now_s=now_s)
            elif act == "touch":
                touch(world, now_s, f"e{number}")
            else:
                world.do(commands[act], now_s=now_s)
        except LedgerError:
            continue
        buckets = world.account.get("buckets", [])
        assert all(one["until_s"] > now_s for one in buckets if one.get("renews"))
        renewed = {one["bucket"] for one in world.postings["acc1"] if one["cause"]["kind"] == "renewal"}
        for code in TABLES.bundles:
            spans = sorted(
                (one["from_s"], one["until_s"]) for one in buckets if one["id"] in renewed and code in one["id"]
            )
            assert all(first[1] <= second[0] for first, second in pairwise(spans))
            assert sum(bool(one.get("renews")) for one in buckets if one["id"].startswith(code)) <= 1


def test_what_is_reserved_doesnt_pay_for_it() -> None:
    world = a_world(balance="4.01")
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, service="VOICE")), now_s=NOW_S + DAY_S - 60)
    assert world.account["reserved_micros"] == 200_000
    touch(world, NOW_S + DAY_S)
    assert causes(world)[-1] == "renewal refused DAILY 1.81 available, the price is 2.00"
    assert world.account["balance_micros"] == 2_010_000
