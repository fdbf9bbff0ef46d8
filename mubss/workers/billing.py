"""`mubss-billing`: the bills of one cycle, as its periods close."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import closing

import click

from mubss.charging.engine import Engine, wall_clock_ms
from mubss.config import Config, load
from mubss.core.bill_period import Period
from mubss.core.errors import InputError
from mubss.core.model import Rules
from mubss.refdata.live import Refdata
from mubss.runtime import ExitCode, on_drain, run_main, setup_logging
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run, period_for
from mubss.services.stores import open_made
from mubss.storage.database import Store, StoreError

log = logging.getLogger("mubss.billing")


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--cycle", required=True, type=click.IntRange(1, 999), help="The bill cycle.")
@click.option("--period", default="", metavar="YYYY-MM", help="The month that the period closes in; else the last one.")
@click.option("--once", is_flag=True, help="One run; exit code 1 if an account couldn't be billed.")
def cli(config_file: str | None, cycle: int, period: str, once: bool) -> None:
    """Issues the bills of a cycle's closed period: one for each postpaid subscriber, however often it is run."""

    def work() -> int:
        config = load(config_file)
        setup_logging(config.general)
        if period and not once:
            raise InputError("period: only with --once; a process that goes on bills each as it closes")
        stopping = threading.Event()
        on_drain(stopping.set)
        with closing(open_made(config.store_url)) as store:
            worker = Worker(config, store, cycle, stopping)
            return worker.once(period) if once else worker.serve()

    sys.exit(run_main("mubss-billing", work))


class Worker:
    """Bill runs of one cycle."""

    def __init__(self, config: Config, store: Store, cycle: int, stopping: threading.Event) -> None:
        self._options = config.billing
        self._store = store
        self._cycle = cycle
        self._stopping = stopping
        self._refdata = Refdata(store, config.general.timezone)
        self._engine = Engine(store, lambda: self._refdata.tables, Rules())
        self._done = ""  # the last period that has nothing left to bill

    def once(self, label: str) -> int:
        """The bills of one period."""
        self._refdata.load()
        return ExitCode.FAILURE if self._run(self._period(label)) else ExitCode.OK

    def serve(self) -> int:
        """Bills each period as it closes, until told to stop; what is begun is finished."""
        log.info("bill cycle %d, looking every %d s", self._cycle, self._options.poll_seconds)
        self._refdata.load()
        while not self._stopping.is_set():
            try:
                self._refdata.poll()
                period = self._period("")
                if period.label != self._done and not self._run(period):
                    self._done = period.label
            except StoreError as error:
                log.warning("the store is away, bills wait: %s", error)
            except Exception:
                log.exception("a bill run failed")
            self._stopping.wait(self._options.poll_seconds)
        return ExitCode.OK

    def _period(self, label: str) -> Period:
        return period_for(self._refdata.tables, self._cycle, label, wall_clock_ms() // 1000)

    def _run(self, period: Period) -> int:
        """Bills a period; how many accounts couldn't be."""
        run = Run(self._cycle, period, self._options.series, self._options.due_days)
        issued = before = faults = 0
        now_s = wall_clock_ms() // 1000
        found = bill_run(self._store, self._engine, self._refdata.tables, run, now_s, self._stopping.is_set)
        for one in found:
            if one.fault:
                log.error("account %s can't be billed: %s", one.account, one.fault)
            issued += one.bill is not None and not one.before
            before += one.before
            faults += bool(one.fault)
        text = "cycle %d, period %s: %d bills issued, %d there before, %d accounts can't be billed"
        log.info(text, self._cycle, period.label, issued, before, faults)
        return faults


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-billing")


if __name__ == "__main__":
    main()
