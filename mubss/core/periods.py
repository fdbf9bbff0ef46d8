"""Hours, days and months by the operator's clock, each named by the UTC second that it begins with. Pure.

A day with a change of the clock has 23 or 25 hours: one that comes twice is two, one that is left out is none.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from mubss.core.bill_period import start_of
from mubss.core.calendar import QUARTER_SECONDS, OperatorCalendar
from mubss.core.errors import InputError

HOUR, DAY, MONTH = "hour", "day", "month"
PERIODS = (HOUR, DAY, MONTH)
_QUARTERS = 4  # of an hour
_MEMO_LIMIT = 20_000


def checked_period(name: str) -> str:
    """One of PERIODS; InputError for another."""
    if name not in PERIODS:
        raise InputError(f"period: {name[:20]!r}; expected one of {', '.join(PERIODS)}")
    return name


class Periods:
    """Where the periods of a calendar begin and end, in UTC seconds."""

    def __init__(self, calendar: OperatorCalendar) -> None:
        self._calendar = calendar
        self.zone = calendar.zone
        self._hours: dict[int, int] = {}
        self._days: dict[str, int] = {}  # by date, and by month

    def start(self, period: str, time_s: int) -> int:
        """The first second of the period that a time is in."""
        if period == HOUR:
            quarter = time_s // QUARTER_SECONDS
            found = self._hours.get(quarter)
            return self._hour(quarter) if found is None else found
        local = self._calendar.at(time_s)
        name = local.day if period == DAY else local.month
        known = self._days.get(name)
        if known is None:
            first = date.fromisoformat(name if period == DAY else f"{name}-01")
            known = start_of(first, self.zone)
            if len(self._days) >= _MEMO_LIMIT:
                self._days.clear()
            self._days[name] = known
        return known

    def _hour(self, quarter: int) -> int:
        """Back to the first quarter with the same hour on the clock; where that goes back, a second such hour began."""
        first, at = quarter, self._calendar.at(quarter * QUARTER_SECONDS)
        while True:
            before = self._calendar.at((first - 1) * QUARTER_SECONDS)
            is_same = before.day == at.day and before.quarter // _QUARTERS == at.quarter // _QUARTERS
            if not is_same or before.quarter >= self._calendar.at(first * QUARTER_SECONDS).quarter:
                break
            first -= 1
        if len(self._hours) >= _MEMO_LIMIT:
            self._hours.clear()
        self._hours[quarter] = first * QUARTER_SECONDS
        return first * QUARTER_SECONDS

    def end(self, period: str, start_s: int) -> int:
        """The first second after the period that begins then."""
        if period == HOUR:
            end_s = start_s
            while self.start(HOUR, end_s) == start_s:
                end_s += QUARTER_SECONDS
            return end_s
        first = date.fromisoformat(self._calendar.at(start_s).day)
        following = first + timedelta(1) if period == DAY else (first.replace(day=1) + timedelta(32)).replace(day=1)
        return start_of(following, self.zone)

    def back(self, period: str, time_s: int, count: int) -> int:
        """The first second of the period that lies so many before that of a time."""
        start_s = self.start(period, time_s)
        for _ in range(count):
            start_s = self.start(period, start_s - 1)
        return start_s

    def label(self, period: str, start_s: int) -> str:
        """What people call it: "2026-11", "2026-11-29", "2026-11-29 08:00+01:00"."""
        if period == HOUR:
            return datetime.fromtimestamp(start_s, self.zone).isoformat(" ", "minutes")
        local = self._calendar.at(start_s)
        return local.day if period == DAY else local.month
