"""Subscribers that share an account, on a real store: found by their own numbers, charged together."""

from __future__ import annotations

import pytest

from charging_world import World
from core_builders import INITIAL, TERMINATE, ccr, mscc
from mubss.charging.order import Order
from mubss.core.errors import InputError, LedgerError
from mubss.core.model import Movement, Result
from mubss.services import audit_ledger, lifecycle
from mubss.services.lifecycle import NewSubscriber

FIRST, KID = "4917000001", "4917000002"


def prepaid(world: World) -> str:
    """The first subscriber, as `mubss subscriber add` makes one."""
    lifecycle.create(
        world.store, world.tables, [NewSubscriber(FIRST, plan="demo-prepaid", balance_micros=5_000_000)],
        world.clock.now_ms,
    )  # fmt: skip
    return str(lifecycle.find_subscriber(world.store, FIRST)["account"])


def share(world: World, new: NewSubscriber, of: str = FIRST) -> None:
    lifecycle.share(world.engine(), world.store, world.tables, of, new, world.clock.now_ms)


def call(world: World, msisdn: str, units: int) -> int:
    """A whole session of a number; the result of its first request."""
    orders = []
    for number, (kind, used) in enumerate(((INITIAL, None), (TERMINATE, units))):
        command = ccr(world.tables, kind, number, mscc(1, used, service="VOICE"), session=f"of {msisdn}")
        command.identities = [f"e164:{msisdn}"]
        orders.append(Order(command, identities=command.identities))
    world.engine().execute(orders)
    assert orders[0].outcome is not None
    return int(orders[0].outcome.result)


def test_each_is_found_and_the_account_is_charged(world: World) -> None:
    account = prepaid(world)
    share(world, NewSubscriber(KID, imsi="262011234567890"))
    kid = lifecycle.find_subscriber(world.store, "imsi:262011234567890")
    assert (kid["msisdn"], kid["account"], kid["plan"]) == (KID, account, "demo-prepaid")
    assert kid["_id"] != account
    assert call(world, KID, 61) == Result.SUCCESS
    after = world.get("accounts", account)
    assert after is not None
    assert after["balance_micros"] == 5_000_000 - 180_000
    assert [one["msisdn"] for one in lifecycle.sharing(world.store, after)] == [FIRST, KID]
    assert [record["member"] for record in world.all("usage")] == [kid["_id"]]
    assert audit_ledger.check(world.store) == (1, [])


def test_one_alone_is_suspended_and_terminated(world: World) -> None:
    prepaid(world)
    share(world, NewSubscriber(KID))
    lifecycle.set_state(world.engine(), world.store, KID, "suspended", "lost")
    assert call(world, KID, 5) == Result.END_USER_SERVICE_DENIED
    assert call(world, FIRST, 5) == Result.SUCCESS
    assert lifecycle.find_subscriber(world.store, KID)["state"] == "suspended"
    assert lifecycle.find_subscriber(world.store, FIRST)["state"] == "active"
    lifecycle.set_state(world.engine(), world.store, KID, "terminated")
    with pytest.raises(LedgerError, match="a terminated subscriber doesn't come back"):
        lifecycle.set_state(world.engine(), world.store, KID, "active")


def test_one_more_of_one_more(world: World) -> None:
    account = prepaid(world)
    share(world, NewSubscriber(KID))
    share(world, NewSubscriber("4917000003"), of=KID)
    doc = world.get("accounts", account)
    assert doc is not None
    assert len(set(doc["members"].values())) == 3


def test_a_plan_is_that_of_all(world: World) -> None:
    prepaid(world)
    share(world, NewSubscriber(KID))
    world.tables.plans["other"] = world.tables.plans["demo-prepaid"]  # type: ignore[index]
    lifecycle.set_plan(world.engine(), world.store, KID, "other")
    assert {doc["plan"] for doc in world.all("subscribers")} == {"other"}


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (NewSubscriber(KID, plan="demo-postpaid"), "plan: 'demo-postpaid'; expected 'demo-prepaid', the account's, or"),
        (NewSubscriber(KID, type="postpaid"), "type: 'postpaid'; expected 'prepaid', the account's, or none"),
        (NewSubscriber(KID, bill_cycle=3), "bill_cycle: 3; expected None, the account's, or none"),
        (NewSubscriber(KID, balance_micros=1), "balance: 0.000001; expected none: the account has one"),
        (NewSubscriber(FIRST), f"msisdn: '{FIRST}'; expected one that no subscriber has yet"),
        (NewSubscriber("12"), "msisdn: '12'; expected 6 to 15 digits"),
    ],
)
def test_who_cant_be_added(world: World, new: NewSubscriber, text: str) -> None:
    prepaid(world)
    with pytest.raises(InputError, match=text):
        share(world, new)
    assert len(world.all("subscribers")) == 1


def test_a_terminated_account_takes_nobody(world: World) -> None:
    prepaid(world)
    lifecycle.set_state(world.engine(), world.store, FIRST, "terminated")
    with pytest.raises(LedgerError, match="expected an account that lives"):
        share(world, NewSubscriber(KID))
    assert len(world.all("identities")) == 1


def test_a_top_up_by_one_is_everybodys(world: World) -> None:
    account = prepaid(world)
    share(world, NewSubscriber(KID))
    lifecycle.move(world.engine(), world.store, KID, "topup", 1_000_000)
    assert world.get("accounts", account)["balance_micros"] == 6_000_000  # type: ignore[index]
    order = Order(Movement("topup", 1), identities=[f"e164:{KID}"])
    world.engine().execute([order])
    assert order.account == account
