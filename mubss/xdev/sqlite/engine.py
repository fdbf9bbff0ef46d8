"""The embedded store: a pool of connections of one process to one SQLite file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from mubss.xdev.api import Offload, Session
from mubss.xdev.errors import StoreError
from mubss.xdev.sqlite.connection import Connection
from mubss.xdev.sqlite.session import SqliteSession

T = TypeVar("T")

# Connections of a parent process: never used or closed here, since SQLite's locks are the parent's.
_abandoned: list[deque[Connection]] = []


class SqliteStore:
    """See `mubss.xdev.api.Store`.

    The pool is a deque, whose append and pop are atomic under the GIL: a threading lock would be a green one under
    gevent's patches, while the work runs in native threads.
    """

    def __init__(self, url: str, path: str, *, offload: Offload, busy_timeout_ms: int, cache_kib: int) -> None:
        self.url = url
        self._path = os.path.abspath(path)
        self._offload = offload
        self._busy_timeout_ms = busy_timeout_ms
        self._cache_kib = cache_kib
        self._idle: deque[Connection] = deque()
        self._pid = os.getpid()
        self._closed = False

    def run(self, work: Callable[[Session], T]) -> T:
        result: T = self._offload(lambda: self._run_here(work))
        return result

    def close(self) -> None:
        self._closed = True
        if self._pid == os.getpid():
            while self._idle:
                self._idle.pop().close()

    def _run_here(self, work: Callable[[Session], T]) -> T:
        link = self._borrow()
        try:
            return work(SqliteSession(link))
        finally:
            if link.in_transaction:
                link.rollback()
            if link.broken or self._closed:
                link.close()
            else:
                self._idle.append(link)

    def _borrow(self) -> Connection:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        if self._pid != os.getpid():  # forked: SQLite's connections don't survive that
            _abandoned.append(self._idle)
            self._idle, self._pid = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return Connection(self._path, busy_timeout_ms=self._busy_timeout_ms, cache_kib=self._cache_kib)
