"""Bill runs on both stores: one bill for each account, numbers without a gap, whatever comes between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from charging_world import World
from core_builders import BERLIN
from mubss.charging.engine import Limits
from mubss.charging.order import Order
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.bill_period import Period, period_of
from mubss.core.errors import InputError
from mubss.core.identity import sequence_id
from mubss.core.model import Movement, SetState
from mubss.services.audit_ledger import check
from mubss.services.bill_group import Billed, Run
from mubss.services.billing import TOGETHER, bill_one, bill_run, preview
from mubss.storage.bills import bill_id, read_unbilled
from mubss.storage.database import open_database

CYCLE = 3
PERIOD = period_of("2026-11", 3, BERLIN)
NOW_S = PERIOD.end_s + 3_600
RUN = Run(CYCLE, PERIOD)


def people(world: World, count: int, cycle: int = CYCLE, currency: str = "EUR", type: str = "postpaid") -> list[str]:
    """So many subscribers of a cycle."""
    first = len(world.all("accounts"))
    new = [
        NewAccount(
            type,
            f"demo-{type}",
            currency,
            (f"e164:{4900000 + number}",),
            0,
            0,
            {"msisdn": str(4900000 + number), "language": "en", "bill_cycle": cycle},
        )
        for number in range(first, first + count)
    ]
    return open_accounts(world.store, new, (PERIOD.start_s - 100) * 1000)


def run(world: World, wanted: Run = RUN, stop: Callable[[], bool] = lambda: False) -> list[Billed]:
    return list(bill_run(world.store, world.engine(), world.tables, wanted, NOW_S, stop))


def numbers(world: World) -> list[int]:
    return sorted(int(bill["number"].rpartition("-")[2]) for bill in world.all("bills"))


def proved(world: World, accounts: list[str]) -> None:
    """Each account has its bill, numbers count up from one, and the balance is what is due."""
    bills = {bill["account"]: bill for bill in world.all("bills")}
    assert sorted(bills) == sorted(accounts)
    assert numbers(world) == list(range(1, len(accounts) + 1))
    for account in accounts:
        stored = world.get("accounts", account)
        assert stored is not None
        assert stored["balance_micros"] == -bills[account]["due"] * 10_000
        assert stored["billing"]["bill"] == bills[account]["_id"] == bill_id(account, CYCLE, PERIOD.label)
    assert check(world.store)[1] == []


def test_each_account_of_the_cycle_has_one_bill(world: World) -> None:
    accounts = people(world, 2 * TOGETHER + 5)
    others = people(world, 2, cycle=15)
    found = run(world)
    assert {one.account for one in found} == set(accounts) and not any(one.fault or one.before for one in found)
    proved(world, accounts)
    assert all(bill["due"] == 1500 for bill in world.all("bills")), "the monthly fee; the demo's tables have no tax"
    again = run(world)
    assert len(again) == len(accounts) and all(one.before for one in again)
    proved(world, accounts)
    assert not set(others) & {bill["account"] for bill in world.all("bills")}


def test_a_run_that_is_stopped_goes_on(world: World) -> None:
    accounts = people(world, 2 * TOGETHER + 5)
    answers = iter([False, True])
    assert len(run(world, stop=lambda: next(answers))) == TOGETHER
    run(world)
    proved(world, accounts)


def test_two_runs_at_once_do_the_work_once(world: World) -> None:
    accounts = people(world, 2 * TOGETHER + 5)
    found: list[Billed] = []
    faults: list[Exception] = []

    def work() -> None:
        store = open_database(world.url)
        try:
            engine = world.engine(store, limits=Limits(batch=TOGETHER))
            found.extend(bill_run(store, engine, world.tables, RUN, NOW_S))
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and not any(one.fault for one in found)
    assert sum(not one.before for one in found) == len(accounts)
    proved(world, accounts)


def test_a_bad_account_is_parked_and_leaves_no_gap(world: World) -> None:
    accounts = people(world, 3)
    [bad] = people(world, 1, currency="XYZ")
    accounts += people(world, 3)
    found = run(world)
    assert [(one.account, one.fault) for one in found if one.fault] == [(bad, "KeyError: 'XYZ'")]
    proved(world, accounts)
    assert [one.account for one in preview(world.store, world.tables, RUN) if one.fault] == [bad]


def test_what_moves_between_reckoning_and_issuing_is_on_the_bill(world: World) -> None:
    accounts = people(world, 4)
    engine = world.engine()
    execute, calls = engine.execute, [0]

    def late(orders: list[Order]) -> list[Order]:
        calls[0] += 1
        if calls[0] == 1:
            execute([Order(Movement("payment", 5_000_000), account=accounts[1])])
        return execute(orders)

    engine.execute = late  # type: ignore[method-assign]
    found = list(bill_run(world.store, engine, world.tables, RUN, NOW_S))
    assert len(found) == 4 and not any(one.fault for one in found)
    proved(world, accounts)
    assert {bill["account"]: bill["paid"] for bill in world.all("bills")}[accounts[1]] == 500


def test_a_preview_says_what_a_run_does(world: World) -> None:
    people(world, 3)
    planned = {one.account: one.bill for one in preview(world.store, world.tables, RUN)}
    assert world.all("bills") == []
    for one in run(world):
        planned_bill: Any = planned[one.account]
        assert one.bill is not None and planned_bill.items() <= one.bill.items()
    assert all(one.before for one in preview(world.store, world.tables, RUN))


def test_a_period_that_isnt_over_is_refused(world: World) -> None:
    later: Period = period_of("2026-12", 3, BERLIN)
    with pytest.raises(InputError, match="period: 2026-12 isn't over yet"):
        run(world, Run(CYCLE, later))


def test_bills_of_nothing_are_skipped_where_the_operator_says_so(world: World) -> None:
    free = replace(world.tables.plans["demo-postpaid"], monthly_fee_micros=0)
    world.tables = replace(world.tables, plans={**world.tables.plans, "demo-postpaid": free})
    [idle, paid] = people(world, 2)
    world.engine().execute([Order(Movement("payment", 5_000_000), account=paid)])
    skipping = replace(RUN, skips_zero=True)
    for found in (list(preview(world.store, world.tables, skipping)), run(world, skipping)):
        assert [(one.account, one.bill is None, one.fault, one.before) for one in found] == [
            (idle, True, "", False),
            (paid, False, "", False),
        ]
    assert "billing" not in (world.get("accounts", idle) or {})
    run(world)
    proved(world, [idle, paid])


def test_a_bill_is_addressed_to_its_subscriber_as_it_was_then(world: World) -> None:
    [account] = people(world, 1)
    person = world.get("subscribers", account)
    assert person is not None
    known = {"name": "Ada L.", "address": "12 Rd\nTown"}
    world.store.run(lambda session: session.collection("subscribers").put_many([{**person, **known}]))
    assert [one.bill["customer"] for one in run(world) if one.bill is not None] == [known]


def test_a_terminated_subscriber_has_no_bill_of_nothing(world: World) -> None:
    [gone, stays] = people(world, 2)
    world.clock.now_ms = PERIOD.start_s * 1000
    world.engine().execute([Order(SetState("terminated"), account=gone)])
    world.clock.now_ms = NOW_S * 1000
    assert [(one.account, one.bill is None) for one in run(world)] == [(gone, True), (stays, False)]


def test_prepaid_subscribers_get_statements_with_numbers_of_their_own(world: World) -> None:
    both = people(world, 3) + people(world, TOGETHER, type="prepaid") + people(world, 3)
    engine = world.engine()
    world.clock.now_ms = (PERIOD.start_s + 60) * 1000
    engine.execute([Order(Movement("topup", 4_000_000), account=both[5])])
    world.clock.now_ms = NOW_S * 1000
    engine.execute([Order(Movement("topup", 1_000_000), account=both[5])])  # after the period
    assert not any(one.fault for one in run(world))
    found = {bill["account"]: bill for bill in world.all("bills")}
    assert set(found) == set(both)
    assert sorted(one["number"] for one in found.values()) == [
        *(f"INV-2026-{number:07}" for number in range(1, 7)),
        *(f"STM-2026-{number:07}" for number in range(1, TOGETHER + 1)),
    ]
    assert found[both[5]]["state"] == "BILL_STATUS_NEW" and found[both[5]]["kind"] == "prepaid"
    first = {one["_id"]: one["billing"]["sequence"] for one in world.all("accounts")}
    assert (found[both[5]]["closing_balance"], first[both[5]]) == (400, 1)
    assert all(one.before for one in run(world))
    assert check(world.store)[1] == []


def test_a_run_without_statements(world: World) -> None:
    accounts = people(world, 2)
    [prepaid, _] = people(world, 2, type="prepaid")
    without = replace(RUN, statements=False)
    with pytest.raises(InputError, match="is prepaid; expected postpaid"):
        bill_one(world.store, None, world.tables, without, prepaid, NOW_S)
    statement = bill_one(world.store, None, world.tables, RUN, prepaid, NOW_S)
    assert statement.bill is not None and statement.bill["kind"] == "prepaid"
    assert {one.account for one in preview(world.store, world.tables, without)} == set(accounts)
    run(world, without)
    proved(world, accounts)


def test_what_is_posted_after_the_close_is_on_the_next_bill(world: World) -> None:
    [account] = people(world, 1)
    engine = world.engine()
    for at_s, reference in ((PERIOD.end_s - 60, "before"), (PERIOD.end_s + 60, "after")):
        world.clock.now_ms = at_s * 1000
        engine.execute([Order(Movement("adjustment", -1_000_000, reference), account=account)])
    world.clock.now_ms = NOW_S * 1000
    engine.execute([Order(Movement("payment", 3_000_000), account=account)])
    [first] = run(world)
    assert first.bill is not None
    assert [line["code"] for line in first.bill["lines"] if line["kind"] == "adjustment"] == ["before"]
    assert first.bill["paid"] == 300, "payments are those until the bill is issued"
    later = Run(CYCLE, period_of("2026-12", 3, BERLIN))
    world.clock.now_ms = later.period.end_s * 1000
    [second] = list(bill_run(world.store, engine, world.tables, later, later.period.end_s))
    assert second.bill is not None and second.bill["paid"] == 0
    assert [line["code"] for line in second.bill["lines"] if line["kind"] == "adjustment"] == ["after"]
    stored = world.get("accounts", account)
    assert stored is not None and stored["balance_micros"] == -second.bill["due"] * 10_000


def test_periods_before_an_account_or_its_last_bill_have_no_bill(world: World) -> None:
    [account] = people(world, 1)
    assert [one.bill for one in run(world, Run(CYCLE, period_of("1999-01", 3, BERLIN)))] == [None]
    run(world)
    [refused] = run(world, Run(CYCLE, period_of("2026-10", 3, BERLIN)))
    assert refused.bill is None and "period: 2026-10; expected one behind 2026-11" in refused.fault
    proved(world, [account])


def test_of_an_account_that_came_after_the_period_no_usage_is_read(world: World) -> None:
    """A late run would read all of a month's that it can't bill."""
    [account] = people(world, 1)
    usage = {"_id": sequence_id(account, 1), "account": account, "sequence": 1}
    world.store.run(lambda session: session.collection("usage").add(usage))
    for end_s, docs in ((PERIOD.end_s, [usage]), (PERIOD.start_s - 100, [])):
        found = read_unbilled(world.store, [account], CYCLE, PERIOD.label, end_s)
        assert found.usage == {account: docs} and found.accounts.keys() == {account}


def test_a_terminated_subscriber_with_an_old_debt_has_no_bill_of_it_each_month(world: World) -> None:
    [account] = people(world, 1)
    run(world)
    later = Run(CYCLE, period_of("2026-12", 3, BERLIN))
    world.clock.now_ms = (PERIOD.end_s - 1) * 1000
    world.engine().execute([Order(SetState("terminated"), account=account)])
    assert [one.bill for one in bill_run(world.store, world.engine(), world.tables, later, later.period.end_s)] == [
        None
    ]
