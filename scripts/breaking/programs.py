"""The programs under torture as real processes: each leads a group of its own, and only what was started is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from breaking.shim import Shim

STOP_S = 60


class Program:
    """One program: started, killed, frozen, and started again where it ended by itself, as a supervisor does it."""

    def __init__(
        self, name: str, command: list[str], settings: Mapping[str, str], log: Path, shim: Shim | None = None
    ) -> None:
        self.name, self.shim = name, shim
        self._command = [sys.executable, "-m", *command]
        self._environment = {**os.environ, **settings, **(shim.settings if shim else {})}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []  # of leaders that were killed without their children
        self.ended_itself = 0

    def start(self) -> None:
        """Starts it, unless it is there."""
        if self.is_running:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stderr=log, stdout=log, env=self._environment,
                start_new_session=True,
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        """Whether it is there, be it frozen."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """What it ended with; None while it runs, or where it was never started."""
        return None if self._process is None else self._process.poll()

    def mend(self) -> None:
        """Starts it again if it ended by itself."""
        if self._process is not None and not self.is_running:
            self.ended_itself += 1
            self.start()

    def signal(self, number: int) -> None:
        """To the program and its children."""
        if self.is_running and self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def signal_leader(self, number: int) -> None:
        """To the program without its children."""
        if self.is_running and self._process is not None:
            self._process.send_signal(number)

    def kill_leader(self) -> None:
        """kill -9 of the program without its children."""
        if self.is_running and self._process is not None:
            self._groups.append(self._process.pid)
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """kill -9 of it and its children."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def orphans(self) -> int:
        """Ends children that outlived a killed leader; how many groups there were of them."""
        found = 0
        for group in self._groups:  # no other process gets that number while one of the group is there
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
                found += 1
        self._groups.clear()
        return found

    def workers(self) -> list[int]:
        """Its children."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                fields = stat.read_text().rpartition(")")[2].split()
                if self._process is not None and int(fields[1]) == self._process.pid:
                    found.append(int(stat.parent.name))
        return sorted(found)

    def stop(self) -> int:
        """Ends it well; its exit code, or that of the kill where it took too long."""
        if self._process is None:
            return 0
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        until = time.monotonic() + seconds
        while self.is_running and time.monotonic() < until:
            time.sleep(0.02)
        return not self.is_running
