"""Moves the write-ahead log into the database beside the commits, instead of within one of them.

SQLite's own checkpoint runs inside the commit that fills the log. Batches of 64 accounts of 1 KB, 64 postings and 16
usage records among 100,000 accounts, on 2 cores: with it (every 1,000 pages) 269 batches/s, begin to finish 11.5 ms
at p99 and 12.9 ms at worst; with a checkpoint in a thread beside them 343 batches/s, 7.6 ms and 11.9 ms. The log must
start over now and then (a file that grows makes a commit take 4.7 ms instead of 2.0), which it only does when all of
it has been moved: so the last, short piece is moved with the writers kept out.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

from mubss.xdev.errors import StoreError
from mubss.xdev.sqlite.connection import Connection

EVERY_PAGES = 6_000  # of 4 KB, that this process has added to the log by `about_pages`
START_OVER_PAGES = 8_000  # 32 MB; with what comes until the next checkpoint less than AUTOCHECKPOINT_PAGES
_PREALLOCATED_OCTETS = 32 * 1024 * 1024
_SHORT_PAGES = 400
_ROUNDS = 4

# Not os.posix_fallocate: where the file system can't do it, the C library writes into every block instead.
_libc = ctypes.CDLL(None)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def start_native_thread(work: Callable[[], None]) -> None:
    """Runs `work` in a native thread: under gevent's patches `_thread` itself would make a greenlet."""
    monkey: Any = sys.modules.get("gevent.monkey")
    start = monkey.get_original("_thread", "start_new_thread") if monkey else _thread.start_new_thread
    start(work, ())


def about_pages(rows: int) -> int:
    """How many pages a transaction of so many rows adds to the log.

    A request alone writes 6 pages for its 3 rows, 128 at once 490 for 342. Reckoned by rows alone, single requests
    filled the log until a commit had to do the checkpoint itself: at 2,000 requests/s every 2 s, 37 ms.
    """
    return 3 + rows * 3 // 2 if rows else 0


def checkpoint(link: Connection) -> None:
    """Moves what the log holds; when it has grown long, all of it, so that the next writer starts it over."""
    try:
        length = _passive(link)
        if length < START_OVER_PAGES:
            return
        for _ in range(_ROUNDS):  # each shorter than the one before, until what the writers add meanwhile is little
            _flush(link.path)
            before, length = length, _passive(link)
            if length - before <= _SHORT_PAGES:
                break
        with link.turn():
            _passive(link)
    except (StoreError, OSError):
        # Busy, or a full disk: nothing is lost. The commits themselves checkpoint from `AUTOCHECKPOINT_PAGES` on,
        # and whoever writes next meets the disk's error where it can be answered.
        return


def _passive(link: Connection) -> int:
    """One pass beside the writers; returns how many pages the log held when it began."""
    return int(link.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


def preallocate(path: str) -> None:
    """Gives the log its room on the disk at once: a commit that makes the file longer takes 0.33 ms, another 0.23 ms.

    fallocate changes no byte that is there, so writers need not be kept out; SQLite's locks are not on this file.
    """
    try:
        log = os.open(f"{path}-wal", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.fstat(log).st_size < _PREALLOCATED_OCTETS:
            _libc.fallocate(log, 0, 0, _PREALLOCATED_OCTETS)  # its failure costs nothing but the gain
    finally:
        os.close(log)


def _flush(path: str) -> None:
    """Writes the database's dirty pages to the disk, while writers write.

    SQLite does it only after a pass that moved everything, that is with the writers kept out: 27 to 34 ms. It is done
    on SQLite's own descriptor, since closing another one would drop the locks of this process (POSIX says so).
    """
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == path:
                os.fdatasync(int(name))
                return
        except OSError:  # closed meanwhile; the last pass then has more to write
            continue
