"""Fees in advance, once and at least; discounts: what is on which bill, and that no day is on two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_bills import DAY_S, LABELS, OCTOBER, SINCE_S, bill, issue, period, tables_of, use, world_of
from core_builders import utc
from core_world import World
from mubss.core.errors import LedgerError
from mubss.core.issuing import SetDiscounts
from mubss.core.model import Movement, SetPlan, SetState
from mubss.core.tariff import BillDiscount, Tables

OFF = {
    "FEES": BillDiscount("FEES", "Fees", ("fees",), 100_000),
    "ALL": BillDiscount("ALL", "All", ("fees", "usage"), 500_000),
    "REST": BillDiscount("REST", "Rest", ("usage",), 900_000),
}


def lines(doc: dict[str, Any], *kinds: str) -> list[tuple[Any, ...]]:
    return [
        (line["kind"], line["code"], line.get("days", 0), line["amount"])
        for line in doc["lines"]
        if line["kind"] in kinds
    ]


def fees(doc: dict[str, Any]) -> list[tuple[Any, ...]]:
    return lines(doc, "fee", "fee_correction")


# ── in advance ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("since", "changes", "first", "second"),
    [
        (SINCE_S, [], [("fee", "small", 31, 3_000), ("fee", "small", 30, 3_000)], [("fee", "small", 31, 3_000)]),
        (
            utc(2026, 10, 20, 22),  # activated within the first period
            [],
            [("fee", "small", 14, 1_355), ("fee", "small", 30, 3_000)],
            [("fee", "small", 31, 3_000)],
        ),
        (
            SINCE_S,
            [(utc(2026, 11, 14, 10), SetPlan("large"))],  # the 11th of the second period's 30 days
            [("fee", "small", 31, 3_000), ("fee", "small", 30, 3_000)],
            [
                ("fee_correction", "large", 20, 4_000),
                ("fee_correction", "small", -20, -2_000),
                ("fee", "large", 31, 6_000),
            ],
        ),
        (
            SINCE_S,
            [(utc(2026, 11, 14, 10), SetState("suspended"))],
            [("fee", "small", 31, 3_000), ("fee", "small", 30, 3_000)],
            [("fee_correction", "small", -20, -2_000)],
        ),
        (
            SINCE_S,
            [(utc(2026, 10, 14, 10), SetState("suspended")), (utc(2026, 11, 20), SetState("active"))],
            [("fee", "small", 10, 968)],  # suspended at the close: nothing in advance
            [("fee", "small", 14, 1_400), ("fee", "small", 31, 3_000)],
        ),
        (
            SINCE_S,
            [(utc(2026, 11, 4, 10), SetState("terminated"))],
            [("fee", "small", 31, 3_000), ("fee", "small", 30, 3_000)],
            [("fee_correction", "small", -30, -3_000)],
        ),
    ],
)
def test_fees_in_advance(since: int, changes: list[Any], first: list[Any], second: list[Any]) -> None:
    world = world_of(tables_of(fee_timing="advance"), since)
    for at_s, command in changes:
        if at_s < OCTOBER.end_s:
            world.do(command, now_s=at_s)
    assert fees(issue(world)) == first
    for at_s, command in changes:
        if at_s >= OCTOBER.end_s:
            world.do(command, now_s=at_s)
    assert fees(issue(world, period("2026-12"))) == second


def test_a_line_in_advance_says_which_days_it_is_for() -> None:
    doc = issue(world_of(tables_of(fee_timing="advance")))
    assert [(line["from_day"], line["until_day"], line.get("advance", False)) for line in doc["lines"]] == [
        ("2026-10-04", "2026-11-03", False),
        ("2026-11-04", "2026-12-03", True),
    ]


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 160 * DAY_S),
        st.sampled_from(
            [SetPlan("small"), SetPlan("large"), SetState("suspended"), SetState("active"), SetState("terminated")]
        ),
    ),
    max_size=8,
)


def history(world: World, changes: list[tuple[int, Any]], until_s: int) -> list[tuple[int, Any]]:
    """Makes the changes before a time; the others."""
    rest = []
    for after_s, command in sorted(changes, key=lambda change: change[0]):
        if OCTOBER.start_s - 5 * DAY_S + after_s >= until_s:
            rest.append((after_s, command))
            continue
        try:
            world.do(command, now_s=max(world.now_s, OCTOBER.start_s - 5 * DAY_S + after_s))
        except LedgerError:
            pass  # a terminated subscriber stays so
    return rest


@settings(max_examples=60)
@given(CHANGES, st.integers(-20, 100), st.integers(0, 50_000_000), st.lists(st.sampled_from(LABELS), max_size=5))
def test_in_advance_costs_what_the_same_days_do_in_arrears(
    changes: list[tuple[int, Any]], since_days: int, fee: int, skipped: list[str]
) -> None:
    """Over five bills of any history, and a last one of nothing ahead; some periods have no bill."""
    sums = []
    for timing in ("arrears", "advance"):
        world = world_of(tables_of(fee, tax="", fee_timing=timing), OCTOBER.start_s + since_days * DAY_S)
        left, total, ahead = changes, 0, 0
        billed = [label for label in LABELS if label not in skipped or label == LABELS[-1]]
        charged: dict[str, int] = {}
        for label in billed:
            left = history(world, left, period(label).end_s)
            doc = issue(world, period(label))
            total += doc["total"]
            ahead = sum(line["amount"] for line in doc["lines"] if line.get("advance"))
            for line in doc["lines"]:
                if line["kind"] == "fee" and not line.get("advance"):
                    charged[line["from_day"]] = charged.get(line["from_day"], 0) + 1
        assert max(charged.values(), default=1) == 1, "a day on two bills"
        assert world.account["balance_micros"] == -total * 10_000
        sums.append((total - ahead, world))
    (arrears, first), (advance, _) = sums
    # A period without a bill costs nothing in arrears, and in advance what was charged for it, settled by its days.
    if not set(skipped) - {LABELS[-1]}:
        assert arrears == advance
    assert first.account["billing"]["days"]


@settings(max_examples=40)
@given(CHANGES, st.permutations(LABELS), st.sampled_from(["arrears", "advance"]))
def test_no_day_is_billed_twice_whatever_the_order_of_bills(
    changes: list[tuple[int, Any]], order: list[str], timing: str
) -> None:
    """All five periods are over when the first bill is made: their fees are the same in any order of bills."""
    totals = []
    for labels in (LABELS, order):
        world = world_of(tables_of(tax="", fee_timing=timing))
        history(world, changes, period(LABELS[-1]).end_s)
        world.now_s = period(LABELS[-1]).end_s + 1
        for label in labels:
            issue(world, period(label))
        behind = issue(world, period("2027-04"))  # settles what is charged in advance for it
        ahead = sum(line["amount"] for line in behind["lines"] if line.get("advance"))
        totals.append(-world.account["balance_micros"] - ahead * 10_000)
        assert len(world.account["billing"]["days"]) == 1
    assert totals[0] == totals[1]


# ── once, and at least ─────────────────────────────────────────────────────────────────────────────


def test_an_activation_fee_is_on_the_first_bill_by_the_plan_of_the_opening() -> None:
    tables = tables_of(activation_fee_micros=9_900_000)
    large = replace(tables.plans["large"], activation_fee_micros=50_000_000)
    world = world_of(replace(tables, plans={**tables.plans, "large": large}))
    world.do(SetPlan("large"), now_s=utc(2026, 10, 10))
    first = issue(world)
    assert lines(first, "one_off") == [("one_off", "small", 0, 990)]
    assert first["tax"] == round((first["net"]) * 0.2)
    assert lines(issue(world, period("2026-12")), "one_off") == []


def test_an_account_opened_after_the_period_pays_its_activation_with_the_next_bill() -> None:
    world = world_of(tables_of(activation_fee_micros=9_900_000), OCTOBER.end_s + 5)
    assert issue(world)["lines"] == []
    assert lines(issue(world, period("2026-12")), "one_off") == [("one_off", "small", 0, 990)]


@pytest.mark.parametrize(
    ("fee", "minimum", "uses", "changes", "expected"),
    [
        (0, 20_000_000, 0, [], [2_000]),
        (0, 20_000_000, 100, [], [1_100]),  # 9.00 used
        (15_000_000, 20_000_000, 100, [], []),
        (15_000_000, 20_000_000, 10, [], [410]),
        (0, 31_000_000, 0, [(utc(2026, 10, 14, 10), SetState("suspended"))], [1_000]),  # ten of 31 days
        (0, 20_000_000, 0, [(utc(2026, 10, 3), SetState("suspended"))], []),
    ],
)
def test_the_least_that_a_bill_comes_to(
    fee: int, minimum: int, uses: int, changes: list[Any], expected: list[int]
) -> None:
    for timing in ("arrears", "advance"):
        world = world_of(tables_of(fee, minimum_bill_micros=minimum, fee_timing=timing))
        for at_s, command in changes:
            world.do(command, now_s=at_s)
        for number in range(uses):
            use(world, number, utc(2026, 10, 5))
        world.do(Movement("adjustment", 5_000_000), now_s=OCTOBER.end_s)  # isn't counted
        doc = bill(world).doc
        assert [line["amount"] for line in doc["lines"] if line["kind"] == "minimum"] == expected, timing


def test_what_is_charged_for_the_next_period_is_not_this_ones_minimum() -> None:
    world = world_of(tables_of(10_000_000, minimum_bill_micros=20_000_000, fee_timing="advance"))
    assert [lines(issue(world, period(label)), "minimum") for label in LABELS[:2]] == [
        [("minimum", "small", 0, 1_000)],
        [("minimum", "small", 0, 1_000)],
    ]


# ── discounts ──────────────────────────────────────────────────────────────────────────────────────


def discounted(*codes: str, **more: Any) -> Tables:
    return replace(tables_of(**more, bill_discounts=codes), bill_discounts=OFF)


def test_discounts_of_the_plan_and_of_the_subscriber() -> None:
    world = world_of(discounted("FEES"))
    for number in range(100):
        use(world, number, utc(2026, 10, 5))
    assert lines(bill(world).doc, "discount") == [("discount", "FEES", 0, -300)]
    world.do(SetDiscounts(["ALL", "REST", "FEES"]), now_s=utc(2026, 10, 6))
    doc = issue(world)
    assert lines(doc, "discount") == [
        ("discount", "FEES", 0, -300),
        ("discount", "ALL", 0, -1_950),  # half of 30.00 and of 9.00
        ("discount", "REST", 0, -450),  # of usage no more than the half that is left
    ]
    assert doc["net"] == 3_000 + 900 - 2_700 and doc["tax"] == 240
    assert world.do(SetDiscounts(["ALL", "REST", "FEES"])).account is None, "it has them"
    world.do(SetDiscounts([]))
    assert lines(bill(world, period("2026-12")).doc, "discount") == [("discount", "FEES", 0, -300)]


def test_a_discount_on_what_was_charged_in_advance_goes_back_with_it() -> None:
    world = world_of(discounted("FEES", fee_timing="advance"))
    assert issue(world)["net"] == 5_400
    world.do(SetState("suspended"), now_s=utc(2026, 11, 14, 10))
    doc = issue(world, period("2026-12"))
    assert [line["amount"] for line in doc["lines"]] == [-2_000, 200]


def test_a_minimum_counts_what_is_left_after_discounts() -> None:
    world = world_of(discounted("ALL", minimum_bill_micros=20_000_000))
    assert [line["amount"] for line in bill(world).doc["lines"]] == [3_000, -1_500, 500]


@pytest.mark.parametrize(
    ("codes", "text"),
    [(["NONE"], "discount: 'NONE'; expected one of ALL, FEES, REST"), (["X" * 99], "discount: 'X")],
)
def test_discounts_that_there_are_not(codes: list[str], text: str) -> None:
    with pytest.raises(LedgerError, match=text):
        world_of(discounted()).do(SetDiscounts(codes))


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 1_000_000), max_size=4),
    st.lists(st.tuples(st.sampled_from(["VOICE", "SMS"]), st.integers(1, 400)), max_size=4),
    st.integers(0, 40_000_000),
    st.integers(0, 40_000_000),
)
def test_totals_are_sums_and_discounts_never_more_than_what_they_are_on(
    rates: list[int], uses: list[tuple[str, int]], fee: int, minimum: int
) -> None:
    tables = tables_of(fee, minimum_bill_micros=minimum)
    made = {f"D{at}": BillDiscount(f"D{at}", "", (("fees",), ("usage",))[at % 2], ppm) for at, ppm in enumerate(rates)}
    plans = {code: replace(one, bill_discounts=tuple(made)) for code, one in tables.plans.items()}
    world = world_of(replace(tables, plans=plans, bill_discounts=made))
    for number, (service, units) in enumerate(uses):
        use(world, number, OCTOBER.start_s + number, units, service)
    doc = issue(world)
    sums = {kind: sum(line["amount"] for line in doc["lines"] if line["kind"] == kind) for kind in
            ("fee", "usage", "discount", "minimum")}  # fmt: skip
    assert doc["net"] == sum(sums.values())
    assert -sums["fee"] - sums["usage"] <= sums["discount"] <= 0
    assert sums["minimum"] == max(0, (minimum + 5_000) // 10_000 - doc["net"] + sums["minimum"])
    assert doc["total"] == doc["net"] + sum(one["amount"] for one in doc["taxes"])
    assert world.account["balance_micros"] == -doc["due"] * 10_000
