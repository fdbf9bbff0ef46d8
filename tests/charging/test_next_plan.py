"""A price plan that waits for the next bill period, on a real store: what the documents of subscribers say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from charging_world import World
from core_builders import utc
from mubss.core.errors import LedgerError
from mubss.core.next_plan import as_of, plan_at
from mubss.services import audit_ledger, lifecycle
from mubss.services.lifecycle import NewSubscriber
from mubss.storage import refdata, subscribers
from mubss.storage.database import Doc

FIRST, KID, LATE = "4917000001", "4917000002", "4917000003"
DECEMBER_S = utc(2026, 11, 30, 23)


@pytest.fixture
def shared(world: World) -> World:
    """Two subscribers on one account, and a plan that another one could be."""
    plans = world.tables.plans
    other = replace(plans["demo-prepaid"], code="other-prepaid")
    world.tables = replace(world.tables, plans={**plans, other.code: other})
    now_ms = world.clock.now_ms
    lifecycle.create(world.store, world.tables, [NewSubscriber(FIRST, plan="demo-prepaid")], now_ms)
    share(world, KID)
    return world


def share(world: World, msisdn: str) -> None:
    lifecycle.share(world.engine(), world.store, world.tables, FIRST, NewSubscriber(msisdn), world.clock.now_ms)


def order(world: World, plan: str, whose: str = FIRST) -> None:
    lifecycle.set_next_plan(world.engine(), world.store, whose, plan)


def docs(world: World) -> list[Doc]:
    """The subscribers, then their account."""
    numbers = [one["msisdn"] for one in world.all("subscribers")]
    found = [lifecycle.find_subscriber(world.store, number) for number in sorted(numbers)]
    return [*found, dict(lifecycle.find_account(world.store, found[0]))]


def plans(world: World, now_s: int) -> list[tuple[str, str]]:
    """The plan in force and the one that waits, of each document."""
    stand = [as_of(doc, now_s) for doc in docs(world)]
    return [(one["plan"], one.get("next_plan", "")) for one in stand]


def having(world: World, plan: str, now_s: int) -> list[str]:
    return sorted(one["msisdn"] for one in subscribers.find(world.store, {"plan": plan}, now_s=now_s))


@pytest.mark.parametrize("whose", [FIRST, KID])
def test_all_of_an_account_have_it_and_are_found_by_it(shared: World, whose: str) -> None:
    order(shared, "other-prepaid", whose)
    for now_s, has in ((DECEMBER_S - 1, "demo-prepaid"), (DECEMBER_S, "other-prepaid")):
        assert {plan_at(doc, now_s) for doc in docs(shared)} == {has}
        other = "other-prepaid" if has == "demo-prepaid" else "demo-prepaid"
        assert (having(shared, has, now_s), having(shared, other, now_s)) == ([FIRST, KID], [])
    shared.clock.now_ms = DECEMBER_S * 1000
    share(shared, LATE)
    assert plans(shared, DECEMBER_S) == [("other-prepaid", "")] * 4, "of one who comes when it is due, too"
    assert docs(shared)[-1]["plan"] == "other-prepaid"
    assert audit_ledger.check(shared.store) == (1, [])


def test_the_next_order_writes_down_what_came_into_force(shared: World) -> None:
    order(shared, "other-prepaid")
    shared.clock.now_ms = (DECEMBER_S + 5) * 1000
    order(shared, "demo-prepaid", KID)
    assert plans(shared, DECEMBER_S + 5) == [("other-prepaid", "demo-prepaid")] * 3
    assert [doc["plan"] for doc in docs(shared)] == ["other-prepaid"] * 3
    assert docs(shared)[0]["next_plan_from_s"] == utc(2026, 12, 31, 23)
    lifecycle.set_plan(shared.engine(), shared.store, KID, "demo-prepaid")
    assert plans(shared, DECEMBER_S + 5) == [("demo-prepaid", "")] * 3


def test_it_is_called_off(shared: World) -> None:
    order(shared, "other-prepaid")
    order(shared, "", KID)
    assert plans(shared, 0) == [("demo-prepaid", "")] * 3
    before = docs(shared)
    with pytest.raises(LedgerError, match=r"^next_plan: none"):
        order(shared, "")
    assert docs(shared) == before


def test_the_end_of_an_account_calls_it_off_for_all_the_end_of_one_of_several_does_not(shared: World) -> None:
    order(shared, "other-prepaid")
    lifecycle.set_state(shared.engine(), shared.store, KID, "terminated")
    lifecycle.set_state(shared.engine(), shared.store, FIRST, "suspended")
    assert plans(shared, 0) == [("demo-prepaid", "other-prepaid")] * 3
    lifecycle.set_state(shared.engine(), shared.store, FIRST, "terminated")
    assert plans(shared, 0) == [("demo-prepaid", "")] * 3
    assert [doc["state"] for doc in docs(shared)] == ["terminated"] * 3


def test_the_bill_cycle_of_the_account_says_when(shared: World) -> None:
    [first] = [one for one in shared.all("subscribers") if one["msisdn"] == FIRST]
    shared.store.run(lambda session: session.collection("subscribers").put_many([{**first, "bill_cycle": 27}]))
    order(shared, "other-prepaid", KID)
    assert {doc["next_plan_from_s"] for doc in docs(shared)} == {utc(2026, 11, 27, 23)}


def test_reference_data_keeps_a_plan_that_waits_for_somebody(shared: World) -> None:
    def used(plan: str) -> bool:
        return shared.store.run(lambda session: refdata.is_plan_used(session, plan))

    assert (used("demo-prepaid"), used("other-prepaid")) == (True, False)
    order(shared, "other-prepaid")
    assert (used("demo-prepaid"), used("other-prepaid")) == (True, True)
    order(shared, "")
    assert not used("other-prepaid")
