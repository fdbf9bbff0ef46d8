#!/usr/bin/env python3
"""Breaks everything at once: Gy, top-ups, CDR files and bills on one store, and faults of every kind around them.

Real processes on loopback; two network elements, two clients of mubss-crm, mediation and a bill cycle keep them busy.
The seed draws the faults, each kind once before one comes again (scripts/breaking/faults.py). After each the clients
must be served again within --limit seconds. A phase of faults has a store of its own; at its end all that was begun
must end, and each session, top-up, CDR, bill and file is held against what its sender knows (breaking/reckoning.py).

    scripts/torture all [--faults 40] [--seed 7] [--store sqlite|mysql|group] [--outage] [--only EXPRESSION]

Ctrl-C and SIGTERM end what was started and print the figures so far; --report has them after each phase.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from breaking.disk import Disk
from breaking.faults import KINDS, Kind, Missed, drawn, struck
from breaking.figures import Figures
from breaking.reckoning import Books
from breaking.scene import Scene, Stuck
from breaking.shim import Shim, build
from licensed import license_programs
from mubss.storage.database import StoreError
from mysqld.binaries import NoMySQL, find_or_fetch
from mysqld.group import Group
from mysqld.server import Server as MySQL
from mysqld.server import ServerFailed

CUT = 130  # the exit code of a run that was cut off, as shells have it


class Torture:
    """A run."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._rng = random.Random(options.seed)
        size = 1200 if options.store == "mysql" else 400  # MB; a server's data is on it too, some 400 in a phase
        # Before there are threads: it makes a name space of its own for mounts.
        self._disk = Disk(folder / "disk", size)
        self._library = build(folder)
        self._shim: Shim | None = None  # the server's
        self._mysql: MySQL | Group | None = None
        self._ends_s = time.monotonic() + options.seconds if options.seconds else None
        self.figures = Figures(options)

    def run(self) -> None:
        """Phase by phase, until so many faults were injected or the time is up."""
        with ExitStack() as ends:
            ends.callback(self._disk.end)
            if self._options.logs:
                self._options.logs.mkdir(parents=True, exist_ok=True)
            if self._options.store != "sqlite":
                self._mysql = self._make_mysql()
                ends.callback(self._mysql.remove)
                self._mysql.start()
            faults: Iterator[list[Kind]] | None = None
            while self._goes_on():
                seed = self._rng.getrandbits(31)
                logs = self._options.logs or self._folder
                scene = Scene(self._options, seed, logs, self._disk, self._mysql, self._library, self._shim)
                try:
                    faults = faults or drawn(self._rng, self._possible(scene), self._options.together)
                    self._phase(scene, faults)
                finally:
                    scene.end()
                if self.figures.findings and not self._options.go_on:
                    break

    def _make_mysql(self) -> MySQL | Group:
        options = ["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"]
        if self._options.store == "group":
            return Group(self._folder / "mysql", find_or_fetch(), fast=True, options=options)
        if self._library is not None:
            self._shim = Shim(self._library, self._folder / "mysqld.shim")
        settings = self._shim.settings if self._shim else {}
        return MySQL(self._disk.folder / "mysql", find_or_fetch(), fast=True, options=options, settings=settings)

    def _goes_on(self) -> bool:
        in_time = self._ends_s is None or time.monotonic() < self._ends_s
        return in_time and self.figures.injected < self._options.faults

    def _possible(self, scene: Scene) -> list[Kind]:
        chosen = [kind for kind in KINDS if re.search(self._options.only, kind.name)]
        possible = [kind for kind in chosen if kind.is_possible(scene)]
        self.figures.left_out = [kind.name for kind in chosen if kind not in possible]
        if not possible:
            sys.exit(f"torture all: --only {self._options.only!r}: no kind that is possible here")
        return possible

    def _phase(self, scene: Scene, faults: Iterator[list[Kind]]) -> None:
        self.figures.begin_phase()
        try:
            scene.start()
            before = self.figures.injected
            for kinds in islice(faults, 2 * self._options.per_phase):  # some may miss
                self._fault(scene, kinds)
                if not self._goes_on() or self.figures.injected >= before + self._options.per_phase:
                    break
            scene.heal()
            scene.settle()
            ended = scene.stop_programs()
        except Stuck as stuck:
            self.figures.find(str(stuck))
            print(_tail(scene.log), file=sys.stderr)
            return
        log = scene.log.read_text(errors="replace")
        self.figures.end_phase(scene, Books(scene).reckon(), ended, log)

    def _fault(self, scene: Scene, kinds: list[Kind]) -> None:
        rng = random.Random(self._rng.getrandbits(63))
        for element in scene.elements:
            element.note({kind.name for kind in kinds})
        self.figures.begin_faults(kinds, scene.charges)
        scene.waited_s = 0.0
        with ExitStack() as struck_ones:
            try:
                for kind in kinds:
                    struck_ones.enter_context(struck(kind, scene, rng))
                scene.hold(max(rng.uniform(*kind.hold_s) for kind in kinds))
            except Missed:
                self.figures.take_back(kinds)
                return
        scene.go_on(" and ".join(kind.name for kind in kinds))
        scene.hold(rng.uniform(0, self._options.pause))
        self.figures.end_faults(kinds, scene.charges, scene.waited_s)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-6000:] if log.exists() else ""


def main() -> None:
    """The command line; exit code 1 if anything is not as it must be, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="torture all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--per-phase", type=int, default=40, help="faults after which all is reckoned")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--store", choices=["sqlite", "mysql", "group"], default="sqlite")
    parser.add_argument("--only", default="", help="kinds whose name has this (a regular expression)")
    parser.add_argument("--seconds", type=float, default=0, help="no further fault after so long; 0: no limit")
    parser.add_argument("--workers", type=int, default=2, help="of mubss-gy")
    parser.add_argument("--accounts", type=int, default=60, help="prepaid ones, and as many postpaid")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between faults, at most")
    parser.add_argument("--together", type=float, default=0.25, help="share of faults that strike two at a time")
    parser.add_argument("--limit", type=float, default=90, help="seconds within which clients must be served again")
    parser.add_argument(
        "--outage", action="store_true", help="mubss-gy grants from its journal while the store is away"
    )
    parser.add_argument("--go-on", action="store_true", help="after a phase with findings, too")
    parser.add_argument("--report", type=Path, help="a file for the figures so far, written after each phase")
    parser.add_argument("--logs", type=Path, help="a folder where the programs' logs stay, one of each phase")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        license_programs(folder)
        torture = Torture(options, folder)
        try:
            torture.run()
        except KeyboardInterrupt:
            torture.figures.cut = True
        except NoMySQL as error:
            sys.exit(f"torture all: {error}")
        except (ServerFailed, StoreError) as error:
            torture.figures.find(f"the torture itself: {error}")
    print(torture.figures.report())
    sys.stdout.flush()
    code = CUT if torture.figures.cut else 0 if torture.figures.is_clean else 1
    os._exit(code)  # a client's thread may still wait for an answer


if __name__ == "__main__":
    main()
