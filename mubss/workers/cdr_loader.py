"""`mubss-cdr`: rates CDR files as mediation drops them."""

from __future__ import annotations

import gc
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
from mubss.charging.engine import Engine, Limits, wall_clock_ms
from mubss.config import Config, load
from mubss.core.model import Rules
from mubss.refdata.live import Refdata
from mubss.runtime import ExitCode, on_drain, run_main, setup_logging
from mubss.services.cdr_load import Loader, LoadRules
from mubss.services.cdr_pass import Pass, Passed
from mubss.services.control import CDR
from mubss.services.depths import of_cdr
from mubss.services.licensing import Gate
from mubss.services.process import Process, nothing_to_reload
from mubss.services.store_wait import open_patiently
from mubss.services.watch import Watch
from mubss.storage import cdr as storage
from mubss.storage.database import Store
from mubss.workers.passes import repeat
from mubss.workers.progress import Progress, progress_bar

log = logging.getLogger("mubss.cdr")

DAY_S = 86_400
LANES_SIDE_BY_SIDE = 3


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--once", is_flag=True, help="One pass over the directory; exit code 65 if a file was refused.")
def cli(config_file: str | None, once: bool) -> None:
    """Rates and stores CDR files (proto/cdr.proto), each record once."""

    def work() -> int:
        config = load(config_file)
        setup_logging(config.general, CDR)
        stopping = threading.Event()
        on_drain(stopping.set)
        nothing_to_reload()
        wait = None if once else stopping.wait
        with (
            Gate(CDR, config) as gate,
            closing(open_patiently(CDR, config, wait)) as store,
            progress_bar() as progress,
        ):
            worker = Worker(config, store, stopping, progress, gate)
            watch = Watch(store, config, worker.depths, records=lambda: metrics.CDR_RECORDS.total)
            with Process(CDR, config, worker.facts, stopping.is_set, watch=watch, has_port=not once) as process:
                process.is_ready = True
                return worker.once() if once else worker.serve()

    sys.exit(run_main("mubss-cdr", work))


class Worker:
    """Passes over the directory of the configuration, one after the other."""

    def __init__(self, config: Config, store: Store, stopping: threading.Event, progress: Progress, gate: Gate) -> None:
        options, charging = config.cdr, config.charging
        self._store = store
        self._gate = gate
        self._options = options
        self._stopping = stopping
        self._refdata = Refdata(store, config.general.timezone)
        self._refdata.load()  # before anybody is told that it is ready
        rules = Rules(
            charging.outcome_history, charging.session_supervision_seconds, notices=config.notifications.rules
        )
        engine = Engine(store, lambda: self._refdata.tables, rules, Limits(batch=options.window))
        lanes = options.lanes or (LANES_SIDE_BY_SIDE if store.side_by_side else 1)
        load_rules = LoadRules(options.window, options.max_reject_percent, options.charge_prepaid, lanes)
        loader = Loader(
            store, engine, lambda: self._refdata.tables, load_rules, wall_clock_ms, progress, stopping.is_set
        )
        self._folder = config.resolve(options.directory)
        self._pass = Pass(self._folder, loader, options.settle_seconds, stopping.is_set)
        self._counts = {"passes": 0, "loaded": 0, "refused": 0, "waiting": 0, "stuck": 0}

    def facts(self) -> Mapping[str, Any]:
        """What it has done with files since it began, and how many are not complete yet or can't be moved away."""
        return {**self._counts, **self._gate.facts()}

    def depths(self, counting: Store) -> Mapping[str, int]:
        """What waits for it."""
        return of_cdr(counting, self._folder)

    def once(self) -> int:
        """One pass."""
        passed = self._run()
        if passed.is_busy:
            log.info("another pass is under way")
            return ExitCode.TRY_AGAIN
        return ExitCode.INPUT if passed.refused else ExitCode.OK

    def serve(self) -> int:
        """Passes until the process is told to stop; it ends between two windows of a file."""
        log.info("looking for CDR files every %d s", self._options.poll_seconds)
        wait = partial(self._stopping.wait, self._options.poll_seconds)
        repeat(self._pass_once, wait, self._stopping.is_set, log, "CDR files")
        return ExitCode.OK

    def _pass_once(self) -> None:
        self._refdata.poll()
        if self._gate.is_open:
            self._run()

    def _run(self) -> Passed:
        now_s = wall_clock_ms() // 1000
        storage.forget_calls(self._store, now_s - self._options.call_days * DAY_S)
        started_s = time.monotonic()
        gc.disable()  # records and documents have no cycles: looking for them took 15 % of the time
        try:
            passed = self._pass.run(now_s)
        finally:
            gc.enable()
            gc.collect()
        self._count(passed, time.monotonic() - started_s)
        return passed

    def _count(self, passed: Passed, took_s: float) -> None:
        before = self._counts
        self._counts = {
            "passes": before["passes"] + 1,
            "loaded": before["loaded"] + len(passed.loaded),
            "refused": before["refused"] + len(passed.refused),
            "waiting": len(passed.waiting),
            "stuck": len(passed.stuck),
        }
        metrics.CDR_PASS_SECONDS.observe(took_s)
        metrics.CDR_FILES.inc("loaded", by=len(passed.loaded))
        metrics.CDR_FILES.inc("refused", by=len(passed.refused))
        metrics.CDR_STUCK.set(len(passed.stuck))
        for doc in passed.loaded:
            for outcome, count in doc["counts"].items():
                metrics.CDR_RECORDS.inc(outcome, by=count)


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-cdr")


if __name__ == "__main__":
    main()
