"""The real programs of a soak, over one store and one data folder; each is stopped by its process id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from mubss.services.control import FOLDER, PROGRAMS
from mubss.services.group import Running, processes

START_S, STOP_S = 60, 60
LOOK_S = 0.2
MODULES = {
    "mubss-gy": ("mubss.gy.main", "--port", "0"),
    "mubss-cdr": ("mubss.workers.cdr_loader",),
    "mubss-billing": ("mubss.workers.billing",),
    "mubss-billfmt": ("mubss.workers.billfmt",),
    "mubss-stats": ("mubss.workers.stats",),
    "mubss-crm": ("mubss.crm.main", "--port", "0"),
}
_ODD_LINE = re.compile(r"^\S+ (?:error|critical) .*|^Traceback .*", re.M)


class NotReady(Exception):
    """A program that doesn't come up; says what it logged."""


class Programs:
    """All of them, from `start` to `stop`."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **settings}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, cycle: int) -> None:
        """Starts them and waits until each says that it is ready."""
        (self._folder / "logs").mkdir(exist_ok=True)
        for name, (module, *arguments) in MODULES.items():
            more = ["--cycle", str(cycle)] if name == "mubss-billing" else []
            with self._log(name).open("wb") as log:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments, *more],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a Ctrl-C in the terminal is the soak's to act on
                )
        deadline = time.monotonic() + START_S
        while lacking := set(PROGRAMS) - {one.program for one in self._told() if one.state == "ready"}:
            if self.ended() or time.monotonic() > deadline:
                name = min(self.ended() or lacking)
                raise NotReady(f"{name} isn't ready: {self._log(name).read_text()[-2000:]}")
            time.sleep(LOOK_S)

    def _told(self) -> list[Running]:
        return processes(self._folder / FOLDER)

    def port(self, name: str, pattern: str) -> int:
        """The port that a program says it listens on."""
        found = re.search(pattern, self._log(name).read_text())
        if found is None:
            raise NotReady(f"{name} tells no port: {self._log(name).read_text()[-2000:]}")
        return int(found[1])

    def ended(self) -> list[str]:
        """Those that run no more."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def odd_lines(self) -> list[str]:
        """What they logged as errors, the first of each program."""
        found = []
        for name in self.running:
            lines = _ODD_LINE.findall(self._log(name).read_text(errors="replace"))
            if lines:
                found.append(f"{name} logged {len(lines)} errors: {lines[0][:300]}")
        return found

    def stop(self) -> list[str]:
        """SIGTERM to each, and a kill to what doesn't end in time; what went wrong with that."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        faults = []
        deadline = time.monotonic() + STOP_S
        for name, process in self.running.items():
            try:
                code = process.wait(max(0.1, deadline - time.monotonic()))
                if code:
                    faults.append(f"{name} ended with {code}")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                faults.append(f"{name} didn't stop within {STOP_S} s and was killed")
        return faults

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"
