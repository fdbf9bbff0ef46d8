"""The embedded store for who only looks: not a byte is written, no lock is taken, no file is made."""

from __future__ import annotations

import os
import sqlite3
from urllib.parse import quote

from mubss.xdev.errors import StoreError
from mubss.xdev.sqlite.connection import Connection
from mubss.xdev.sqlite.engine import SqliteStore


class SqliteReader(SqliteStore):
    """See `mubss.xdev.api.Store`; whatever would write raises StoreError."""

    def _connect(self) -> Connection:
        return ReadingConnection(self._path, self._busy_timeout_ms)


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
        how = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
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
        """Refused: it would be there to write."""
        raise StoreError(f"{self.path}: opened to be read, not to be written")

    def close(self) -> None:
        """Closes it."""
        self._link.close()

    def abandon(self) -> None:
        """In a forked child: it holds no lock of the parent's that a close would drop."""
        self.broken = True
