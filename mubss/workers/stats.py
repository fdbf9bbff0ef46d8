"""`mubss-stats`: figures by hour, day and month of what the store has."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import click

from mubss import metrics
from mubss.charging.engine import wall_clock_ms
from mubss.config import Config, load
from mubss.core.errors import Busy
from mubss.core.periods import Periods
from mubss.core.wording import counted
from mubss.refdata.live import operator_calendar
from mubss.runtime import ExitCode, on_drain, run_main, setup_logging
from mubss.services.control import STATS
from mubss.services.licensing import Gate
from mubss.services.process import Process, nothing_to_reload
from mubss.services.stats_pass import Counter
from mubss.services.store_wait import open_patiently
from mubss.services.watch import Watch
from mubss.storage.database import Store
from mubss.workers.passes import repeat

log = logging.getLogger("mubss.stats")


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--once", is_flag=True, help="One pass; exit code 75 if another process makes one.")
def cli(config_file: str | None, once: bool) -> None:
    """Counts what is new since the last pass, each document once; several of these take turns."""

    def work() -> int:
        config = load(config_file)
        setup_logging(config.general, STATS)
        stopping = threading.Event()
        on_drain(stopping.set)
        nothing_to_reload()
        wait = None if once else stopping.wait
        with Gate(STATS, config) as gate, closing(open_patiently(STATS, config, wait)) as store:
            worker = Worker(config, store, stopping, gate)
            watch = Watch(store, config, None, documents=lambda: metrics.STATS_DOCUMENTS.total)
            with Process(STATS, config, worker.facts, stopping.is_set, watch=watch, has_port=not once) as process:
                process.is_ready = True
                return worker.once() if once else worker.serve()

    sys.exit(run_main("mubss-stats", work))


class Worker:
    """Passes over what the store has."""

    def __init__(self, config: Config, store: Store, stopping: threading.Event, gate: Gate) -> None:
        self._options = config.stats
        self._gate = gate
        self._stopping = stopping
        self._facts = {"passes": 0, "counted": 0, "faults": 0, "passed_s": 0}
        timezone = config.general.timezone
        self._counter = Counter(
            store,
            Periods(operator_calendar(timezone)),
            timezone,
            config.stats,
            lambda: wall_clock_ms() // 1000,
            stopping.is_set,
        )

    def facts(self) -> Mapping[str, Any]:
        """Passes and documents counted since it began, what couldn't be in the last pass, and when that was."""
        return {**self._facts, **self._gate.facts()}

    def once(self) -> int:
        """One pass."""
        try:
            self._pass()
        except Busy as error:
            log.info("another pass is under way: %s", error)
            return ExitCode.TRY_AGAIN
        return ExitCode.OK

    def serve(self) -> int:
        """Passes until told to stop; one under way ends at the next page of accounts."""
        log.info("counting every %d s", self._options.poll_seconds)
        wait = partial(self._stopping.wait, self._options.poll_seconds)
        repeat(self._pass_in_turn, wait, self._stopping.is_set, log, "statistics")
        return ExitCode.OK

    def _pass_in_turn(self) -> None:
        try:
            self._pass()
        except Busy as error:
            log.debug("another pass is under way: %s", error)

    def _pass(self) -> None:
        if not self._gate.is_open:
            return
        now_s, began_s = wall_clock_ms() // 1000, time.monotonic()
        passed = self._counter.run(now_s)
        metrics.STATS_PASS_SECONDS.observe(time.monotonic() - began_s)
        metrics.STATS_DOCUMENTS.inc(by=passed.documents)
        metrics.STATS_FAULTS.set(passed.faults)
        before = self._facts
        self._facts = {
            "passes": before["passes"] + 1,
            "counted": before["counted"] + passed.documents,
            "faults": passed.faults,
            "passed_s": now_s,
        }
        if passed.documents:
            log.info("%s counted", counted(passed.documents, "document"))


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-stats")


if __name__ == "__main__":
    main()
