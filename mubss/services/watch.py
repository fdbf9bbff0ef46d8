"""Beside a program's work: whether its store answers, how much waits there, and how fast it goes.

Counting in the store is paced by what it costs: after a look that took a second the next one waits for PAUSE seconds.
It has connections of its own, with a patience of its own: a count that takes too long must break none that charges.
Plain threading on purpose: a greenlet in a gevent process, whose store waits through the hub, a thread elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from mubss import metrics
from mubss.config import Config
from mubss.storage.database import Store, StoreError, open_database, read_schema

log = logging.getLogger(__name__)

TICK_SECONDS = 1
ASK_TICKS = 2  # between two questions whether the store answers
HUNG_SECONDS = 5  # a question that takes longer counts as none answered
PAUSE = 100  # times what a look took, at least: so it takes a hundredth of one processor at most
WINDOW_TICKS = 10  # that rates are over
PATIENCE_MS = 60_000  # for a count

Depths = Callable[[Store], Mapping[str, int]]  # counts what waits, sets its gauges, and gives what `mubss status` shows


class Watch:
    """Looks on while the program works.

    `store` is the one that the program works with; `open_store` opens another one for counting. `rates`: what the
    program has done so far, by the name it is shown by ("ccr").
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        depths: Depths | None,
        open_store: Callable[[str], Store] = open_database,
        **rates: Callable[[], int],
    ) -> None:
        self.depths = depths
        self.fault = ""  # why the store doesn't answer
        self._store = store
        patient = replace(config.store, busy_timeout_ms=max(PATIENCE_MS, config.store.busy_timeout_ms))
        self._counting = open_store(replace(config, store=patient).store_url)
        self._look_seconds = config.metrics.look_seconds
        self._rates = rates
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=WINDOW_TICKS + 1)
        self._asked_s = 0.0  # since when a question waits for its answer; 0: none does
        self._next_look_s = 0.0
        self._found: Mapping[str, int] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name="watch", daemon=True)
            for work in (self.tick, self.look)
        ]
        self._ticks = 0

    def start(self) -> None:
        """Looks from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Looks no more; a question under way is waited for a little, since the store is closed next."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(TICK_SECONDS)
        self._counting.close()

    def obstacle(self) -> str:
        """Why the store can't be worked with, "" where it can."""
        asked_s = self._asked_s
        if asked_s and (waits_s := time.monotonic() - asked_s) >= HUNG_SECONDS:
            return f"the store is away: it hasn't answered for {int(waits_s)} s"
        return f"the store is away: {self.fault}" if self.fault else ""

    def facts(self) -> dict[str, object]:
        """What `mubss status` shows: rates a second, what waits, and that the store is away."""
        found: dict[str, object] = {**self.per_second(), **self._found}
        if obstacle := self.obstacle():
            found["store"] = obstacle
        return found

    def per_second(self) -> dict[str, float]:
        """`ccr_per_second` for each rate, over the last WINDOW_TICKS seconds."""
        if len(self._samples) < 2:
            return {f"{name}_per_second": 0.0 for name in self._rates}
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        span_s = max(last_s - first_s, 0.001)
        return {f"{name}_per_second": round((last[name] - first[name]) / span_s, 1) for name in self._rates}

    def tick(self) -> None:
        """What is done each second."""
        self.sample(time.monotonic())
        if self._ticks % ASK_TICKS == 0:
            self.ask()
        self._ticks += 1

    def sample(self, now_s: float) -> None:
        """Notes how far the counts are."""
        self._samples.append((now_s, {name: count() for name, count in self._rates.items()}))

    def ask(self) -> None:
        """Whether the store answers."""
        self._asked_s = time.monotonic()
        try:
            read_schema(self._store)
            self.fault = ""
        except StoreError as error:
            self.fault = str(error)
        finally:
            self._asked_s = 0.0
        metrics.STORE_UP.set(not self.fault)

    def look(self) -> None:
        """Counts what waits, if it is time to and the store answers."""
        started_s = time.monotonic()
        if self.depths is None or self.fault or started_s < self._next_look_s:
            return
        try:
            self._found = self.depths(self._counting)
        except StoreError as error:
            log.debug("what waits in the store isn't known anew: %s", error)
        took_s = time.monotonic() - started_s
        metrics.LOOK_SECONDS.set(round(took_s, 6))
        self._next_look_s = time.monotonic() + max(self._look_seconds, PAUSE * took_s)

    def _repeat(self, work: Callable[[], None]) -> None:
        while True:
            try:
                work()
            except Exception:
                if self._stopping.is_set():
                    return  # the store was closed under us
                log.exception("watching failed")
            if self._stopping.wait(TICK_SECONDS):
                return
