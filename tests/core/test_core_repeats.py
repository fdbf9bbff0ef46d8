"""Requests that come again, late, out of order or for nobody: repeats move nothing, units are never lost."""

from __future__ import annotations

import dataclasses

import pytest

from core_builders import (
    DATA,
    EVENT,
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
)
from core_world import World
from mubss.core.history import MAX_RANGES
from mubss.core.identity import session_hash
from mubss.core.model import Action, CreditControl, Result, Rules, SetState

DEMO = demo_tables()
S1 = session_hash("s1")


def a_session() -> list[CreditControl]:
    """I, U, U, T, with an event beside them: every kind of answer is among theirs."""
    return [
        ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), mscc(100, asks=1, service=None), end_to_end=10),
        ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=400 * MB), end_to_end=11),
        ccr(DEMO, UPDATE, 2, mscc(1, used=30 * MB, asks=MB), mscc(2, asks=600 * MB), end_to_end=12),
        event(DEMO, mscc(asks=1, service="SMS"), session="e1", end_to_end=13),
        ccr(DEMO, TERMINATE, 3, mscc(1, used=5 * MB), end_to_end=14),
    ]


@pytest.mark.conforms("RFC 8506 §5.7", "a repeat replays its answer and moves nothing")
@pytest.mark.parametrize("how", ["at once", "an hour later", "sent again under the T flag", "under another number"])
def test_a_repeat_gets_the_same_answer_and_moves_nothing(how: str) -> None:
    world = World(DEMO, make_account())
    for command in a_session():
        outcome = world.ask(command)
        state = (world.account, dict(world.records), list(world.postings["acc1"]), list(world.usage))
        repeat = command
        if how == "sent again under the T flag":
            repeat = dataclasses.replace(command, retransmitted=True)
        elif how == "under another number":
            repeat = dataclasses.replace(command, retransmitted=True, number=command.number + 50)
        later_s = 3600 if how == "an hour later" else 0
        again = world.do(repeat, now_s=world.now_s + later_s)
        assert again.outcome == outcome
        assert again.outcome.to_list() == outcome.to_list()
        assert again.account is None and not again.suspense
        assert (world.account, world.records, world.postings["acc1"], world.usage) == state


def test_all_of_a_session_again_after_its_end() -> None:
    world = World(DEMO, make_account())
    outcomes = [world.ask(command) for command in a_session()]
    balance = world.account["balance_micros"]
    assert [world.ask(command) for command in a_session()] == outcomes
    assert world.account["balance_micros"] == balance


def test_a_number_taken_again_with_other_content_is_a_repeat() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=99 * MB)))
    assert world.account["balance_micros"] == 9_980_000


def test_a_repeat_older_than_the_history_moves_nothing_either() -> None:
    world = World(DEMO, make_account(), rules=Rules(outcome_history=2))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    for number in range(1, 6):
        world.ask(ccr(DEMO, UPDATE, number, mscc(1, used=MB, asks=MB)))
    assert len(world.session()["outcomes"]) == 2
    applied = world.do(ccr(DEMO, UPDATE, 2, mscc(1, used=MB, asks=MB), mscc(2, used=MB)))
    assert applied.outcome is not None and applied.outcome.result == Result.SUCCESS
    assert [(answer.result, answer.granted_units) for answer in applied.outcome.answers] == [
        (Result.SUCCESS, MB),  # what is granted now
        (Result.SUCCESS, None),
    ]
    assert applied.account is None and not world.suspense
    assert world.account["balance_micros"] == 9_900_000


@pytest.mark.conforms("RFC 8506 §8.2", "numbers in any order")
@pytest.mark.parametrize("numbers", [(5, 6, 7), (1000, 2000, 3000), (3, 2, 1), (0, 2, 1), (7, 1, 2**32 - 1)])
def test_any_numbers_in_any_order(numbers: tuple[int, int, int]) -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, numbers[0], mscc(1, asks=MB)))
    world.ask(ccr(DEMO, UPDATE, numbers[1], mscc(1, used=MB, asks=MB)))
    assert world.ask(ccr(DEMO, TERMINATE, numbers[2], mscc(1, used=MB))).result == Result.SUCCESS
    assert world.account["balance_micros"] == 9_960_000


def test_one_number_for_requests_of_different_types_is_no_repeat() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 1, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=3 * MB, asks=MB)))
    last = world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=3 * MB)))
    assert last.answers[0].granted_units is None
    assert world.account["balance_micros"] == 9_880_000 and not world.account["sessions"]


def test_every_number_counts_however_many_gaps_there_are() -> None:
    world = World(DEMO, make_account(balance="1000"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    numbers = [*range(80, 0, -2), *range(79, 0, -2)]
    for number in numbers:
        assert world.ask(ccr(DEMO, UPDATE, number, mscc(1, used=MB, asks=MB))).result == Result.SUCCESS
    assert world.account["balance_micros"] == 1_000_000_000 - len(numbers) * 20_000


def test_where_gaps_are_beyond_counting_reports_are_kept_for_the_operator() -> None:
    world = World(DEMO, make_account(balance="1000"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    for number in range(2, 2 * MAX_RANGES + 20, 2):
        world.ask(ccr(DEMO, UPDATE, number, mscc(1, asks=MB)))
    balance = world.account["balance_micros"]
    assert world.ask(ccr(DEMO, UPDATE, 3, mscc(1, used=5 * MB))).result == Result.UNABLE_TO_COMPLY
    assert [entry["units"] for entry in world.suspense.values()] == [5 * MB]
    assert world.account["balance_micros"] == balance


@pytest.mark.conforms("Rule 12", "parallel updates cross")
def test_parallel_updates_cross() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), mscc(2, asks=MB)))
    late = world.ask(ccr(DEMO, UPDATE, 2, mscc(2, used=MB, asks=MB)))
    early = world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=MB)))
    assert (late.answers[0].granted_units, early.answers[0].granted_units) == (MB, MB)
    assert world.account["balance_micros"] == 9_960_000


@pytest.mark.conforms("RFC 6733 §7.1.5", "5002, with its units kept")
@pytest.mark.parametrize("kind", [UPDATE, TERMINATE])
def test_a_session_never_seen(kind: object) -> None:
    world = World(DEMO, make_account())
    command = ccr(DEMO, kind, 4, mscc(1, used=MB), mscc(2, used=7), mscc(3, asks=MB), peer="pgw")  # type: ignore[arg-type]
    applied = world.do(command)
    assert applied.outcome is not None
    assert (applied.outcome.result, applied.outcome.answers) == (Result.UNKNOWN_SESSION_ID, [])
    assert applied.account is None and not applied.records
    assert [(entry["units"], entry["rating_group"], entry["reason"]) for entry in world.suspense.values()] == [
        (MB, 1, "UNKNOWN_SESSION_ID"),
        (7, 2, "UNKNOWN_SESSION_ID"),
    ]
    entry = next(iter(world.suspense.values()))
    assert (entry["session_id"], entry["session"], entry["peer"]) == ("s1", S1, "pgw")
    assert (entry["number"], entry["identities"], entry["service"]) == (4, ["e164:acc1"], "DATA")
    keys = set(world.suspense)
    world.do(command, now_s=NOW_S + 5)  # the repeat falls on the same documents
    assert set(world.suspense) == keys
    world.do(ccr(DEMO, kind, 5, mscc(1, used=MB)))  # type: ignore[arg-type]
    assert len(world.suspense) == 3


def test_after_its_end_a_session_is_unknown_to_new_requests() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=MB)))
    late = world.ask(ccr(DEMO, UPDATE, 2, mscc(1, used=3 * MB)))
    assert late.result == Result.UNKNOWN_SESSION_ID
    assert [entry["units"] for entry in world.suspense.values()] == [3 * MB]


def test_a_session_id_that_comes_back_keeps_its_history() -> None:
    world = World(DEMO, make_account())
    first = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=MB)))
    world.ask(ccr(DEMO, INITIAL, 2, mscc(1, asks=2 * MB)))
    assert world.records[S1]["open"]
    assert world.session()["seen"] == [[1 << 32] * 2, [1 << 32 | 2] * 2, [3 << 32 | 1] * 2]
    assert world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB))) == first
    world.ask(ccr(DEMO, TERMINATE, 3, mscc(1, used=MB)))
    assert world.account["balance_micros"] == 9_960_000
    assert world.records[S1]["seen"][2:] == [[3 << 32 | 1] * 2, [3 << 32 | 3] * 2]


@pytest.mark.conforms("RFC 8506 §5.7", "what was refused may be tried again")
def test_a_refused_first_request_may_be_tried_again() -> None:
    world = World(DEMO, make_account(state="suspended"))
    command = ccr(DEMO, INITIAL, 0, mscc(1, asks=MB))
    assert world.ask(command).result == Result.END_USER_SERVICE_DENIED
    world.do(SetState("active"))
    assert world.ask(command).answers[0].granted_units == MB


@pytest.mark.conforms("RFC 8506 §6.5", "an event again, of each action")
@pytest.mark.parametrize("action", [Action.DIRECT_DEBITING, Action.REFUND_ACCOUNT])
def test_an_event_again(action: Action) -> None:
    world = World(DEMO, make_account())
    command = event(DEMO, mscc(asks=3, service="SMS"), action=action, number=9)
    outcome = world.ask(command)
    balance = world.account["balance_micros"]
    assert balance != 10_000_000
    assert world.ask(dataclasses.replace(command, retransmitted=True)) == outcome
    assert world.account["balance_micros"] == balance
    world.ask(dataclasses.replace(command, number=10))
    assert world.account["balance_micros"] - balance == balance - 10_000_000
    assert world.records[S1]["seen"] == [[4 << 32 | 9, 4 << 32 | 10]]


def test_an_event_that_moved_nothing_may_be_tried_again() -> None:
    world = World(DEMO, make_account(balance="0"))
    command = event(DEMO, mscc(asks=1, service="SMS"))
    assert world.ask(command).result == Result.CREDIT_LIMIT_REACHED
    world.accounts["acc1"]["credit_limit_micros"] = 1_000_000
    assert world.ask(command).result == Result.SUCCESS


def test_an_event_of_an_open_session_is_refused() -> None:
    """Its record would take the place of the session's, which nobody would end then."""
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    outcome = world.ask(ccr(DEMO, EVENT, 1, mscc(used=2, service="SMS")))
    assert outcome.result == Result.UNABLE_TO_COMPLY
    assert world.records[S1]["open"]
    assert [entry["units"] for entry in world.suspense.values()] == [2]


def test_peers_that_report_to_two_accounts_at_once_do_not_meet() -> None:
    tables = make_tables(plan("free", plan_service(DATA, flat(20_000, MB), free_units=MB)))
    world = World(tables, make_account("free", account_id="a"), make_account("free", account_id="b"))
    world.do(ccr(tables, INITIAL, 0, mscc(1, asks=2 * MB), session="sa"), "a")
    world.do(ccr(tables, INITIAL, 0, mscc(1, asks=2 * MB), session="sb"), "b")
    world.do(ccr(tables, TERMINATE, 1, mscc(1, used=2 * MB), session="sa"), "a")
    assert world.accounts["a"]["balance_micros"] == 9_980_000
    assert (world.accounts["b"]["balance_micros"], world.accounts["b"]["reserved_micros"]) == (10_000_000, 20_000)
