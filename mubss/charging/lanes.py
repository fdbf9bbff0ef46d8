"""Lanes: several batches under way at once, from one queue, as far as that pays.

A batch is *prepared* (accounts locked and read, commands applied) and then *committed*. One lane prepares at a time:
that is this process's own work, and nothing is gained by doing it twice at once. While it commits, the store is at
work, and the next lane may prepare. A small batch costs nearly what a large one does: beside one that is under way
another begins only when `BESIDE` orders wait for it, else it gathers until that one is done. So few orders make one
lane, many make several, and the depth decides.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from mubss.charging.order import Order

BESIDE = 16


class Lanes:
    """A queue of orders and the lanes that do them by `work(orders, prepared)`.

    `work` calls `prepared` when it has done its own part and waits for the store; if it doesn't, no other lane begins
    before it is done.
    """

    def __init__(self, count: int, batch: int, work: Callable[[list[Order], Callable[[], None]], None]) -> None:
        self.queue: deque[Order] = deque()
        self._batch = batch
        self._work = work
        self._lock = threading.Lock()
        self._lanes = [Lane(self, f"lane-{number}") for number in range(count)]
        self._idle: deque[Lane] = deque()
        self._preparing: Lane | None = None
        self._under_way = 0
        self._stopping = False

    def start(self) -> None:
        """Starts the lanes."""
        for lane in self._lanes:
            lane.thread.start()
        self._idle.extend(self._lanes)
        self._wake()

    def stop(self) -> None:
        """Does what is queued, and ends the lanes."""
        self._stopping = True
        self._wake()
        for lane in self._lanes:
            lane.thread.join()

    def put(self, order: Order) -> None:
        """Queues an order, and wakes a lane if it is time for one."""
        self.queue.append(order)
        if self._idle and self._preparing is None:
            self._wake()

    def put_back(self, orders: list[Order]) -> None:
        """Puts orders in front of the queue, for a batch that begins after this one."""
        self.queue.extendleft(reversed(orders))

    def _wake(self) -> None:
        with self._lock:
            if self._preparing is not None or not self._idle:
                return
            waiting = len(self.queue)
            if waiting and (not self._under_way or waiting >= BESIDE):
                lane = self._preparing = self._idle.popleft()
                lane.orders = [self.queue.popleft() for _ in range(min(waiting, self._batch))]
                self._under_way += 1
                lane.awake.set()
            elif self._stopping and not waiting and not self._under_way:
                for lane in self._idle:
                    lane.awake.set()

    def do(self, lane: Lane) -> None:
        """One batch of a lane."""
        try:
            self._work(lane.orders, lambda: self._prepared(lane))
        finally:
            with self._lock:
                if self._preparing is lane:
                    self._preparing = None
                self._under_way -= 1
                lane.orders = []
                self._idle.appendleft(lane)
            self._wake()

    def _prepared(self, lane: Lane) -> None:
        if self._preparing is lane:
            self._preparing = None
            self._wake()


class Lane:
    """A thread (or greenlet) that does the batches it is given; it ends when it is woken without one."""

    def __init__(self, lanes: Lanes, name: str) -> None:
        self.orders: list[Order] = []
        self.awake = threading.Event()
        self.thread = threading.Thread(target=self._loop, args=(lanes,), name=name, daemon=True)

    def _loop(self, lanes: Lanes) -> None:
        while True:
            self.awake.wait()
            self.awake.clear()
            if not self.orders:
                return
            lanes.do(self)
