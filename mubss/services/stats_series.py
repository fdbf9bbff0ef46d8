"""Series of statistics: read a stretch of periods at a time, so that a long one is never in memory whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from mubss.core.bill_period import start_of
from mubss.core.errors import InputError
from mubss.core.periods import DAY, HOUR, MONTH, Periods
from mubss.core.stats_views import Asked, Point, points
from mubss.storage import stats as storage
from mubss.storage.database import Store

USUAL = {HOUR: 24, DAY: 30, MONTH: 12}  # how many periods are shown where nobody says from when
MAX_PERIODS = 10_000
_STRETCH = 31  # periods that are read at a time
EARLIEST, LATEST = 1970, 9000  # years that are asked for


def span(periods: Periods, period: str, from_s: int, until_s: int, now_s: int) -> tuple[int, int]:
    """Where a series begins and ends; 0 is USUAL periods up to the present one. InputError for one that is too long."""
    end_s = periods.end(period, periods.start(period, (until_s or now_s + 1) - 1))
    start_s = periods.start(period, from_s) if from_s else periods.back(period, end_s - 1, USUAL[period] - 1)
    if start_s >= end_s:
        raise InputError(f"from_s: {from_s}; expected a time before until_s, {until_s or now_s}")
    least_s = {HOUR: 3600, DAY: 82_800, MONTH: 28 * 86_400}[period]
    if (end_s - start_s) // least_s > MAX_PERIODS:
        raise InputError(f"from_s: {from_s}; expected up to {MAX_PERIODS} periods before until_s")
    return start_s, end_s


def walk(store: Store, periods: Periods, asked: Asked, period: str, from_s: int, until_s: int) -> Iterator[Point]:
    """The points of [from_s, until_s), period by period; both are where periods begin."""
    start_s = from_s
    while start_s < until_s:
        end_s = start_s
        for _ in range(_STRETCH):
            end_s = periods.end(period, end_s)
            if end_s >= until_s:
                break
        rows = [
            (source, one["start_s"], one["dims"], one["figures"])
            for source in asked.view.sources
            for one in storage.rows(store, source, period, start_s, min(end_s, until_s))
        ]
        yield from points(asked, rows)
        start_s = end_s


def starts(periods: Periods, period: str, from_s: int, until_s: int) -> list[int]:
    """Where each period begins."""
    found, start_s = [], from_s
    while start_s < until_s:
        found.append(start_s)
        start_s = periods.end(period, start_s)
    return found


def day_s(text: str, periods: Periods, field: str) -> int:
    """The first second of a local day ("2026-11-29") or month ("2026-11"); 0 for ""."""
    if not text:
        return 0
    try:
        day = date.fromisoformat(text if text.count("-") == 2 else f"{text}-01")
        if not EARLIEST <= day.year <= LATEST:  # a calendar has no period behind its last one
            raise ValueError(text)
        return start_of(day, periods.zone)
    except ValueError:
        raise InputError(f"{field}: {text[:20]!r}; expected a day like 2026-11-29, or a month like 2026-11") from None
