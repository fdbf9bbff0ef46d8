"""`ledger check` over a whole store: every planted fault is found, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from charging_world import World
from mubss.charging.order import Order
from mubss.core.model import Movement
from mubss.services.audit_ledger import Finding, check


@pytest.fixture
def accounts(world: World) -> list[str]:
    """Five accounts with 0, 1, 2, 3 and 1,200 movements beyond their opening."""
    ids = [world.account(f"99970000000{n}") for n in range(5)]
    for account_id, count in zip(ids, (0, 1, 2, 3, 1200), strict=True):
        orders = [Order(Movement("topup", 1_000_000), account=account_id) for _ in range(count)]
        world.engine().execute(orders)
        assert not any(order.error for order in orders)
    return ids


def test_what_adds_up_is_not_complained_about(world: World, accounts: list[str]) -> None:
    seen: list[int] = []
    assert check(world.store, seen.append) == (5, [])
    assert seen == [5]


def test_an_account_without_postings_and_an_empty_store(world: World) -> None:
    assert check(world.store) == (0, [])
    world.account("999700000009", balance=0)
    assert check(world.store) == (1, [])


@pytest.mark.parametrize("victim", range(5))
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda s, a: s.collection("accounts").modify("_id = :a").set("balance_micros", 1).bind("a", a).execute(),
            "balance",
        ),
        (
            lambda s, a: s.collection("accounts").modify("_id = :a").set("reserved_micros", 1).bind("a", a).execute(),
            "reserved",
        ),
        (lambda s, a: s.collection("postings").remove_many([a + "000000000001"]), "sequence"),
        (lambda s, a: s.collection("accounts").remove_many([a]), "isn't there"),
    ],
)
def test_each_fault_is_found_where_it_is(
    world: World, accounts: list[str], victim: int, change: Any, fault: str
) -> None:
    world.store.run(lambda session: change(session, accounts[victim]))
    _, findings = check(world.store)
    assert findings and {finding.account for finding in findings} == {accounts[victim]}
    assert any(fault in finding.fault for finding in findings)


def test_postings_before_between_and_behind_all_accounts(world: World, accounts: list[str]) -> None:
    between = accounts[2][:19] + ("y" if accounts[2][19] == "z" else "z")
    strangers = ["0" * 20, between, "z" * 20]
    doc = {"sequence": 1, "amount_micros": 1, "balance_micros": 1}
    world.store.run(
        lambda session: session.collection("postings").add_many(
            [{**doc, "_id": owner + "000000000001", "account": owner} for owner in strangers]
        )
    )
    _, findings = check(world.store)
    assert sorted(findings) == sorted(Finding(owner, "1 posting of an account that isn't there") for owner in strangers)
