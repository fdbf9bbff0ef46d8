"""The operator's clock. Offsets and changes of daylight saving as the IANA time zone database has them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import utc
from mubss.core.calendar import LocalQuarter, OperatorCalendar

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


@pytest.mark.parametrize(
    ("zone", "time_s", "expected"),
    [
        ("UTC", 0, ("1970-01", "1970-01-01", THU, 0)),
        ("UTC", utc(2026, 11, 16, 12, 14, 59), ("2026-11", "2026-11-16", MON, 48)),
        ("UTC", utc(2026, 11, 16, 12, 15), ("2026-11", "2026-11-16", MON, 49)),
        ("UTC", utc(2024, 2, 29, 23, 59, 59), ("2024-02", "2024-02-29", THU, 95)),
        # The month turns by the operator's clock: 23:00 UTC in winter.
        ("Europe/Berlin", utc(2026, 11, 30, 22, 59, 59), ("2026-11", "2026-11-30", MON, 95)),
        ("Europe/Berlin", utc(2026, 11, 30, 23), ("2026-12", "2026-12-01", TUE, 0)),
        ("Europe/Berlin", utc(2026, 6, 30, 22), ("2026-07", "2026-07-01", WED, 0)),
        # 29 March 2026: 01:59:59 is followed by 03:00.
        ("Europe/Berlin", utc(2026, 3, 29, 0, 59, 59), ("2026-03", "2026-03-29", SUN, 7)),
        ("Europe/Berlin", utc(2026, 3, 29, 1), ("2026-03", "2026-03-29", SUN, 12)),
        # 25 October 2026: 02:00 to 03:00 comes twice.
        ("Europe/Berlin", utc(2026, 10, 25, 0, 30), ("2026-10", "2026-10-25", SUN, 10)),
        ("Europe/Berlin", utc(2026, 10, 25, 1, 30), ("2026-10", "2026-10-25", SUN, 10)),
        ("Europe/Berlin", utc(2026, 10, 25, 2), ("2026-10", "2026-10-25", SUN, 12)),
        # Lord Howe shifts by half an hour: +10:30 to +11 on 4 October 2026, back on 5 April.
        ("Australia/Lord_Howe", utc(2026, 10, 3, 15, 29, 59), ("2026-10", "2026-10-04", SUN, 7)),
        ("Australia/Lord_Howe", utc(2026, 10, 3, 15, 30), ("2026-10", "2026-10-04", SUN, 10)),
        ("Australia/Lord_Howe", utc(2026, 4, 4, 14, 59, 59), ("2026-04", "2026-04-05", SUN, 7)),
        ("Australia/Lord_Howe", utc(2026, 4, 4, 15), ("2026-04", "2026-04-05", SUN, 6)),
        ("Asia/Kathmandu", utc(2026, 1, 31, 18, 14, 59), ("2026-01", "2026-01-31", SAT, 95)),
        ("Asia/Kathmandu", utc(2026, 1, 31, 18, 15), ("2026-02", "2026-02-01", SUN, 0)),
    ],
)
def test_local_quarter(zone: str, time_s: int, expected: tuple[str, str, int, int]) -> None:
    calendar = OperatorCalendar(ZoneInfo(zone))
    assert calendar.at(time_s) == LocalQuarter(*expected)
    assert calendar.at(time_s) == LocalQuarter(*expected)  # and from the memo


@pytest.mark.parametrize(
    ("zone", "day_begins_s", "quarters"),
    [
        ("Europe/Berlin", utc(2026, 3, 28, 23), 92),
        ("Europe/Berlin", utc(2026, 10, 24, 22), 100),
        ("Australia/Lord_Howe", utc(2026, 10, 3, 13, 30), 94),
        ("Australia/Lord_Howe", utc(2026, 4, 4, 13), 98),
        ("Asia/Kathmandu", utc(2026, 3, 28, 18, 15), 96),
    ],
)
def test_length_of_a_day(zone: str, day_begins_s: int, quarters: int) -> None:
    calendar = OperatorCalendar(ZoneInfo(zone))
    day = calendar.at(day_begins_s).day
    assert calendar.at(day_begins_s - 1).day != day
    assert sum(calendar.at(day_begins_s + n * 900).day == day for n in range(-8, 120)) == quarters


@given(
    st.integers(min_value=utc(1990, 1, 1), max_value=utc(2100, 1, 1)),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham"]),
)
def test_any_second_as_datetime_has_it(time_s: int, zone: str) -> None:
    found = OperatorCalendar(ZoneInfo(zone)).at(time_s)
    local = datetime.fromtimestamp(time_s, UTC).astimezone(ZoneInfo(zone))
    quarter = (local.hour * 60 + local.minute) // 15
    assert found == (local.strftime("%Y-%m"), local.strftime("%Y-%m-%d"), local.weekday(), quarter)


def test_the_memo_is_bounded() -> None:
    calendar = OperatorCalendar(ZoneInfo("UTC"))
    for number in range(45_000):
        calendar.at(number * 900)
    assert len(calendar._memo) <= 20_000
    assert calendar.at(0).day == "1970-01-01"
