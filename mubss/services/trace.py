"""Follows messages of every mubss-gy on this machine, as they come."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import msgpack

from mubss.services.control import GY, ask, sockets

SILENCE_SECONDS = 10  # each process says something every second
MAX_WAITING = 100  # of what was read; past it the processes keep their messages, and then lose some


def follow(folder: Path, **wanted: Any) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """(process, what it says) as of gy/trace.py, until each has ended; one that can't be asked says nothing."""
    said: Queue[tuple[int, dict[str, Any] | None]] = Queue(MAX_WAITING)
    going = sockets(folder, GY)
    for pid, path in going.items():
        Thread(target=_read, args=(said, pid, path, wanted), daemon=True).start()
    left = len(going)
    while left:
        try:
            pid, reply = said.get(timeout=1)  # wakes now and then, so that a signal is seen
        except Empty:
            continue
        if reply is None:
            left -= 1
        elif reply:
            yield pid, reply


def _read(said: Queue[tuple[int, dict[str, Any] | None]], pid: int, path: Path, wanted: dict[str, Any]) -> None:
    try:
        for reply in ask(path, "trace", SILENCE_SECONDS, **wanted):
            said.put((pid, reply))
    except (OSError, ValueError, msgpack.UnpackException):
        pass  # it has ended, or is another user's
    finally:
        said.put((pid, None))
