"""Voiding, paying and crediting bills on both stores: once each, all or nothing, numbers without a gap."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bill_office import CYCLE, FIRST, SECOND, bill, format_all, people, put, run
from charging_world import World
from mubss.charging.order import Order
from mubss.core.errors import Busy, InputError
from mubss.core.model import Movement
from mubss.services.audit_ledger import check
from mubss.services.bill_corrections import credit, pay, settle_account, void
from mubss.storage.bills import bill_id
from mubss.storage.database import open_database

NOW_S = FIRST.end_s + 7_200
ONE = "INV-2026-0000001"
CENT = 10_000


def settled(world: World, number: str = ONE) -> tuple[str, int, int, int]:
    doc = bill(world, number)
    return (doc["state"], *(doc["settled"][name] for name in ("paid", "credited", "open")))


def refused(work: Callable[[], Any], text: str, world: World) -> None:
    before = [world.all(name) for name in ("accounts", "bills", "postings", "payments", "counters")]
    with pytest.raises(InputError, match=text):
        work()
    assert [world.all(name) for name in ("accounts", "bills", "postings", "payments", "counters")] == before


# ── void ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_void_bill_keeps_its_number_and_the_next_run_makes_another(world: World) -> None:
    accounts = people(world, 2)
    first = run(world)
    chosen = next(one for one in first.values() if one["number"] == ONE)
    done = void(world.engine(), world.store, ONE, "wrong tariff", NOW_S)
    assert (done["state"], done["void_reason"], done["voided_s"]) == ("BILL_STATUS_VOID", "wrong tariff", NOW_S)
    account: Any = world.get("accounts", chosen["account"])
    assert (account["balance_micros"], account["billing"]["bill"]) == (0, "")
    again = run(world)[chosen["account"]]
    assert (again["number"], again["attempt"]) == ("INV-2026-0000003", 1)
    assert again["_id"] == bill_id(chosen["account"], CYCLE, FIRST.label, 1)
    assert [again[name] for name in ("lines", "total", "due")] == [chosen[name] for name in ("lines", "total", "due")]
    void(world.engine(), world.store, again["number"], "once more", NOW_S)
    assert run(world)[chosen["account"]]["number"] == "INV-2026-0000004"
    assert run(world)[chosen["account"]]["number"] == "INV-2026-0000004"
    assert len(world.all("bills")) == 4 and len(accounts) == 2
    assert check(world.store)[1] == []


def test_a_statement_is_voided_like_a_bill(world: World) -> None:
    [account] = people(world, 1, "prepaid")
    number = run(world)[account]["number"]
    void(world.engine(), world.store, number, "wrong", NOW_S)
    assert run(world)[account]["number"] == "STM-2026-0000002"


def test_a_bill_that_cant_be_rendered_is_voided_and_one_that_is_being_rendered_waits(world: World) -> None:
    people(world, 1)
    run(world)
    held = {**bill(world, ONE), "lease": {"owner": "other", "until_s": NOW_S + 1}}
    put(world, [held])
    with pytest.raises(Busy, match="is being rendered; try again"):
        void(world.engine(), world.store, ONE, "x", NOW_S)
    put(world, [{**held, "state": "BILL_STATUS_FAILED"}])
    done = void(world.engine(), world.store, ONE, "x", NOW_S + 1)
    assert done["state"] == "BILL_STATUS_VOID" and "lease" not in done


def test_what_cant_be_voided(world: World) -> None:
    people(world, 1)
    run(world)
    run(world, SECOND)
    engine, store = world.engine(), world.store
    refused(lambda: void(engine, store, ONE, "x", NOW_S), "expected the last bill of its account", world)
    refused(lambda: void(engine, store, "INV-2026-0000002", " ", NOW_S), "reason: ''; expected why", world)
    refused(lambda: void(engine, store, "INV-9", "x", NOW_S), "number: 'INV-9'; expected that of a bill", world)
    format_all(world)
    text = "expected a bill in BILL_STATUS_NEW, which nobody has yet: `mubss bills credit`"
    refused(lambda: void(engine, store, "INV-2026-0000002", "x", NOW_S), text, world)


# ── pay ────────────────────────────────────────────────────────────────────────────────────────────


def test_payments_are_recorded_once_each(world: World) -> None:
    [account] = people(world, 1)
    run(world)
    format_all(world)
    engine, store = world.engine(), world.store
    first = pay(engine, store, ONE, 500 * CENT, "bank 1", NOW_S)
    assert (first.before, settled(world)) == (False, ("BILL_STATUS_PARTLY_PAID", 500, 0, 1_000))
    again = pay(engine, store, ONE, 500 * CENT, "bank 1", NOW_S + 5)
    assert again.before and again.payment == first.payment
    refused(lambda: pay(engine, store, ONE, 400 * CENT, "bank 1", NOW_S), "'bank 1' is of a payment for INV", world)
    pay(engine, store, ONE, 1_200 * CENT, "bank 2", NOW_S)
    assert settled(world) == ("BILL_STATUS_PAID", 1_500, 0, 0)
    stored: Any = world.get("accounts", account)
    assert (stored["balance_micros"], stored["billing"]["credit"]) == (200 * CENT, 200)
    second = run(world, SECOND)[account]
    assert (second["previous_due"], second["paid"], second["due"]) == (1_500, 1_700, 1_300)
    assert second["settled"] == {"paid": 200, "credited": 0, "open": 1_300}
    before, now = bill(world, ONE), next(one for one in world.all("bills") if one["number"] == ONE)
    assert now["due"] == before["due"] == 1_500, "a bill's own figures never change"
    assert check(world.store)[1] == []


def test_a_bill_may_be_paid_before_it_is_sent(world: World) -> None:
    people(world, 1)
    run(world)
    pay(world.engine(), world.store, ONE, 1_500 * CENT, "early", NOW_S)
    assert settled(world) == ("BILL_STATUS_NEW", 1_500, 0, 0)


def test_payments_at_once_all_count(world: World) -> None:
    people(world, 1)
    run(world)
    format_all(world)
    faults: list[Exception] = []

    def work(number: int) -> None:
        store = open_database(world.url)
        try:
            for part in range(3):
                pay(world.engine(store), store, ONE, 100 * CENT, f"{number // 2}-{part}", NOW_S)
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]  # each payment comes twice
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and settled(world) == ("BILL_STATUS_PARTLY_PAID", 600, 0, 900)
    assert len(world.all("payments")) == 6 and check(world.store)[1] == []


def test_payments_without_a_bill_go_to_the_oldest(world: World) -> None:
    [account] = people(world, 1)
    run(world)
    run(world, SECOND)
    format_all(world)
    engine = world.engine()
    engine.execute([Order(Movement("payment", 2_000 * CENT), account=account)])
    assert settle_account(engine, world.store, world.tables, account)
    assert settled(world) == ("BILL_STATUS_PAID", 1_500, 0, 0)
    assert settled(world, "INV-2026-0000002") == ("BILL_STATUS_PARTLY_PAID", 500, 0, 1_000)
    assert not settle_account(engine, world.store, world.tables, account)


def test_what_cant_be_paid(world: World) -> None:
    people(world, 2)
    people(world, 1, "prepaid")
    run(world)
    void(world.engine(), world.store, "INV-2026-0000002", "x", NOW_S)
    for number, micros, reference, text in (
        (ONE, 0, "r", "amount: 0.00; expected a multiple of 0.01 EUR above 0"),
        (ONE, -5 * CENT, "r", "amount: -0.05; expected a multiple"),
        (ONE, 5, "r", "amount: 0.000005; expected a multiple"),
        (ONE, CENT, " ", "reference: ''; expected what tells"),
        (ONE, CENT, "x" * 201, "reference: 'xxx"),
        (ONE, CENT, "a\nb", "reference: "),
        ("STM-2026-0000001", CENT, "r", "is a document of kind prepaid; expected a bill"),
        ("INV-2026-0000002", CENT, "r", "is void; expected a bill"),
    ):
        refused(partial(pay, world.engine(), world.store, number, micros, reference, NOW_S), text, world)


# ── credit ─────────────────────────────────────────────────────────────────────────────────────────


def give(world: World, micros: int | None, number: str = ONE, reason: str = "complaint") -> dict[str, Any]:
    return credit(world.engine(), world.store, world.tables, number, micros, reason, "CRN", NOW_S)


def test_credit_notes_up_to_all_of_a_bill(world: World) -> None:
    [account] = people(world, 1)
    run(world)
    format_all(world)
    note = give(world, 400 * CENT)
    assert (note["number"], note["kind"], note["credits"], note["state"], note["total"]) == (
        "CRN-2026-0000001",
        "credit_note",
        ONE,
        "BILL_STATUS_NEW",
        -400,
    )
    assert settled(world) == ("BILL_STATUS_PARTLY_PAID", 0, 400, 1_100)
    pay(world.engine(), world.store, ONE, 1_000 * CENT, "r", NOW_S)
    assert give(world, None)["total"] == -1_100
    assert settled(world) == ("BILL_STATUS_PAID", 1_000, 1_500, 0)
    assert bill(world, ONE)["credit_notes"] == ["CRN-2026-0000001", "CRN-2026-0000002"]
    refused(lambda: give(world, None), "amount: 0.00 EUR; expected up to the 0.00 EUR not credited yet", world)
    stored: Any = world.get("accounts", account)
    assert (stored["balance_micros"], stored["billing"]["credit"]) == (1_000 * CENT, 1_000)
    second = run(world, SECOND)[account]
    assert (second["previous_due"], second["paid"], second["credited"], second["due"]) == (1_500, 1_000, 1_500, 500)
    assert check(world.store)[1] == []


def test_what_cant_be_credited(world: World) -> None:
    people(world, 1)
    run(world)
    refused(lambda: give(world, None), "expected a bill that is issued; void it instead", world)
    format_all(world)
    refused(lambda: give(world, 1_501 * CENT), "amount: 15.01 EUR; expected up to the 15.00 EUR", world)
    refused(lambda: give(world, CENT, reason=""), "reason: ''", world)
    note = give(world, CENT)
    format_all(world)
    refused(lambda: give(world, None, note["number"]), "expected a bill that is issued", world)


def test_credit_notes_at_once_have_numbers_of_their_own_and_never_give_too_much(world: World) -> None:
    people(world, 1)
    run(world)
    format_all(world)
    refusals: list[Exception] = []

    def work() -> None:
        store = open_database(world.url)
        try:
            for _ in range(3):
                credit(world.engine(store), store, world.tables, ONE, 400 * CENT, "r", "CRN", NOW_S)
        except InputError as error:
            refusals.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert settled(world) == ("BILL_STATUS_PARTLY_PAID", 0, 1_200, 300)
    assert bill(world, ONE)["credit_notes"] == [f"CRN-2026-{number:07}" for number in (1, 2, 3)]
    assert all("not credited yet" in str(error) for error in refusals) and check(world.store)[1] == []
