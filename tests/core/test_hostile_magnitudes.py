"""Numbers no honest client sends: bounded time, documents of 64-bit integers, nothing lost."""

from __future__ import annotations

import pytest

from core_builders import (
    INITIAL,
    MB,
    NOW_S,
    PEAK,
    SMS,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    demo_tables,
    event,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.model import Action, Result, Rules
from mubss.core.money import MAX_MICROS
from mubss.core.rater import MAX_AHEAD_S, MAX_UNITS

DEMO = demo_tables()
BANDED = make_tables(
    plan(
        "banded",
        plan_service(VOICE, ("any", "peak", 90_000, 60, 0, 0), ("any", "any", 30_000, 60, 0, 0), free_units=600),
        plan_service(SMS, flat(0, 1)),
    ),
    bands=(PEAK,),
)
ABSURD = [MAX_UNITS + 1, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.conforms("Rule 7", "an absurd report goes to suspense")
@pytest.mark.parametrize("units", ABSURD)
@pytest.mark.parametrize("service", ["DATA", "VOICE", "SMS"])
def test_an_absurd_report_goes_to_suspense_and_the_session_goes_on(service: str, units: int) -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, service=service)))
    outcome = world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=units, service=service)))
    assert (outcome.result, outcome.answers[0].result) == (Result.SUCCESS, Result.INVALID_AVP_VALUE)
    assert world.account["balance_micros"] == 10_000_000
    assert [entry["units"] for entry in world.suspense.values()] == [min(units, 2**63 - 1)]
    assert world.ask(ccr(DEMO, UPDATE, 2, mscc(1, asks=1, service=service))).answers[0].granted_units == 1
    assert world.ask(ccr(DEMO, TERMINATE, 3, mscc(1, used=units, service=service))).result == Result.SUCCESS
    assert len(world.suspense) == 2


@pytest.mark.conforms("Rule 6", "an absurd request gets what the server decides")
@pytest.mark.parametrize("requested", [0, -1, *ABSURD])
def test_an_absurd_request_gets_what_the_server_decides(requested: int) -> None:
    world = World(DEMO, make_account(balance="100"))
    granted = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=requested))).answers[0].granted_units
    assert granted == (100 * MB if requested > 0 else 10 * MB)


def test_seconds_that_lie_far_ahead_take_no_time_to_refuse() -> None:
    """Each quarter of an hour of them would be looked at: 2^50 s are 10^12 quarters, past the year 9999."""
    world = World(BANDED, make_account("banded"))
    world.ask(ccr(BANDED, INITIAL, 0, mscc(service="VOICE")))
    most = world.ask(ccr(BANDED, UPDATE, 1, mscc(used=MAX_AHEAD_S, service="VOICE")))
    assert most.answers[0].result == Result.CREDIT_LIMIT_REACHED  # charged: it ends just within the month
    assert world.account["counters"]["2026-11"]["VOICE"] == 600
    for number in range(2, 5):  # the meter stands a month ahead now: nothing more fits
        more = world.ask(ccr(BANDED, UPDATE, number, mscc(used=1, service="VOICE")))
        assert more.answers[0].result == Result.INVALID_AVP_VALUE
    later = world.ask(ccr(BANDED, UPDATE, 5, mscc(used=60, service="VOICE")), now_s=NOW_S + 60)
    assert later.answers[0].result == Result.CREDIT_LIMIT_REACHED


def test_free_units_of_this_month_outlast_usage_that_lies_ahead() -> None:
    world = World(BANDED, make_account("banded", "0", credit="100000"))
    for month in ("2026-08", "2026-09", "2026-10"):
        world.account["counters"][month] = {"SMS": 0}
    world.ask(ccr(BANDED, INITIAL, 0, mscc(service="VOICE")))
    world.ask(ccr(BANDED, UPDATE, 1, mscc(used=MAX_AHEAD_S, service="VOICE")))  # into December
    assert world.account["counters"]["2026-11"]["VOICE"] == 600
    assert list(world.account["counters"]) == ["2026-09", "2026-10", "2026-11", "2026-12"]


def test_no_usage_takes_the_balance_beyond_what_an_account_can_hold() -> None:
    world = World(DEMO, make_account(balance="0"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(service="SMS")))
    units = MAX_MICROS // 80_000
    most = world.ask(ccr(DEMO, UPDATE, 1, mscc(used=units, service="SMS")))
    assert most.answers[0].result == Result.CREDIT_LIMIT_REACHED
    assert world.account["balance_micros"] == -MAX_MICROS
    over = world.ask(ccr(DEMO, UPDATE, 2, mscc(1, used=1, service="SMS"), mscc(2, used=1, service="DATA")))
    assert [answer.result for answer in over.answers] == [Result.INVALID_AVP_VALUE] * 2
    assert world.account["balance_micros"] == -MAX_MICROS
    assert [(entry["service"], entry["units"]) for entry in world.suspense.values()] == [("SMS", 1), ("DATA", 1)]


def test_two_reports_of_one_request_share_what_the_balance_can_hold() -> None:
    world = World(DEMO, make_account(balance="0"))
    half = MAX_MICROS // 80_000 // 2
    outcome = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, used=half, service="SMS"), mscc(2, used=half + 1, service="SMS")))
    assert [answer.result for answer in outcome.answers] == [Result.CREDIT_LIMIT_REACHED, Result.INVALID_AVP_VALUE]
    assert world.account["balance_micros"] == -half * 80_000


def test_units_that_cost_nothing_do_not_add_up_for_ever() -> None:
    world = World(BANDED, make_account("banded"))
    world.ask(ccr(BANDED, INITIAL, 0, mscc(service="SMS")))
    assert world.ask(ccr(BANDED, UPDATE, 1, mscc(used=MAX_UNITS, service="SMS"))).answers[0].result == Result.SUCCESS
    again = world.ask(ccr(BANDED, UPDATE, 2, mscc(used=MAX_UNITS, service="SMS")))
    assert again.answers[0].result == Result.INVALID_AVP_VALUE
    assert [entry["units"] for entry in world.suspense.values()] == [MAX_UNITS]


@pytest.mark.parametrize("units", [MAX_AHEAD_S + 1, MAX_UNITS + 1, 2**64 - 1])
@pytest.mark.parametrize("action", list(Action))
def test_absurd_events_are_refused(action: Action, units: int) -> None:
    world = World(BANDED, make_account("banded"))
    outcome = world.ask(event(BANDED, mscc(asks=units, service="VOICE"), action=action))
    assert outcome.result == Result.INVALID_AVP_VALUE
    assert world.account["balance_micros"] == 10_000_000


@pytest.mark.parametrize("micros", [-1, 0, MAX_MICROS + 1, 10**27])
@pytest.mark.parametrize("action", list(Action))
def test_absurd_money_is_refused(action: Action, micros: int) -> None:
    world = World(DEMO, make_account())
    outcome = world.ask(event(DEMO, mscc(service="SMS", money_micros=micros), action=action))
    assert outcome.result == Result.INVALID_AVP_VALUE


def test_a_price_beyond_all_money_is_refused() -> None:
    world = World(DEMO, make_account())
    asked = mscc(asks=MAX_UNITS, service="SMS")
    assert world.ask(event(DEMO, asked, action=Action.PRICE_ENQUIRY)).result == Result.INVALID_AVP_VALUE
    assert world.ask(event(DEMO, asked, action=Action.DIRECT_DEBITING)).result == Result.CREDIT_LIMIT_REACHED
    assert world.ask(event(DEMO, asked, action=Action.REFUND_ACCOUNT)).result == Result.UNABLE_TO_COMPLY
    reported = world.ask(event(DEMO, mscc(used=MAX_UNITS, service="SMS")))
    assert reported.result == Result.INVALID_AVP_VALUE
    assert [entry["units"] for entry in world.suspense.values()] == [MAX_UNITS]


def test_refunds_of_money_stop_at_what_an_account_can_hold() -> None:
    world = World(DEMO, make_account(balance="0"), rules=Rules(refund_limit_micros=MAX_MICROS))
    results = [
        world.ask(
            event(DEMO, mscc(service="SMS", money_micros=MAX_MICROS // 2), action=Action.REFUND_ACCOUNT, session=name)
        ).result
        for name in ("a", "b", "c")
    ]
    assert results == [Result.SUCCESS, Result.SUCCESS, Result.INVALID_AVP_VALUE]
    assert world.account["balance_micros"] == MAX_MICROS


def test_sessions_and_grants_of_an_account_are_bounded() -> None:
    world = World(DEMO, make_account(balance="1000"))
    opened = [world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=1), session=f"s{n}")).result for n in range(102)]
    assert opened == [Result.SUCCESS] * 100 + [Result.RESOURCES_EXCEEDED] * 2
    requests = [mscc(1, asks=1, key=f"1/{number}") for number in range(102)]
    answers = world.ask(ccr(DEMO, UPDATE, 1, *requests, session="s0")).answers
    assert [answer.result for answer in answers[98:]] == [Result.SUCCESS] + [Result.RESOURCES_EXCEEDED] * 3
    assert len(world.session(session_hash("s0"))["grants"]) == 100


def test_what_a_peer_calls_its_context_is_not_kept_for_ever() -> None:
    tables = demo_tables()
    for number in range(300):
        assert tables.service_of(f"{'x' * 10_000}{number}.32251", 1, None) == "DATA"
        assert tables.service_of("32251", 1, number) == "DATA"
    assert sum(len(context) for context, _, _ in tables._services_seen) < 10_000
