"""What is on a bill: each usage record on one, fees by the day, lines rounded once; and the balance says the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_bills import DAY_S, OCTOBER, bill, issue, tables_of, use, world_of
from core_builders import BERLIN, utc
from mubss.core.bill_lines import with_sequences
from mubss.core.bill_period import following, last_closed, period_of
from mubss.core.errors import AccountChanged, InputError
from mubss.core.model import BuyBundle, Movement, SetPlan, SetState
from mubss.core.tariff import Bundle


def fees(doc: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(line["code"], line["days"], line["amount"]) for line in doc["lines"] if line["kind"] == "fee"]


# ── periods ────────────────────────────────────────────────────────────────────────────────────────


def test_a_period_is_named_by_the_month_it_closes_in() -> None:
    assert (OCTOBER.first, OCTOBER.last, OCTOBER.days) == (date(2026, 10, 4), date(2026, 11, 3), 31)
    assert OCTOBER.end_s - OCTOBER.start_s == 31 * DAY_S + 3600, "winter time begins in it"
    assert last_closed(3, OCTOBER.end_s, BERLIN) == OCTOBER
    assert following(OCTOBER, BERLIN) == period_of("2026-12", 3, BERLIN)
    assert following(period_of("2026-12", 28, BERLIN), BERLIN) == period_of("2027-01", 28, BERLIN)
    assert last_closed(3, OCTOBER.end_s - 1, BERLIN).label == "2026-10"
    assert period_of("2026-03", 28, BERLIN).first == date(2026, 3, 1)
    with pytest.raises(InputError, match="period: 'soon'; expected a month like 2026-11"):
        period_of("soon", 3, BERLIN)


# ── lines ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_bill_and_what_the_ledger_says_after_it() -> None:
    world = world_of()
    use(world, 1, utc(2026, 10, 5), 120)
    use(world, 2, utc(2026, 10, 6), 3, "SMS")
    doc = issue(world)
    assert fees(doc) == [("small", 31, 3_000)]
    usage = {
        line["code"]: (line["records"], line["units"], line["amount"])
        for line in doc["lines"]
        if line["kind"] == "usage"
    }
    assert usage == {"VOICE": (1, 120, 18), "SMS": (1, 3, 4)}  # 0.037035 is rounded to 0.04
    assert doc["taxes"] == [{"code": "VAT", "name": "VAT", "rate_ppm": 200_000, "net": 3_022, "amount": 604}]
    assert (doc["total"], doc["due"]) == (3_626, 3_626)
    assert world.account["balance_micros"] == -36_260_000
    kinds = [
        (one["cause"]["what"], one["amount_micros"]) for one in world.postings["acc1"] if one["cause"]["kind"] == "bill"
    ]
    assert kinds == [("fees", -30_000_000), ("taxes", -6_040_000), ("rounding", -2_965)]


def test_payments_and_adjustments() -> None:
    world = world_of(tables_of(tax=""))
    issue(world)
    world.do(Movement("payment", 25_000_000), now_s=utc(2026, 11, 10))
    world.do(Movement("adjustment", 1_500_000, "sorry"), now_s=utc(2026, 11, 11))
    doc = issue(world, period_of("2026-12", 3, BERLIN))
    assert (doc["previous_due"], doc["paid"], doc["total"], doc["due"]) == (3_000, 2_500, 2_850, 3_350)
    assert [line["amount"] for line in doc["lines"] if line["kind"] == "adjustment"] == [-150]
    assert world.account["balance_micros"] == -33_500_000


@pytest.mark.parametrize(
    ("since", "changes", "expected"),
    [
        (utc(2026, 10, 20, 22), [], [("small", 14, 1_355)]),  # midnight in Berlin: the 21st on
        (utc(2026, 10, 1), [(utc(2026, 10, 14, 10), SetPlan("large"))], [("small", 10, 968), ("large", 21, 4_065)]),
        (utc(2026, 10, 1), [(utc(2026, 10, 14, 10), SetState("suspended"))], [("small", 10, 968)]),
        (
            utc(2026, 10, 1),
            [(utc(2026, 10, 14, 10), SetState("suspended")), (utc(2026, 10, 20, 10), SetState("active"))],
            [("small", 10, 968), ("small", 15, 1_452)],
        ),
        (utc(2026, 10, 1), [(utc(2026, 10, 4, 10), SetState("terminated"))], []),
        (utc(2026, 11, 10), [], []),
        (utc(2026, 10, 1), [(utc(2026, 11, 20), SetPlan("large"))], [("small", 31, 3_000)]),  # after the period
    ],
)
def test_fees_are_by_the_day(since: int, changes: list[tuple[int, Any]], expected: list[tuple[str, int, int]]) -> None:
    world = world_of(since_s=since)
    for at_s, command in changes:
        world.do(command, now_s=at_s)
    assert fees(bill(world).doc) == expected


def test_a_bundle_that_renews_as_the_bill_is_issued_is_on_the_next() -> None:
    tables = tables_of(fee=0, tax="")
    bundle = Bundle("TALK", "Talk", "EUR", 5_000_000, ("VOICE",), (), 600, 30 * DAY_S, 1, renews=True)
    world = world_of(replace(tables, bundles={"TALK": bundle}))
    world.account["credit_limit_micros"] = 100_000_000
    world.do(BuyBundle("TALK"), now_s=OCTOBER.end_s - 30 * DAY_S + 60)
    first = issue(world)
    assert world.account["balance_micros"] == -5_000_000
    found = bill(world)
    world.do(found.command("b"), now_s=OCTOBER.end_s + 1_000)
    assert world.account["balance_micros"] == -10_000_000, "it renewed"
    second = bill(world, period_of("2026-12", 3, BERLIN)).doc
    assert [(one["total"], one["due"]) for one in (first, second)] == [(500, 500), (500, 1000)]


def test_late_usage_is_on_the_next_bill_and_usage_of_the_next_period_waits() -> None:
    world = world_of(tables_of(fee=0))
    use(world, 1, utc(2026, 10, 5))
    use(world, 2, OCTOBER.end_s)  # the first second of the next one
    use(world, 3, utc(2026, 10, 6), now_s=OCTOBER.end_s + 100)
    first = issue(world)
    assert [line["records"] for line in first["lines"]] == [2], "what came late, but before the bill, is on it"
    use(world, 4, utc(2026, 10, 7), now_s=OCTOBER.end_s + 200)
    second = issue(world, period_of("2026-12", 3, BERLIN))
    assert [line["records"] for line in second["lines"]] == [2]
    assert world.account["billing"]["usage"] == [[1, 4]]


def test_an_account_that_changed_meanwhile_is_reckoned_anew() -> None:
    world = world_of()
    found = bill(world)
    use(world, 1, utc(2026, 10, 5))
    with pytest.raises(AccountChanged, match="version: 2; expected 1"):
        world.do(found.command("b"))


USES = st.tuples(st.sampled_from(["VOICE", "SMS"]), st.integers(-40, 80), st.integers(1, 500), st.integers(0, 90))


@settings(max_examples=80)
@given(
    st.lists(USES, max_size=12),
    st.sampled_from(["", "VAT", "CUT"]),
    st.integers(0, 50_000_000),
)
def test_every_record_is_on_one_bill_and_the_balance_is_what_is_due(
    uses: list[tuple[str, int, int, int]], tax: str, fee: int
) -> None:
    """Usage of any time, come at any time, over five bills; independent sums of each bill."""
    world = world_of(tables_of(fee=fee, tax=tax))
    coming = sorted(((OCTOBER.start_s + (day + late) * DAY_S, number, day, service, units)
                     for number, (service, day, units, late) in enumerate(uses)))  # fmt: skip
    total = 0
    for label in ("2026-11", "2026-12", "2027-01", "2027-02", "2027-06"):
        period = period_of(label, 3, BERLIN)
        while coming and coming[0][0] < period.end_s + 5 * DAY_S:
            come_s, number, day, service, units = coming.pop(0)
            use(world, number, OCTOBER.start_s + day * DAY_S, units, service, max(world.now_s, come_s))
        doc = issue(world, period)
        net = sum(line["amount"] for line in doc["lines"])
        rate = {"": 0, "VAT": 20, "CUT": 7.5}[tax]
        assert doc["net"] == net and abs(doc["tax"] - net * rate / 100) <= 0.5
        total += doc["total"]
    assert world.account["billing"]["usage"] == ([[1, len(uses)]] if uses else [])
    assert (world.account["billing"]["due"], world.account["balance_micros"]) == (total, -total * 10_000)
    assert not bill(world, period_of("2027-07", 3, BERLIN)).doc["total"] or fee


@given(st.lists(st.integers(1, 60)))
def test_ranges_hold_just_what_was_put_in(numbers: list[int]) -> None:
    ranges: list[list[int]] = []
    for start in range(0, len(numbers), 3):
        ranges = with_sequences(ranges, numbers[start : start + 3])
    assert {one for low, high in ranges for one in range(low, high + 1)} == set(numbers)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))
