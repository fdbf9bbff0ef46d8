"""The embedded store: a pool of connections of one process to one SQLite file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakSet

from mubss.xdev.api import Offload, Session
from mubss.xdev.errors import StoreError, StoreUnavailable
from mubss.xdev.sqlite.checkpoint import EVERY_PAGES, about_pages, checkpoint, preallocate, start_native_thread
from mubss.xdev.sqlite.connection import Connection
from mubss.xdev.sqlite.session import SqliteSession

T = TypeVar("T")

_stores: WeakSet[SqliteStore] = WeakSet()


class SqliteStore:
    """See `mubss.xdev.api.Store`.

    The pool is a deque, whose append and pop are atomic under the GIL: a threading lock would be a green one under
    gevent's patches, while the work runs in native threads.
    """

    side_by_side = False

    def __init__(self, url: str, path: str, *, offload: Offload, busy_timeout_ms: int, cache_kib: int) -> None:
        self.url = url
        self._path = os.path.realpath(path)  # one turnstile, whatever links lead to the file
        self._offload = offload
        self._busy_timeout_ms = busy_timeout_ms
        self._cache_kib = cache_kib
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._closed = False
        self._written_pages = 0
        self._checkpointing = False
        _stores.add(self)

    def make(self) -> None:
        """Nothing: the file is made when it is first opened."""

    def run(self, work: Callable[[Session], T]) -> T:
        # An exception is carried as a value: gevent's thread pool would also print every one that work raises.
        result, error = self._offload(lambda: self._outcome(work))
        if error is not None:
            raise error
        return cast(T, result)

    def copy_to(self, file: str) -> None:
        link = self._borrow()
        try:
            link.copy_to(file)
        finally:
            self._give_back(link)

    def close(self) -> None:
        """Closes what is idle now, and what is lent as it comes back."""
        self._closed = True
        while self._idle:
            self._close(self._idle.pop())

    def _outcome(self, work: Callable[[Session], T]) -> tuple[T | None, BaseException | None]:
        try:
            return self._run_here(work), None
        except BaseException as error:
            return None, error

    def _run_here(self, work: Callable[[Session], T]) -> T:
        link = self._borrow()
        rows = link.written_rows
        session = SqliteSession(link)
        try:
            return work(session)
        finally:
            session.end()
            if not link.broken:
                self._written_pages += about_pages(link.written_rows - rows)
            self._give_back(link)
            if self._written_pages >= EVERY_PAGES and not self._checkpointing and not self._closed:
                self._checkpointing = True
                self._written_pages = 0
                start_native_thread(self._checkpoint)

    def _borrow(self) -> Connection:
        if self._closed:
            raise StoreUnavailable(f"{self._path}: the store is closed")
        try:
            return self._idle.pop()
        except IndexError:
            link = self._connect()
            self._open.add(link)
            return link

    def _connect(self) -> Connection:
        link = Connection(self._path, busy_timeout_ms=self._busy_timeout_ms, cache_kib=self._cache_kib)
        preallocate(self._path)
        return link

    def _give_back(self, link: Connection) -> None:
        if link.broken or self._closed:
            self._close(link)
        else:
            self._idle.append(link)

    def _close(self, link: Connection) -> None:
        self._open.discard(link)
        link.close()

    def _checkpoint(self) -> None:
        """The work of the checkpoint's thread; one at a time."""
        try:
            link = self._borrow()
            checkpoint(link)
            self._give_back(link)
        except StoreError:
            pass  # it can't be opened just now: whoever writes next says so
        finally:
            self._checkpointing = False

    def abandon(self) -> None:
        """Lets go of a parent's connections, idle or lent; new ones are opened when they're needed."""
        for link in self._open:
            link.abandon()
        self._open.clear()
        self._idle.clear()
        self._checkpointing = False


def _abandon_all() -> None:
    for store in _stores:
        store.abandon()


os.register_at_fork(after_in_child=_abandon_all)
