"""Log lines on their way out: whoever logs never waits, however slowly the log is read.

Lines are written by a native thread, since under gevent any other would be a greenlet, and a write to a full pipe would
stop the hub with all its peers. What that thread can't write in time is dropped, counted, and told in a line.
"""

from __future__ import annotations

import _queue  # the queue of native threads, whatever gevent has made of `queue`
import _thread
import logging
import os
import sys
import time
from typing import Any

from mubss import metrics
from mubss.core.wording import counted

MAX_LINES = 4096  # that wait
MAX_LINE_OCTETS = 32_768
TOGETHER = 64  # lines in one write
FLUSH_SECONDS = 2  # that the end of a process waits for its last lines
RETRY_SECONDS = 0.05  # after a descriptor that takes nothing at the moment
_CUT = " …".encode()


class LogWriter(logging.Handler):
    """Writes to a file descriptor, stderr by default."""

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self.dropped = 0
        self._told = 0
        self._descriptor = descriptor
        self._lines: _queue.SimpleQueue[Any] = _queue.SimpleQueue()
        self._never: _queue.SimpleQueue[Any] = _queue.SimpleQueue()  # to wait for it is a sleep that isn't patched
        _start_native(self._work)

    def createLock(self) -> None:
        """None: the queue needs none, and gevent's can't be had by native threads and greenlets alike."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a line; as logging calls it."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
            return
        metrics.LOG_LINES.inc(record.levelname.lower())
        if self._lines.qsize() >= MAX_LINES:
            self._drop(1)
            return
        self._lines.put((line if len(line) <= MAX_LINE_OCTETS else line[:MAX_LINE_OCTETS] + _CUT) + b"\n")

    def flush(self) -> None:
        """Waits until all that was logged before is written, FLUSH_SECONDS at most; for the end of a process."""
        written: _queue.SimpleQueue[bool] = _queue.SimpleQueue()
        self._lines.put(written)
        try:
            written.get(timeout=FLUSH_SECONDS)
        except _queue.Empty:
            pass

    def _drop(self, count: int) -> None:
        self.dropped += count
        metrics.LOG_DROPPED.inc(by=count)

    # ── the native thread ──────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while True:
            lines: list[bytes] = []
            flushed = None
            found = self._lines.get()
            while flushed is None:
                if not isinstance(found, bytes):
                    flushed = found
                    break
                lines.append(found)
                if len(lines) >= TOGETHER or self._lines.empty():
                    break
                found = self._lines.get()
            if lines:
                self._write(lines)
            if flushed is not None:
                flushed.put(True)

    def _write(self, lines: list[bytes]) -> None:
        dropped = self.dropped
        if dropped > self._told:
            lines.append(self._note(dropped - self._told))
        try:
            self._write_all(b"".join(lines))
            self._told = dropped
        except OSError:  # nobody reads it any more, or the disk is full: the program goes on
            self._drop(len(lines))

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                try:
                    self._never.get(timeout=RETRY_SECONDS)
                except _queue.Empty:
                    pass

    def _note(self, count: int) -> bytes:
        text = counted(count, "line was", "lines were") + " dropped: the log isn't taken as fast as it is written"
        record = logging.LogRecord("mubss.log", logging.WARNING, __file__, 0, text, (), None)
        record.created = time.time()
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"


def _start_native(work: Any) -> None:
    """Starts a thread that gevent knows nothing of; it ends with the process."""
    monkey = sys.modules.get("gevent.monkey")
    start = _thread.start_new_thread
    if monkey is not None:
        start = monkey.get_original("_thread", "start_new_thread")
    start(work, ())
