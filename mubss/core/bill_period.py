"""Bill periods: from the day after a closing day to the end of the next one, by the operator's clock. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from mubss.core.errors import InputError


class Period(NamedTuple):
    """A bill period, named by the month that it closes in; UTC seconds, the end is the first second after it."""

    label: str  # "2026-11"
    start_s: int
    end_s: int
    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1


def period_of(label: str, closing_day: int, zone: tzinfo) -> Period:
    """The period that closes in a month ("2026-11"); InputError for what is no month."""
    month = datetime.strptime(checked_label(label), "%Y-%m").date()
    last = month.replace(day=closing_day)  # closing days are 1 to 28: every month has them
    first = _month_before(last) + timedelta(1)
    return Period(month.isoformat()[:7], start_of(first, zone), start_of(last + timedelta(1), zone), first, last)


def checked_label(label: str) -> str:
    """The name of a period; InputError for what is no month."""
    try:
        datetime.strptime(label, "%Y-%m")
    except ValueError:
        raise InputError(f"period: {label[:20]!r}; expected a month like 2026-11") from None
    return label


def last_closed(closing_day: int, now_s: int, zone: tzinfo) -> Period:
    """The last period that is over."""
    today = datetime.fromtimestamp(now_s, zone).date()
    closed = today.replace(day=closing_day)
    if closed >= today:
        closed = _month_before(closed)
    return period_of(closed.isoformat()[:7], closing_day, zone)


def start_of(day: date, zone: tzinfo) -> int:
    """The first second of a local day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(1)).replace(day=day.day)


def following(period: Period, zone: tzinfo) -> Period:
    """The period behind one."""
    later = (period.last.replace(day=1) + timedelta(32)).replace(day=1)
    return period_of(later.isoformat()[:7], period.last.day, zone)
