"""What is reckoned of kept figures: by hand, and that groups and filters never lose or double anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core.errors import InputError
from mubss.core.stats import KEPT, Horizon, Tally, count_changes, count_posting, history_of, plan_at
from mubss.core.stats_views import VIEWS, ask, points, totals
from stats_times import NOON
from stats_world import PERIODS

EURO = 1_000_000
Row = tuple[str, int, dict[str, str], dict[str, int]]


def usage(at_s: int, plan: str, charge: int, currency: str = "EUR", service: str = "DATA") -> Row:
    dims = {"service": service, "plan": plan, "zone": "home", "currency": currency}
    return "usage", at_s, dims, {"records": 1, "units": 5, "free_units": 0, "bundle_units": 0, "charge_micros": charge}


def money(at_s: int, kind: str, amount: int, what: str = "", plan: str = "P", currency: str = "EUR") -> Row:
    dims = {"kind": kind, "what": what, "plan": plan, "currency": currency}
    return "money", at_s, dims, {"count": 1, "amount_micros": amount}


def people(at_s: int, plan: str, state: str, count: int) -> Row:
    return "subscribers", at_s, {"state": state, "plan": plan, "type": "prepaid"}, {"count": count}


def answered(request: str, result: str, count: int) -> Row:
    return "answers", 0, {"request": request, "result": result}, {"count": count}


def found(metric: str, rows: list[Row], *by: str, **where: str) -> list[tuple[Any, ...]]:
    asked = ask(metric, by, where)
    return [
        (one.start_s, *one.group.values(), *one.figures.values())
        for one in points(asked, [row for row in rows if row[0] in asked.view.sources])
    ]


SOLD = [
    usage(0, "P", 3),
    usage(0, "Q", 4),
    usage(0, "Q", 7, currency="USD"),
    money(0, "bundle", -10, what="B"),
    money(0, "renewal", -20, what="B"),
    money(0, "dunning", -5, plan="Q"),
    money(0, "bill", -100, what="fees"),
    money(0, "bill", 30, what="discounts"),
    money(0, "bill", -19, what="taxes"),  # no revenue
    money(0, "bill", -1, what="rounding"),
    money(0, "void", 100, what="fees"),
    money(0, "topup", 50),
    money(0, "voucher", 60),
    money(0, "credit", 70),
    money(60, "bundle", -1),
]


def test_revenue() -> None:
    assert found("revenue", SOLD) == [(0, "EUR", 3 + 4 + 10 + 20 + 5 - 30), (0, "USD", 7), (60, "EUR", 1)]
    assert found("revenue", SOLD, "kind") == [
        (0, "bundle", "EUR", 10),
        (0, "discounts", "EUR", -30),
        (0, "dunning", "EUR", 5),
        (0, "fees", "EUR", 0),
        (0, "renewal", "EUR", 20),
        (0, "usage", "EUR", 7),
        (0, "usage", "USD", 7),
        (60, "bundle", "EUR", 1),
    ]
    assert found("revenue", SOLD, plan="Q") == [(0, "EUR", 9), (0, "USD", 7)]


def test_top_ups_and_vouchers() -> None:
    assert found("topups", SOLD) == [(0, "EUR", 2, 110)]
    assert found("vouchers", [*SOLD, money(0, "voucher", 0, what="B")], "what") == [
        (0, "", "EUR", 1, 60),
        (0, "B", "EUR", 1, 0),
    ]


def test_sessions() -> None:
    rows = [
        answered("initial", "2001", 5),
        answered("initial", "4012", 1),
        answered("update", "2001", 9),
        answered("termination", "2001", 4),
        answered("event", "2001", 3),
        answered("event", "5030", 2),
        answered("any", "late", 7),
    ]
    assert found("sessions", rows, "event") == [(0, "at once", 3), (0, "ended", 4), (0, "opened", 5), (0, "refused", 3)]


def test_arpu_and_churn() -> None:
    there = [people(0, "P", "active", 6), people(0, "P", "suspended", 1), people(0, "P", "terminated", 50)]
    there += [people(0, "Q", "active", 3), people(60, "P", "active", 5)]
    rows = [usage(0, "P", 70), usage(0, "Q", 30), usage(0, "Q", 8, currency="USD"), usage(60, "Q", 1), *there]
    assert found("arpu", rows) == [(0, "EUR", 100, 10, 10), (0, "USD", 8, 10, 0), (60, "EUR", 1, 5, 0)]
    assert found("arpu", rows, "plan") == [
        (0, "P", "EUR", 70, 7, 10),
        (0, "Q", "EUR", 30, 3, 10),
        (0, "Q", "USD", 8, 3, 2),
        (60, "Q", "EUR", 1, 0, 0),
    ]
    changes = [
        ("changes", 0, {"change": change, "plan": "P"}, {"count": count})
        for change, count in (("opened", 4), ("terminated", 2), ("suspended", 9))
    ]
    assert found("churn", [*changes, *there], "plan") == [
        (0, "P", 4, 2, 7, 2 * 1_000_000 // 9),
        (0, "Q", 0, 0, 3, 0),
        (60, "P", 0, 0, 5, 0),
    ]


def test_totals_of_several_groups_in_one_period() -> None:
    asked = ask("usage", ["plan"], {})
    rows = [usage(0, "P", 3), usage(0, "Q", 4), usage(60, "P", 5)]
    assert [group for group, _ in totals(asked, points(asked, rows))] == [
        {"service": "DATA", "plan": "P", "currency": "EUR"},
        {"service": "DATA", "plan": "Q", "currency": "EUR"},
    ]


def test_totals_are_sums_and_of_levels_the_last() -> None:
    asked = ask("arpu")
    rows = [usage(0, "P", 70), usage(60, "P", 30), people(0, "P", "active", 9), people(60, "P", "active", 10)]
    assert totals(asked, points(asked, rows)) == [
        ({"currency": "EUR"}, {"revenue_micros": 100, "subscribers": 10, "arpu_micros": 10})
    ]
    levels = ask("subscribers")
    assert totals(levels, points(levels, rows[2:])) == [({}, {"count": 10})]


def test_amounts_and_units_are_never_summed_over_what_they_are_of() -> None:
    rows = [usage(0, "P", 1), usage(0, "P", 2, currency="USD"), usage(0, "P", 3, service="VOICE")]
    assert [one[:3] for one in found("usage", rows)] == [(0, "DATA", "EUR"), (0, "DATA", "USD"), (0, "VOICE", "EUR")]
    for name, view in VIEWS.items():
        has_money = any(figure.endswith("_micros") for figure in view.metric.figures)
        assert not has_money or "currency" in ask(name).by


@given(
    st.lists(
        st.builds(
            usage,
            st.sampled_from([0, 60]),
            st.sampled_from("PQR"),
            st.integers(-9, 9),
            st.sampled_from(["EUR", "USD"]),
            st.sampled_from(["DATA", "SMS"]),
        )
    ),
    st.sets(st.sampled_from(KEPT["usage"].dims)),
)
def test_groups_lose_nothing(rows: list[Row], by: set[str]) -> None:
    asked = ask("usage", by)
    grouped = points(asked, rows)
    for name in asked.view.metric.figures:
        assert sum(one.figures[name] for one in grouped) == sum(row[3][name] for row in rows)
    parts = [points(ask("usage", by, {"plan": plan}), rows) for plan in "PQR"]
    assert sum(one.figures["charge_micros"] for part in parts for one in part) == sum(
        row[3]["charge_micros"] for row in rows
    )


@pytest.mark.parametrize(
    ("metric", "by", "where", "named"),
    [
        ("x" * 99, (), {}, "metric: '" + "x" * 40 + "'"),
        ("usage", ("state",), {}, "group_by: 'state'; expected any of service, plan, zone, currency"),
        ("usage", (), {"state": "x"}, "filters: 'state'"),
    ],
)
def test_what_there_isnt(metric: str, by: tuple[str, ...], where: dict[str, str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ask(metric, by, where)


def test_a_plan_at_a_time_and_changes_that_an_account_forgot() -> None:
    account = {"_id": "a", "plan": "R", "state": "active", "since_s": 0}
    assert plan_at(account, 5) == "R" and history_of(account) == [[0, "R", "active"]]
    account["history"] = [[10, "P", "active"], [20, "Q", "active"], [30, "R", "active"]]
    assert [plan_at(account, at_s) for at_s in (5, 10, 19, 20, 99)] == ["P", "P", "P", "Q", "R"]
    tally = Tally(PERIODS)
    count_changes(tally, account, [5, "P", "suspended"])  # the newest that was counted, and it isn't remembered
    counted = [(*row.dims.values(), row.figures["count"]) for row in tally.rows(Horizon()) if row.period == "day"]
    assert sorted(counted) == [("plan", "Q", 1), ("plan", "R", 1), ("reactivated", "P", 1)]


def test_a_bundle_is_one_thing_though_two_postings() -> None:
    account = {"_id": "a", "plan": "P", "state": "active", "since_s": 0, "currency": "EUR"}
    for kind, price, expected in (("bundle", -500, -500), ("renewal", -500, -500), ("voucher", None, 0)):
        tally = Tally(PERIODS)
        cause = {"kind": kind, "bundle": "B"}
        if price is not None:
            count_posting(
                tally, account, {"cause": cause, "at_ms": NOON * 1000, "bucket": "main", "amount_micros": price}
            )
        units = {"cause": cause, "at_ms": NOON * 1000, "bucket": "B#1", "amount_micros": 0, "units": 7}
        count_posting(tally, account, units)
        [row] = [row for row in tally.rows(Horizon()) if row.period == "day"]
        assert row.figures == {"count": 1, "amount_micros": expected} and row.dims["what"] == "B"


def test_changes_within_a_second() -> None:
    history = [[0, "P", "active"], [10, "P", "suspended"], [10, "P", "active"], [10, "P", "suspended"]]
    account = {"_id": "a", "plan": "P", "state": "suspended", "since_s": 0}
    for known, last, expected in (
        (history[:3], history[1], ["reactivated"]),
        (history[:2], history[0], ["suspended"]),
        (history, history[3], []),  # all of it is counted, though that entry is there twice
    ):
        tally = Tally(PERIODS)
        count_changes(tally, {**account, "history": known}, last)
        assert [row.dims["change"] for row in tally.rows(Horizon()) if row.period == "day"] == expected


def test_what_isnt_kept_any_more_isnt_written() -> None:
    tally, dims = Tally(PERIODS), ("initial", "2001")
    hour_s = PERIODS.start("hour", NOON)
    for at_s in (hour_s - 1, hour_s, hour_s - 86_400):
        tally.add(KEPT["answers"], dims, at_s, (1,))
    rows = tally.rows(Horizon(hour_s, PERIODS.start("day", NOON)))
    assert {row.period: row.figures["count"] for row in rows} == {"hour": 1, "day": 2, "month": 3} and len(rows) == 3
    assert tally.rows(Horizon(hour_s + 1, NOON))[0].period == "month"
