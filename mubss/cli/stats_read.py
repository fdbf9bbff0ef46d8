"""Which series of statistics a command is about, and its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from mubss.cli.command import Invocation
from mubss.core.errors import InputError
from mubss.core.periods import DAY, MONTH, PERIODS, Periods
from mubss.core.stats_views import Asked, Point, ask
from mubss.refdata.live import operator_calendar
from mubss.services.stats_series import day_s, span, walk
from mubss.storage.database import Store


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series a command is about, as it was typed."""

    metric: str
    period: str
    first: str
    last: str
    by: str
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
            "--by", default="", metavar="NAME,…", help="By these dimensions; `mubss stats metrics` lists them."
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
    asked = ask(wanted.metric, [name.strip() for name in wanted.by.split(",") if name.strip()], where)
    until_s = day_s(wanted.last, periods, "until")
    if until_s:  # the day, or month, itself is in it
        until_s = periods.end(DAY if wanted.last.count("-") == 2 else MONTH, until_s)
    from_s, until_s = span(periods, wanted.period, day_s(wanted.first, periods, "from"), until_s, now_s)
    found = list(walk(store, periods, asked, wanted.period, from_s, until_s))
    return Series(asked, wanted.period, periods, from_s, until_s, found)


def points_as_json(found: Series) -> list[dict[str, Any]]:
    """Each point: its period, group and figures."""
    return [
        {"period": found.periods.label(found.period, one.start_s), "start_s": one.start_s, **one.group, **one.figures}
        for one in found.points
    ]
