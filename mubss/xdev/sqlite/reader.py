"""The embedded store for who only looks: not a byte is written, no lock is taken, no file is made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from mubss.xdev.api import Session
from mubss.xdev.errors import StoreError, StoreUnavailable
from mubss.xdev.sqlite.connection import Connection
from mubss.xdev.sqlite.engine import SqliteStore

T = TypeVar("T")


class SqliteReader(SqliteStore):
    """See `mubss.xdev.api.Store`; whatever would write raises StoreUnavailable."""

    def _run_here(self, work: Callable[[Session], T]) -> T:
        """Once more where a program opened the file meanwhile: what was read as if nobody had may be torn."""
        was_alone = not os.path.exists(f"{self._path}-wal")
        try:
            found = super()._run_here(work)
        except StoreError:
            if not self._is_joined(was_alone):
                raise
        else:
            if not self._is_joined(was_alone):
                return found
        return super()._run_here(work)

    def _is_joined(self, was_alone: bool) -> bool:
        if not was_alone or not os.path.exists(f"{self._path}-wal"):
            return False
        while self._idle:
            self._close(self._idle.pop())
        return True

    def _connect(self) -> Connection:
        return ReadingConnection(self._path, self._busy_timeout_ms)


class _NoTurn:
    """Who only reads stands in nobody's way, and waits for nobody."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def close(self) -> None: ...


class ReadingConnection(Connection):
    """A connection to a file that is there.

    Where nobody has it open there is no log, and SQLite would make one even for a reader (3.40; sqlite.org/wal.html
    §3): so it is told that the file doesn't change. Should a program start at that moment, what is read may be
    torn: who finds something wrong opens the file again before saying so.
    """

    def __init__(self, path: str, busy_timeout_ms: int) -> None:
        self.path = path
        self.broken = False
        self._in_transaction = False
        self._turnstile = _NoTurn()
        log, index = f"{path}-wal", f"{path}-shm"
        has_log = os.path.exists(log)
        if has_log and not os.path.exists(index) and not os.access(folder := os.path.dirname(path), os.W_OK | os.X_OK):
            # SQLite can't read a log without its index, and makes that one in the folder (sqlite.org/wal.html §5).
            if os.path.getsize(log):
                text = f"{path}: has a log, {os.path.basename(log)}, and can't be read with it while uid {os.getuid()}"
                raise StoreUnavailable(f"{text} can't write to its folder {folder}: have its owner run `mubss status`")
            has_log = False
        how = "mode=ro" if has_log else "immutable=1"
        try:
            self._link = sqlite3.connect(
                f"file:{quote(path)}?{how}",
                uri=True,
                timeout=busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._store_error(error) from None
        try:
            self.execute("PRAGMA query_only = ON")
            self.execute("SELECT count(*) FROM sqlite_master")  # fails here if it is no database
            self._add_functions()
        except StoreError:
            self._link.close()
            raise

    def begin(self) -> None:
        """A transaction that sees one state of the file; whatever would write in it raises StoreUnavailable."""
        if self._in_transaction:
            raise StoreError("a transaction is open already: they don't nest, use a savepoint")
        self.execute("BEGIN")
        self._in_transaction = True

    def abandon(self) -> None:
        """In a forked child: it holds no lock of the parent's that a close would drop."""
        self.broken = True
