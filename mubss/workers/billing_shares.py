"""A bill run shared out to processes: each bills a part of the cycle, and prints what it counts as lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent.queue import Queue
from gevent.subprocess import Popen

from mubss.core.errors import MubssError
from mubss.runtime import ExitCode
from mubss.services.billing import Share
from mubss.services.inside import Members
from mubss.storage.database import StoreUnavailable

LOOK_SECONDS = 0.2  # whether they are to stop
Command = Callable[[str, Share], list[str]]


def command_for(config_file: str | None, cycle: int) -> Command:
    """What starts a process for a share of a period's run."""
    named = ["--config", config_file] if config_file else []

    def command(period: str, share: Share) -> list[str]:
        told = ["--cycle", str(cycle), "--period", period, "--share", str(share.index), str(share.of)]
        return [sys.executable, "-m", "mubss.workers.billing", *named, *told]

    return command


def run_shares(
    command: Command, period: str, count: int, is_stopping: Callable[[], bool], members: Members | None = None
) -> Iterator[dict[str, Any]]:
    """Starts the processes; what each counts, as it comes. An error of one ends all, whose work stays done.

    `members` hears what each counts for Prometheus.

    They stop when told to, and by themselves when this process is gone: they watch their stdin.
    """
    lines: Queue[tuple[int, bytes | None]] = Queue()
    processes = [
        Popen(command(period, Share(index, count)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for index in range(count)
    ]

    def read(process: Popen) -> None:
        for line in process.stdout:
            lines.put((process.pid, line))
        lines.put((process.pid, None))

    readers = [gevent.spawn(read, process) for process in processes]
    watcher = gevent.spawn(_stop_with, is_stopping, processes)
    try:
        left = count
        while left:
            pid, line = lines.get()
            if line is None:
                left -= 1
                continue
            part = json.loads(line)
            counted = part.pop("metrics", None)
            if members is not None and counted is not None:
                members.hear(pid, counted)
            yield part
        _check([process.wait() for process in processes])
    finally:
        watcher.kill()
        _terminate(processes)
        gevent.joinall(readers)
        if members is not None:
            for process in processes:
                members.leave(process.pid)


def _stop_with(is_stopping: Callable[[], bool], processes: list[Popen]) -> None:
    while not is_stopping():
        gevent.sleep(LOOK_SECONDS)
    _terminate(processes)


def _terminate(processes: list[Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()


def _check(codes: list[int]) -> None:
    if ExitCode.STORE_UNAVAILABLE in codes or ExitCode.TRY_AGAIN in codes:
        raise StoreUnavailable("a share's process lost the store; it has said why")
    if wrong := [code for code in codes if code]:
        raise MubssError(f"a share's process ended with {wrong[0]}; it has said why")
