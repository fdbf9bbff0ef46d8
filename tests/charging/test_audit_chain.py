"""The chain of the audit on both engines: what is told of a write, and every way of tampering is found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charging_world import World
from mubss.charging.order import Order
from mubss.core.audit import changed, cleaned
from mubss.core.errors import LedgerError
from mubss.core.model import Movement
from mubss.services import lifecycle
from mubss.services.audit_chain import Verified, seal, verify
from mubss.services.auditing import Act, AuditedEngine, AuditedStore
from mubss.storage.database import Doc, UnknownCommit, open_database

MSISDN = "491700000001"


@pytest.fixture
def world(empty_store_url: str) -> Iterator[World]:
    made = World(empty_store_url)
    yield made
    made.store.close()


def act(world: World, **fields: Any) -> Act:
    return Act("alice", "agent", "ipv4:127.0.0.1", "Balances/TopUp", fields, world.clock, "r1")


def top_up(world: World, account: str, micros: int = 5, **fields: Any) -> Order:
    order = Order(Movement("topup", micros, "shop"), account=account)
    AuditedEngine(world.engine(), act(world, **fields)).execute([order])
    return order


def entries(world: World) -> list[Doc]:
    return sorted(world.all("audit"), key=lambda entry: entry["seq"])


def test_an_entry_says_who_what_and_what_differs(world: World) -> None:
    account = world.account(MSISDN)
    top_up(world, account, 7, amount_micros=7, subscriber=MSISDN, reference=f"for {MSISDN}", idempotency_key="k")
    [entry] = entries(world)
    assert {name: entry[name] for name in entry if name not in ("_id", "at_ms")} == {
        "seq": 0,
        "who": "alice",
        "role": "agent",
        "from": "ipv4:127.0.0.1",
        "request": "r1",
        "what": "Balances/TopUp",
        "subscriber": account,
        "account": account,
        "fields": {"amount_micros": 7, "reference": "for …"},
        "before": {f"accounts/{account}": {"balance_micros": 10_000_000}},
        "after": {f"accounts/{account}": {"balance_micros": 10_000_007}},
    }


def test_what_fails_leaves_none(world: World) -> None:
    account = world.account(MSISDN)
    order = Order(Movement("topup", 5, "shop"), account="nobody")
    AuditedEngine(world.engine(), act(world)).execute([order])
    assert isinstance(order.error, LedgerError)
    lifecycle.set_state(world.engine(), world.store, MSISDN, "terminated")
    with pytest.raises(LedgerError):
        lifecycle.move(AuditedEngine(world.engine(), act(world)), world.store, f"id:{account}", "topup", 5)
    store = AuditedStore(world.store, act(world))

    def fails(session: Any) -> None:
        with session.transaction():
            session.collection("tokens").put_many([{"_id": "t", "jti": "t"}])
            raise KeyError

    with pytest.raises(KeyError):
        store.run(fails)
    assert entries(world) == [] and world.get("tokens", "t") is None


def test_a_store_tells_of_each_transaction(world: World) -> None:
    store = AuditedStore(world.store, act(world))

    def writes(session: Any) -> None:
        tokens = session.collection("tokens")
        tokens.add_many([{"_id": "t", "jti": "t", "role": "agent"}])
        tokens.put_many([{"_id": "t", "jti": "t", "role": "admin"}])
        tokens.put_many([{"_id": "t", "jti": "t", "role": "admin"}])  # the same: nothing to tell
        session.collection("gy_peers").put_many([{"_id": "p"}])

    store.run(writes)
    found = sorted(entries(world), key=lambda entry: len(entry["before"]))
    assert [(entry["before"], entry["after"]) for entry in found] == [
        ({}, {"tokens/t": {"jti": "t", "role": "agent"}}),
        ({"tokens/t": {"role": "agent"}}, {"tokens/t": {"role": "admin"}}),
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"name": "Ada"}, {"name": "Eve"}, {"personal": ["name"]}),
        ({"msisdn": "1"}, {"msisdn": "2", "address": "x"}, {"personal": ["msisdn", "address"]}),
        ({"name": "Ada", "plan": "a"}, {"name": "Ada", "plan": "b"}, {"plan": "b"}),
        ({"version": 1, "state_reason": "x"}, {"version": 2}, {}),
        ({"name": ""}, {}, {}),
    ],
)
def test_of_people_it_is_told_that_they_changed(before: Doc, after: Doc, told: Doc) -> None:
    assert changed("subscribers", before, after)[1] == told
    assert changed("subscribers", None, {"name": "Ada"}) == ({}, {})


class LosesCommit:
    """A store that commits once without saying so."""

    def __init__(self, world: World) -> None:
        self._inner, self._lost = world.store, False
        self.url, self.side_by_side = world.store.url, world.store.side_by_side

    def run(self, work: Callable[[Any], Any]) -> Any:
        done = self._inner.run(work)
        if not self._lost and getattr(work, "__name__", "") == "run":
            self._lost = True
            raise UnknownCommit("lost")
        return done


def test_a_commit_that_nobody_heard_of_is_known_by_its_entry(world: World) -> None:
    account = world.account(MSISDN)
    order = Order(Movement("topup", 5, "shop"), account=account)
    AuditedEngine(world.engine(LosesCommit(world)), act(world)).execute([order])  # type: ignore[arg-type]
    assert order.error is None and order.account_after and order.account_after["balance_micros"] == 10_000_005
    assert len(entries(world)) == 1


def made(world: World, count: int) -> Verified:
    account = world.account(MSISDN)
    for _ in range(count):
        world.clock.now_ms += 1
        top_up(world, account)
    return verify(world.store)


def put(world: World, doc: Doc) -> None:
    world.store.run(lambda session: session.collection("audit").put_many([doc]))


def remove(world: World, doc: Doc) -> None:
    world.store.run(lambda session: session.collection("audit").remove_many([doc["_id"]]))


def test_the_chain_holds_and_goes_on(world: World) -> None:
    assert verify(world.store) == Verified(0, "0" * 64, 0, None)
    first = made(world, 3)
    assert (first.seq, first.fault) == (3, None) and first.hash == entries(world)[-1]["hash"]
    again = verify(world.store)
    assert again == first
    top_up(world, entries(world)[0]["account"])
    after = verify(world.store)
    assert (after.seq, after.fault) == (4, None) and entries(world)[3]["prev"] == first.hash


FIELDS = ("at_ms", "who", "role", "from", "request", "what", "subscriber", "account", "fields", "before", "after")


@pytest.mark.parametrize("field", [*FIELDS, "prev", "hash", "another"])
def test_a_changed_field_is_found(world: World, field: str) -> None:
    made(world, 3)
    put(world, {**entries(world)[1], field: {"x": 1} if field in ("fields", "before", "after") else "f" * 64})
    fault = verify(world.store).fault
    assert fault is not None and fault.seq == 2, fault


def remove_one(world: World, number: int) -> None:
    remove(world, entries(world)[number - 1])


def swap(world: World) -> None:
    one, two = entries(world)[1:3]
    put(world, {**one, "seq": two["seq"]})
    put(world, {**two, "seq": one["seq"]})


def swap_with_links(world: World) -> None:
    one, two = entries(world)[1:3]
    links = ("seq", "prev", "hash")
    put(world, {**one, **{name: two[name] for name in links}})
    put(world, {**two, **{name: one[name] for name in links}})


def insert(world: World, seq: Any) -> None:
    put(world, {**entries(world)[1], "_id": "zz", "seq": seq})


TAMPERINGS: list[tuple[str, Callable[[World], None], int, str]] = [
    ("the first removed", lambda world: remove_one(world, 1), 1, "missing"),
    ("one removed", lambda world: remove_one(world, 2), 2, "missing"),
    ("the last removed", lambda world: remove_one(world, 4), 4, "missing"),
    ("two swapped", swap, 2, "put there"),
    ("two swapped with their links", swap_with_links, 2, "changed"),
    ("one put in beside another", lambda world: insert(world, 2), 2, "twice"),
    ("one put behind the head", lambda world: insert(world, 9), 5, "outside"),
    ("one put in without a number", lambda world: insert(world, None), 5, "outside"),
    ("one put in below all", lambda world: insert(world, -3), 5, "outside"),
]


@pytest.mark.parametrize(("name", "tamper", "seq", "text"), TAMPERINGS, ids=[row[0] for row in TAMPERINGS])
def test_tampering_is_found(world: World, name: str, tamper: Callable[[World], None], seq: int, text: str) -> None:
    made(world, 4)
    tamper(world)
    fault = verify(world.store).fault
    assert fault is not None and text in fault.text, (name, fault)
    assert (fault.seq == seq) or text == "twice", fault


def test_a_head_that_was_set_back_is_found(world: World) -> None:
    made(world, 3)
    back = {"_id": "head", "seq": 2, "hash": entries(world)[1]["hash"]}
    world.store.run(lambda session: session.collection("audit_head").put_many([back]))
    fault = verify(world.store).fault
    assert fault is not None and "outside" in fault.text


def test_many_sealers_and_writers_at_once(world: World) -> None:
    account = world.account(MSISDN)
    faults: list[BaseException] = []

    def work(number: int) -> None:
        store = open_database(world.url)
        try:
            for _ in range(5):
                if number % 2:
                    top_up(world, account)
                seal(store)
        except BaseException as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify(world.store)
    assert not faults and (found.seq, found.fault, found.unsealed) == (10, None, 0)
    assert [entry["seq"] for entry in entries(world)] == list(range(1, 11))


def test_a_sealer_that_dies_leaves_what_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.account(MSISDN)
    for _ in range(3):
        top_up(world, account)

    def dies(_entry: Doc, seq: int, _prev: str) -> Doc:
        raise KeyboardInterrupt(seq)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mubss.storage.audit.sealed", dies)
        seal(world.store)
    assert [entry["seq"] for entry in entries(world)] == [0, 0, 0]
    assert verify(world.store)[0] == 3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pin": "1234", "idempotency_key": "k", "token": "ey", "key": "x", "password": "p"}, {}),
        (
            {
                "subscriber": "491700000001",
                "msisdn": "4917",
                "imsi": "1",
                "name": "Ada",
                "address": ["x"],
                "account": "id:abc",
            },
            {"account": "id:abc"},
        ),
        ({"reason": "491700000001 asked", "flag": True, "off": False}, {"reason": "… asked", "flag": True}),
        ({"files": ["a"] * 30, "content": b"secret"}, {"files": ["a"] * 20}),
        ({"remark": "x" * 300}, {"remark": "x" * 200 + "…"}),
        ({"nested": {"pin": "1", "value": "491700000001"}}, {"nested": {"value": "…"}}),
    ],
)
def test_what_no_entry_says(fields: dict[str, Any], told: dict[str, Any]) -> None:
    assert cleaned(fields, {"491700000001"}) == told
