"""`mubss stats`: figures by hour, day and month, drawn in the terminal."""

from __future__ import annotations

from contextlib import closing

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.output import counted, print_json, print_table
from mubss.cli.stats_draw import overview_rows, print_series
from mubss.cli.stats_files import chart, export
from mubss.cli.stats_read import Wanted, points_as_json, read_series, series_options
from mubss.core.errors import InputError
from mubss.core.periods import Periods
from mubss.core.stats_views import VIEWS
from mubss.refdata.live import operator_calendar
from mubss.services.stats_pass import Counter
from mubss.storage import archives
from mubss.storage import stats as storage

OVERVIEW = "overview"
_OVERVIEW_COLUMNS = {"metric": "", "now": "this period", "before": "the one before", "line": "up to now"}


@click.group("stats", cls=Group)
def stats() -> None:
    """Statistics: show, export, draw; list the metrics; run a pass; count all again."""


@stats.command("show")
@click.argument("metric", type=click.Choice([OVERVIEW, *VIEWS]), default=OVERVIEW)
@series_options
@click.option("--figure", default="", metavar="NAME", help="Which figure is drawn; by default the last amount.")
@click.option("--each", is_flag=True, help="A line for each period, with a bar, rather than one for each group.")
@click.pass_obj
def show(
    invocation: Invocation,
    /,
    metric: str,
    period: str,
    first: str,
    last: str,
    by: str | None,
    where: tuple[str, ...],
    figure: str,
    each: bool,
) -> None:
    """A metric over time: figures, and how they went as a line of blocks. Without one, the most important ones."""
    now_s = _now_s()
    with closing(invocation.open_store()) as store:
        passed_s = storage.read_lease(store).passed_s
        if metric == OVERVIEW:
            if by is not None or where:
                raise InputError("by, where: expected none for the overview")
            rows = overview_rows(
                lambda name, by: read_series(
                    invocation, store, Wanted(name, period, first, last, by or None, ()), now_s
                )
            )
            if invocation.as_json:
                print_json(rows)
            else:
                print_table(rows, _OVERVIEW_COLUMNS, right=("now", "before"), spare=("line",))
        else:
            found = read_series(invocation, store, Wanted(metric, period, first, last, by, where), now_s)
            if invocation.as_json:
                print_json(points_as_json(found))
            else:
                print_series(found, figure, each=each)
    if not passed_s:
        click.echo("nothing is counted yet: mubss-stats does it, or `mubss stats run`", err=True)


@stats.command("metrics")
@click.pass_obj
def metrics(invocation: Invocation, /) -> None:
    """The metrics that there are, with their dimensions and figures."""
    rows = [
        {
            "metric": name,
            "dimensions": list(view.metric.dims),
            "figures": list(view.metric.figures),
            "what": view.metric.text,
        }
        for name, view in VIEWS.items()
    ]
    if invocation.as_json:
        print_json(rows)
    else:
        print_table(rows, {name: name for name in rows[0]}, fold=("dimensions", "figures", "what"))


@stats.command("run")
@click.pass_obj
def run(invocation: Invocation, /) -> None:
    """One pass, as mubss-stats makes them; exit code 75 while another process makes one."""
    config = invocation.config
    with closing(invocation.open_store()) as store:
        periods = Periods(operator_calendar(config.general.timezone))
        passed = Counter(store, periods, config.general.timezone, config.stats, _now_s).run(_now_s())
    if invocation.as_json:
        print_json({"documents": passed.documents, "missing": passed.missing, "faults": passed.faults})
    else:
        click.echo(f"{counted(passed.documents, 'document')} counted")


@stats.command("rebuild")
@click.option("--without-archived", is_flag=True, help="Though figures of what was archived are lost by it.")
@click.pass_obj
def rebuild(invocation: Invocation, /, without_archived: bool) -> None:
    """The next pass counts all that the store has again: after another time zone. What was archived isn't there."""
    with closing(invocation.open_store()) as store:
        gone = len(archives.manifests(store))
        if gone and not without_archived:
            hint = "expected --without-archived, to lose its figures"
            raise InputError(f"archive: {counted(gone, 'file')} that can't be counted again; {hint}")
        storage.ask_rebuild(store)
        invocation.note(store)
    if not invocation.as_json:
        click.echo("the next pass counts everything again: mubss-stats makes it, or `mubss stats run`")


def _now_s() -> int:
    return wall_clock_ms() // 1000


stats.add_command(export)
stats.add_command(chart)
