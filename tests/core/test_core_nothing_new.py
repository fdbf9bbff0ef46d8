"""What is asked with `may_begin` false, as once a licence is over: open sessions go on and end, nothing new begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core_builders import INITIAL, MB, NOW_S, TERMINATE, UPDATE, ccr, demo_tables, event, make_account, mscc
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.model import Action, CreditControl, Result

DEMO = demo_tables()
FIRST = ccr(DEMO, INITIAL, 0, mscc(1, asks=MB))


def late(command: CreditControl) -> CreditControl:
    return replace(command, may_begin=False)


@pytest.fixture
def world() -> World:
    return World(DEMO, make_account())


def test_a_session_that_is_open_gets_quota_and_ends(world: World) -> None:
    first = world.ask(FIRST)
    assert world.ask(late(FIRST)) == first, "its repeat is answered as it was"
    more = world.ask(late(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=MB))), now_s=NOW_S + 60)
    assert (more.result, more.answers[0].granted_units) == (Result.SUCCESS, MB)
    last = world.ask(late(ccr(DEMO, TERMINATE, 2, mscc(1, used=MB))), now_s=NOW_S + 120)
    assert (last.result, world.account["balance_micros"]) == (Result.SUCCESS, 10_000_000 - 40_000)


@pytest.mark.parametrize("opens_unknown", [False, True])
def test_a_session_that_is_none_yet_is_refused(world: World, opens_unknown: bool) -> None:
    for command in (FIRST, ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=MB), session="s2", opens_unknown=opens_unknown)):
        applied = world.do(late(command))
        is_unknown = command is not FIRST and not opens_unknown
        assert applied.outcome is not None and applied.account is None
        assert applied.outcome.result == (Result.UNKNOWN_SESSION_ID if is_unknown else Result.END_USER_SERVICE_DENIED)
    assert [entry["units"] for entry in world.suspense.values()] == [MB], "what was used is kept for the operator"


def test_the_end_of_a_session_that_another_opened_is_charged(world: World) -> None:
    last = world.ask(late(ccr(DEMO, TERMINATE, 1, mscc(1, used=MB), opens_unknown=True)))
    assert (last.result, world.account["balance_micros"]) == (Result.SUCCESS, 10_000_000 - 20_000)
    assert not world.records[session_hash("s1")]["open"]


@pytest.mark.parametrize(
    ("action", "result"),
    [
        (Action.DIRECT_DEBITING, Result.END_USER_SERVICE_DENIED),
        (Action.CHECK_BALANCE, Result.SUCCESS),
        (Action.PRICE_ENQUIRY, Result.SUCCESS),
    ],
)
def test_events(world: World, action: Action, result: Result) -> None:
    assert world.ask(late(event(DEMO, mscc(asks=1, service="SMS"), action=action))).result == result


def test_an_event_that_was_charged_is_answered_again_and_may_be_refunded(world: World) -> None:
    debit = event(DEMO, mscc(asks=1, service="SMS"))
    first = world.ask(debit)
    assert first.result == Result.SUCCESS and world.ask(late(debit)) == first
    refund = event(DEMO, mscc(asks=1, service="SMS"), action=Action.REFUND_ACCOUNT)
    back = replace(refund, session_id="s2", session_hash=session_hash("s2"))
    assert world.ask(late(back)).result == Result.SUCCESS
    assert world.account["balance_micros"] == 10_000_000
