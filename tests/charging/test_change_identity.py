"""Another number or SIM: from the same transaction on the old one leads nowhere, whatever a process remembers."""

from __future__ import annotations

import pytest

from charging_world import World
from core_builders import INITIAL, TERMINATE, ccr, mscc
from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.errors import AccountChanged, InputError, LedgerError
from mubss.core.model import ChangeIdentities, Result
from mubss.services import audit_ledger, lifecycle
from mubss.services.lifecycle import NewSubscriber
from mubss.storage.database import open_database

OLD, NEW, OTHER = "4917000001", "4917000009", "4917000002"
SIM, NEW_SIM = "262011234567890", "262011234567899"


def made(world: World, msisdn: str = OLD, imsi: str = SIM) -> str:
    """A prepaid subscriber's id."""
    new = NewSubscriber(msisdn, imsi, plan="demo-prepaid", balance_micros=5_000_000)
    return lifecycle.create(world.store, world.tables, [new], world.clock.now_ms)[0]


def change(world: World, whose: str, **new: str) -> None:
    doc = lifecycle.find_subscriber(world.store, whose)
    lifecycle.change_identity(world.engine(), world.store, whose, doc["version"], **new)


def ask(
    world: World, engine: Engine, *identities: str, name: str, kind: object = INITIAL, used: int | None = None
) -> int:
    """A request of a session that says who it is for; its result."""
    number = 0 if kind is INITIAL else 1
    command = ccr(world.tables, kind, number, mscc(1, used, service="VOICE"), session=name)  # type: ignore[arg-type]
    command.identities = list(identities)
    order = Order(command, identities=command.identities)
    engine.execute([order])
    assert order.outcome is not None, order.error
    return int(order.outcome.result)


def test_another_process_that_remembers_the_old_number_charges_nobody_by_it(world: World) -> None:
    account = made(world)
    elsewhere = open_database(world.url)
    engine = world.engine(elsewhere)
    assert ask(world, engine, f"e164:{OLD}", name="open") == Result.SUCCESS
    assert ask(world, engine, f"imsi:{SIM}", name="by SIM") == Result.SUCCESS
    change(world, OLD, msisdn=NEW)
    assert ask(world, engine, f"e164:{OLD}", name="old") == Result.USER_UNKNOWN
    assert ask(world, engine, f"e164:{NEW}", name="new") == Result.SUCCESS
    assert ask(world, engine, f"e164:{OLD}", f"imsi:{SIM}", name="both") == Result.SUCCESS, "its SIM is what it was"
    ended = ask(world, engine, f"e164:{OLD}", name="open", kind=TERMINATE, used=60)
    assert ended == Result.SUCCESS, "an open session goes on"
    stranger = made(world, OLD, "")
    assert ask(world, engine, f"e164:{OLD}", name="the next owner's") == Result.SUCCESS
    after, theirs = world.get("accounts", account), world.get("accounts", stranger)
    assert after is not None and theirs is not None
    assert after["identities"] == [f"e164:{NEW}", f"imsi:{SIM}"]
    assert len(after["sessions"]) == 3 and len(theirs["sessions"]) == 1
    assert audit_ledger.check(world.store) == (2, [])
    elsewhere.close()


def test_a_sim_is_changed_taken_away_and_given(world: World) -> None:
    account = made(world)
    change(world, OLD, imsi=NEW_SIM)
    assert lifecycle.find_subscriber(world.store, f"imsi:{NEW_SIM}")["_id"] == account
    change(world, OLD, imsi="")
    assert {one["_id"] for one in world.all("identities")} == {f"e164:{OLD}"}
    change(world, OLD, imsi=SIM, msisdn=NEW)
    assert {one["_id"] for one in world.all("identities")} == {f"e164:{NEW}", f"imsi:{SIM}"}
    doc = lifecycle.find_subscriber(world.store, NEW)
    assert (doc["msisdn"], doc["imsi"], doc["version"]) == (NEW, SIM, 4)
    assert audit_ledger.check(world.store) == (1, [])


def test_one_of_several_on_an_account(world: World) -> None:
    account = made(world)
    lifecycle.share(world.engine(), world.store, world.tables, OLD, NewSubscriber(OTHER), world.clock.now_ms)
    kid = lifecycle.find_subscriber(world.store, OTHER)["_id"]
    change(world, OTHER, msisdn=NEW, imsi=NEW_SIM)
    assert lifecycle.find_subscriber(world.store, f"imsi:{NEW_SIM}")["_id"] == kid
    after = world.get("accounts", account)
    assert after is not None
    assert after["members"] == {
        f"e164:{OLD}": account, f"imsi:{SIM}": account, f"e164:{NEW}": kid, f"imsi:{NEW_SIM}": kid,
    }  # fmt: skip
    assert ask(world, world.engine(), f"e164:{NEW}", name="kid's") == Result.SUCCESS
    assert audit_ledger.check(world.store) == (1, [])


def test_what_cant_be(world: World) -> None:
    account = made(world)
    made(world, OTHER, "")
    for new, named in (
        ({"msisdn": OTHER}, "msisdn: '4917000002'; expected one that no subscriber has"),
        ({"msisdn": "x"}, "msisdn: 'x'"),
        ({"msisdn": ""}, "msisdn: ''"),
        ({"imsi": "1"}, "imsi: '1'"),
        ({"msisdn": OLD, "imsi": SIM}, "msisdn, imsi: they are so already"),
    ):
        with pytest.raises(InputError, match=named):
            change(world, OLD, **new)
    with pytest.raises(AccountChanged, match="version: 7; expected 1"):
        lifecycle.change_identity(world.engine(), world.store, OLD, 7, NEW)
    foreign = ChangeIdentities(account, [(f"e164:{OTHER}", f"e164:{NEW}")])
    with pytest.raises(LedgerError, match="expected one of the subscriber"):
        lifecycle.run(world.engine(), Order(foreign, account=account))
    assert {one["_id"] for one in world.all("identities")} == {f"e164:{OLD}", f"imsi:{SIM}", f"e164:{OTHER}"}
    lifecycle.set_state(world.engine(), world.store, OLD, "terminated")
    with pytest.raises(LedgerError, match="state: terminated"):
        change(world, OLD, msisdn=NEW)


def test_a_number_that_goes_round_in_one_batch(world: World) -> None:
    first, second = made(world, OLD, ""), made(world, OTHER, "")
    taken: list[Order] = []

    class Kept(Engine):
        def execute(self, orders: list[Order]) -> list[Order]:
            taken.extend(orders)
            return orders

    kept = Kept(world.store, lambda: world.tables, world.engine()._rules, None, world.clock)
    for msisdn, new in ((OLD, NEW), (OTHER, OLD)):
        with pytest.raises(Exception, match="no answer"):
            lifecycle.change_identity(kept, world.store, msisdn, 1, new)
    world.engine().execute(taken)
    assert [order.error for order in taken] == [None, None]
    assert {one["_id"]: one["account"] for one in world.all("identities")} == {
        f"e164:{NEW}": first, f"e164:{OLD}": second,
    }  # fmt: skip
    assert audit_ledger.check(world.store) == (2, [])
