"""How many batches run beside each other, and in which order: with real threads, and work that ends when told to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import INITIAL, ccr, demo_tables
from mubss.charging.lanes import BESIDE, FEW, Lanes
from mubss.charging.order import Order
from mubss.core.identity import session_hash
from mubss.core.model import Movement

WAIT_S = 10  # for what must come; only a failing test takes so long
TABLES = demo_tables()
LEAST, MOST = BESIDE


def order(session: str = "") -> Order:
    """A session's request; without one a top-up, which has no order to keep."""
    return Order(ccr(TABLES, INITIAL, 0, session=session) if session else Movement("topup", 1), account="a")


class Gate:
    """Lanes whose batches begin at once and end when the test says so."""

    def __init__(self, lanes: int, batch: int = 256) -> None:
        self.begun: queue.Queue[list[Order]] = queue.Queue()
        self.done: list[Order] = []
        self.locked: dict[str, int] = {}  # sessions, and how many more times their orders can't be done
        self.sets_aside = False  # what can't be done; or else it is put back
        self._ends: dict[int, threading.Event] = {}
        self.lanes = Lanes(lanes, batch, self._work, self._again)
        self.lanes.start()

    def _work(self, orders: list[Order]) -> None:
        end = self._ends[id(orders)] = threading.Event()
        self.begun.put(orders)
        assert end.wait(WAIT_S)
        left = self._again(orders)
        if self.sets_aside:
            self.lanes.aside.put(left)
        else:
            self.lanes.put_back(left)

    def _again(self, orders: list[Order]) -> list[Order]:
        locked = {one.session for one in orders if self.locked.get(one.session)}
        for session in locked:
            self.locked[session] -= 1
        self.done += [one for one in orders if one.session not in locked]
        return [one for one in orders if one.session in locked]

    def put(self, orders: list[Order]) -> list[Order]:
        for one in orders:
            self.lanes.put(one)
        return orders

    def next(self) -> list[Order]:
        """The batch that began next."""
        return self.begun.get(timeout=WAIT_S)

    @property
    def is_quiet(self) -> bool:
        """Whether no other batch has begun. Lanes are woken in `put` and when one ends, so nothing is on its way."""
        return self.begun.empty() and not any(lane.awake.is_set() for lane in self.lanes._lanes)

    def end(self, orders: list[Order]) -> None:
        self._ends.pop(id(orders)).set()

    def stop(self) -> None:
        stopping = threading.Thread(target=self.lanes.stop)
        stopping.start()
        while stopping.is_alive():
            for end in reversed(list(self._ends.values())):  # the youngest first, to find what relies on the order
                end.set()
            stopping.join(0.001)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate(lanes=3)
    yield made
    made.stop()


def begin_alone(gate: Gate) -> list[Order]:
    """A batch of so many orders that no other begins beside it unless enough of them wait."""
    gate.lanes.queue.extend(order() for _ in range(FEW - 1))
    gate.put([order()])
    return gate.next()


def test_few_orders_go_at_once_each_in_a_lane_of_its_own(gate: Gate) -> None:
    for _ in range(FEW):
        [one] = gate.put([order()])
        assert gate.next() == [one]


def test_more_orders_gather_while_a_batch_is_under_way(gate: Gate) -> None:
    begun = begin_alone(gate)
    waiting = gate.put([order() for _ in range(LEAST - 1)])
    assert gate.is_quiet
    gate.end(begun)
    assert gate.next() == waiting


def test_a_batch_begins_beside_another_once_enough_wait(gate: Gate) -> None:
    begin_alone(gate)
    waiting = gate.put([order() for _ in range(LEAST)])
    assert gate.next() == waiting


@pytest.mark.parametrize(("in_flight", "enough"), [(LEAST, LEAST), (44, 22), (2 * MOST, MOST), (3 * MOST, MOST)])
def test_half_of_what_is_in_flight_must_wait(gate: Gate, in_flight: int, enough: int) -> None:
    gate.lanes.queue.extend(order() for _ in range(in_flight))  # one more, since with each batch it counts one less
    gate.put([order()])
    gate.end(gate.next())
    first = begin_alone(gate)
    gate.put([order() for _ in range(enough - 1)])
    assert gate.is_quiet
    gate.put([order()])
    assert len(gate.next()) == enough
    gate.end(first)


def test_what_was_in_flight_once_is_forgotten(gate: Gate) -> None:
    gate.lanes.queue.extend(order() for _ in range(3 * MOST - 1))
    gate.put([order()])
    gate.end(gate.next())
    for _ in range(2 * MOST):
        gate.end(begin_alone(gate))
    begin_alone(gate)
    gate.put([order() for _ in range(LEAST)])
    assert len(gate.next()) == LEAST


def test_the_more_is_under_way_the_more_must_wait(gate: Gate) -> None:
    first = begin_alone(gate)
    gate.lanes.queue.extend(order() for _ in range(4 * MOST - 1))
    gate.put([order()])
    assert len(gate.next()) == 4 * MOST
    gate.put([order() for _ in range((4 * MOST + len(first)) // 2 - 1)])
    assert gate.is_quiet
    gate.put([order()])
    assert gate.next()


def test_no_lane_gets_a_sessions_order_while_another_has_one(gate: Gate) -> None:
    gate.put([order("one")])
    first = gate.next()
    [held] = gate.put([order("one")])
    assert gate.is_quiet
    [other] = gate.put([order("two")])
    second = gate.next()
    assert second == [other]
    gate.end(second)
    assert gate.is_quiet
    gate.end(first)
    assert gate.next() == [held]


def test_orders_that_are_put_back_come_before_later_ones_of_their_session(gate: Gate) -> None:
    [early] = gate.put([order("one")])
    gate.locked[early.session] = 1
    first = gate.next()
    [late] = gate.put([order("one")])
    gate.end(first)
    assert gate.next() == [early, late]


def test_one_sessions_flood_doesnt_hold_others_up_for_longer_than_a_batch() -> None:
    gate = Gate(lanes=2, batch=8)
    gate.put([order("flood")])
    batches = [gate.next()]
    gate.lanes.queue.extend(order("flood") for _ in range(100))
    [other] = gate.put([order("other")])
    assert gate.is_quiet
    while other not in batches[-1]:
        gate.end(batches[-1])
        batches.append(gate.next())
    assert len(batches) <= 2 + 100 // 8 + 1
    gate.end(batches[-1])
    gate.stop()
    assert len(gate.done) == 102


def test_stop_does_all_that_is_queued(gate: Gate) -> None:
    waiting = gate.put([order() for _ in range(10)])
    gate.stop()
    assert sorted(map(id, gate.done)) == sorted(map(id, waiting))


@given(
    sessions=st.lists(st.sampled_from("abcd"), min_size=35, max_size=120),
    lanes=st.integers(1, 4),
    batch=st.integers(1, 30),
    locked=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3)),
    sets_aside=st.booleans(),
)
def test_each_sessions_orders_are_done_once_and_in_order(
    sessions: list[str], lanes: int, batch: int, locked: dict[str, int], sets_aside: bool
) -> None:
    gate = Gate(lanes, batch)
    orders = [order(session) for session in sessions]
    gate.sets_aside = sets_aside
    gate.locked = {session_hash(session): times for session, times in locked.items()}
    gate.put(orders)
    gate.stop()
    assert len(gate.done) == len(orders)
    for session in "abcd":
        expected = [one for one, its in zip(orders, sessions, strict=True) if its == session]
        assert [one for one in gate.done if one.session == session_hash(session)] == expected
