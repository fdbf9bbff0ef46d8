"""One SQLite connection: how it is opened, its write transactions, and its errors as the store's own."""

from __future__ import annotations

import ctypes
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from mubss.xdev.errors import (
    InvalidExpression,
    NoSuchCollection,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    UnknownCommit,
)
from mubss.xdev.sqlite.turnstile import Turnstile

# Bounds the log at 64 MB if the checkpoints beside the commits can't keep up; see `checkpoint`.
AUTOCHECKPOINT_PAGES = 16_384
_LEAST_SQLITE = (3, 38, 0)  # the -> operator; ON CONFLICT and 32,766 parameters are older

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
# What SQLite says of an expression that is within our limits and beyond its own.
_TOO_MUCH = ("parser stack overflow", "Expression tree is too large", "LIKE or GLOB pattern", "too many SQL variables")

_CLOSED = sqlite3.connect(":memory:")  # what an abandoned connection points at: it refuses everything
_CLOSED.close()


class Turn(Protocol):
    """A place in the queue of writers."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def close(self) -> None: ...


class Connection:
    """A connection in autocommit mode, so that every BEGIN, COMMIT and ROLLBACK is ours to see."""

    def __init__(self, path: str, *, busy_timeout_ms: int, cache_kib: int) -> None:
        self.path = path
        self.broken = False
        self._in_transaction = False
        self._turnstile: Turn
        if sqlite3.sqlite_version_info < _LEAST_SQLITE:
            raise StoreUnavailable(f"{path}: SQLite 3.38 or later is needed, this is {sqlite3.sqlite_version}")
        try:
            self._link = sqlite3.connect(
                path,
                timeout=busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,  # the pool lends it to one native thread at a time
                cached_statements=512,  # the sets need up to 9 statements a collection and kind
            )
        except sqlite3.Error as error:
            raise self._store_error(error) from None
        try:
            in_wal = self.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # fails here if it is no database
            self._turnstile = Turnstile(path, busy_timeout_ms)
        except StoreError:
            self._link.close()
            raise
        try:
            self._configure(in_wal, cache_kib)
        except StoreError:
            self.close()
            raise

    def _configure(self, in_wal: bool, cache_kib: int) -> None:
        if not in_wal:
            with self.turn():  # two that make the same file at once would fail with "database is locked"
                mode = self.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != ("wal",):
                raise StoreUnavailable(f"{self.path}: its file system can't hold a write-ahead log")
        self.execute("PRAGMA synchronous = FULL")
        self.execute("PRAGMA case_sensitive_like = ON")  # as MySQL compares JSON texts
        self.execute(f"PRAGMA cache_size = {-cache_kib}")
        self.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
        self._add_functions()

    def _add_functions(self) -> None:
        """What expressions are translated to and SQLite hasn't."""
        self._link.create_function("xd_upper", 1, _upper, deterministic=True)
        self._link.create_function("xd_lower", 1, _lower, deterministic=True)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; it may be lost already, see `lost`."""
        return self._in_transaction

    @property
    def lost(self) -> bool:
        """Whether SQLite itself has rolled the open transaction back, as it does when the disk is full."""
        return self._in_transaction and not self._link.in_transaction

    @property
    def written_rows(self) -> int:
        """Rows written over this connection since it was opened."""
        return self._link.total_changes

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs one statement; sqlite3's errors come out as the store's."""
        try:
            if self._in_transaction and not self._link.in_transaction:  # it would be committed on its own
                raise StoreError(f"{self.path}: the transaction was ended by an earlier error")
            return self._link.execute(sql, values)
        except sqlite3.Error as error:
            raise self._store_error(error) from error

    def copy_to(self, target: str) -> None:
        """Copies the database, as it is at one moment, into the new file `target`; writers are not held up.

        In one step: SQLite starts a copy in several steps over at each write of another connection, so it would never
        end beside a busy writer. One step is one read transaction: until its end the log only grows.
        """
        try:
            other = sqlite3.connect(target)
            try:
                self._link.backup(other)
            finally:
                other.close()
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or type(error).__name__
            raise StoreUnavailable(f"{self.path}: can't be copied to {target} ({name}: {error})") from None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keeps writers out without a transaction."""
        self._turnstile.acquire()
        try:
            yield
        finally:
            self._turnstile.release()

    def begin(self) -> None:
        """The turn to write, then BEGIN IMMEDIATE."""
        if self._in_transaction:
            raise StoreError("a transaction is open already: they don't nest, use a savepoint")
        self._turnstile.acquire()
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._turnstile.release()
            raise
        self._in_transaction = True

    def commit(self) -> None:
        """COMMIT, durable when it returns; whatever goes wrong, no transaction is open afterwards."""
        if not self._in_transaction:
            raise StoreError("commit: no transaction is open")
        try:
            self.execute("COMMIT")
        except StoreUnavailable as error:
            self.rollback()
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error) and cause.sqlite_errorname.startswith("SQLITE_IOERR"):
                raise UnknownCommit(str(error)) from cause  # the log may hold the whole of it
            raise
        except BaseException:
            self.rollback()
            raise
        self._in_transaction = False
        self._turnstile.release()

    def rollback(self) -> None:
        """Ends the transaction if one is open; a connection that can't even do that is broken."""
        if not self._in_transaction:
            return
        try:
            if self._link.in_transaction:
                self._link.execute("ROLLBACK")
        except sqlite3.Error:
            self.broken = True
        finally:
            self._in_transaction = False
            self._turnstile.release()

    def close(self) -> None:
        """Closes it; an open transaction is rolled back."""
        self._in_transaction = False
        try:
            self._link.close()
        except sqlite3.Error:
            self.broken = True
        finally:
            self._turnstile.close()

    def abandon(self) -> None:
        """In a forked child: lets go without closing, since SQLite's state and locks are the parent's.

        The sqlite3 object gets one reference too many, so that not even the end of the process closes it. The lock
        files can be closed: flock stays with the parent's copies.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._link))
        self._link = _CLOSED
        self._in_transaction = False
        self.broken = True
        self._turnstile.close()

    def _store_error(self, error: sqlite3.Error) -> StoreError:
        """`error` in the store's terms, in one line that names the file."""
        name = getattr(error, "sqlite_errorname", "") or ""
        text = str(error)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreConflict(f"{self.path}: another program holds the write lock ({text})")
        if missing := re.match(r"no such table: (?:main\.)?(\S+)", text):
            return NoSuchCollection(f"{missing[1]}: there is no such collection in {self.path}")
        if text.startswith(_TOO_MUCH):
            return InvalidExpression(f"an expression too large for SQLite ({text})")
        for prefix, meaning in _UNAVAILABLE.items():
            if name.startswith(prefix):
                self.broken = True
                if prefix in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                    meaning = obstacle(self.path) or meaning
                return StoreUnavailable(f"{self.path}: {meaning} ({name}: {text})")
        return StoreError(f"{self.path}: {name or type(error).__name__}: {text}")


def obstacle(path: str) -> str:
    """Why this user can't work with a store's file; "" where nothing in its rights says so."""
    folder, who = os.path.dirname(path), f"uid {os.getuid()}"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if os.path.exists(path) and not os.access(path, os.R_OK):
        return f"{who} may not read it; expected its owner"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{who} can't write to its folder {folder}; expected its owner, and a disk that may be written"
    if os.path.exists(path) and not os.access(path, os.W_OK):
        return f"{who} may not write it; expected its owner"
    return ""


def _upper(text: str | None) -> str | None:
    """Upper case letter by letter, as MySQL has it: one that would become two (ß) stays."""
    return text and "".join([up if len(up := letter.upper()) == 1 else letter for letter in text])


def _lower(text: str | None) -> str | None:
    return text and "".join([low if len(low := letter.lower()) == 1 else letter for letter in text])
