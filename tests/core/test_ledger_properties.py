"""What holds for every life of every account. Each step is also checked by core_world.World.

World itself asserts, at every command: no input document changes, documents are plain JSON of 64-bit integers,
postings sum to the balance (check_account), and reservations are what their definition says.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_steps import RULES, TABLES, Step, Timed, balances, end_all, new_world, play, steps, timed, without_grants
from core_world import available, stored
from mubss.core import ledger
from mubss.core.model import Applied, CreditControl, RequestType
from mubss.core.next_plan import is_due

SMALL = st.integers(0, 120)
HOSTILE = st.one_of(
    SMALL,
    st.sampled_from([2**31, 2**32 - 1, 2**50, 2**50 + 1, 2**63 - 1, 2**63, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
SETTINGS = settings(max_examples=60)


@SETTINGS
@given(steps(SMALL))
def test_accounts_do_not_meet_and_nothing_hides_between_two_commands(given_steps: list[Step]) -> None:
    """Commands of several accounts mixed, through JSON each time, against one account after the other without."""
    commands = timed(given_steps)
    mixed, apart = new_world(), new_world(through_json=False)
    results = dict(zip(map(id, commands), play(mixed, commands), strict=True))
    for account in apart.accounts:
        own = [one for one in commands if one.account == account]
        for one, result in zip(own, play(apart, own), strict=True):
            if isinstance(result, str):
                assert results[id(one)] == result
            else:
                before = results[id(one)]
                assert isinstance(before, Applied) and before.outcome == result.outcome
                assert (before.postings, before.usage, before.suspense, before.records) == (
                    result.postings,
                    result.usage,
                    result.suspense,
                    result.records,
                )
    assert mixed.accounts == {key: stored(account) for key, account in apart.accounts.items()}


@SETTINGS
@given(steps(SMALL))
def test_no_grant_takes_available_below_zero(given_steps: list[Step]) -> None:
    world = new_world()
    for account_id, command, now_s in timed(given_steps):
        before, record = world.accounts[account_id], None
        if isinstance(command, CreditControl) and command.type is not RequestType.EVENT:
            record = world.records.get(command.session_hash)
            bare = ledger.apply(before, without_grants(command), record, now_s * 1000, RULES, TABLES).account
            bare_micros = available(bare or before)
            play(world, [Timed(account_id, command, now_s)])
            assert available(world.accounts[account_id]) >= min(bare_micros, 0)
        else:
            play(world, [Timed(account_id, command, now_s)])


@pytest.mark.conforms("Rule 12", "a repeat at any time moves nothing")
@SETTINGS
@given(steps(SMALL), st.sampled_from([0, 0, 1000, 90_000]))
def test_a_repeat_moves_nothing_and_answers_the_same(given_steps: list[Step], later_s: int) -> None:
    world = new_world()
    for account_id, command, now_s in timed(given_steps):
        catches_up = is_due(world.accounts[account_id], now_s)  # a plan that waited changes the account by itself
        (first,) = play(world, [Timed(account_id, command, now_s)])
        if isinstance(first, str) or not isinstance(command, CreditControl):
            continue
        suspense = dict(world.suspense)
        moved = first.account is not None and not catches_up  # else a refusal, which says in suspense when it was
        again_s = now_s + (later_s if moved else 0)
        comes_meanwhile = is_due(world.accounts[account_id], again_s)  # its second lies between the two
        again = world.do(command, account_id, again_s)
        assert again.outcome == first.outcome
        assert not again.postings and not again.records
        assert comes_meanwhile or (again.account is None and not again.usage)  # the old plan's parts are written then
        assert world.suspense == suspense


@SETTINGS
@given(steps(SMALL))
def test_when_all_sessions_ended(given_steps: list[Step]) -> None:
    """Nothing is reserved, and usage records sum to what postings took and to the free units drawn."""
    world = new_world()
    play(world, timed(given_steps))
    end_all(world)
    for account_id, account in world.accounts.items():
        assert (account["sessions"], account["reserved_micros"]) == ({}, 0)
        records = [record for record in world.usage if record["account"] == account_id]
        assert [record["sequence"] for record in records] == list(range(1, account["usage_sequence"] + 1))
        by_session = Counter[tuple[str, str]]()
        free = Counter[str]()
        for record in records:
            by_session[record["session"], record["service"]] += record["charge_micros"]
            free[record["service"]] += record["free_units"]
            assert 0 <= record["free_units"] <= record["units"] or record["units"] < 0
            assert record["from_s"] <= record["until_s"]
        posted, drawn = Counter[tuple[str, str]](), Counter[str]()
        for posting in world.postings[account_id]:
            if "session" in posting["cause"]:
                posted[posting["cause"]["session"], posting["service"]] -= posting["amount_micros"]
                drawn[posting["service"]] += posting.get("free_units", 0)
        assert {key: micros for key, micros in by_session.items() if micros} == {k: m for k, m in posted.items() if m}
        assert {key: units for key, units in free.items() if units} == {k: u for k, u in drawn.items() if u}
    assert all(not record["open"] for record in world.records.values())


@pytest.mark.conforms("Rule 12", "every reported unit is charged or in suspense")
@SETTINGS
@given(steps(SMALL))
def test_every_reported_unit_is_somewhere(given_steps: list[Step]) -> None:
    """On a usage record, or in suspense: session by session, reports add up to both."""
    world = new_world()
    reported = Counter[str]()
    for one, result in zip(timed(given_steps), play(world, timed(given_steps)), strict=True):
        command = one.command
        if isinstance(command, CreditControl) and command.type is not RequestType.EVENT and not isinstance(result, str):
            reported[command.session_hash] += sum(request.used_units or 0 for request in command.requests)
    end_all(world)
    found = Counter[str]()
    for record in world.usage:
        found[record["session"]] += record["units"]
    for entry in world.suspense.values():
        found[entry["session"]] += entry["units"]
    for key, units in reported.items():
        assert found[key] == units


@SETTINGS
@given(steps(HOSTILE))
def test_hostile_magnitudes(given_steps: list[Step]) -> None:
    """World checks that all of it stays within 64 bits and can be written as JSON; balances within ±10^15."""
    world = new_world()
    play(world, timed(given_steps))
    end_all(world)
    for balance_micros, reserved_micros in balances(world).values():
        assert abs(balance_micros) <= 10**15
        assert reserved_micros == 0
