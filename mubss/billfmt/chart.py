"""A small chart of usage: a bar for each day. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

WIDTH, HEIGHT = 1000, 260  # of the drawing, in units of its own
LEAST = 6  # a day with any usage is seen
MAX_DAYS = 62


class Bar(NamedTuple):
    """A day's bar, from the top left corner of the drawing."""

    x: int
    y: int
    width: int
    height: int


class Chart(NamedTuple):
    """One service's usage in the period."""

    name: str
    total: str
    bars: Sequence[Bar]
    first: str
    last: str
    peak: str  # the most of a day, and which
    width: int = WIDTH
    height: int = HEIGHT


def days_between(first: date, last: date) -> list[date]:
    """Each day of a period, the last ones where it is too long to be drawn."""
    count = min((last - first).days + 1, MAX_DAYS)
    return [last - timedelta(count - 1 - number) for number in range(max(count, 0))]


def bars_of(units: Mapping[date, int], days: Sequence[date], is_rtl: bool) -> list[Bar]:
    """A bar for each day that has usage, the first day where reading begins."""
    most = max((units.get(day, 0) for day in days), default=0)
    if most <= 0:
        return []
    step = WIDTH // len(days)
    found = []
    for number, day in enumerate(days):
        value = units.get(day, 0)
        if value > 0:
            height = max(LEAST, value * HEIGHT // most)
            place = len(days) - 1 - number if is_rtl else number
            found.append(Bar(place * step + step // 8, HEIGHT - height, step - step // 4, height))
    return found
