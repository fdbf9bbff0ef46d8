"""Dunning on both stores: each step once for a bill, with its message, its fee and the suspension."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from bill_office import CYCLE, FIRST, SECOND, bill, format_all, people, put, run
from charging_world import World
from core_builders import BERLIN
from mubss.charging.order import Order
from mubss.core.bill_period import start_of
from mubss.core.dunning import next_step
from mubss.core.model import Movement
from mubss.core.tariff import DunningStep
from mubss.services.audit_ledger import check
from mubss.services.bill_corrections import credit, pay
from mubss.services.dunning import Dunned, dun, reactivate_if_paid
from mubss.services.lifecycle import set_state
from mubss.storage.database import open_database

LADDER = (
    DunningStep(1, "Reminder", 3, "remind"),
    DunningStep(2, "Warning", 10, "warn", 5_000_000, "EUR"),
    DunningStep(3, "End", 20, "suspend", 1_000_000, "USD"),
)
ONE = "INV-2026-0000001"
DUE = date(2026, 11, 18)  # issued on the 4th
CENT = 10_000


@pytest.fixture
def billed(world: World) -> World:
    """Two subscribers have their first bills."""
    world.tables = replace(world.tables, dunning=LADDER)
    people(world, 2)
    run(world)
    format_all(world)
    assert bill(world, ONE)["due_day"] == DUE.isoformat()
    return world


def a_pass(world: World, days: int, **more: Any) -> list[tuple[str, int, str]]:
    """A pass at noon, so many days after the bills were due."""
    now_s = start_of(DUE + timedelta(days), BERLIN) + 43_200
    world.clock.now_ms = now_s * 1000
    done = dun(world.store, world.engine(), world.tables, CYCLE, now_s, **more)
    assert not any(one.fault for one in done)
    return sorted((one.number, one.step, one.action) for one in done)


def both(step: int, action: str) -> list[tuple[str, int, str]]:
    return [(ONE, step, action), (ONE[:-1] + "2", step, action)]


def test_the_ladder_once_each(billed: World) -> None:
    assert a_pass(billed, 2) == []
    assert a_pass(billed, 3) == both(1, "remind")
    assert a_pass(billed, 4) == []
    assert a_pass(billed, 12) == both(2, "warn")
    assert a_pass(billed, 25) == both(3, "suspend")
    assert a_pass(billed, 400) == []
    doc = bill(billed, ONE)
    assert [(one["step"], one["action"], one["day"], one["fee_micros"]) for one in doc["dunned"]] == [
        (1, "remind", "2026-11-21", 0),
        (2, "warn", "2026-11-30", 5_000_000),
        (3, "suspend", "2026-12-13", 0),  # its fee is for bills in another currency
    ]
    told = [one for one in billed.all("notifications") if one["subscriber"] == doc["account"]]
    assert sorted(one["kind"] for one in told) == ["dunning_remind", "dunning_suspend", "dunning_warn"]
    [warning] = [one for one in told if one["kind"] == "dunning_warn"]
    assert (warning["state"], warning["language"]) == ("new", "en")
    assert warning["values"] == {
        "number": ONE,
        "due_day": "2026-11-18",
        "days": 12,
        "open": 1_500,
        "currency": "EUR",
        "decimals": 2,
        "step": 2,
        "name": "Warning",
        "fee_micros": 5_000_000,
    }
    account: Any = billed.get("accounts", doc["account"])
    person: Any = billed.get("subscribers", doc["account"])
    assert (account["state"], person["state"], person["state_reason"]) == ("suspended", "suspended", f"dunning: {ONE}")
    second = run(billed, SECOND)[doc["account"]]
    assert [(line["kind"], line["code"], line["amount"]) for line in second["lines"] if line["kind"] == "dunning"] == [
        ("dunning", ONE, 500)
    ]
    assert check(billed.store)[1] == []


def test_after_a_rest_of_the_pass_steps_are_as_far_apart_as_ever(billed: World) -> None:
    assert [a_pass(billed, days)[0][1] for days in (50, 57, 67)] == [1, 2, 3]
    assert a_pass(billed, 67) == []


@pytest.mark.parametrize(
    ("dunned", "today", "expected"),
    [
        ([], DUE + timedelta(2), None),
        ([], DUE + timedelta(3), 1),
        ([(1, DUE + timedelta(3))], DUE + timedelta(30), 2),
        ([(1, DUE + timedelta(30))], DUE + timedelta(36), None),
        ([(1, DUE + timedelta(30))], DUE + timedelta(37), 2),
        ([(3, DUE)], DUE + timedelta(30), None),
        ([(9, DUE)], DUE + timedelta(30), None),  # of a ladder that was longer
    ],
)
def test_the_next_step(dunned: list[tuple[int, date]], today: date, expected: int | None) -> None:
    entries = [{"step": step, "day": day.isoformat()} for step, day in dunned]
    step = next_step({"due_day": DUE.isoformat(), "dunned": entries}, LADDER, today)
    assert (step.step if step else None) == expected


def test_who_has_paid_isnt_dunned_and_who_paid_some_is(billed: World) -> None:
    engine = billed.engine()
    second = bill(billed, ONE[:-1] + "2")
    engine.execute([Order(Movement("topup", 1_500 * CENT), account=second["account"])])  # without a bill
    pay(engine, billed.store, ONE, 100 * CENT, "r", FIRST.end_s)
    assert a_pass(billed, 3) == [(ONE, 1, "remind")]
    assert bill(billed, second["number"])["state"] == "BILL_STATUS_PAID"
    assert billed.all("notifications")[0]["values"]["open"] == 1_400
    credit(engine, billed.store, billed.tables, ONE, None, "r", "CRN", FIRST.end_s)
    assert a_pass(billed, 30) == []


def test_bills_that_nobody_has_yet_and_those_of_other_cycles_arent_dunned(billed: World) -> None:
    put(billed, [{**bill(billed, ONE), "state": "BILL_STATUS_NEW"}, {**bill(billed, ONE[:-1] + "2"), "cycle": 15}])
    assert a_pass(billed, 30) == []


def test_a_pass_that_is_stopped_goes_on(billed: World) -> None:
    answers = iter([False, True])
    assert len(a_pass(billed, 3, is_stopping=lambda: next(answers))) == 1
    assert len(a_pass(billed, 3)) == 1


def test_two_passes_at_once_do_each_step_once(billed: World) -> None:
    people(billed, 10)
    run(billed)
    format_all(billed)
    now_s = start_of(DUE + timedelta(12), BERLIN)
    billed.clock.now_ms = now_s * 1000
    found: list[Dunned] = []
    faults: list[Exception] = []

    def work() -> None:
        store = open_database(billed.url)
        try:
            found.extend(dun(store, billed.engine(store), billed.tables, CYCLE, now_s))
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and len(found) == len({one.number for one in found}) == 12
    assert len(billed.all("notifications")) == 12


def test_a_suspended_account_is_active_again_if_the_operator_wants_it(billed: World) -> None:
    for days in (3, 10, 20):
        a_pass(billed, days)
    account = bill(billed, ONE)["account"]
    engine = billed.engine()
    pay(engine, billed.store, ONE, 1_400 * CENT, "a", FIRST.end_s)
    assert not reactivate_if_paid(engine, billed.store, account)
    engine.execute([Order(Movement("payment", 100 * CENT), account=account)])
    assert a_pass(billed, 21) == [] and billed.get("accounts", account)["state"] == "suspended"  # type: ignore[index]
    assert a_pass(billed, 21, reactivates=True) == []
    assert billed.get("accounts", account)["state"] == "active"  # type: ignore[index]
    other = bill(billed, ONE[:-1] + "2")
    set_state(engine, billed.store, other["msisdn"], "active")
    set_state(engine, billed.store, other["msisdn"], "suspended", "lost phone")
    pay(engine, billed.store, other["number"], 1_500 * CENT, "b", FIRST.end_s)
    assert not reactivate_if_paid(engine, billed.store, other["account"]), "a clerk suspended it"


def test_a_barred_account_stays_so_whatever_is_owed_or_paid(billed: World) -> None:
    engine, doc = billed.engine(), bill(billed, ONE)
    set_state(engine, billed.store, doc["msisdn"], "barred", "dunning: or so a clerk wrote")
    for days in (3, 10, 20):
        a_pass(billed, days)
    account: Any = billed.get("accounts", doc["account"])
    assert ([one["action"] for one in bill(billed, ONE)["dunned"]], account["state"]) == (
        ["remind", "warn", "suspend"],
        "barred",
    )
    pay(engine, billed.store, ONE, 1_500 * CENT, "a", FIRST.end_s)
    assert not reactivate_if_paid(engine, billed.store, doc["account"])


def test_a_bill_without_its_subscriber_stops_no_other(billed: World) -> None:
    lost = bill(billed, ONE)["account"]
    billed.store.run(lambda session: session.collection("subscribers").remove_many([lost]))
    now_s = start_of(DUE + timedelta(3), BERLIN)
    found = {one.number: one for one in dun(billed.store, billed.engine(), billed.tables, CYCLE, now_s)}
    assert "expected the one of" in found[ONE].fault and found[ONE[:-1] + "2"].step == 1
