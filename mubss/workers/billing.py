"""`mubss-billing`: the bills of one cycle, as its periods close, and whatever else is queued for it."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
from contextlib import closing  # noqa: E402

import click  # noqa: E402
import gevent  # noqa: E402
import gevent.os  # noqa: E402
from gevent.event import Event  # noqa: E402

from mubss.charging.engine import wall_clock_ms  # noqa: E402
from mubss.config import load  # noqa: E402
from mubss.core.errors import InputError  # noqa: E402
from mubss.runtime import on_drain, run_main, setup_logging  # noqa: E402
from mubss.services.bill_tally import Tally  # noqa: E402
from mubss.services.billing import Share  # noqa: E402
from mubss.services.control import BILLING  # noqa: E402
from mubss.services.inside import own  # noqa: E402
from mubss.services.licensing import Gate  # noqa: E402
from mubss.services.process import nothing_to_reload  # noqa: E402
from mubss.workers.billing_runs import Runs  # noqa: E402
from mubss.workers.billing_shares import command_for  # noqa: E402
from mubss.workers.billing_worker import Worker  # noqa: E402
from mubss.workers.pools import open_pooled  # noqa: E402
from mubss.workers.progress import progress_bar  # noqa: E402


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--cycle", type=click.IntRange(1, 999), help="The bill cycle; by default billing.billcycle.")
@click.option("--period", default="", metavar="YYYY-MM", help="The month that the period closes in; else the last one.")
@click.option("--once", is_flag=True, help="One run; exit code 1 if an account couldn't be billed.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that a run is shared out to.")
@click.option("--share", nargs=2, type=int, hidden=True)
def cli(
    config_file: str | None,
    cycle: int | None,
    period: str,
    once: bool,
    workers: int | None,
    share: tuple[int, int] | None,
) -> None:
    """Issues the bills of a cycle's closed period: one for each subscriber, however often it is run.

    Without --once it goes on: it bills each period as it closes, and does what `mubss billing run` queues.
    """

    def work() -> int:
        config = load(config_file)
        setup_logging(config.general, BILLING)
        number = cycle or config.billing.billcycle
        if not number:
            raise click.UsageError("--cycle: which bill cycle? Or set billing.billcycle.")
        if period and not once and not share:
            raise InputError("period: only with --once; a process that goes on bills each as it closes")
        stopping = _drained_by_signal()
        nothing_to_reload()
        wait = None if once or share else stopping.wait
        with (
            Gate(BILLING, config) as gate,
            closing(open_pooled(config, wait)) as store,
        ):
            runs = Runs(config, store, number)
            if share is not None:
                return _do_share(runs, period, Share(*share), stopping)
            runs.share_out(workers or config.billing.workers, command_for(config_file, number))
            with progress_bar() as progress:
                worker = Worker(config, store, runs, stopping, progress, gate, is_lasting=not once)
                return worker.once(period) if once else worker.serve()

    sys.exit(run_main("mubss-billing", work))


def _do_share(runs: Runs, period: str, share: Share, stopping: Event) -> int:
    """A part of a run, for the process that reads what we print; where that is gone we stop."""

    def watch() -> None:
        gevent.os.make_nonblocking(0)
        while gevent.os.nb_read(0, 1):
            pass
        stopping.set()

    gevent.spawn(watch)
    runs.refdata.load()
    for tally in runs.bill_share(period, share, wall_clock_ms() // 1000, stopping.is_set):
        _print_part(tally)
    return 0


def _print_part(tally: Tally) -> None:
    """What was counted of the bills since the last part, and for Prometheus since the process began."""
    sys.stdout.write(json.dumps({**tally.part(), "metrics": own(BILLING)}) + "\n")
    sys.stdout.flush()


def _drained_by_signal() -> Event:
    stopping = Event()
    hub = gevent.get_hub()
    on_drain(lambda: hub.loop.run_callback_threadsafe(stopping.set))
    return stopping


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-billing")


if __name__ == "__main__":
    main()
