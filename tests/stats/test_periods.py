"""Hours, days and months where clocks change: each second is in one of each, and they follow each other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core.errors import InputError
from mubss.core.periods import DAY, HOUR, MONTH, PERIODS, Periods, checked_period
from mubss.refdata.live import operator_calendar

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",  # 5:45
    "Australia/Lord_Howe",  # a change of half an hour
    "America/Sao_Paulo",  # its changes were at midnight
    "America/Havana",  # back from 1:00 to 0:00
    "Pacific/Apia",  # it left a day out
)
OF = {zone: Periods(operator_calendar(zone)) for zone in ZONES}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def walk(periods: Periods, period: str, from_s: int, until_s: int) -> list[str]:
    found, start_s = [], periods.start(period, from_s)
    while start_s < until_s:
        found.append(periods.label(period, start_s))
        start_s = periods.end(period, start_s)
    return found


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-11-29T12:00", 24),
        ("America/Sao_Paulo", "2017-10-15T15:00", 23),
        ("America/Havana", "2025-11-02T15:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T00:00", 25),  # one of them lasts half an hour
        ("Australia/Lord_Howe", "2026-10-04T00:00", 24),  # likewise
    ],
)
def test_hours_of_a_day(zone: str, day: str, hours: int) -> None:
    periods = OF[zone]
    start_s = periods.start(DAY, utc(day))
    found = walk(periods, HOUR, start_s, periods.end(DAY, start_s))
    assert len(found) == len(set(found)) == hours
    assert all(label.startswith(periods.label(DAY, start_s)) for label in found)


def test_the_hour_that_comes_twice_is_two() -> None:
    periods = OF["Europe/Berlin"]
    first, second = utc("2026-10-25T00:30"), utc("2026-10-25T01:30")
    assert [periods.label(HOUR, periods.start(HOUR, at)) for at in (first, second)] == [
        "2026-10-25 02:00+02:00",
        "2026-10-25 02:00+01:00",
    ]


@given(st.sampled_from(ZONES), st.sampled_from(PERIODS), st.integers(utc("2011-12-01"), utc("2035-01-01")))
def test_periods_are_a_partition(zone: str, period: str, time_s: int) -> None:
    periods = OF[zone]
    start_s = periods.start(period, time_s)
    end_s = periods.end(period, start_s)
    assert start_s <= time_s < end_s
    assert periods.start(period, start_s) == periods.start(period, end_s - 1) == start_s
    assert periods.start(period, end_s) == end_s
    assert periods.back(period, time_s, 1) == periods.start(period, start_s - 1)
    larger = {HOUR: DAY, DAY: MONTH, MONTH: MONTH}[period]
    assert periods.start(larger, start_s) == periods.start(larger, end_s - 1), (
        "a day is of one month, an hour of one day"
    )


def test_a_period_that_there_isnt() -> None:
    with pytest.raises(InputError, match="'week'; expected one of hour, day, month"):
        checked_period("week")
