"""One SQLite connection: how it is opened, its write transactions, and its errors as the store's own."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

from mubss.xdev.errors import NoSuchCollection, StoreConflict, StoreError, StoreUnavailable
from mubss.xdev.sqlite.turnstile import Turnstile

_UNAVAILABLE = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "an input/output error",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_NOTADB": "it is not an SQLite database",
    "SQLITE_CANTOPEN": "it can't be opened",
    "SQLITE_PERM": "access is denied",
    "SQLITE_AUTH": "access is denied",
    "SQLITE_NOMEM": "out of memory",
    "SQLITE_PROTOCOL": "its locks can't be had",
}


class Connection:
    """A connection in autocommit mode, so that every BEGIN, COMMIT and ROLLBACK is ours to see."""

    def __init__(self, path: str, *, busy_timeout_ms: int, cache_kib: int) -> None:
        self.path = path
        self.broken = False
        self._holds_turn = False
        self._turnstile = Turnstile(path, busy_timeout_ms)
        try:
            self._link = sqlite3.connect(
                path,
                timeout=busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,  # the pool lends it to one native thread at a time
                cached_statements=512,  # the sets need up to 9 statements a collection and kind
            )
        except sqlite3.Error as error:
            self._turnstile.close()
            raise self.store_error(error) from None
        try:
            self._configure(cache_kib)
        except StoreError:
            self.close()
            raise

    def _configure(self, cache_kib: int) -> None:
        if self.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            self._turnstile.acquire()  # two that make the same file at once would fail with "database is locked"
            try:
                mode = self.execute("PRAGMA journal_mode = WAL").fetchone()
            finally:
                self._turnstile.release()
            if mode != ("wal",):
                raise StoreUnavailable(f"{self.path}: its file system can't hold a write-ahead log")
        self.execute("PRAGMA synchronous = FULL")
        self.execute("PRAGMA case_sensitive_like = ON")  # as MySQL compares JSON texts
        self._link.create_function("xd_upper", 1, _upper, deterministic=True)
        self._link.create_function("xd_lower", 1, _lower, deterministic=True)
        self.execute(f"PRAGMA cache_size = {-cache_kib}")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of ours is open (SQLite itself may have ended it: after a full disk, say)."""
        return self._holds_turn

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs one statement; sqlite3's errors come out as the store's."""
        try:
            return self._link.execute(sql, values)
        except sqlite3.Error as error:
            raise self.store_error(error) from error
        except OverflowError:
            raise StoreError("a value: expected an integer within 64 bits") from None

    def begin(self) -> None:
        """The turn to write, then BEGIN IMMEDIATE."""
        if self._holds_turn:
            raise StoreError("a transaction is open already: they don't nest, use a savepoint")
        self._turnstile.acquire()
        self._holds_turn = True
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._end_turn()
            raise

    def commit(self) -> None:
        """COMMIT, durable when it returns; whatever goes wrong, no transaction is open afterwards."""
        try:
            if not self._link.in_transaction:
                raise StoreError(f"{self.path}: the transaction was ended by an earlier error")
            self.execute("COMMIT")
        except BaseException:
            self.rollback()
            raise
        self._end_turn()

    def rollback(self) -> None:
        """Ends the transaction if one is open; a connection that can't even do that is broken."""
        try:
            if self._link.in_transaction:
                self._link.execute("ROLLBACK")
        except sqlite3.Error:
            self.broken = True
        finally:
            if self._holds_turn:
                self._end_turn()

    def close(self) -> None:
        """Closes it; an open transaction is rolled back."""
        try:
            self._link.close()
        except sqlite3.Error:
            self.broken = True
        finally:
            self._holds_turn = False
            self._turnstile.close()

    def _end_turn(self) -> None:
        self._holds_turn = False
        self._turnstile.release()

    def store_error(self, error: sqlite3.Error) -> StoreError:
        """`error` in the store's terms, in one line that names the file."""
        name = getattr(error, "sqlite_errorname", "") or ""
        text = str(error)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreConflict(f"{self.path}: another program holds the write lock ({text})")
        if missing := re.match(r"no such table: (?:main\.)?(\S+)", text):
            return NoSuchCollection(f"{missing[1]}: there is no such collection in {self.path}")
        for prefix, meaning in _UNAVAILABLE.items():
            if name.startswith(prefix):
                self.broken = True
                folder = os.path.dirname(self.path)
                if prefix == "SQLITE_CANTOPEN" and not os.path.isdir(folder):
                    meaning = f"there is no folder {folder}"
                return StoreUnavailable(f"{self.path}: {meaning} ({name}: {text})")
        return StoreError(f"{self.path}: {name or type(error).__name__}: {text}")


def _upper(text: str | None) -> str | None:
    """Upper case letter by letter, as MySQL has it: one that would become two (ß) stays."""
    return text and "".join([up if len(up := letter.upper()) == 1 else letter for letter in text])


def _lower(text: str | None) -> str | None:
    return text and "".join([low if len(low := letter.lower()) == 1 else letter for letter in text])
