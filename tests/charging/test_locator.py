"""Whose account an identity is: learnt beforehand, remembered while there is room, always checked again."""

from __future__ import annotations

import pytest

from charging_world import World
from core_builders import INITIAL, ccr, mscc
from mubss.charging import engine as engines
from mubss.charging.engine import Engine
from mubss.charging.locator import Locator
from mubss.charging.order import Order
from mubss.core.model import Result

NUMBERS = [f"99970000{n:04}" for n in range(10)]


def result(world: World, engine: Engine, msisdn: str, session: str = "s") -> int:
    """Of the first request of a new session."""
    command = ccr(world.tables, INITIAL, 0, mscc(1), session=session + msisdn)
    command.identities = [f"e164:{msisdn}"]
    [order] = engine.execute([Order(command, identities=command.identities)])
    assert order.error is None and order.outcome is not None
    return order.outcome.result


def learn(engine: Engine) -> list[str]:
    """All pages; what each but the last goes on after."""
    after = [engine.learn("")]
    while after[-1]:
        after.append(engine.learn(after[-1]))
    return after[:-1]


def forget_all(world: World) -> None:
    """The store no longer knows whose the identities are: whoever asks it finds nobody."""
    ids = [doc["_id"] for doc in world.all("identities")]
    world.store.run(lambda session: session.collection("identities").remove_many(ids))


def test_who_was_learnt_needs_no_look_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LEARNT_AT_ONCE", 4)
    for number in NUMBERS:
        world.account(number)
    knowing, ignorant = world.engine(), world.engine()
    assert learn(knowing) == [f"e164:{NUMBERS[at]}" for at in (3, 7, 9)]
    forget_all(world)
    assert [result(world, knowing, number) for number in NUMBERS] == [Result.SUCCESS] * 10
    assert result(world, ignorant, NUMBERS[0], "t") == Result.USER_UNKNOWN


def test_an_empty_store_teaches_nothing(world: World) -> None:
    assert learn(world.engine()) == []


def test_no_more_is_learnt_than_there_is_room_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LEARNT_AT_ONCE", 4)
    for number in NUMBERS:
        world.account(number)
    engine = world.engine()
    engine._locator = Locator(6)
    assert len(learn(engine)) == 2
    forget_all(world)
    found = [result(world, engine, number) for number in NUMBERS]
    assert found == [Result.SUCCESS] * 6 + [Result.USER_UNKNOWN] * 4


def test_what_is_looked_up_replaces_the_oldest(world: World) -> None:
    for number in NUMBERS:
        world.account(number)
    engine = world.engine()
    engine._locator = Locator(8)
    for number in NUMBERS:
        assert result(world, engine, number) == Result.SUCCESS
    forget_all(world)
    found = [result(world, engine, number, "t") for number in NUMBERS]
    assert found == [Result.USER_UNKNOWN] * 2 + [Result.SUCCESS] * 8


def test_an_identity_that_moved_after_it_was_learnt_is_looked_up_again(world: World) -> None:
    alice = world.account(NUMBERS[0])
    engine = world.engine()
    learn(engine)
    forget_all(world)
    account = world.get("accounts", alice)
    assert account is not None
    account["identities"] = ["e164:999799999999"]
    world.store.run(lambda session: session.collection("accounts").put_many([account]))
    bob = world.account(NUMBERS[0])
    assert result(world, engine, NUMBERS[0]) == Result.SUCCESS
    [record] = world.all("gy_sessions")
    assert record["account"] == bob
