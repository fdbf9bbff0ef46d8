"""How many more subscribers a licence allows. Those that are terminated don't count."""

from __future__ import annotations

from collections.abc import Callable

from mubss.config import Config
from mubss.core.errors import LicenceError
from mubss.services.licensing import LicenseValidator
from mubss.storage import subscribers
from mubss.storage.database import Store

COUNT_SECONDS = 60  # that a count is believed for: what other processes add meanwhile is seen with the next one


class Room:
    """`limit` gives the most there may be, None where no licence can be read: then no program runs on it either."""

    def __init__(self, store: Store, limit: Callable[[], int | None], clock_s: Callable[[], int]) -> None:
        self._store = store
        self._limit = limit
        self._clock_s = clock_s
        self._counted_s = -COUNT_SECONDS
        self._there = 0

    def check(self, more: int = 1) -> None:
        """LicenceError where so many more are too many."""
        limit, now_s = self._limit(), self._clock_s()
        if limit is None:
            return
        if now_s - self._counted_s >= COUNT_SECONDS or self._there + more > limit:
            self._there, self._counted_s = subscribers.count_living(self._store), now_s
        if self._there + more > limit:
            raise LicenceError(f"licence.subscribers: {limit}; expected {self._there + more} or more, to add {more}")
        self._there += more


def limit_of(config: Config) -> int | None:
    """What the licence says that the configuration names."""
    try:
        return LicenseValidator(config).read().subscribers
    except LicenceError:
        return None
