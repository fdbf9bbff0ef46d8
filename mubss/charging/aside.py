"""Orders of accounts that stay locked: a thread of their own looks at them again, so that no lane waits with them.

A client that vanished may hold its locks for seconds. Lanes that waited for them would be missing, and their orders,
which count as under way, would keep further batches from beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mubss.charging.order import Order

PAUSE_S = 0.01  # MySQL's own lock waits are whole seconds, and longer than some clients wait


class Aside:
    """`again` does what it can of the orders, in order, and returns the rest; `freed` hears when some are done."""

    def __init__(self, again: Callable[[list[Order]], list[Order]], freed: Callable[[], None]) -> None:
        self.sessions: set[str] = set()  # whose orders are here: none of theirs may overtake them
        self._again, self._freed = again, freed
        self._orders: list[Order] = []
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="aside", daemon=True)

    def __len__(self) -> int:
        return len(self._orders)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, once nothing is here."""
        self._stopping = True
        self._awake.set()
        self._thread.join()

    def put(self, orders: list[Order]) -> None:
        """Sets orders aside, in their order."""
        if orders:
            with self._lock:
                self._keep(self._orders + orders)
            self._awake.set()

    def _keep(self, orders: list[Order]) -> None:
        self._orders = orders
        self.sessions = {order.session for order in orders if order.session}

    def _loop(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            while orders := self._orders:
                left = self._again(orders)
                with self._lock:
                    self._keep(left + self._orders[len(orders) :])
                if len(left) < len(orders):
                    self._freed()
                if left:
                    time.sleep(PAUSE_S)
            if self._stopping:
                return
