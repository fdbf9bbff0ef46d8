"""What the handlers work with: the store, the tables in force, the charging engine, the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mubss.charging.engine import Engine, Limits, wall_clock_ms
from mubss.charging.order import Order
from mubss.config import Config
from mubss.core.model import Rules
from mubss.core.tariff import Tables
from mubss.crm.nudge import Nudge
from mubss.refdata.live import Refdata
from mubss.services.control import FOLDER
from mubss.services.licence_room import Room
from mubss.services.licensing import Gate
from mubss.storage.database import Store


class LaneEngine(Engine):
    """An engine whose `execute` waits for the lanes, so that calls under way at once share their transactions."""

    def execute(self, orders: list[Order]) -> list[Order]:
        waiting = []
        for order in orders:
            done = threading.Event()
            order.done = _waker(done)
            self.submit(order)
            waiting.append(done)
        for done in waiting:
            done.wait()
        return orders


def _waker(done: threading.Event) -> Callable[[Order], None]:
    return lambda _order: done.set()


class Office:
    """Shared by all calls; everything in it may be used by many threads."""

    def __init__(self, config: Config, store: Store, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.config = config
        self.gate: Gate | None = None  # of the program, where there is one
        self.store = store
        self.room = Room(store, self._most_subscribers, lambda: self.now_s)
        self.refdata = Refdata(store, config.general.timezone)
        self._clock_ms = clock_ms
        self.nudge = Nudge(config.resolve(FOLDER))  # sessions' clients may have to be told something
        charging = config.charging
        rules = Rules(
            charging.outcome_history, charging.session_supervision_seconds, notices=config.notifications.rules
        )
        limits = Limits(charging.lanes, charging.batch_limit, charging.queue_limit)
        self.engine: Engine = LaneEngine(store, lambda: self.refdata.tables, rules, limits, clock_ms)

    def _most_subscribers(self) -> int | None:
        return self.gate.standing.licence.subscribers if self.gate else None

    @property
    def tables(self) -> Tables:
        """The reference data in force."""
        return self.refdata.tables

    @property
    def now_ms(self) -> int:
        """UTC milliseconds."""
        return self._clock_ms()

    @property
    def now_s(self) -> int:
        """UTC seconds."""
        return self._clock_ms() // 1000
