"""Any batch split of any commands gives what doing them one by one gives."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging_world import World
from core_builders import EVENT, INITIAL, TERMINATE, UPDATE, ccr, mscc
from mubss.charging.order import Order
from mubss.core.model import Movement, SetState
from mubss.services.audit_ledger import check

_runs = count(1)

step = st.tuples(
    st.integers(0, 2),  # account
    st.sampled_from(["I", "U", "T", "E", "topup", "state"]),
    st.integers(0, 2),  # session
    st.integers(0, 6),  # request number: repeats and gaps come by themselves
    st.integers(0, 12_000_000),
)


@pytest.fixture(scope="module")
def world(module_store_url: str) -> World:
    return World(module_store_url)


def orders_of(world: World, prefix: str, accounts: list[str], steps: list[Any]) -> list[Order]:
    orders = []
    for who, kind, session, number, amount in steps:
        if kind == "topup":
            orders.append(Order(Movement("topup", amount + 1), account=accounts[who]))
        elif kind == "state":
            orders.append(Order(SetState(["active", "suspended"][number % 2]), account=accounts[who]))
        else:
            type, part = {
                "I": (INITIAL, mscc(1, asks=amount)),
                "U": (UPDATE, mscc(1, amount)),
                "T": (TERMINATE, mscc(1, amount)),
                "E": (EVENT, mscc(service="SMS", asks=number)),
            }[kind]
            command = ccr(world.tables, type, number, part, session=f"{prefix};{who};{session}")
            command.identities = [f"e164:{prefix}{who}"]
            orders.append(Order(command, identities=command.identities))
    return orders


def play(world: World, steps: list[Any], cuts: Callable[[list[Order]], list[list[Order]]]) -> tuple[Any, list[Any]]:
    """Plays the steps on three new accounts; what is left of them, and what was answered."""
    prefix = f"9997{next(_runs):07d}"
    accounts = [world.account(f"{prefix}{n}", 300_000) for n in range(3)]
    orders = orders_of(world, prefix, accounts, steps)
    engine = world.engine()
    for batch in cuts(orders):
        engine.run(batch)
    left = []
    for account_id in accounts:
        account = world.get("accounts", account_id) or {}
        names = ("balance_micros", "reserved_micros", "sequence", "usage_sequence", "counters", "state")
        left.append([account[name] for name in names] + [len(account["sessions"])])
    answers = [(order.outcome, type(order.error)) for order in orders]
    return left, answers


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=25), sizes=st.lists(st.integers(1, 8), min_size=1))
def test_any_split_into_batches_gives_the_same(world: World, steps: list[Any], sizes: list[int]) -> None:
    def cut(orders: list[Order]) -> list[list[Order]]:
        batches, position = [], 0
        for number in count():
            if position >= len(orders):
                return batches
            size = sizes[number % len(sizes)]
            batches.append(orders[position : position + size])
            position += size
        raise AssertionError

    assert play(world, steps, cut) == play(world, steps, lambda orders: [[order] for order in orders])


def test_all_that_was_played_adds_up(world: World) -> None:
    accounts, findings = check(world.store)
    assert accounts % 6 == 0 and findings == []
