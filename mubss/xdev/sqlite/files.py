"""An SQLite file as a whole: whether it is sound, and whether anybody has it open who must not while it is replaced."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

from mubss.xdev.errors import StoreConflict, StoreUnavailable
from mubss.xdev.sqlite.turnstile import Turnstile

# Where SQLite locks: a connection to a file with a write-ahead log holds a shared lock there as long as it is open
# (sqlite.org/lockingv3.html, os.h). It needs no look inside the file, which may be damaged.
_SHARED_FIRST, _SHARED_OCTETS = 0x4000_0002, 510
_WAIT_MS = 1000


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Keeps writers and new connections out; StoreConflict where another process has the file open.

    This process must have no connection to it: closing a descriptor drops all its locks on the file (POSIX).
    """
    turnstile = Turnstile(path, _WAIT_MS)
    try:
        turnstile.acquire()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StoreUnavailable(f"{path}: can't be opened to be replaced: {error.strerror}") from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_OCTETS, _SHARED_FIRST)
            yield
        except BlockingIOError:
            raise StoreConflict(f"{path}: another program has the store open: stop it first") from None
        finally:
            os.close(descriptor)
    finally:
        turnstile.close()


def check_file(path: str) -> str:
    """The first fault that SQLite finds in a file that nobody has open; "" where it is sound."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)) as link:
            found = str(link.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if found == "ok" else " ".join(found.split())
