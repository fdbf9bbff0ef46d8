"""Subscribers that share an account: one balance, free units and bundles together, limits and states of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import (
    EVENT,
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
)
from core_world import World
from mubss.core.errors import LedgerError
from mubss.core.identity import session_hash
from mubss.core.ledger import check_account
from mubss.core.members import MAX_MEMBERS
from mubss.core.model import Action, AddMember, BuyBundle, ChargeSuspense, EndSession, Movement, Result, SetState
from mubss.core.outbox import DROPPED, take
from mubss.core.tariff import Bundle, Tables

TALK = Bundle("TALK", "", "EUR", 0, ("VOICE",), (), 50, 86_400, 100)
FIRST, SECOND, THIRD = "acc1", "kid1", "kid2"  # subscribers, and so their numbers


def tables_with(free_units: int = 100, member_limit: int = 60) -> Tables:
    """Calls at 0.001 a second, some of them free, and a bundle."""
    service = replace(plan_service(VOICE, flat(1_000, 1), free_units=free_units), member_limit=member_limit)
    return replace(make_tables(plan("one", service)), bundles={"TALK": TALK})


def family(tables: Tables | None = None, balance: str = "10.00") -> World:
    """An account of three."""
    world = World(tables or tables_with(), make_account("one", balance))
    for one in (SECOND, THIRD):
        world.do(AddMember(one, [f"e164:{one}"]))
    return world


def call(world: World, who: str, kind: Any, number: int, used: int | None = None, asks: int | None = None) -> Any:
    """One CCR of a member's session; the session is named by who calls."""
    command = ccr(world.tables, kind, number, mscc(1, used, asks, service="VOICE"), session=who)
    command.identities = [f"e164:{who}"]
    return world.ask(command)


def sms(world: World, who: str, name: str, **more: Any) -> Any:
    """An event of a member."""
    command = event(world.tables, mscc(1, service="VOICE", **more.pop("units")), session=name, **more)
    command.identities = [f"e164:{who}"]
    return world.ask(command)


def drawn(world: World) -> dict[str, int]:
    """What each drew in November."""
    return {key.partition("/")[0]: units for key, units in world.account.get("drawn", {}).get("2026-11", {}).items()}


def test_an_account_of_one_counts_and_limits_nothing() -> None:
    world = World(tables_with(), make_account("one"))
    call(world, FIRST, INITIAL, 0)
    call(world, FIRST, TERMINATE, 1, used=100)
    assert world.account["balance_micros"] == 10_000_000
    assert not {"members", "drawn", "member_states"} & world.account.keys()


def test_each_draws_up_to_the_limit_and_then_pays() -> None:
    world = family()
    for who, units, micros in ((SECOND, 90, 30_000), (FIRST, 50, 40_000), (THIRD, 10, 50_000)):
        call(world, who, INITIAL, 0)
        call(world, who, TERMINATE, 1, used=units)
        assert 10_000_000 - world.account["balance_micros"] == micros
    assert drawn(world) == {SECOND: 60, FIRST: 40}
    assert world.account["counters"] == {"2026-11": {"VOICE": 100}}
    assert [record.get("member") for record in world.usage] == [SECOND, FIRST, THIRD]


def test_bundles_count_as_well() -> None:
    world = family(tables_with(free_units=20))
    world.do(BuyBundle("TALK"))
    call(world, SECOND, INITIAL, 0)
    call(world, SECOND, TERMINATE, 1, used=65)
    assert drawn(world) == {SECOND: 60}
    assert world.account["buckets"][0]["left"] == 10
    assert world.account["balance_micros"] == 10_000_000 - 5_000


def test_a_grant_promises_no_more_than_the_limit() -> None:
    world = family(balance="0.005")
    assert call(world, SECOND, INITIAL, 0, asks=500).answers[0].granted_units == 65
    assert world.account["reserved_micros"] == 5_000
    other = ccr(world.tables, INITIAL, 0, mscc(1, asks=10, service="VOICE"), session="kid1, again")
    other.identities = [f"e164:{SECOND}"]
    assert world.ask(other).answers[0].result == Result.CREDIT_LIMIT_REACHED, "his share is promised"
    assert call(world, FIRST, INITIAL, 0, asks=500).answers[0].granted_units == 40


def test_the_next_month_is_another_one() -> None:
    world = family()
    call(world, SECOND, INITIAL, 0)
    call(world, SECOND, TERMINATE, 1, used=60)
    world.now_s += 20 * 86_400
    assert sms(world, SECOND, "e1", units={"used": 60}).result == Result.SUCCESS
    assert world.account["balance_micros"] == 10_000_000
    assert world.account["drawn"] == {"2026-11": {"kid1/VOICE": 60}, "2026-12": {"kid1/VOICE": 60}}


def test_nobody_gives_back_what_another_drew() -> None:
    world = family()
    sms(world, SECOND, "e1", units={"used": 30})
    sms(world, FIRST, "e2", units={"used": 10})
    sms(world, FIRST, "e3", units={"asks": 15}, action=Action.REFUND_ACCOUNT)
    assert drawn(world) == {SECOND: 30, FIRST: 0}
    assert world.account["balance_micros"] == 10_005_000


def test_reports_from_suspense_are_those_of_who_is_named() -> None:
    world = family()
    command = ccr(world.tables, UPDATE, 5, mscc(1, used=70, service="VOICE"), session="lost")
    command.identities = [f"e164:{THIRD}"]
    world.ask(command)
    [entry] = world.suspense.values()
    world.do(ChargeSuspense(session_hash("lost"), [entry]))
    assert drawn(world) == {THIRD: 60}
    assert world.usage[-1]["member"] == THIRD


def test_a_session_from_before_is_the_first_subscribers() -> None:
    world = World(tables_with(), make_account("one"))
    call(world, FIRST, INITIAL, 0)
    world.do(AddMember(SECOND, [f"e164:{SECOND}"]))
    call(world, FIRST, UPDATE, 1, used=70)
    assert drawn(world) == {FIRST: 60}


def test_one_alone_is_suspended() -> None:
    world = family()
    for who in (FIRST, SECOND):
        call(world, who, INITIAL, 0)
    world.do(SetState("suspended", member=SECOND))
    [told] = world.outbox.values()
    assert (told["kind"], told["session_id"]) == ("abort", SECOND)
    assert call(world, SECOND, UPDATE, 1, used=10).result == Result.END_USER_SERVICE_DENIED
    assert sms(world, SECOND, "e1", units={"asks": 1}).result == Result.END_USER_SERVICE_DENIED
    assert call(world, FIRST, UPDATE, 1, used=10).result == Result.SUCCESS
    assert take(told, world.account, NOW_S * 1000, 5_000, 7)[1], "its client is asked to end it"
    world.do(SetState("active", member=SECOND))
    assert take(told, world.account, NOW_S * 1000, 5_000, 7)[0]["state"] == DROPPED
    assert call(world, SECOND, UPDATE, 2, used=10).result == Result.SUCCESS
    world.do(SetState("suspended"))
    assert call(world, SECOND, UPDATE, 3, used=10).result == Result.END_USER_SERVICE_DENIED, "the account is"


@pytest.mark.parametrize(
    ("before", "command", "text"),
    [
        ([], SetState("suspended", member="stranger"), "member: 'stranger'; expected a further subscriber"),
        ([], SetState("suspended", member=FIRST), "member: 'acc1'; expected a further subscriber"),
        ([], SetState("asleep", member=SECOND), "state: 'asleep'; expected one of active, "),
        ([SetState("terminated", member=SECOND)], SetState("active", member=SECOND), "state: terminated; "),
        ([SetState("terminated")], AddMember("kid3", ["e164:kid3"]), "state: terminated; expected an account"),
        (
            [AddMember(f"kid{n}", [f"e164:kid{n}"]) for n in range(3, MAX_MEMBERS)],
            AddMember("kid99", ["e164:kid99"]),
            "account: 50 subscribers already",
        ),
    ],
)
def test_what_is_refused(before: list[Any], command: Any, text: str) -> None:
    world = family()
    for one in before:
        world.do(one)
    with pytest.raises(LedgerError, match=text):
        world.do(command)


def test_a_planted_fault_is_found() -> None:
    world = family()
    sms(world, SECOND, "e1", units={"used": 30})
    world.account["drawn"]["2026-11"]["kid1/VOICE"] = 29
    assert check_account(world.account, world.postings["acc1"]) == [
        "drawn.2026-11.kid1/VOICE: 29; the postings drew 30"
    ]


ACTS = st.lists(
    st.tuples(
        st.sampled_from([FIRST, SECOND, THIRD]),
        st.sampled_from(["use", "use", "use", "use", "end", "event", "refund", "buy", "expire", "suspend", "topup"]),
        st.integers(0, 90),
        st.sampled_from([0, 10, 60, 86_400, 12 * 86_400]),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(ACTS, st.sampled_from([0, 1, 40, 100]), st.sampled_from([0, 30, 60, 1_000]), st.sampled_from(["0.02", "10"]))
def test_what_members_drew_is_what_the_account_drew(
    acts: list[tuple[str, str, int, int]], free_units: int, limit: int, balance: str
) -> None:
    """None above the limit, whatever they do; the world proves the postings and the reservations at each step."""
    world = family(tables_with(free_units, limit), balance)
    numbers: dict[str, int] = {}
    for place, (who, act, units, after_s) in enumerate(acts):
        world.now_s += after_s
        if act in ("use", "end"):
            numbers[who] = number = numbers.get(who, -1) + 1
            kind = INITIAL if session_hash(who) not in world.account["sessions"] else UPDATE
            kind = TERMINATE if act == "end" and kind is UPDATE else kind
            call(world, who, kind, number, used=None if kind is INITIAL else units, asks=units)
        elif act in ("event", "refund"):
            action = Action.REFUND_ACCOUNT if act == "refund" else Action.DIRECT_DEBITING
            sms(world, who, f"{EVENT} {place}", units={"used": units, "asks": units}, action=action)
        elif act == "buy":
            world.do(BuyBundle("TALK"))
        elif act == "topup":
            world.do(Movement("topup", 10_000))
        elif act == "expire":
            world.do(EndSession(session_hash(who), only_if_expired=False))
        elif who != FIRST:
            world.do(SetState("suspended" if units % 2 else "active", member=who))
    shares = world.account.get("drawn", {})
    assert not limit or all(0 <= units <= limit for month in shares.values() for units in month.values())
    free: dict[str, int] = {}
    of_bundles: dict[str, int] = {}
    for posting in world.postings["acc1"]:
        if posting.get("free_units"):
            free[posting["month"]] = free.get(posting["month"], 0) + posting["free_units"]
        if posting.get("units", 0) < 0 and "service" in posting:
            month = world.tables.calendar.at(posting["at_ms"] // 1000).month
            of_bundles[month] = of_bundles.get(month, 0) - posting["units"]
    total = sum(units for month in shares.values() for units in month.values())
    if len(shares) < 3:  # else older months may be forgotten
        assert total == sum(free.values()) + sum(of_bundles.values())
