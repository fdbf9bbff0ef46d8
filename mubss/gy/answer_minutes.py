"""What this process answered, by minute, for statistics: written beside requests, never in their way.

Nothing is counted twice for it: the metrics' counts are looked at, and what they grew by since the last look is the
minute's. A minute's document is written once it is over, under an id of its own, and only ever added: a repeat after an
answer of the store that was lost changes nothing, also where mubss-stats has counted it meanwhile. While the store is
away minutes wait here, the last MAX_WAITING of them. A process that is killed takes the present one with it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from hashlib import blake2b

from mubss import metrics
from mubss.storage import stats_sources as storage
from mubss.storage.database import Store

log = logging.getLogger(__name__)

MINUTE_S = 60
MAX_WAITING = 1440  # minutes: a day
KEPT_S = 31 * 86_400  # how long minutes that nobody counts stay
LATE = "late"  # in place of a result: not sent, the deadline had passed
_FORGET_EVERY = 60  # minutes


class AnswerMinutes:
    """The minutes of one process that aren't in the store yet."""

    def __init__(self, store: Store, now_s: int) -> None:
        self._store = store
        self._process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        self._minute_s = now_s - now_s % MINUTE_S
        self._before = _counts()
        self._waiting: dict[int, dict[str, int]] = {}
        self._written = 0

    def look(self, now_s: int) -> None:
        """Called every second or so; where a minute is over it is written, with those that wait. StoreError: later."""
        minute_s = now_s - now_s % MINUTE_S
        if minute_s != self._minute_s:
            self._take()
            self._minute_s = minute_s
        self.write()

    def finish(self) -> None:
        """The process ends: the present minute is written as it is."""
        self._take()
        self.write()

    def _take(self) -> None:
        counts = _counts()
        grown = {key: count - self._before.get(key, 0) for key, count in counts.items()}
        grown = {key: count for key, count in grown.items() if count}
        self._before = counts
        if not grown:
            return
        there = self._waiting.setdefault(self._minute_s, {})  # of before, where the clock went back
        for key, count in grown.items():
            there[key] = there.get(key, 0) + count
        if len(self._waiting) > MAX_WAITING:
            oldest = min(self._waiting)
            log.warning("the store is away for so long: what was answered in a minute a day ago isn't counted")
            del self._waiting[oldest]

    def write(self) -> None:
        """Writes what waits, the oldest first, and removes what nobody has counted for a month."""
        while self._waiting:
            minute_s = min(self._waiting)
            key = blake2b(f"{self._process}\0{minute_s}\0{self._written}".encode(), digest_size=16).hexdigest()
            counts = self._waiting[minute_s]
            storage.add_minute(self._store, {"_id": key, "minute_s": minute_s, "counted": 0, "counts": counts})
            del self._waiting[minute_s]
            self._written += 1
            if self._written % _FORGET_EVERY == 1:
                storage.forget_minutes(self._store, minute_s - KEPT_S)


def _counts() -> dict[str, int]:
    """How often, over all peers, by CC-Request-Type and Result-Code: "1 2001"."""
    found: dict[str, int] = {}
    for (_peer, kind, result), count in list(metrics.GY_ANSWERS.values.items()):
        found[f"{kind} {result}"] = found.get(f"{kind} {result}", 0) + count
    late = sum(list(metrics.GY_LATE_ANSWERS.values.values()))
    return {**found, f"- {LATE}": late} if late else found
