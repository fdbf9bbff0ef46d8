"""Notices on both stores: in the transaction that caused them, once, and with nothing where nothing happened."""

from __future__ import annotations

import pytest

from charging_world import World
from core_builders import INITIAL, UPDATE, mscc
from mubss.charging.order import Order
from mubss.core.model import Movement, Rules
from mubss.core.notice_kinds import KINDS, NoticeRules
from mubss.services.audit_ledger import check
from mubss.services.billing import bill_run
from mubss.storage.database import StoreConflict, UnknownCommit
from test_bill_run import NOW_S, PERIOD, RUN, people
from test_charging_engine import ALICE, Faulty, request

RULES = Rules(notices=NoticeRules(frozenset(KINDS), 2_000_000))


def told(world: World) -> list[str]:
    return sorted(doc["kind"] for doc in world.all("notifications"))


def test_a_session_that_falls_below_the_threshold(world: World) -> None:
    alice = world.account(ALICE, 2_030_000)
    engine = world.engine(rules=RULES)
    orders = [request(world, ALICE, INITIAL, 0, mscc(1))]
    orders += [request(world, ALICE, UPDATE, number, mscc(1, 1_000_000)) for number in (1, 2, 2, 3, 3)]
    engine.execute(orders)
    engine.execute([request(world, ALICE, UPDATE, 2, mscc(1, 1_000_000))])
    [doc] = world.all("notifications")
    assert (doc["kind"], doc["subscriber"], doc["state"], doc["tries"]) == ("low_balance", alice, "new", 0)
    assert doc["values"] == {"balance_micros": 1_990_000, "currency": "EUR"}
    assert doc["due_s"] == doc["made_s"] == world.clock.now_ms // 1000
    assert check(world.store) == (1, [])


@pytest.mark.parametrize(
    "faults",
    [
        [("before", StoreConflict("deadlock"))] * 3,
        [("after", UnknownCommit("lost"))],
        [("before", UnknownCommit("lost"))],
    ],
)
def test_whatever_the_store_does_it_is_told_once(world: World, faults: list[tuple[str, Exception]]) -> None:
    world.account(ALICE, 2_000_000)
    world.engine(rules=RULES).execute([request(world, ALICE, INITIAL, 0, mscc(1))])
    engine = world.engine(Faulty(world.store, *faults), RULES)  # type: ignore[arg-type]
    engine.execute([request(world, ALICE, UPDATE, 1, mscc(1, 1_000_000))])
    assert told(world) == ["low_balance"]


def test_a_command_that_fails_tells_nothing(world: World) -> None:
    alice = world.account(ALICE)
    good = Order(Movement("topup", 1_000_000), account=alice)
    world.engine(rules=RULES).execute([Order(Movement("topup", -1), account=alice), good])
    assert told(world) == ["topup"]


def test_nothing_is_told_where_it_isn_t_configured(world: World) -> None:
    alice = world.account(ALICE, 2_000_000)
    world.engine().execute([Order(Movement("topup", 1_000_000), account=alice)])
    world.engine().execute([Order(Movement("adjustment", -3_000_000), account=alice)])
    assert told(world) == []


def test_a_refused_session_and_a_bill(world: World) -> None:
    world.account(ALICE, 0)
    engine = world.engine(rules=RULES)
    for session in ("a", "b"):
        engine.execute([request(world, ALICE, INITIAL, 0, mscc(1), session=session)])
    assert told(world) == ["session_refused"]
    world.clock.now_ms = PERIOD.start_s * 1000
    [postpaid] = people(world, 1)
    for _ in range(2):
        [billed] = bill_run(world.store, engine, world.tables, RUN, NOW_S)
    assert billed.bill is not None and billed.before
    [ready] = [doc for doc in world.all("notifications") if doc["kind"] == "bill_ready"]
    assert (ready["subscriber"], ready["values"]) == (postpaid, {"bill": billed.bill["_id"]})
