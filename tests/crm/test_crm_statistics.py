"""Statistics through TLS on both engines: what is counted, in pages, and which requests are refused."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from crm_world import PREPAID, CrmWorld, refused
from mubss.core.periods import Periods
from mubss.core.stats_views import VIEWS
from mubss.services.stats_pass import Counter

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EURO = 1_000_000


def counted(crm: CrmWorld) -> None:
    """A pass of mubss-stats."""
    general, now_s = crm.config.general, int(time.time())
    periods = Periods(crm.office.tables.calendar)
    Counter(crm.store, periods, general.timezone, crm.config.stats, lambda: now_s).run(now_s)


def series(crm: CrmWorld, size: int = 0, **fields: Any) -> list[tuple[str, dict[str, str], dict[str, int]]]:
    """All points, in pages of a size."""
    found, token = [], ""
    while True:
        page = crm.call("Statistics/GetSeries", page_size=size, page_token=token, **fields)
        assert len(page.points) <= (size or 100) and page.counted_s > 0
        found += [(one.label, dict(one.group), dict(one.figures)) for one in page.points]
        assert all(one.start_s < one.end_s for one in page.points)
        token = page.next_page_token
        if not token:
            return found


def test_what_is_counted(crm: CrmWorld) -> None:
    for amount in (3, 4):
        crm.write("Balances/TopUp", subscriber=PREPAID, amount_micros=amount * EURO)
    counted(crm)
    [(label, group, figures)] = series(crm, metric="topups", group_by=["kind"])
    assert label == time.strftime("%Y-%m-%d", time.gmtime()) and group == {"kind": "topup", "currency": "EUR"}
    assert figures == {"count": 2, "amount_micros": 7 * EURO}
    assert series(crm, metric="topups", filters={"kind": "voucher"}) == []
    [(_, group, figures)] = series(crm, metric="subscribers", period="month", filters={"type": "postpaid"})
    assert (group, figures) == ({}, {"count": 10})
    usage = series(crm, metric="usage", period="month", group_by=["plan", "zone"])
    records = crm.store.run(lambda session: session.collection("usage").scan(limit=10_000))
    assert sum(one["records"] for _, _, one in usage) == len(records) > 100
    assert sum(one["charge_micros"] for _, _, one in usage) == sum(one["charge_micros"] for one in records)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_of_any_size_are_the_same_points(crm: CrmWorld, size: int) -> None:
    counted(crm)
    first_s = 1_700_000_000 // 3600 * 3600
    docs = [
        {
            "_id": f"page{hour}.{result}",
            "metric": "answers",
            "period": "hour",
            "start_s": first_s + hour * 3600,
            "dims": {"request": "initial", "result": str(result)},
            "figures": {"count": hour},
        }
        for hour in range(0, 80, 3)
        for result in range(hour % 5)
    ]
    crm.store.run(lambda session: session.collection("stats").put_many(docs))
    asked = {"metric": "answers", "period": "hour", "group_by": ["result"]}
    asked |= {"from_s": first_s, "until_s": first_s + 80 * 3600}
    whole = series(crm, 500, **asked)
    assert len(whole) == len(docs) and series(crm, size, **asked) == whole


def test_the_metrics_that_there_are(crm: CrmWorld) -> None:
    found = crm.call("Statistics/ListMetrics").metrics
    assert [one.name for one in found] == list(VIEWS)
    for one in found:
        assert one.text and one.figures
        crm.call("Statistics/GetSeries", metric=one.name, group_by=list(one.dimensions))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "metric: "),
        ({"metric": "nope"}, "metric: 'nope'; expected one of answers, arpu"),
        ({"metric": "x" * 5000}, "metric: "),
        ({"metric": "usage", "period": "week"}, "period: 'week'; expected one of hour, day, month"),
        ({"metric": "usage", "from_s": -1}, "from_s: -1"),
        ({"metric": "usage", "until_s": 1 << 62}, "until_s: "),
        ({"metric": "usage", "from_s": 2_000_000_000, "until_s": 1_900_000_000}, "from_s: 2000000000"),
        ({"metric": "usage", "period": "hour", "from_s": 1}, "from_s: 1; expected up to 10000 periods"),
        ({"metric": "usage", "group_by": ["state"]}, "group_by: 'state'; expected any of service, plan"),
        ({"metric": "usage", "group_by": ["plan"] * 11}, "group_by: 11 names"),
        ({"metric": "usage", "filters": {"state": "x"}}, "filters: 'state'"),
        ({"metric": "usage", "filters": {"plan": "x" * 101}}, "filters: 101 letters for 'plan'"),
        ({"metric": "usage", "page_size": 501}, "page_size: 501"),
        ({"metric": "usage", "page_token": "x"}, "page_token: 'x'"),
        ({"metric": "usage", "page_token": "MS4x"}, "page_token: 'MS4x'"),
        ({"metric": "usage", "page_token": "YQ=="}, "page_token: 'YQ=='"),
    ],
)
def test_refused(crm: CrmWorld, fields: dict[str, Any], named: str) -> None:
    code, text = refused(lambda: crm.call("Statistics/GetSeries", **fields))
    assert code is INVALID and text.startswith(named), text
