"""The charging engine: the one writer of balances. Commands gather in lanes; a lane does them in batches.

While one transaction is under way the next batch gathers, so the cost of a charge falls as load rises.
Plain threading on purpose: in a gevent process it is patched, so lanes are greenlets; elsewhere threads.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mubss import metrics
from mubss.charging.batch import Batch
from mubss.charging.locator import Locator
from mubss.charging.order import Order
from mubss.core.errors import Busy
from mubss.core.model import RequestType, Rules
from mubss.core.tariff import Tables
from mubss.storage.database import Store, StoreConflict, StoreError, StoreUnavailable, UnknownCommit

log = logging.getLogger(__name__)

CONFLICT_TRIES = 5
INITIAL, EVENT = RequestType.INITIAL, RequestType.EVENT


@dataclass(frozen=True, slots=True)
class Limits:
    """How the engine shares the work out."""

    lanes: int = 1
    batch: int = 256  # commands in a transaction
    queue: int = 20_000  # commands waiting in all; past it `submit` raises Busy
    patience_ms: int = 2_000  # how long a command waits for its turn or for the store: then its client hears Busy


def wall_clock_ms() -> int:
    """UTC milliseconds."""
    return time.time_ns() // 1_000_000


class Engine:
    """Takes orders by `submit` (lanes, answered through `order.done`) or `execute` (at once, in this thread)."""

    def __init__(
        self,
        store: Store,
        tables: Callable[[], Tables],
        rules: Rules,
        limits: Limits | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._store = store
        self._tables = tables
        self._rules = rules
        self._limits = limits or Limits()
        self._clock_ms = clock_ms
        self._locator = Locator()
        self._store_is_away = False
        self._lanes = [Lane(self, f"lane-{number}") for number in range(self._limits.lanes)]

    def start(self) -> None:
        """Starts the lanes."""
        for lane in self._lanes:
            lane.start()

    def stop(self) -> None:
        """Does what is queued, answers it, and ends the lanes."""
        for lane in self._lanes:
            lane.stop()

    @property
    def depth(self) -> int:
        """Orders waiting."""
        return sum(len(lane.queue) for lane in self._lanes)

    def submit(self, order: Order) -> None:
        """Queues an order; raises Busy, with nothing done, where too many wait."""
        lane = self._lanes[0]
        if len(self._lanes) > 1:
            key = order.account or (order.identities[0] if order.identities else "")
            lane = self._lanes[zlib.crc32(key.encode()) % len(self._lanes)]
        if len(lane.queue) >= self._limits.queue // len(self._lanes):
            raise Busy(f"charging queue: {len(lane.queue)} commands wait; a repeat is welcome")
        order.queued_ms = self._clock_ms()
        lane.put(order)

    def execute(self, orders: list[Order]) -> list[Order]:
        """Does orders now, in as few transactions as the batch limit allows; each then holds its result or error."""
        size = self._limits.batch
        for start in range(0, len(orders), size):
            self.run(orders[start : start + size])
        return orders

    def too_late(self, orders: list[Order]) -> list[Order]:
        """First requests and events that waited so long that their client has given up; nobody would use a grant.

        Reports go on: what was used must be charged, and its repeat then finds it done.
        """
        since_ms = self._clock_ms() - self._limits.patience_ms
        if orders[0].queued_ms >= since_ms:  # the oldest
            return []
        late = []
        for order in orders:
            credit = order.credit
            if credit is not None and order.queued_ms < since_ms and credit.type in (INITIAL, EVENT):
                order.fail(Busy("waited too long for its turn"))
                late.append(order)
        return late

    def run(self, orders: list[Order]) -> None:
        """One batch, with all that can go wrong: conflicts are tried again, a faulty command ends up alone."""
        pending = [orders] if orders else []
        while pending:
            part = pending.pop()
            again: list[Order] = []
            error = self._transaction(part, again)
            if again:
                pending.append(again)
            if error is None:
                continue
            if isinstance(error, StoreUnavailable):
                for order in part:
                    order.fail(error if order.credit is None else Busy(str(error)))
            elif len(part) == 1:
                log.error("a command can't be stored: %s", error)
                part[0].fail(error)
            else:
                middle = len(part) // 2
                pending += [part[middle:], part[:middle]]

    def _transaction(self, orders: list[Order], again: list[Order]) -> StoreError | None:
        """Tries one transaction until it is done or can't be; returns why it can't.

        A link lost while COMMIT was under way is settled by a repeat where a repeat moves nothing: requests
        carry their number, guarded commands their new document. Others are told that nobody knows.
        """
        error: StoreError | None = None
        since_ms = min(order.queued_ms for order in orders) or self._clock_ms()
        for attempt in range(CONFLICT_TRIES):
            if attempt and self._clock_ms() - since_ms >= self._limits.patience_ms:
                break
            settling = isinstance(error, UnknownCommit)
            batch = Batch(orders, self._locator, self._rules, self._tables(), self._clock_ms(), settling=settling)
            started = time.perf_counter()
            try:
                self._store.run(batch.run)
            except UnknownCommit as unknown:
                error = unknown
                if any(order.credit is None and not order.guards for order in orders):
                    return error
            except StoreUnavailable as unavailable:
                self._store_is(unavailable)
                return unavailable
            except StoreConflict as conflict:
                error = conflict
                metrics.STORE_CONFLICTS.inc()
            except StoreError as refused:
                if len(orders) > 1:
                    return refused
                error = refused  # a document of that name came meanwhile: this time it will be read
            else:
                metrics.BATCH_SIZE.observe(len(orders))
                metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
                again += batch.again
                self._store_is(None)
                return None
        if isinstance(error, StoreConflict):
            error = StoreUnavailable(str(error))
        self._store_is(error)
        return error

    def _store_is(self, error: StoreError | None) -> None:
        """Logs when the store goes away and when it is back, once each."""
        if (error is None) == self._store_is_away:
            self._store_is_away = error is not None
            if error is None:
                log.info("the store can be written again")
            else:
                log.warning("the store can't be written, requests get 3004: %s", error)


class Lane:
    """A queue of orders and the thread (or greenlet) that does them."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.queue: deque[Order] = deque()
        self._engine = engine
        self._awake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends when the queue is empty."""
        self._stopping = True
        self._awake.set()
        self._thread.join()

    def put(self, order: Order) -> None:
        """Queues an order and wakes the lane."""
        self.queue.append(order)
        if not self._awake.is_set():
            self._awake.set()

    def _loop(self) -> None:
        engine = self._engine
        while True:
            self._awake.wait()
            self._awake.clear()
            while self.queue:
                orders = [self.queue.popleft() for _ in range(min(len(self.queue), engine._limits.batch))]
                metrics.BATCH_WAIT_SECONDS.observe((engine._clock_ms() - orders[0].queued_ms) * 1e-3)
                late = engine.too_late(orders)
                orders = [order for order in orders if order not in late] if late else orders
                try:
                    engine.run(orders)
                except Exception as error:
                    log.exception("a batch of %d commands failed", len(orders))
                    for order in orders:
                        order.fail(error)
                for order in late + orders:
                    answer(order)
            if self._stopping:
                return


def answer(order: Order) -> None:
    """Tells whoever waits; a fault in the telling is logged, never passed on to other orders."""
    try:
        if order.done is not None:
            order.done(order)
    except Exception:
        log.exception("answering a command failed")
