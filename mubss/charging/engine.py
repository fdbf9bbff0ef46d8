"""The charging engine: the one writer of balances. Commands gather in a queue; lanes do them in batches.

While one transaction is under way the next batch gathers, so the cost of a charge falls as load rises.
Plain threading on purpose: in a gevent process it is patched, so lanes are greenlets; elsewhere threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from mubss import metrics
from mubss.charging.batch import Batch
from mubss.charging.lanes import Lanes
from mubss.charging.locator import MEMO_LIMIT, NEAR_MEMO_LIMIT, Locator
from mubss.charging.order import Order
from mubss.charging.outage import Outage
from mubss.core.errors import Busy
from mubss.core.model import RequestType, Rules
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.storage import accounts
from mubss.storage.database import Store, StoreConflict, StoreError, StoreUnavailable, UnknownCommit

log = logging.getLogger(__name__)

CONFLICT_TRIES = 5
LANES_SIDE_BY_SIDE = 6
LEARNT_AT_ONCE = 1_000  # identities: 2 ms
LOCK_PATIENCE_MS = 50  # for an account that another batch holds; then its orders are set aside
INITIAL, TERMINATION, EVENT = RequestType.INITIAL, RequestType.TERMINATION, RequestType.EVENT


@dataclass(frozen=True, slots=True)
class Limits:
    """How the engine shares the work out."""

    lanes: int = 0  # 0: one, or where batches run side by side in the store LANES_SIDE_BY_SIDE
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
        self._locator = Locator(MEMO_LIMIT if store.side_by_side else NEAR_MEMO_LIMIT)
        self._store_is_away = False
        self.notes_stages = False  # in orders that have room for them
        self.outage: Outage | None = None  # what serves requests while the store is away
        lanes = self._limits.lanes or (LANES_SIDE_BY_SIDE if store.side_by_side else 1)
        self._lanes = Lanes(lanes, self._limits.batch, self._do, self._again)

    def start(self) -> None:
        """Starts the lanes."""
        self._lanes.start()

    def stop(self) -> None:
        """Does what is queued, answers it, and ends the lanes."""
        self._lanes.stop()

    @property
    def depth(self) -> int:
        """Orders waiting."""
        return len(self._lanes.queue) + len(self._lanes.aside)

    def submit(self, order: Order) -> None:
        """Queues an order; raises Busy, with nothing done, where too many wait.

        What ends a session is always taken: whoever submits bounds how many there are.
        """
        if self.depth >= self._limits.queue and not _ends(order):
            raise Busy(f"charging queue: {self.depth} commands wait; a repeat is welcome")
        order.queued_ms = self._clock_ms()
        self._lanes.put(order)

    def learn(self, after: str) -> str:
        """Remembers the accounts of the identities that follow `after`, so that their first requests needn't look.

        Returns what the next call goes on after; "" where there are no more, or no room. Raises StoreError.
        """
        if self._locator.is_full:
            return ""
        found = self._store.run(lambda session: accounts.next_identities(session, after, LEARNT_AT_ONCE))
        self._locator.learn(found)
        return max(found, default="")

    def execute(self, orders: list[Order]) -> list[Order]:
        """Does orders now, in as few transactions as the batch limit allows; each then holds its result or error."""
        size = self._limits.batch
        for start in range(0, len(orders), size):
            self.run(orders[start : start + size])
        return orders

    def _do(self, orders: list[Order]) -> None:
        """A lane's batch, answered as it is done."""
        now_ms = self._clock_ms()
        metrics.BATCH_WAIT_SECONDS.observe((now_ms - orders[0].queued_ms) * 1e-3)
        late = self.too_late(orders)
        impatient = impatient_ones(orders, now_ms)
        if late or impatient:
            orders = [order for order in orders if order not in late and order not in impatient]
        if self.outage is not None and self.outage.is_on and (served := self.outage.instead(orders)):
            orders = [order for order in orders if order not in served]
            late = late + served
        self._lanes.put_back(self._answered(orders))
        for order in late:
            answer(order)
        self._lanes.aside.put(impatient)

    def _again(self, orders: list[Order]) -> list[Order]:
        """Does what it can of orders that were set aside; those whose clients give up hear Busy. The rest, in order."""
        left: list[Order] = []
        behind: set[str] = set()  # sessions whose earlier orders are left: their later ones may not overtake them
        for start in range(0, len(orders), self._limits.batch):
            part = orders[start : start + self._limits.batch]
            skipped = self._answered([order for order in part if order.session not in behind])
            part = [order for order in part if order.session in behind or order in skipped]
            behind |= {order.session for order in part if order.session}
            left += part
        since_ms = self._clock_ms() - self._limits.patience_ms
        given_up = with_later_ones([order for order in left if order.queued_ms < since_ms], left)
        for order in given_up:
            order.fail(Busy(f"account: {order.account} is locked by another transaction; a repeat is welcome"))
            answer(order)
        return [order for order in left if order not in given_up] if given_up else left

    def _answered(self, orders: list[Order]) -> list[Order]:
        """Does orders and answers them, but for those that it returns, see `run`."""
        skipped: list[Order] = []
        try:
            skipped = self.run(orders, waits=False)
        except Exception as error:
            log.exception("a batch of %s failed", counted(len(orders), "command"))
            for order in orders:
                order.fail(error)
        for order in orders:
            if order not in skipped:
                answer(order)
        return skipped

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

    def run(self, orders: list[Order], *, waits: bool = True) -> list[Order]:
        """One batch, with all that can go wrong: conflicts are tried again, a faulty command ends up alone.

        An account that another batch has locked is waited for; or else its orders are returned, with nothing done.
        """
        pending = [orders] if orders else []
        skipped: list[Order] = []
        while pending:
            part = pending.pop()
            again: list[Order] = []
            error = self._transaction(part, again, skipped, waits=waits)
            if again:
                pending.append(again)
            if error is None:
                continue
            if isinstance(error, StoreUnavailable):
                if self.outage is not None:
                    part = self.outage.after(part, error)
                for order in part:
                    order.fail(error if order.credit is None else Busy(str(error)))
            elif len(part) == 1:
                log.error("a command can't be stored: %s", error)
                part[0].fail(error)
            else:
                middle = len(part) // 2
                pending += [part[middle:], part[:middle]]
        return skipped

    def _transaction(
        self, orders: list[Order], again: list[Order], skipped: list[Order], *, waits: bool
    ) -> StoreError | None:
        """Tries one transaction until it is done or can't be; returns why it can't.

        A link lost while COMMIT was under way is settled by a repeat where a repeat moves nothing: requests
        carry their number, guarded commands their new document. Others are told that nobody knows.
        """
        error: StoreError | None = None
        unknown: UnknownCommit | None = None
        since_ms = min(order.queued_ms for order in orders) or self._clock_ms()
        for attempt in range(CONFLICT_TRIES):
            if attempt and self._clock_ms() - since_ms >= self._limits.patience_ms:
                break
            batch = Batch(orders, self._locator, self._rules, self._tables(), self._clock_ms())
            batch.settling = unknown is not None
            batch.skips_locked = not waits and unknown is None
            started = time.perf_counter()
            try:
                self._store.run(batch.run)
            except UnknownCommit as lost:
                error = unknown = lost
                if any(order.credit is None and not order.guards for order in orders):
                    break
            except StoreUnavailable as unavailable:
                error = unavailable
                break
            except StoreConflict as conflict:
                error = StoreUnavailable(str(conflict))
                metrics.STORE_CONFLICTS.inc()
            except StoreError as refused:
                error = refused
                if len(orders) > 1:
                    return error
                # A document of that name came meanwhile: this time it will be read.
            else:
                ended = time.perf_counter()
                metrics.BATCH_SIZE.observe(len(orders))
                metrics.BATCH_SECONDS.observe(ended - started)
                if self.notes_stages:
                    _note_stages(orders, batch, started, ended)
                again += batch.again
                skipped += batch.skipped
                self._store_is(None)
                if self.outage is not None:
                    self.outage.remember(orders)
                return None
        self._store_is(error)
        return unknown or error

    def _store_is(self, error: StoreError | None) -> None:
        """Logs when the store goes away and when it is back, once each."""
        if (error is None) == self._store_is_away:
            self._store_is_away = error is not None
            if error is None:
                log.info("the store can be written again")
            else:
                log.warning("the store can't be written, requests get 3004: %s", error)


def _note_stages(orders: list[Order], batch: Batch, started_s: float, ended_s: float) -> None:
    for order in orders:
        stages = order.stages
        if stages is not None:
            stages.begun_s, stages.read_s, stages.applied_s = started_s, batch.begun_s, batch.applied_s
            stages.committed_s, stages.batch_size = ended_s, len(orders)


def _ends(order: Order) -> bool:
    credit = order.credit
    return credit is not None and credit.type is TERMINATION


def impatient_ones(orders: list[Order], now_ms: int) -> list[Order]:
    """Those that were skipped for long enough."""
    long_ago_ms = now_ms - LOCK_PATIENCE_MS
    return with_later_ones([order for order in orders if 0 < order.skipped_ms <= long_ago_ms], orders)


def with_later_ones(chosen: list[Order], orders: list[Order]) -> list[Order]:
    """The chosen ones, and of `orders` all others of their sessions, so that these stay in order."""
    sessions = {order.session for order in chosen if order.session}
    return [order for order in orders if order in chosen or order.session in sessions] if chosen else []


def answer(order: Order) -> None:
    """Tells whoever waits; a fault in the telling is logged, never passed on to other orders."""
    try:
        if order.done is not None:
            order.done(order)
    except Exception:
        log.exception("answering a command failed")
