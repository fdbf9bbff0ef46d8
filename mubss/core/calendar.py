"""The operator's local time: months, days and time bands, computed from UTC seconds.

Everything is decided per quarter of an hour: every time zone's offset and every band's edge is a
multiple of it, so one memo of quarters answers almost every question (0.1 µs against 1.8 µs for a
datetime), daylight saving included.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

QUARTER_SECONDS = 900
_MEMO_LIMIT = 20_000  # quarters: seven months


class LocalQuarter(NamedTuple):
    """One quarter of an hour as the operator's clock shows it."""

    month: str  # "2026-11"
    day: str  # "2026-11-23"
    weekday: int  # Monday is 0
    quarter: int  # of the day, 0 to 95 (by the clock's face: a day with a change has some twice or not at all)


class OperatorCalendar:
    """Maps UTC seconds to the operator's calendar; the memo is its only state."""

    __slots__ = ("_memo", "zone")

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._memo: dict[int, LocalQuarter] = {}

    def at(self, time_s: int) -> LocalQuarter:
        """The local quarter that `time_s` (UTC seconds) falls in."""
        number = time_s // QUARTER_SECONDS
        found = self._memo.get(number)
        return found if found is not None else self._compute(number)

    def _compute(self, number: int) -> LocalQuarter:
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number * QUARTER_SECONDS)).astimezone(self.zone)
        day = local.date().isoformat()
        found = LocalQuarter(day[:7], day, local.weekday(), local.hour * 4 + local.minute // 15)
        if len(self._memo) >= _MEMO_LIMIT:
            self._memo.clear()
        self._memo[number] = found
        return found
