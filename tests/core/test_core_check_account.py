"""What `mubss ledger check` stands on: nothing is found in an honest ledger, and every planted fault is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    SMS,
    TERMINATE,
    UPDATE,
    ccr,
    event,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core.ledger import check_account
from mubss.core.model import Account, Action, Movement

TABLES = make_tables(
    plan(
        "free",
        plan_service(DATA, flat(20_000, MB), free_units=3 * MB),
        plan_service(SMS, flat(80_000, 1), free_units=2),
    )
)
Postings = list[dict[str, Any]]


def an_honest_ledger() -> tuple[Account, Postings]:
    """Postings of every kind, free units of two services and months, and a session that reserves."""
    world = World(TABLES, make_account("free"))
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(TABLES, UPDATE, 1, mscc(1, used=2 * MB, asks=MB)))
    world.do(Movement("topup", 5_000_000, "v1"))
    world.ask(event(TABLES, mscc(asks=3, service="SMS"), session="e1"))
    world.ask(event(TABLES, mscc(asks=1, service="SMS"), session="e2", action=Action.REFUND_ACCOUNT))
    world.ask(ccr(TABLES, UPDATE, 2, mscc(1, used=2 * MB, asks=MB)))
    world.ask(ccr(TABLES, TERMINATE, 3, mscc(1, used=MB)))
    month_s = 20 * 86_400
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, asks=4 * MB), session="s2"), now_s=NOW_S + month_s)
    world.ask(ccr(TABLES, UPDATE, 1, mscc(1, used=2 * MB, asks=4 * MB), session="s2"))
    assert world.account["reserved_micros"] == 60_000
    return world.account, world.postings["acc1"]


def test_an_honest_ledger_is_found_honest() -> None:
    account, postings = an_honest_ledger()
    assert len(postings) == 8
    assert set(account["counters"]) == {"2026-11", "2026-12"}
    assert check_account(account, postings) == []


def test_an_account_that_nothing_happened_to() -> None:
    assert check_account(make_account(balance="0"), []) == []


def _set(key: str, change: int) -> Callable[[Any, Any], None]:
    def plant(account: Any, postings: Any) -> None:
        account[key] += change

    return plant


def _posting(number: int, **changes: Any) -> Callable[[Any, Any], None]:
    def plant(account: Any, postings: Any) -> None:
        for key, change in changes.items():
            postings[number][key] = postings[number][key] + change if isinstance(change, int) else change

    return plant


def _session_reserves_more(account: Any, postings: Any) -> None:
    next(iter(account["sessions"].values()))["reserved_micros"] += 1


FAULTS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "balance": (_set("balance_micros", 1), "balance_micros: "),
    "sequence": (_set("sequence", 1), "sequence: 9; 8 postings are there"),
    "reserved": (_set("reserved_micros", -1), "reserved_micros: 59999; the sessions reserve 60000"),
    "session's reserved": (_session_reserves_more, "reserved_micros: 60000; the sessions reserve 60001"),
    "amount": (_posting(3, amount_micros=1), "posting 4: balance_micros "),
    "balance after": (_posting(3, balance_micros=-1), "posting 4: balance_micros "),
    "posting's sequence": (_posting(3, sequence=1), "sequence: 5; expected 4"),
    "another's posting": (_posting(3, account="acc2"), "posting 4: account 'acc2'"),
    "first posting lost": (lambda a, p: p.pop(0), "sequence: 2; expected 1"),
    "middle posting lost": (lambda a, p: p.pop(4), "sequence: 6; expected 5"),
    "last posting lost": (lambda a, p: p.pop(), "sequence: 8; 7 postings are there"),
    "posting twice": (lambda a, p: p.insert(2, p[2]), "sequence: 3; expected 4"),
    "two postings swapped": (lambda a, p: p.insert(2, p.pop(3)), "sequence: 4; expected 3"),
    "posting too many": (lambda a, p: p.append(p[-1] | {"sequence": 9}), "sequence: 8; 9 postings are there"),
    "free units": (_posting(1, free_units=1), "counters.2026-11.DATA: 3000000; the postings drew 3000001"),
    "counter": (
        lambda a, p: a["counters"]["2026-11"].update(SMS=2),
        "counters.2026-11.SMS: 2; the postings drew 1",
    ),
    "counter lost": (lambda a, p: a["counters"]["2026-11"].pop("SMS"), "counters.2026-11.SMS: 0; the postings drew 1"),
    "month lost": (lambda a, p: a["counters"].pop("2026-12"), "counters.2026-12.DATA: 0; the postings drew 2000000"),
    "counters lost": (lambda a, p: a["counters"].clear(), "counters.2026-11.DATA: 0; the postings drew 3000000"),
    "counter too many": (
        lambda a, p: a["counters"]["2026-12"].update(VOICE=7),
        "counters.2026-12.VOICE: 7; the postings drew 0",
    ),
}


@pytest.mark.parametrize(("plant", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(plant: Callable[[Any, Any], Any], fault: str) -> None:
    account, postings = copy.deepcopy(an_honest_ledger())
    plant(account, postings)
    faults = check_account(account, postings)
    assert any(found.startswith(fault) for found in faults), faults


def test_counters_of_months_long_past_may_be_gone() -> None:
    world = World(TABLES, make_account("free"))
    for month in range(6):
        world.ask(event(TABLES, mscc(asks=1, service="SMS"), session=f"e{month}"), now_s=NOW_S + month * 31 * 86_400)
    assert list(world.account["counters"]) == ["2027-02", "2027-03", "2027-04"]
    assert check_account(world.account, world.postings["acc1"]) == []
