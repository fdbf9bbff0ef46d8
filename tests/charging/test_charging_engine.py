"""The charging engine on a real store: batches, what fails alone, guards, redirects, lanes and back-pressure."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from charging_world import World
from core_builders import EVENT, INITIAL, TERMINATE, UPDATE, ccr, mscc
from mubss.charging.engine import Limits
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.core.errors import Busy, LedgerError, UnknownAccount
from mubss.core.model import CreditControl, EndSession, Movement, Result, SetState
from mubss.services.audit_ledger import check
from mubss.storage.database import Store, StoreConflict, StoreUnavailable, UnknownCommit

ALICE, BOB = "999700000001", "999700000002"


def request(world: World, msisdn: str, type: Any, number: int, *requests: Any, **more: Any) -> Order:
    command = ccr(world.tables, type, number, *requests, **more)
    command.identities = [f"e164:{msisdn}"]
    return Order(command, identities=command.identities)


def balance(world: World, account_id: str) -> int:
    account = world.get("accounts", account_id)
    assert account is not None
    return account["balance_micros"]


def test_a_session_is_charged_and_leaves_its_documents(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine()
    for number, (type, part) in enumerate(
        [(INITIAL, mscc(1)), (UPDATE, mscc(1, 1_500_000)), (UPDATE, mscc(1, 1_500_000)), (TERMINATE, mscc(1, 1))]
    ):
        [order] = engine.execute([request(world, ALICE, type, number, part)])
        assert order.error is None and order.outcome and order.outcome.result == Result.SUCCESS
    assert balance(world, alice) == 10_000_000 - 4 * 20_000  # 3,000,001 octets are 4 started blocks
    assert [p["amount_micros"] for p in world.all("postings")] == [10_000_000, -40_000, -20_000, -20_000]
    assert [(u["service"], u["units"], u["charge_micros"]) for u in world.all("usage")] == [("DATA", 3_000_001, 80_000)]
    [record] = world.all("gy_sessions")
    assert not record["open"] and record["account"] == alice and len(record["outcomes"]) == 4
    assert check(world.store) == (1, [])


def test_one_batch_does_many_accounts_and_several_commands_of_one_in_order(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    orders = [
        request(world, ALICE, INITIAL, 0, mscc(1), session="a"),
        request(world, BOB, INITIAL, 0, mscc(1), session="b"),
        request(world, ALICE, UPDATE, 1, mscc(1, 2_000_000), session="a"),
        Order(Movement("topup", 5_000_000), account=bob),
        request(world, ALICE, TERMINATE, 2, mscc(1, 1_000_000), session="a"),
    ]
    world.engine().execute(orders)
    assert [order.error for order in orders] == [None] * 5
    assert (balance(world, alice), balance(world, bob)) == (9_940_000, 15_000_000)
    assert check(world.store) == (2, [])


def test_a_command_that_raises_fails_alone(world: World) -> None:
    alice = world.account(ALICE)
    good, bad = Order(Movement("topup", 1_000_000), account=alice), Order(Movement("topup", -1), account=alice)
    stranger = Order(Movement("topup", 1_000_000), account="nobody")
    last = Order(Movement("topup", 2_000_000), account=alice)
    world.engine().execute([good, bad, stranger, last])
    assert (good.error, last.error) == (None, None)
    assert isinstance(bad.error, LedgerError) and isinstance(stranger.error, UnknownAccount)
    assert balance(world, alice) == 13_000_000


def test_a_document_that_the_store_refuses_is_found_by_halving(world: World) -> None:
    accounts = [world.account(f"99970000001{n}") for n in range(8)]
    # A posting that is there already: the account's next sequence, written behind the engine's back.
    victim = accounts[5]
    world.store.run(lambda s: s.collection("postings").add({"_id": victim + "000000000002", "account": victim}))
    orders = [Order(Movement("topup", 1_000_000), account=account) for account in accounts]
    world.engine().execute(orders)
    assert [order.error is None for order in orders] == [account != victim for account in accounts]
    assert [balance(world, account) for account in accounts] == [
        10_000_000 if account == victim else 11_000_000 for account in accounts
    ]


@pytest.mark.parametrize(
    ("stored", "version", "ok"), [(None, None, True), (1, None, False), (1, 1, True), (2, 1, False)]
)
def test_a_guard_commits_with_the_movement_or_neither_does(
    world: World, stored: int | None, version: int | None, ok: bool
) -> None:
    alice = world.account(ALICE)
    if stored is not None:
        world.store.run(lambda s: s.collection("meta").add({"_id": "key", "version": stored, "who": "first"}))
    guard = Guard("meta", {"_id": "key", "version": (version or 0) + 1, "who": "second"}, version)
    [order] = world.engine().execute([Order(Movement("topup", 1_000_000), account=alice, guards=[guard])])
    assert balance(world, alice) == (11_000_000 if ok else 10_000_000)
    assert (world.get("meta", "key") or {})["who"] == ("second" if ok else "first")
    if not ok:
        assert isinstance(order.error, GuardConflict) and order.error.stored == {
            "_id": "key",
            "version": stored,
            "who": "first",
        }


def test_two_orders_with_one_new_guard_in_one_batch_move_once(world: World) -> None:
    alice = world.account(ALICE)
    orders = [
        Order(Movement("topup", 1_000_000), account=alice, guards=[Guard("meta", {"_id": "idem", "n": n})])
        for n in (1, 2)
    ]
    world.engine().execute(orders)
    assert [order.error is None for order in orders] == [True, False]
    assert balance(world, alice) == 11_000_000


def test_a_session_is_found_without_its_subscriber_and_under_another_one(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    engine = world.engine()
    engine.execute([request(world, ALICE, INITIAL, 0, mscc(1))])
    nameless = request(world, ALICE, UPDATE, 1, mscc(1, 1_000_000))
    nameless.identities = nameless.command.identities = []  # type: ignore[union-attr]
    misnamed = request(world, BOB, UPDATE, 2, mscc(1, 1_000_000))
    engine.execute([nameless, misnamed])
    assert [order.outcome and order.outcome.result for order in (nameless, misnamed)] == [2001, 2001]
    assert (balance(world, alice), balance(world, bob)) == (9_960_000, 10_000_000)


def test_an_identity_that_moved_is_looked_up_again(world: World) -> None:
    alice, bob = world.account(ALICE), world.account(BOB)
    engine = world.engine()
    engine.execute([request(world, ALICE, INITIAL, 0, mscc(1), session="a")])

    def move(session: Any) -> None:
        accounts = session.collection("accounts")
        for account_id, identities in ((alice, []), (bob, [f"e164:{BOB}", f"e164:{ALICE}"])):
            accounts.put_many([{**accounts.get_one(account_id), "identities": identities}])
        session.collection("identities").put_many([{"_id": f"e164:{ALICE}", "account": bob}])

    world.store.run(move)
    [order] = engine.execute([request(world, ALICE, EVENT, 0, mscc(service="SMS"), session="b")])
    assert order.outcome and order.outcome.result == 2001
    assert (balance(world, alice), balance(world, bob)) == (10_000_000, 9_920_000)


@pytest.mark.parametrize(
    ("type", "result", "suspended"), [(INITIAL, 5030, 0), (EVENT, 5030, 0), (UPDATE, 5030, 1), (TERMINATE, 5030, 1)]
)
def test_an_unknown_subscriber_is_answered_and_reports_are_kept_once(
    world: World, type: Any, result: int, suspended: int
) -> None:
    part = mscc(1, 4711) if suspended else mscc(1)
    engine = world.engine()
    for _ in range(2):
        [order] = engine.execute([request(world, "999799999999", type, 3, part)])
        assert order.outcome and order.outcome.result == result
    assert [doc["units"] for doc in world.all("suspense")] == [4711] * suspended


def test_a_repeat_replays_its_answer_while_open_and_after_the_end_and_moves_nothing(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine()
    steps = [(INITIAL, mscc(1)), (UPDATE, mscc(1, 3_000_000)), (TERMINATE, mscc(1, 1_000_000))]
    first = []
    for number, (type, part) in enumerate(steps):
        for _ in range(2):
            [order] = engine.execute([request(world, ALICE, type, number, part)])
            first.append(order.outcome)
    again = [
        engine.execute([request(world, ALICE, type, number, part)])[0].outcome
        for number, (type, part) in enumerate(steps)
    ]
    assert first[0::2] == first[1::2] == again
    assert balance(world, alice) == 10_000_000 - 80_000
    assert len(world.all("postings")) == 3


class Faulty:
    """The real store, failing as told: before the work, or after it was done (a commit nobody heard of)."""

    side_by_side = False

    def __init__(self, store: Store, *faults: tuple[str, Exception]) -> None:
        self.url, self._store, self._faults = store.url, store, list(faults)

    def run(self, work: Any) -> Any:
        when, fault = self._faults.pop(0) if self._faults else ("", None)
        if when == "before" and fault:
            raise fault
        result = self._store.run(work)
        if when == "after" and fault:
            raise fault
        return result

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("faults", "kind", "moved"),
    [
        ([("before", StoreConflict("deadlock"))] * 4, None, True),
        ([("before", StoreConflict("deadlock"))] * 9, Busy, False),
        ([("before", StoreUnavailable("away"))], Busy, False),
        ([("after", UnknownCommit("lost"))], None, True),  # done, asked again, recognised
        ([("before", UnknownCommit("lost"))], None, True),  # not done, asked again, done
    ],
)
def test_a_request_survives_what_a_store_can_do_to_it(world: World, faults: Any, kind: Any, moved: bool) -> None:
    alice = world.account(ALICE)
    world.engine().execute([request(world, ALICE, INITIAL, 0, mscc(1))])
    engine = world.engine(Faulty(world.store, *faults))  # type: ignore[arg-type]
    [order] = engine.execute([request(world, ALICE, UPDATE, 1, mscc(1, 1_000_000))])
    assert order.error is None if kind is None else isinstance(order.error, kind)
    assert balance(world, alice) == (9_980_000 if moved else 10_000_000)
    assert check(world.store) == (1, [])


def test_an_unknown_commit_of_a_movement_without_a_guard_is_told_not_repeated(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine(Faulty(world.store, ("after", UnknownCommit("lost"))))  # type: ignore[arg-type]
    [order] = engine.execute([Order(Movement("topup", 1_000_000), account=alice)])
    assert isinstance(order.error, UnknownCommit)
    assert balance(world, alice) == 11_000_000  # once


def test_an_unknown_commit_of_a_guarded_movement_is_settled_by_its_guard(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine(Faulty(world.store, ("after", UnknownCommit("lost"))))  # type: ignore[arg-type]
    order = Order(Movement("topup", 1_000_000), account=alice, guards=[Guard("meta", {"_id": "idem"})])
    engine.execute([order])
    assert balance(world, alice) == 11_000_000
    assert order.error is None


def test_states_and_the_end_of_a_session_go_through_the_engine(world: World) -> None:
    alice = world.account(ALICE)
    engine = world.engine()
    command = ccr(world.tables, INITIAL, 0, mscc(1))
    engine.execute([Order(command, identities=[f"e164:{ALICE}"])])
    assert (world.get("accounts", alice) or {})["reserved_micros"] > 0
    [early] = engine.execute([Order(EndSession(command.session_hash), account=alice)])
    assert early.error is None and (world.get("accounts", alice) or {})["sessions"]
    world.clock.now_ms += 8_000_000
    engine.execute([Order(EndSession(command.session_hash), account=alice)])
    account = world.get("accounts", alice) or {}
    assert account["sessions"] == {} and account["reserved_micros"] == 0
    engine.execute([Order(SetState("suspended"), account=alice)])
    [order] = engine.execute([request(world, ALICE, INITIAL, 0, mscc(1), session="s2")])
    assert order.outcome and order.outcome.result == Result.END_USER_SERVICE_DENIED


@pytest.mark.parametrize("lanes", [1, 3])
def test_lanes_answer_every_order_once_and_stop_when_their_queue_is_empty(world: World, lanes: int) -> None:
    accounts = {f"99970000010{n}": world.account(f"99970000010{n}") for n in range(6)}
    engine = world.engine(limits=Limits(lanes=lanes, batch=7, queue=10_000))
    answered: list[Order] = []
    orders = []
    for number in range(20):
        for msisdn in accounts:
            order = request(world, msisdn, EVENT, number, mscc(service="SMS"), session=f"{msisdn};{number}")
            order.done = answered.append
            orders.append(order)
    engine.start()
    for order in orders:
        engine.submit(order)
    engine.stop()
    assert len(answered) == len(orders) == len({id(order) for order in answered})
    assert {balance(world, account) for account in accounts.values()} == {10_000_000 - 20 * 80_000}
    assert check(world.store) == (6, [])


def test_a_full_queue_says_busy_and_a_faulty_answer_stops_nobody(world: World) -> None:
    world.account(ALICE)
    engine = world.engine(limits=Limits(queue=2))
    done = threading.Event()

    def broken(order: Order) -> None:
        raise RuntimeError("the peer went away")

    orders = [request(world, ALICE, EVENT, n, mscc(service="SMS"), session=str(n)) for n in range(3)]
    orders[0].done = broken
    orders[1].done = lambda order: done.set()
    engine.submit(orders[0])
    engine.submit(orders[1])
    with pytest.raises(Busy, match="2 commands wait"):
        engine.submit(orders[2])
    engine.start()
    engine.stop()
    assert done.is_set() and orders[0].outcome is not None
    assert isinstance(orders[0].command, CreditControl)


def test_a_first_request_that_waited_too_long_is_not_done_and_a_report_is(world: World) -> None:
    alice = world.account(ALICE)
    world.engine().execute([request(world, ALICE, INITIAL, 0, mscc(1))])
    engine = world.engine(limits=Limits(patience_ms=2000))
    orders = [
        request(world, ALICE, INITIAL, 0, mscc(1), session="late"),
        request(world, ALICE, EVENT, 0, mscc(service="SMS"), session="late too"),
        request(world, ALICE, UPDATE, 1, mscc(1, 1_000_000)),
        Order(Movement("topup", 1_000_000), account=alice),
    ]
    answered: list[Order] = []
    for order in orders:
        order.done = answered.append
        engine.submit(order)
    world.clock.now_ms += 2001
    engine.submit(in_time := request(world, ALICE, EVENT, 0, mscc(service="SMS"), session="in time"))
    engine.start()
    engine.stop()
    assert [isinstance(order.error, Busy) for order in orders] == [True, True, False, False]
    assert in_time.outcome is not None and len(answered) == 4
    assert balance(world, alice) == 10_000_000 - 20_000 + 1_000_000 - 80_000


def test_a_store_that_is_away_is_logged_once_and_its_return_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    alice = world.account(ALICE)
    faults = [("before", StoreUnavailable("away"))] * 3
    engine = world.engine(Faulty(world.store, *faults))  # type: ignore[arg-type]
    with caplog.at_level("INFO"):
        for _ in range(5):
            engine.execute([Order(Movement("topup", 1_000_000), account=alice)])
    assert [record.message.split(",")[0] for record in caplog.records] == [
        "the store can't be written",
        "the store can be written again",
    ]
    assert balance(world, alice) == 12_000_000


def test_conflicts_are_tried_again_only_while_the_client_waits(world: World) -> None:
    alice = world.account(ALICE)

    class Slow(Faulty):
        def run(self, work: Any) -> Any:
            world.clock.now_ms += 1500
            return super().run(work)

    store = Slow(world.store, *[("before", StoreConflict("locked"))] * 2)
    engine = world.engine(store, limits=Limits(patience_ms=2000))  # type: ignore[arg-type]
    [order] = engine.execute([Order(Movement("topup", 1_000_000), account=alice)])
    assert isinstance(order.error, StoreUnavailable) and balance(world, alice) == 10_000_000
