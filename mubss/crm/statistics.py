"""The Statistics service of proto/crm.proto."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from mubss.core.errors import InputError
from mubss.core.periods import DAY, Periods, checked_period
from mubss.core.stats_views import VIEWS, ask
from mubss.core.wording import counted
from mubss.crm import fields
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.pb import crm_pb2 as pb
from mubss.services.stats_series import span, walk
from mubss.storage import stats as storage

MAX_NAMES = 10  # of group_by and filters
MAX_VALUE_LETTERS = 100
MAX_TIME_S = 1 << 34  # the year 2514
_PAGE = re.compile(r"([0-9]{1,11})\.([0-9]{1,9})")  # a period's start, and how many of its points were told


class Statistics:
    """Figures over time."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def get_series(self, request: Any, _call: Call) -> pb.GetSeriesResponse:
        """A metric's points, in pages."""
        store, periods = self._office.store, Periods(self._office.tables.calendar)
        metric, period = fields.text(request, "metric", 40, 1), checked_period(request.period or DAY)
        size = fields.page_size(request)
        asked = ask(metric, _names(request), _filters(request))
        from_s, until_s = (_time_s(request, name) for name in ("from_s", "until_s"))
        start_s, end_s = span(periods, period, from_s, until_s, self._office.now_s)
        told = 0
        if after := fields.page_after(request):
            match = _PAGE.fullmatch(after)
            if (
                match is None
                or not start_s <= int(match[1]) < end_s
                or periods.start(period, int(match[1])) != int(match[1])
            ):
                raise InputError(
                    f"page_token: {str(request.page_token)[:40]!r}; expected the next_page_token of the page before"
                )
            start_s, told = int(match[1]), int(match[2])
        found = list(islice(walk(store, periods, asked, period, start_s, end_s), told, told + size + 1))
        points = [
            pb.SeriesPoint(
                start_s=one.start_s,
                end_s=periods.end(period, one.start_s),
                label=periods.label(period, one.start_s),
                group=one.group,
                figures=one.figures,
            )
            for one in found[:size]
        ]
        counted_s = storage.read_lease(store).passed_s
        if len(found) <= size:
            return pb.GetSeriesResponse(points=points, counted_s=counted_s)
        following_s = found[size].start_s
        before = sum(one.start_s == following_s for one in found[:size])
        token = fields.page_token(f"{following_s}.{before + (told if following_s == start_s else 0)}")
        return pb.GetSeriesResponse(points=points, next_page_token=token, counted_s=counted_s)

    def list_metrics(self, _request: Any, _call: Call) -> pb.ListMetricsResponse:
        """What there is to ask for."""
        return pb.ListMetricsResponse(
            metrics=[
                pb.StatisticsMetric(
                    name=name,
                    text=view.metric.text,
                    dimensions=view.metric.dims,
                    figures=view.metric.figures,
                    is_level=view.metric.is_level,
                )
                for name, view in VIEWS.items()
            ]
        )


def _names(request: Any) -> list[str]:
    names = list(request.group_by)
    if len(names) > MAX_NAMES:
        raise InputError(f"group_by: {counted(len(names), 'name')}; expected up to {MAX_NAMES}")
    return names


def _filters(request: Any) -> dict[str, str]:
    found = dict(request.filters)
    if len(found) > MAX_NAMES:
        raise InputError(f"filters: {counted(len(found), 'name')}; expected up to {MAX_NAMES}")
    for name, value in found.items():
        if len(value) > MAX_VALUE_LETTERS:
            raise InputError(
                f"filters: {counted(len(value), 'letter')} for {name[:40]!r}; expected up to {MAX_VALUE_LETTERS}"
            )
    return found


def _time_s(request: Any, name: str) -> int:
    value = int(getattr(request, name))
    if not 0 <= value <= MAX_TIME_S:
        raise InputError(f"{name}: {value}; expected UTC seconds up to {MAX_TIME_S}, or 0")
    return value
