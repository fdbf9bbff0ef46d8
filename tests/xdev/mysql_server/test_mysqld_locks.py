"""Transactions that meet at a document: wait, skip, deadlock. Each has one stated outcome."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
from mysqld_tools import WAIT_S, Bench, Transaction, adds, until

from mubss.xdev.api import Doc, Lock, Read, Session, Write
from mubss.xdev.errors import StoreConflict
from mubss.xdev.mysql import messages
from mysqld.server import Server


@pytest.fixture
def two(bench: Bench) -> Bench:
    """A store with the documents a and b."""
    bench.put({"_id": "a", "n": 1}, {"_id": "b", "n": 1})
    return bench


def waiting(mysql: Server) -> bool:
    """Whether a transaction waits for another's lock."""
    return bool(mysql.sql("SELECT 1 FROM performance_schema.data_lock_waits LIMIT 1"))


def test_skip_locked_returns_what_nobody_holds(two: Bench) -> None:
    holder = Transaction(two.store, "a")
    [found] = two.charge(locked=("a", "b"), lock=Lock.SKIP_LOCKED)
    assert [doc["_id"] for doc in found] == ["b"]
    holder.join()
    [found] = two.charge(locked=("a", "b"), lock=Lock.SKIP_LOCKED)
    assert sorted(doc["_id"] for doc in found) == ["a", "b"]


def test_a_lock_is_waited_for_and_what_its_holder_wrote_is_read(two: Bench, mysql: Server) -> None:
    holder = Transaction(two.store, "a")
    found: list[Doc] = []

    def read(session: Session) -> None:
        [docs] = session.begin([Read("t", ["a"], Lock.UPDATE)])
        found.extend(docs)
        session.finish([])

    waiter = Thread(target=two.store.run, args=(read,))
    waiter.start()
    until(lambda: waiting(mysql))
    holder.go_on(lambda session: session.collection("t").put_many([{"_id": "a", "n": 2}]))
    waiter.join(WAIT_S)
    assert found == [{"_id": "a", "n": 2}]
    holder.join()


def test_a_lock_that_is_not_had_in_time_is_a_conflict_and_the_connection_stays_good(two: Bench) -> None:
    holder = Transaction(two.store, "a")
    with pytest.raises(StoreConflict, match="a lock wasn't to be had in time"):
        two.charge(adds("c"), locked=("a",))
    holder.join()
    two.charge(adds("d"), locked=("a",))
    assert two.ids() == ["a", "b", "d"]


def test_a_write_that_meets_a_lock_is_a_conflict_and_leaves_nothing(two: Bench) -> None:
    holder = Transaction(two.store, "a")
    with pytest.raises(StoreConflict):
        two.charge(adds("c"), Write("t", [{"_id": "a", "n": 9}]), locked=("b",))
    holder.join()
    assert two.ids() == ["a", "b"] and two.get("a") == {"_id": "a", "n": 1}


def test_of_two_that_wait_for_each_other_one_is_a_conflict_and_the_other_goes_on(two: Bench, mysql: Server) -> None:
    first, second = Transaction(two.store, "a"), Transaction(two.store, "b")

    def change(document_id: str, n: int) -> Callable[[Session], object]:
        return lambda session: session.collection("t").put_many([{"_id": document_id, "n": n}])

    first.go_on(change("b", 10))
    until(lambda: waiting(mysql))
    second.go_on(change("a", 20))
    first.join()
    second.join()
    errors = [one.error for one in (first, second) if one.error is not None]
    assert [type(error) for error in errors] == [StoreConflict], errors
    changed = {"a": two.get("a"), "b": two.get("b")}
    assert sorted(doc["n"] for doc in changed.values() if doc) in ([1, 10], [1, 20])


def test_a_statement_reads_what_was_committed_before_it_began(two: Bench) -> None:
    seen = []

    def work(session: Session) -> None:
        with session.transaction():
            for n in (2, 3):
                seen.append(session.collection("t").get_one("a"))
                two.put({"_id": "a", "n": n})
            seen.append(session.collection("t").get_one("a"))

    two.store.run(work)
    assert [doc["n"] for doc in seen if doc] == [1, 2, 3]


def test_a_table_that_is_being_changed_is_waited_for_no_longer_than_a_lock(two: Bench, mysql: Server, url: str) -> None:
    holder = mysql.link()
    schema = url.rpartition("/")[2]
    [reply] = holder.exchange([messages.statement(f"LOCK TABLES `{schema}`.`t` WRITE")])
    assert reply.error is None
    with pytest.raises(StoreConflict):
        two.charge(adds("c"))
    [reply] = holder.exchange([messages.statement("UNLOCK TABLES")])
    assert reply.error is None
    two.charge(adds("d"))
    assert two.ids() == ["a", "b", "d"]
    holder.bid_farewell()
