"""Accounts that another transaction holds, where batches run side by side: skipped, put back, waited for at last."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from charging_world import World
from core_builders import INITIAL, UPDATE, ccr, demo_tables, mscc
from mubss.charging.engine import LOCK_PATIENCE_MS, Limits, impatient_ones
from mubss.charging.order import Order
from mubss.core.errors import Busy
from mubss.core.model import Movement
from mubss.services.audit_ledger import check
from mubss.storage.database import Session, open_database

ALICE, BOB = "999700000001", "999700000002"
WAIT_S = 10


@pytest.fixture
def world(mysql_url: str) -> Iterator[World]:
    made = World(mysql_url)
    yield made
    made.store.close()


class Holder:
    """Another process's transaction, which holds an account until it is told to end."""

    def __init__(self, world: World, account: str) -> None:
        self._store = open_database(world.url)
        self._held, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._store.run, args=(lambda session: self._hold(session, account),))

    def _hold(self, session: Session, account: str) -> None:
        with session.transaction():
            session.collection("accounts").get_many([account], for_update=True)
            self._held.set()
            assert self._end.wait(WAIT_S)

    def __enter__(self) -> Holder:
        self._thread.start()
        assert self._held.wait(WAIT_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
        self._thread.join()
        self._store.close()

    def release(self) -> None:
        self._end.set()


def topup(account: str) -> Order:
    return Order(Movement("topup", 1_000_000), account=account)


def test_the_orders_of_a_locked_account_are_left_out_and_the_others_done(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    orders = [topup(alice), topup(bob), topup(alice), topup("nobody")]
    with Holder(world, alice):
        skipped = world.engine().run(orders, waits=False)
    assert skipped == [orders[0], orders[2]]
    assert [order.skipped_ms for order in skipped] == [world.clock.now_ms] * 2
    assert orders[1].account_after is not None and orders[1].skipped_ms == 0
    assert "expected an account that exists" in str(orders[3].error)
    assert world.engine().run(skipped, waits=False) == []
    assert [(world.get("accounts", one) or {})["balance_micros"] for one in (alice, bob)] == [12_000_000, 11_000_000]
    assert check(world.store) == (2, [])


def test_an_order_that_was_skipped_is_done_once_its_account_is_free(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    engine = world.engine(limits=Limits(lanes=3))
    done = {alice: threading.Event(), bob: threading.Event()}
    engine.start()
    with Holder(world, alice) as holder:
        for account in (alice, bob):
            order = topup(account)
            order.done = lambda order: done[order.account].set()
            engine.submit(order)
        assert done[bob].wait(WAIT_S) and not done[alice].is_set()
        holder.release()
        world.clock.now_ms += LOCK_PATIENCE_MS  # or else it would go on asking whether it is free, and find it
        assert done[alice].wait(WAIT_S)
    engine.stop()
    assert check(world.store) == (2, [])


@pytest.mark.parametrize("stuck", [1, 8, 40])
def test_however_many_wait_for_a_locked_account_others_are_charged(world: World, stuck: int) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    engine = world.engine(limits=Limits(lanes=2))
    engine.start()
    with Holder(world, alice):
        for _ in range(stuck):
            engine.submit(topup(alice))
        for _ in range(5):
            world.clock.now_ms += LOCK_PATIENCE_MS
            done = threading.Event()
            order = topup(bob)
            order.done = lambda order, done=done: done.set()
            engine.submit(order)
            assert done.wait(WAIT_S)
    engine.stop()
    balances = [(world.get("accounts", one) or {})["balance_micros"] for one in (alice, bob)]
    assert balances == [(10 + stuck) * 1_000_000, 15_000_000]


def test_an_account_that_stays_locked_makes_its_clients_busy_in_time(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine(limits=Limits(lanes=2, patience_ms=200))
    done: list[Order] = []
    answered = threading.Semaphore(0)

    def note(order: Order) -> None:
        done.append(order)
        answered.release()

    first, second = topup(alice), topup(alice)
    first.done = second.done = note
    engine.start()
    with Holder(world, alice):
        for order in (first, second):
            engine.submit(order)
            world.clock.now_ms += LOCK_PATIENCE_MS
        while not answered.acquire(timeout=0.05):
            world.clock.now_ms += 201
        while not answered.acquire(timeout=0.05):
            world.clock.now_ms += 201
    engine.stop()
    assert set(done) == {first, second} and all(isinstance(order.error, Busy) for order in done)
    assert (world.get("accounts", alice) or {})["balance_micros"] == 10_000_000


def test_a_round_over_those_set_aside_keeps_sessions_in_order_and_gives_up_on_the_oldest(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    engine = world.engine(limits=Limits(batch=2, patience_ms=200))
    orders = [topup(alice), topup(alice), topup(bob), topup(alice)]
    for order in orders:
        order.queued_ms = world.clock.now_ms
    orders[0].queued_ms -= 201
    with Holder(world, alice):
        left = engine._again(orders)
    assert left == [orders[1], orders[3]] and isinstance(orders[0].error, Busy)
    assert engine._again(left) == []
    balances = [(world.get("accounts", one) or {})["balance_micros"] for one in (alice, bob)]
    assert balances == [12_000_000, 11_000_000]


def test_those_that_wait_at_last_take_the_later_ones_of_their_session_with_them() -> None:
    tables = demo_tables()

    def order(session: str, number: int, skipped_ms: int = 0) -> Order:
        command = ccr(tables, UPDATE if number else INITIAL, number, mscc(1), session=session)
        return Order(command, account="a", skipped_ms=skipped_ms)

    now_ms = 1_000_000
    stuck, later = order("one", 1, now_ms - LOCK_PATIENCE_MS), order("one", 2)
    patient, other = order("two", 1, now_ms - LOCK_PATIENCE_MS + 1), order("three", 0)
    movement = topup("a")
    assert impatient_ones([stuck, patient, other, movement, later], now_ms) == [stuck, later]
    assert impatient_ones([patient, other, movement, later], now_ms) == []
