"""Statements of prepaid subscribers: they add up, each posting is on one, and no money moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_bills import DAY_S, LABELS, OCTOBER, SINCE_S, period, use
from core_builders import demo_tables, make_account, utc
from core_world import World
from mubss.core.bill import Computed
from mubss.core.bill_period import Period
from mubss.core.errors import AccountChanged, LedgerError
from mubss.core.model import BuyBundle, Movement
from mubss.core.money import Rounding, divide
from mubss.core.statement import compute_statement
from mubss.core.tariff import Bundle

TALK = Bundle("TALK", "Talk", "EUR", 5_000_000, ("VOICE",), (), 600, 30 * DAY_S, 1)


def world_of() -> World:
    world = World(replace(demo_tables(), bundles={"TALK": TALK}), {**make_account(balance="0"), "since_s": SINCE_S})
    world.now_s = SINCE_S
    return world


def statement(world: World, period: Period = OCTOBER) -> Computed:
    return compute_statement(world.account, world.usage, world.postings["acc1"], world.tables, period, 3)


def issue(world: World, period: Period = OCTOBER) -> dict[str, Any]:
    found = statement(world, period)
    before = world.account["balance_micros"]
    world.do(found.command(f"statement {period.label}"), now_s=max(world.now_s, period.end_s))
    assert world.account["balance_micros"] == before
    return found.doc


def test_a_statement() -> None:
    world = world_of()
    world.do(Movement("topup", 20_000_000, "shop"), now_s=utc(2026, 9, 30))
    use(world, 1, utc(2026, 10, 1))  # before the first statement's period
    world.do(Movement("topup", 10_000_000, "voucher"), now_s=utc(2026, 10, 9, 22, 30))
    use(world, 2, utc(2026, 10, 10), 120)
    use(world, 3, utc(2026, 10, 11), 3, "SMS")
    world.do(BuyBundle("TALK"), now_s=utc(2026, 10, 12))
    use(world, 4, utc(2026, 10, 13), 60)  # of the bundle
    world.do(Movement("adjustment", 1_000_000, "sorry"), now_s=utc(2026, 10, 14))
    world.do(Movement("topup", 7_000_000), now_s=OCTOBER.end_s + 5)
    doc = issue(world)
    assert (doc["kind"], doc["opening_balance"], doc["closing_balance"]) == ("prepaid", 1_991, 2_549)
    assert doc["topups"] == [{"day": "2026-10-10", "kind": "topup", "reference": "voucher", "amount": 1_000}]
    lines = [(line["kind"], line["code"], line.get("units", 0), line.get("bundle_units", 0), line["amount"])
             for line in doc["lines"]]  # fmt: skip
    assert lines == [
        ("usage", "SMS", 3, 0, 24),
        ("usage", "VOICE", 180, 60, 18),
        ("bundle", "TALK", 0, 0, 500),
        ("adjustment", "sorry", 0, 0, -100),
    ]
    assert (doc["total"], doc["tax"], doc["due"]) == (442, 0, 0)
    second = statement(world, period("2026-12")).doc
    assert (second["opening_balance"], second["topped_up"], second["closing_balance"]) == (2_549, 700, 3_249)
    assert second["lines"] == [] and not statement(world, period("2026-12")).is_zero


def test_charges_as_a_statement_is_made_do_not_hinder_it_but_another_statement_does() -> None:
    world = world_of()
    found = statement(world)
    world.do(Movement("topup", 1_000_000), now_s=OCTOBER.end_s + 1)
    world.do(found.command("first"))
    with pytest.raises(AccountChanged, match="bill: first is the last; expected none"):
        world.do(found.command("again"))


def test_nothing_happened() -> None:
    world = world_of()
    assert statement(world).is_zero
    doc = issue(world)
    assert (doc["opening_balance"], doc["closing_balance"], doc["lines"], doc["topups"]) == (0, 0, [], [])


EVENTS = st.tuples(
    st.integers(-30 * DAY_S, 170 * DAY_S),
    st.sampled_from(["topup", "adjustment", "VOICE", "SMS", "TALK"]),
    st.integers(1, 9_999_999),
    st.integers(0, 40 * DAY_S),
)


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=20))
def test_statements_add_up_and_each_begins_where_the_last_one_ended(events: list[tuple[int, str, int, int]]) -> None:
    world = world_of()
    coming = sorted((OCTOBER.start_s + after + late, number, kind, amount, OCTOBER.start_s + after)
                    for number, (after, kind, amount, late) in enumerate(events))  # fmt: skip
    docs = []
    for label in LABELS:
        while coming and coming[0][0] < period(label).end_s + 3 * DAY_S:  # some are there as the statement is made
            come_s, number, kind, amount, from_s = coming.pop(0)
            now_s = max(world.now_s, come_s)
            try:
                if kind in ("VOICE", "SMS"):
                    use(world, number, from_s, amount % 500 + 1, kind, now_s=now_s)
                else:
                    command = BuyBundle("TALK") if kind == "TALK" else Movement(kind, amount)
                    world.do(command, now_s=now_s)
            except LedgerError:
                pass  # no money for the bundle
        docs.append(issue(world, period(label)))
    for doc in docs:
        assert doc["opening_balance"] + doc["topped_up"] - doc["total"] == doc["closing_balance"]
        assert doc["total"] == sum(line["amount"] for line in doc["lines"])
        rounding = [abs(line["amount"]) for line in doc["lines"] if line["kind"] == "rounding"]
        assert sum(rounding) <= len(doc["lines"]) + len(doc["topups"])
    for before, after in pairwise(docs):
        assert (after["opening_balance"], after["postings"][0]) == (before["closing_balance"], before["postings"][1])
    last = [one for one in world.postings["acc1"] if one["at_ms"] < period(LABELS[-1]).end_s * 1000]
    assert docs[-1]["closing_balance"] == divide(last[-1]["balance_micros"] if last else 0, 10_000, Rounding.HALF_UP)
