"""Which series of statistics a command is about, and its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from mubss.cli.command import Invocation
from mubss.core.errors import InputError
from mubss.core.periods import DAY, MONTH, PERIODS, Periods
from mubss.core.stats_views import VIEWS, Asked, Point, ask
from mubss.refdata.live import operator_calendar
from mubss.runtime import one_line
from mubss.services.stats_series import MAX_PERIODS, day_s, span, walk
from mubss.storage.database import Store

MAX_VALUES = 20  # of a dimension that are told


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series a command is about, as it was typed."""

    metric: str
    period: str
    first: str
    last: str
    by: str | None  # None: not given
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """A series, with what it takes to draw it."""

    asked: Asked
    period: str
    periods: Periods
    from_s: int
    until_s: int
    points: list[Point]


def series_options(command: Any) -> Any:
    """The options of every command that is about a series."""
    for option in (
        click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only with this value; repeatable."),
        click.option(
            "--by", default=None, metavar="NAME,…", help="By these dimensions; `mubss stats metrics` lists them."
        ),
        click.option(
            "--until", "last", default="", metavar="DAY", help="The last day, or month; the present by default."
        ),
        click.option("--from", "first", default="", metavar="DAY", help="The first day, or month."),
        click.option("--period", default=DAY, show_default=True, type=click.Choice(PERIODS), help="Figures of what."),
    ):
        command = option(command)
    return command


def read_series(invocation: Invocation, store: Store, wanted: Wanted, now_s: int) -> Series:
    """What is asked for; InputError names what can't be."""
    periods = Periods(operator_calendar(invocation.config.general.timezone))
    where = {}
    for one in wanted.where:
        name, sign, value = one.partition("=")
        if not sign:
            raise InputError(f"where: {one[:40]!r}; expected NAME=VALUE")
        where[name] = value
    by = [name.strip() for name in (wanted.by or "").split(",") if name.strip()]
    _check_names(wanted, by, where)
    asked = ask(wanted.metric, by, where)
    until_s = day_s(wanted.last, periods, "until")
    if until_s:  # the day, or month, itself is in it
        until_s = periods.end(DAY if wanted.last.count("-") == 2 else MONTH, until_s)
    first_s = day_s(wanted.first, periods, "from")
    try:
        from_s, until_s = span(periods, wanted.period, first_s, until_s, now_s)
    except InputError:  # it names seconds, as the management interface is asked by
        end = wanted.last or "now"
        most = f"a day before the end, {end}, and up to {MAX_PERIODS:,} periods ({wanted.period}) in all"
        raise InputError(f"from: {wanted.first or 'not given'}; expected {most}") from None
    found = list(walk(store, periods, asked, wanted.period, from_s, until_s))
    if where and not found:
        _tell_values(list(walk(store, periods, ask(wanted.metric, where), wanted.period, from_s, until_s)), where)
    return Series(asked, wanted.period, periods, from_s, until_s, found)


def _check_names(wanted: Wanted, by: list[str], where: dict[str, str]) -> None:
    known = ", ".join(VIEWS[wanted.metric].metric.dims)
    if wanted.by is not None and not by:
        raise InputError(f"by: {wanted.by[:40]!r}; expected any of {known}")
    for option, names in (("by", by), ("where", where)):
        for name in names:
            if name not in VIEWS[wanted.metric].metric.dims:
                raise InputError(f"{option}: {name[:40]!r}; expected any of {known}")


def _tell_values(points: list[Point], where: dict[str, str]) -> None:
    """Why there is nothing: a value that isn't there may be one that was mistyped."""
    for name, value in where.items():
        there = sorted({one.group[name] for one in points})
        if value not in there:
            shown = ", ".join(there[:MAX_VALUES]) + (" …" if len(there) > MAX_VALUES else "")
            click.echo(
                one_line(f"where: {name}={value[:40]} has no figures here; there are {shown or 'none'}"), err=True
            )


def points_as_json(found: Series) -> list[dict[str, Any]]:
    """Each point: its period, group and figures."""
    return [
        {"period": found.periods.label(found.period, one.start_s), "start_s": one.start_s, **one.group, **one.figures}
        for one in found.points
    ]
