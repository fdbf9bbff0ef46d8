"""Charging what lies in suspense: what moves money, once, in whatever order it is tried."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    demo_tables,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.model import Applied, ChargeSuspense, Result
from mubss.core.suspense import NotChargeable
from mubss.core.tariff import ANY

DEMO = demo_tables()
S1 = session_hash("s1")


def charge(world: World, *entries: dict[str, Any], beside: tuple[dict[str, Any], ...] = ()) -> Applied:
    applied = world.do(ChargeSuspense(S1, list(entries), list(beside)))
    for entry in (*entries, *beside):
        world.suspense[entry["_id"]] = {**entry, **applied.settled.get(entry["_id"], {})}
    return applied


def states(world: World) -> list[str]:
    return sorted(entry["state"] for entry in world.suspense.values())


def unseen(*numbers: int) -> World:
    """A session never seen, with a report of `number` MB in each of its requests."""
    world = World(DEMO, make_account())
    for number in numbers:
        outcome = world.ask(ccr(DEMO, UPDATE, number, mscc(1, used=number * MB)))
        assert outcome.result == Result.UNKNOWN_SESSION_ID
    return world


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_reports_cost_the_same_in_any_order(order: tuple[int, ...]) -> None:
    world = unseen(1, 2, 3)
    by_number = {entry["number"]: entry for entry in world.suspense.values()}
    for number in order:
        charge(world, by_number[number])
        charge(world, by_number[number])  # its request is in the history: nothing moves
    assert world.account["balance_micros"] == 10_000_000 - 6 * 20_000
    assert sorted(record["units"] for record in world.usage) == [MB, 2 * MB, 3 * MB]
    assert world.records[S1]["seen"] == [[2 << 32 | 1, 2 << 32 | 3]]


def test_a_request_that_came_again_and_was_charged_is_already() -> None:
    world = unseen(1)
    [entry] = world.suspense.values()
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB)))
    balance = world.account["balance_micros"]
    assert charge(world, entry).account is None
    assert (states(world), world.account["balance_micros"]) == (["already"], balance)


def test_a_charged_request_that_comes_again_moves_nothing() -> None:
    world = unseen(5)
    charge(world, *world.suspense.values())
    again = world.ask(ccr(DEMO, UPDATE, 5, mscc(1, used=5 * MB)))
    assert again.result == Result.SUCCESS
    assert world.account["balance_micros"] == 9_900_000


def test_the_other_reports_of_a_request_can_still_be_charged() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB), mscc(2, used=2 * MB)))
    first, second = sorted(world.suspense.values(), key=lambda entry: entry["units"])
    charge(world, first, beside=(second,))
    assert world.suspense[second["_id"]]["taken"] is True
    charge(world, world.suspense[second["_id"]])
    assert world.account["balance_micros"] == 10_000_000 - 3 * 20_000
    assert states(world) == ["charged", "charged"]


def test_units_of_an_open_session_keep_its_reservation() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(9, used=MB, service=None)))
    [entry] = world.suspense.values()
    assert entry["taken"] is True
    with pytest.raises(NotChargeable, match="service: None; expected one that the plan demo-prepaid sells"):
        charge(world, entry)
    charge(world, {**entry, "service": "DATA"})
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (9_980_000, 100_000)
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=MB)))
    assert world.account["balance_micros"] == 9_960_000


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"units": 10**18}, "units: 1000000000000000000; expected no more than there can be"),
        ({"service": "GOLD"}, "service: 'GOLD'; expected one that the plan"),
        ({"action": 1}, "action: REFUND_ACCOUNT; expected usage to charge"),
        ({"unit": "seconds"}, "units: in seconds; expected octets, which DATA is sold by"),
    ],
)
def test_what_cant_be_charged_moves_nothing(change: dict[str, Any], text: str) -> None:
    world = unseen(1, 2)
    good, bad = world.suspense.values()
    with pytest.raises(NotChargeable, match=text) as raised:
        charge(world, good, {**bad, **change})
    assert raised.value.entry_id == bad["_id"]
    assert world.account == make_account()


def test_it_is_priced_by_the_month_of_the_report() -> None:
    tables = make_tables(plan("free", plan_service(DATA, flat(20_000, MB), free_units=2 * MB)))
    world = World(tables, make_account("free"))
    world.ask(ccr(tables, UPDATE, 1, mscc(1, used=3 * MB)))
    [entry] = world.suspense.values()
    world.now_s = NOW_S + 40 * 86_400
    charge(world, entry)
    assert world.account["counters"] == {"2026-11": {"DATA": 2 * MB}}
    assert world.account["balance_micros"] == 9_980_000
    [record] = world.usage
    assert (record["until_s"], record["free_units"]) == (NOW_S, 2 * MB)


def test_a_call_is_priced_by_whom_it_called() -> None:
    tables = make_tables(
        plan("zones", plan_service(VOICE, ("home", ANY, 10_000, 60, 0, 0), ("far", ANY, 90_000, 60, 0, 0))),
        prefixes={"49": "home", "33": "far"},
    )
    world = World(tables, make_account("zones"))
    world.ask(ccr(tables, TERMINATE, 1, mscc(1, used=60, service="VOICE"), called="3312345"))
    charge(world, *world.suspense.values())
    assert world.account["balance_micros"] == 9_910_000
