"""A fair queue in front of the one write lock of an SQLite file, across processes and threads.

SQLite's busy handler polls with a growing back-off, so a writer that comes back at once always beats one that
waits. Here a writer holds the lock file `next` while it waits for `main`, and the one that has just let `main`
go has to queue for `next` like anyone else: nobody has the file twice while another waits in front of it.
The kernel drops flock locks with the process, so a writer that is killed leaves nothing to clean up.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN

from mubss.xdev.errors import StoreConflict, StoreUnavailable

# PyDLL keeps the GIL during the call: flock without waiting takes 0.3 µs, while fcntl.flock gives the GIL up and may
# wait a switch interval (5 ms) for a busy event loop to hand it back, four times in a transaction.
_libc = ctypes.PyDLL(None, use_errno=True)

_FIRST_PAUSE_S = 0.000_05
_LONGEST_PAUSE_S = 0.001


def _pause(seconds: float) -> None:
    """Sleeps this native thread: gevent patches time.sleep, which would make an event loop for it."""
    signal.sigtimedwait((), seconds)


class Turnstile:
    """One connection's place in the queue; flock belongs to the open file, so each connection opens its own."""

    def __init__(self, database: str, wait_ms: int) -> None:
        self._database = database
        self._wait_ms = wait_ms
        self._files: list[int] = []
        try:
            for suffix in ("-next", "-main"):
                self._files.append(os.open(database + suffix, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            self.close()
            raise StoreUnavailable(f"{database}: can't open its lock files: {error.strerror}") from None
        self._next, self._main = self._files

    def acquire(self) -> None:
        """Waits for the turn to write; StoreConflict when it doesn't come in time."""
        deadline = None if self._try(self._next) else self._wait(self._next, self._deadline())
        try:
            if not self._try(self._main):
                self._wait(self._main, deadline or self._deadline())
        finally:
            self._unlock(self._next)

    def release(self) -> None:
        """Lets the next one in."""
        self._unlock(self._main)

    def close(self) -> None:
        """Closes the lock files, which releases what this connection held."""
        while self._files:
            os.close(self._files.pop())

    def _try(self, lock: int) -> bool:
        if _libc.flock(lock, LOCK_EX | LOCK_NB) == 0:
            return True
        code = ctypes.get_errno()
        if code in (errno.EWOULDBLOCK, errno.EINTR):
            return False
        raise StoreUnavailable(f"{self._database}: can't lock beside it: {os.strerror(code)}")

    def _deadline(self) -> float:
        return time.monotonic() + self._wait_ms / 1000

    def _wait(self, lock: int, deadline: float) -> float:
        """Tries until it has `lock`; returns the deadline for the next one."""
        pause = _FIRST_PAUSE_S
        while not self._try(lock):
            if time.monotonic() >= deadline:
                raise StoreConflict(f"{self._database}: no turn to write within {self._wait_ms} ms")
            _pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        return deadline

    def _unlock(self, lock: int) -> None:
        _libc.flock(lock, LOCK_UN)
