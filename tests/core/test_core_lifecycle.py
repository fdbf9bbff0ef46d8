"""Subscribers and sessions through their lives: suspension, termination, abandoned sessions, days that turn."""

from __future__ import annotations

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    TERMINATE,
    UPDATE,
    ccr,
    demo_tables,
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
from mubss.core.errors import LedgerError
from mubss.core.identity import session_hash
from mubss.core.model import Action, EndSession, Movement, Result, Rules, SetState

DEMO = demo_tables()
S1, S2 = session_hash("s1"), session_hash("s2")
DENIED = Result.END_USER_SERVICE_DENIED


@pytest.mark.conforms("RFC 8506 §9.1", "4010 for who is suspended")
@pytest.mark.parametrize("state", ["suspended", "barred", "terminated"])
def test_a_suspended_account_gets_no_session_and_no_event(state: str) -> None:
    world = World(DEMO, make_account(state=state))
    first = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, used=5, asks=MB)))
    assert (first.result, first.answers) == (DENIED, [])
    assert [(entry["units"], entry["reason"]) for entry in world.suspense.values()] == [(5, "END_USER_SERVICE_DENIED")]
    for action in Action:
        assert world.ask(event(DEMO, mscc(asks=1, service="SMS"), action=action)).result == DENIED
    assert world.account == make_account(state=state)


def test_an_account_suspended_within_a_session_pays_for_what_it_used() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.do(SetState("suspended", "lost phone"))
    update = world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=2 * MB, asks=5 * MB)))
    assert (update.result, update.answers[0].result, update.answers[0].granted_units) == (DENIED, DENIED, None)
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (9_960_000, 0)
    assert world.account["sessions"]
    last = world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=MB)))
    assert last.result == Result.SUCCESS
    assert world.account["balance_micros"] == 9_940_000


def test_a_session_goes_on_when_its_account_is_reactivated() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.do(SetState("suspended"))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB)))
    world.do(SetState("active"))
    assert world.ask(ccr(DEMO, UPDATE, 2, mscc(1, asks=MB))).answers[0].granted_units == MB


def test_sessions_of_a_terminated_account_are_charged_to_their_end() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB), session="s2"))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=3 * MB, asks=MB)))
    world.do(SetState("terminated", "left"))
    assert world.account["state"] == "terminated"
    denied = world.ask(ccr(DEMO, UPDATE, 2, mscc(1, used=MB, asks=MB)))
    assert denied.result == Result.END_USER_SERVICE_DENIED and denied.answers[0].granted_units is None
    assert world.ask(ccr(DEMO, TERMINATE, 3, mscc(1, used=MB))).result == Result.SUCCESS
    assert [(record["units"], record["charge_micros"]) for record in world.usage] == [(5 * MB, 100_000)]
    assert not world.records[S1]["open"] and world.records[S2]["open"]
    world.do(EndSession(S2), now_s=NOW_S + 10**6)
    assert (world.account["sessions"], world.account["reserved_micros"]) == ({}, 0)
    assert world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), session="s3")).result == Result.END_USER_SERVICE_DENIED


@pytest.mark.parametrize(
    ("before", "command", "text"),
    [
        ("active", SetState("paused"), "state: 'paused'; expected one of active, suspended, barred, terminated"),
        ("active", SetState("x" * 10_000), f"state: '{'x' * 20}'; expected one of"),
        ("terminated", SetState("active"), "a terminated subscriber doesn't come back"),
    ],
)
def test_states_that_are_refused(before: str, command: SetState, text: str) -> None:
    world = World(DEMO, make_account(state=before))
    with pytest.raises(LedgerError) as error:
        world.do(command)
    assert text in str(error.value)
    assert world.account == make_account(state=before)


@pytest.mark.parametrize("state", ["active", "suspended", "terminated"])
def test_the_state_that_is(state: str) -> None:
    world = World(DEMO, make_account(state=state))
    assert world.do(SetState(state)).account is None


@pytest.mark.conforms("RFC 8506 §5.7", "Tcc: an abandoned session ends and gives back what it reserved")
def test_an_abandoned_session_ends_when_its_time_ran_out() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=5 * MB)), now_s=NOW_S + 600)
    due_s = NOW_S + 600 + 7200
    assert world.session()["expires_s"] == due_s
    assert world.do(EndSession(S1), now_s=due_s - 1).account is None
    world.do(EndSession(S1), now_s=due_s)
    assert (world.account["sessions"], world.account["reserved_micros"]) == ({}, 0)
    assert world.usage[0]["until_s"] == due_s
    assert world.do(EndSession(S1)).account is None
    assert world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=5 * MB))).result == Result.SUCCESS  # a repeat
    assert world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=MB))).result == Result.UNKNOWN_SESSION_ID


@pytest.mark.conforms("RFC 6733 §8.16", "sessions of a peer that rebooted end")
@pytest.mark.conforms("Rule 15", "its sessions end, and give back what they reserved")
def test_a_peer_that_rebooted_ends_its_sessions_at_once() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.do(EndSession(S1, only_if_expired=False))
    assert (world.account["sessions"], world.account["reserved_micros"]) == ({}, 0)


@pytest.mark.conforms("RFC 8506 §13", "the server's session supervision timer")
@pytest.mark.parametrize(
    ("rules", "service", "expires_s"),
    [
        (Rules(), "DATA", 7200),
        (Rules(supervision_s=60), "DATA", 7200),  # twice the Validity-Time
        (Rules(supervision_s=60), "VOICE", 1200),
        (Rules(supervision_s=9000), "DATA", 9000),
        (Rules(supervision_s=60), None, 60),
    ],
)
def test_supervision_time(rules: Rules, service: str | None, expires_s: int) -> None:
    world = World(DEMO, make_account(), rules=rules)
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=60, service=service)))
    assert world.session()["expires_s"] == NOW_S + expires_s


def test_free_units_of_a_session_that_ends_go_back_to_the_others() -> None:
    tables = make_tables(plan("free", plan_service(DATA, flat(20_000, MB), free_units=10 * MB)))
    world = World(tables, make_account("free"))
    keys = sorted(("s1", "s2", "s3"), key=session_hash)  # the free units left go in this order
    for session in keys:
        world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=3 * MB), session=session))
    world.ask(ccr(tables, UPDATE, 1, mscc(1, used=7 * MB, wants=False), session=keys[2]))
    assert world.account["reserved_micros"] == 60_000  # three of the six are free
    world.do(EndSession(session_hash(keys[0]), only_if_expired=False))
    assert world.account["reserved_micros"] == 0


def test_the_turn_of_a_day_writes_a_usage_record() -> None:
    world = World(DEMO, make_account())
    ten_pm = utc(2026, 11, 16, 21)
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)), now_s=ten_pm)
    for hour in range(1, 4):
        world.ask(ccr(DEMO, UPDATE, hour, mscc(1, used=600_000, asks=MB)), now_s=ten_pm + hour * 3600)
    # 23:00, then midnight: the first update of the new day closes the day before.
    assert [(record["units"], record["until_s"]) for record in world.usage] == [(1_200_000, ten_pm + 7200)]
    world.ask(ccr(DEMO, TERMINATE, 4), now_s=ten_pm + 4 * 3600)
    assert [record["units"] for record in world.usage] == [1_200_000, 600_000]
    assert [record["charge_micros"] for record in world.usage] == [40_000, 0]  # blocks run on over the session
    assert [(record["from_s"], record["until_s"]) for record in world.usage] == [
        (ten_pm, ten_pm + 7200),
        (ten_pm + 7200, ten_pm + 4 * 3600),
    ]
    assert [record["sequence"] for record in world.usage] == [1, 2]


def test_a_short_session_over_midnight_is_one_usage_record() -> None:
    world = World(DEMO, make_account())
    late = utc(2026, 11, 16, 22, 50)
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)), now_s=late)
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=5, asks=MB)), now_s=late + 1200)
    assert world.usage == []
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=5)), now_s=late + 1800)
    assert [record["units"] for record in world.usage] == [10]


def test_a_day_without_usage_writes_no_record() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    for day in range(1, 4):
        world.ask(ccr(DEMO, UPDATE, day, mscc(1, asks=MB)), now_s=NOW_S + day * 86_400)
    assert world.usage == []


@pytest.mark.parametrize(
    ("movement", "balance"),
    [
        (Movement("topup", 5_000_000, "v1"), 15_000_000),
        (Movement("adjustment", -12_000_000, "a1"), -2_000_000),
        (Movement("payment", 1, ""), 10_000_001),
        (Movement("topup", 10**15 - 10_000_000), 10**15),
    ],
)
def test_movements(movement: Movement, balance: int) -> None:
    world = World(DEMO, make_account())
    world.do(movement)
    assert world.account["balance_micros"] == balance
    posting = world.postings["acc1"][-1]
    assert posting["cause"] == {"kind": movement.kind, "reference": movement.reference}
    assert (posting["amount_micros"], posting["balance_micros"]) == (movement.amount_micros, balance)


@pytest.mark.parametrize(
    ("movement", "state", "text"),
    [
        (Movement("topup", 0), "active", "amount_micros: 0; expected 1 to"),
        (Movement("topup", -5), "active", "a top-up is positive"),
        (Movement("adjustment", 10**15 + 1), "active", "expected 1 to"),
        (Movement("adjustment", -(10**15) - 1), "active", "expected 1 to"),
        (Movement("topup", 10**15), "active", "the balance would leave"),
        (Movement("adjustment", -(10**15)), "overdrawn", "the balance would leave"),
        (Movement("topup", 5), "terminated", "a top-up needs an account that lives"),
    ],
)
def test_movements_that_are_refused(movement: Movement, state: str, text: str) -> None:
    account = make_account(balance="-1" if state == "overdrawn" else "1", state="active")
    account["state"] = "terminated" if state == "terminated" else "active"
    world = World(DEMO, account)
    with pytest.raises(LedgerError, match=text):
        world.do(movement)
    assert world.account["sequence"] == 1


def test_a_terminated_account_may_be_settled() -> None:
    world = World(DEMO, make_account(state="terminated"))
    world.do(Movement("payout", -10_000_000, "closing"))
    assert world.account["balance_micros"] == 0


@pytest.mark.parametrize(
    ("told", "before", "ends"), [(5, 6, True), (5, 5, False), (5, 4, False), (0, 6, False), (5, 0, True)]
)
def test_a_reboot_ends_what_was_last_heard_of_before_it(told: int, before: int, ends: bool) -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), state_id=told))
    world.do(EndSession(S1, only_if_expired=False, before_state_id=before))
    assert bool(world.account["sessions"]) is not ends
    if told and not ends:
        world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB), state_id=before + 9))
        world.do(EndSession(S1, only_if_expired=False, before_state_id=before + 1))
        assert world.account["sessions"], "its client was heard of since"
