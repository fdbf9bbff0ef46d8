"""`mubss-billfmt`: bills as PDF files."""

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
from mubss.config import Config, load
from mubss.core.wording import counted
from mubss.refdata.live import Refdata
from mubss.runtime import ExitCode, on_drain, run_main, setup_logging
from mubss.services.control import BILLFMT
from mubss.services.depths import of_billfmt
from mubss.services.formatting import Formatter
from mubss.services.licensing import Gate
from mubss.services.process import Process, nothing_to_reload
from mubss.services.store_wait import open_patiently
from mubss.services.watch import Watch
from mubss.storage.database import Store
from mubss.workers.passes import repeat

log = logging.getLogger("mubss.billfmt")


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--once", is_flag=True, help="One pass over the bills that wait; exit code 1 if one can't be rendered.")
def cli(config_file: str | None, once: bool) -> None:
    """Renders each bill that was issued and makes it due; any number of these may run."""

    def work() -> int:
        config = load(config_file)
        setup_logging(config.general, BILLFMT)
        stopping = threading.Event()
        on_drain(stopping.set)
        nothing_to_reload()
        wait = None if once else stopping.wait
        with (
            Gate(BILLFMT, config) as gate,
            closing(open_patiently(BILLFMT, config, wait)) as store,
            closing(Worker(config, store, stopping, gate)) as worker,
            Process(
                BILLFMT, config, worker.facts, stopping.is_set, watch=watch_of(config, store), has_port=not once
            ) as process,
        ):
            process.is_ready = True
            return worker.once() if once else worker.serve()

    sys.exit(run_main("mubss-billfmt", work))


def watch_of(config: Config, store: Store) -> Watch:
    """Looks on meanwhile."""
    return Watch(store, config, of_billfmt, bills=lambda: metrics.BILLFMT_BILLS.total)


class Worker:
    """Passes over the bills that wait."""

    def __init__(self, config: Config, store: Store, stopping: threading.Event, gate: Gate) -> None:
        self._options = config.billfmt
        self._stopping = stopping
        self._gate = gate
        self._made = self._faults = 0
        self._refdata = Refdata(store, config.general.timezone)
        self._refdata.load()
        self._formatter = Formatter(store, config, lambda: self._refdata.tables, lambda: int(time.time()))

    def facts(self) -> Mapping[str, Any]:
        """Bills rendered since it began, and renderings that failed."""
        return {"rendered": self._made, "failed": self._faults, **self._gate.facts()}

    def close(self) -> None:
        """Ends its threads."""
        self._formatter.close()

    def once(self) -> int:
        """One pass."""
        return ExitCode.FAILURE if self._run() else ExitCode.OK

    def serve(self) -> int:
        """Passes until told to stop; bills that are taken are finished."""
        log.info("templates %s, looking every %d s", self._formatter.version, self._options.poll_seconds)
        wait = partial(self._stopping.wait, self._options.poll_seconds)
        repeat(self._pass, wait, self._stopping.is_set, log, "bills")
        return ExitCode.OK

    def _pass(self) -> None:
        self._refdata.poll()
        if self._gate.is_open:
            self._run()

    def _run(self) -> int:
        """One pass; how many bills couldn't be rendered."""
        made = faults = 0
        for one in self._formatter.waiting(self._stopping.is_set):
            if one.fault:
                number = one.bill["number"]
                log.error("bill %s can't be rendered: %s", number, one.fault, extra={"bill": number})
            metrics.BILLFMT_BILLS.inc("failed" if one.fault else "rendered")
            made += not one.fault
            faults += bool(one.fault)
        self._made += made
        self._faults += faults
        if made or faults:
            log.info("%s rendered, %d can't be", counted(made, "bill"), faults)
        return faults


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-billfmt")


if __name__ == "__main__":
    main()
