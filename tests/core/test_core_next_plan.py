"""A price plan from the next bill period on: when it is in force, what a bill makes of it, what calls it off."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_bills import OCTOBER, bill, issue, period, tables_of, use, world_of
from core_builders import (
    BERLIN,
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
from mubss.core.bill_fees import plan_and_state
from mubss.core.errors import LedgerError
from mubss.core.model import Action, Command, Movement, SetNextPlan, SetPlan, SetState
from mubss.core.next_plan import as_of, history_until, next_start, plan_at

SAMOA = ZoneInfo("Pacific/Apia")
NOVEMBER_S = OCTOBER.end_s  # 4 November in Berlin
ORDERED_S = utc(2026, 10, 14, 10)


@pytest.mark.parametrize(
    ("closing_day", "now_s", "zone", "expected"),
    [
        (3, ORDERED_S, BERLIN, utc(2026, 11, 3, 23)),  # over the end of summer time
        (3, utc(2026, 11, 3, 23) - 1, BERLIN, utc(2026, 11, 3, 23)),
        (3, utc(2026, 11, 3, 23), BERLIN, utc(2026, 12, 3, 23)),
        (28, utc(2026, 2, 28, 12), BERLIN, utc(2026, 2, 28, 23)),
        (28, utc(2027, 3, 1), BERLIN, utc(2027, 3, 28, 22)),  # a day of 23 hours ends there
        (None, ORDERED_S, BERLIN, utc(2026, 10, 31, 23)),
        (None, utc(2026, 12, 31, 22), BERLIN, utc(2026, 12, 31, 23)),
        (None, utc(2026, 12, 31, 23), BERLIN, utc(2027, 1, 31, 23)),
        (None, utc(2027, 3, 31, 21), BERLIN, utc(2027, 3, 31, 22)),
        (1, utc(2026, 12, 1, 10), SAMOA, utc(2026, 12, 1, 11)),  # 13 hours ahead
    ],
)
def test_when_the_next_period_begins(closing_day: int | None, now_s: int, zone: tzinfo, expected: int) -> None:
    assert next_start(closing_day, now_s, zone) == expected


def ordered(tables: Any = None, code: str = "large", at_s: int = ORDERED_S) -> World:
    """A postpaid subscriber of small in cycle 3, with another plan from 4 November on."""
    world = world_of(tables)
    world.do(SetNextPlan(code, 3), now_s=at_s)
    return world


def touch(world: World, now_s: int) -> None:
    """An access that itself moves nothing."""
    request = event(world.tables, mscc(asks=1, service="VOICE"), action=Action.CHECK_BALANCE, session=f"at {now_s}")
    world.do(request, now_s=now_s)


def test_it_waits_until_its_second() -> None:
    world = ordered()
    assert (world.account["plan"], world.account["next_plan"]) == ("small", "large")
    assert world.account["next_plan_from_s"] == NOVEMBER_S
    assert "history" not in world.account
    touch(world, NOVEMBER_S - 1)
    assert (world.account["plan"], plan_at(world.account, NOVEMBER_S - 1)) == ("small", "small")
    assert as_of(world.account, NOVEMBER_S - 1) == world.account
    assert plan_at(world.account, NOVEMBER_S) == "large", "though nothing is written yet"
    assert as_of(world.account, NOVEMBER_S)["plan"] == "large" and "next_plan" not in as_of(world.account, NOVEMBER_S)


@pytest.mark.parametrize("late_s", [0, 1, 40 * 86_400])
def test_the_first_command_finds_it_in_force_since_its_second(late_s: int) -> None:
    world = ordered()
    expected = history_until(world.account, NOVEMBER_S)
    touch(world, NOVEMBER_S + late_s)
    assert world.account["plan"] == "large"
    assert not {"next_plan", "next_plan_from_s"} & world.account.keys()
    assert world.account["history"] == expected == [[world.account["since_s"], *SMALL], [NOVEMBER_S, "large", "active"]]
    before = world.account
    touch(world, NOVEMBER_S + late_s + 1)
    assert world.account["history"] == before["history"], "once"


SMALL = ("small", "active")


@pytest.mark.parametrize(
    ("commands", "plans", "waits"),
    [
        ([SetNextPlan("small", 3)], ("small", "small"), ""),  # the plan in force is no change
        ([SetNextPlan("large", 3), SetNextPlan("small", 3)], ("small", "small"), ""),
        ([SetNextPlan("large", 3), SetNextPlan("third", 3)], ("small", "third"), "third"),
        ([SetNextPlan("large", 3), SetNextPlan("")], ("small", "small"), ""),
        ([SetNextPlan("large", 3), SetPlan("third")], ("third", "third"), ""),
        ([SetNextPlan("large", 3), SetPlan("small")], ("small", "small"), ""),
        ([SetNextPlan("large", 3), SetState("suspended")], ("small", "large"), "large"),
        ([SetNextPlan("large", 3), SetState("terminated")], ("small", "small"), ""),
        ([SetPlan("third"), SetNextPlan("large", 3)], ("third", "large"), "large"),
    ],
)
def test_the_last_order_counts(commands: list[Command], plans: tuple[str, str], waits: str) -> None:
    tables = tables_of()
    third = replace(tables.plans["large"], code="third")
    world = world_of(replace(tables, plans={**tables.plans, "third": third}))
    for command in commands:
        world.do(command, now_s=ORDERED_S)
    assert world.account.get("next_plan", "") == waits
    assert ("next_plan_from_s" in world.account) == bool(waits)
    assert (plan_at(world.account, NOVEMBER_S - 1), plan_at(world.account, NOVEMBER_S)) == plans
    world.do(Movement("adjustment", 1), now_s=NOVEMBER_S + 5)
    assert world.account["plan"] == plans[1]
    assert plan_and_state(world.account, NOVEMBER_S - 1)[0] == plans[0]


def test_the_same_order_again_changes_nothing() -> None:
    world = ordered()
    assert world.do(SetNextPlan("large", 3)).account is None
    assert world.do(SetNextPlan("large")).account is not None, "from another day on"
    assert world.account["next_plan_from_s"] == utc(2026, 10, 31, 23)


@pytest.mark.parametrize(
    ("before", "command", "text"),
    [
        (None, SetNextPlan("nope", 3), "plan: 'nope'; expected one of large, "),
        (None, SetNextPlan("x" * 5_000, 3), f"plan: '{'x' * 40}'; expected one of"),
        (None, SetNextPlan("paid", 3), "plan: paid is prepaid in EUR; expected postpaid in EUR"),
        (None, SetNextPlan(""), "next_plan: none; expected one that waits"),
        (SetState("terminated"), SetNextPlan("large", 3), "state: terminated; a terminated subscriber has no other"),
        (SetState("terminated"), SetNextPlan(""), "next_plan: none; expected one that waits"),
    ],
)
def test_what_is_refused(before: Command | None, command: Command, text: str) -> None:
    tables = tables_of()
    world = world_of(replace(tables, plans={**tables.plans, "paid": plan("paid", plan_service(VOICE, flat(1, 1)))}))
    if before is not None:
        world.do(before)
    with pytest.raises(LedgerError, match="^" + text.replace("(", r"\(")):
        world.do(command)
    assert "next_plan" not in world.account


def test_a_command_that_is_refused_leaves_it_to_the_next_one() -> None:
    world = ordered()
    with pytest.raises(LedgerError):
        world.do(Movement("topup", -1), now_s=NOVEMBER_S + 1)
    assert world.account["plan"] == "small"
    assert world.do(SetPlan("large"), now_s=NOVEMBER_S + 2).account is not None
    assert world.account["history"][-1] == [NOVEMBER_S, "large", "active"]


# ── bills ──────────────────────────────────────────────────────────────────────────────────────────


def fees(doc: dict[str, Any]) -> list[tuple[Any, ...]]:
    kinds = ("fee", "fee_correction")
    return [(one["code"], one["days"], one["amount"]) for one in doc["lines"] if one["kind"] in kinds]


@pytest.mark.parametrize(
    ("timing", "first", "second"),
    [
        ("arrears", [("small", 31, 3_000)], [("large", 30, 6_000)]),
        ("advance", [("small", 31, 3_000), ("large", 30, 6_000)], [("large", 31, 6_000)]),
    ],
)
@pytest.mark.parametrize("touched", [False, True])
def test_the_bills_of_both_periods(
    timing: str, first: list[tuple[Any, ...]], second: list[tuple[Any, ...]], touched: bool
) -> None:
    world = ordered(tables_of(fee_timing=timing))
    if touched:
        touch(world, NOVEMBER_S)
    doc = issue(world)
    assert (fees(doc), doc["plan"]) == (first, "small")
    assert world.account["plan"] == "large", "a bill is a command like others"
    doc = issue(world, period("2026-12"))
    assert (fees(doc), doc["plan"]) == (second, "large")


def test_without_a_bill_cycle_of_its_own_a_month_may_turn_within_a_bill_period() -> None:
    world = world_of()
    world.do(SetNextPlan("large"), now_s=ORDERED_S)
    assert fees(bill(world).doc) == [("small", 28, 2_710), ("large", 3, 581)]  # 1 to 3 November


def test_records_are_priced_by_the_plan_in_force_when_they_are_loaded() -> None:
    tables = tables_of()
    dear = replace(tables.plans["large"], services=tables_of(call=180_000).plans["large"].services)
    world = ordered(replace(tables, plans={**tables.plans, "large": dear}))
    use(world, 1, NOVEMBER_S - 600, now_s=NOVEMBER_S - 1)
    use(world, 2, NOVEMBER_S - 600, now_s=NOVEMBER_S + 1)
    use(world, 3, NOVEMBER_S + 600, now_s=NOVEMBER_S + 700)
    assert [(one["plan"], one["charge_micros"]) for one in world.usage] == [
        ("small", 90_000),
        ("large", 180_000),
        ("large", 180_000),
    ]


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────

TABLES = make_tables(
    plan("cheap", plan_service(VOICE, flat(1_000, 1)), credit_limit_micros=0),
    plan("dear", plan_service(VOICE, flat(3_000, 1)), credit_limit_micros=5_000_000),
)
DECEMBER_S = utc(2026, 11, 30, 23)


def test_a_session_open_over_the_second() -> None:
    """What is reported before is at the old prices, what is reported from then on at the new ones."""
    world = World(TABLES, make_account("cheap", "10.00"))
    world.do(SetNextPlan("dear"))
    start_s = DECEMBER_S - 120
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, service="VOICE")), now_s=start_s)
    world.ask(ccr(TABLES, UPDATE, 1, mscc(1, used=60, service="VOICE")), now_s=start_s + 60)
    assert world.account["balance_micros"] == 10_000_000 - 60_000
    applied = world.do(ccr(TABLES, UPDATE, 2, mscc(1, used=120, service="VOICE")), now_s=start_s + 180)
    assert world.account["balance_micros"] == 10_000_000 - 60_000 - 360_000
    assert world.account["credit_limit_micros"] == 5_000_000
    assert [(entry["kind"], entry["cause"]) for entry in applied.outbox] == [("reauth", "plan")]
    world.ask(ccr(TABLES, TERMINATE, 3, mscc(1, used=10, service="VOICE")), now_s=start_s + 190)
    assert [(one["plan"], one["from_s"], one["until_s"], one["units"]) for one in world.usage] == [
        ("cheap", start_s, DECEMBER_S, 60),
        ("dear", DECEMBER_S, start_s + 190, 130),
    ]


def test_a_limit_that_an_operator_set_stays() -> None:
    world = World(TABLES, {**make_account("cheap", "10.00"), "credit_limit_micros": 7})
    world.do(SetNextPlan("dear"))
    touch(world, DECEMBER_S)
    assert (world.account["plan"], world.account["credit_limit_micros"]) == ("dear", 7)


def test_a_plan_that_a_damaged_store_no_longer_has_is_taken_all_the_same() -> None:
    world = World(TABLES, make_account("cheap", "10.00"))
    world.do(SetNextPlan("dear"))
    world.tables = replace(TABLES, plans={"cheap": TABLES.plans["cheap"]})
    touch(world, DECEMBER_S)
    assert (world.account["plan"], world.account["credit_limit_micros"]) == ("dear", 0)


MONTH_S = 31 * 86_400


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4 * MONTH_S),
            st.sampled_from(
                [
                    SetNextPlan("large", 3),
                    SetNextPlan("small", 3),
                    SetNextPlan("large"),
                    SetPlan("large"),
                    SetPlan("small"),
                    SetState("suspended"),
                    SetState("active"),
                ]
            ),
        ),
        max_size=6,
    ),
    st.lists(st.integers(0, 5 * MONTH_S), max_size=6),
)
def test_whatever_touches_the_account_meanwhile_its_history_is_the_same(
    orders: list[tuple[int, Command]], touches: list[int]
) -> None:
    quiet, busy = world_of(), world_of()
    moments: list[tuple[int, Command | None]] = [*orders, *((after_s, None) for after_s in touches)]
    for after_s, command in sorted(moments, key=lambda one: one[0]):
        now_s = NOW_S + after_s
        if command is None:
            busy.do(Movement("adjustment", 1), now_s=now_s)
            continue
        quiet.do(command, now_s=now_s)
        busy.do(command, now_s=now_s)
    end_s = NOW_S + 6 * MONTH_S
    assert history_until(quiet.account, end_s) == history_until(busy.account, end_s)
    assert plan_at(quiet.account, end_s) == plan_at(busy.account, end_s)
    times = [entry[0] for entry in history_until(quiet.account, end_s)]
    assert times == sorted(times)
