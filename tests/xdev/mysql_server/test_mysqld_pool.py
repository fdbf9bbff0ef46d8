"""The pool on a real server: bounded, each connection clean when it is lent, one set of them in each process."""

from __future__ import annotations

import os
from typing import Any

import pytest
from mysqld_tools import Bench, Transaction, adds

from mubss.xdev.api import Session
from mubss.xdev.errors import StoreError, StoreUnavailable
from mubss.xdev.store import open_store
from mysqld.server import Server

SETTINGS = "SELECT @@transaction_isolation, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@sql_mode"
TRANSACTION = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = {}"
PREPARED = (
    "SELECT COUNT(*) FROM performance_schema.prepared_statements_instances p "
    "JOIN performance_schema.threads t ON t.thread_id = p.owner_thread_id WHERE t.processlist_id = {}"
)


def rows(session: Session, sql: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = session.rows(sql)  # type: ignore[attr-defined]
    return found


def number(session: Session) -> int:
    return int(rows(session, "SELECT CONNECTION_ID()")[0][0])


def test_no_more_connections_than_allowed(url: str) -> None:
    store = open_store(f"{url}?max-pool-size=2&pool-queue-timeout=50")
    Bench(store).put({"_id": "a"}, {"_id": "b"}, {"_id": "c"})
    first, second = Transaction(store, "a"), Transaction(store, "b")
    with pytest.raises(StoreUnavailable, match=r"all 2 connections are in use \(max-pool-size\)"):
        Bench(store).ids()
    first.join()
    assert Bench(store).ids() == ["a", "b", "c"]
    second.join()
    store.close()


def test_connections_are_used_again_the_last_one_first(bench: Bench) -> None:
    assert len({bench.store.run(number) for _ in range(5)}) == 1


def test_a_connection_is_clean_when_it_is_lent(bench: Bench, mysql: Server) -> None:
    def settings(session: Session) -> list[tuple[Any, ...]]:
        return rows(session, SETTINGS)

    fresh = bench.store.run(settings)
    assert fresh == [("READ-COMMITTED", 1, 1, "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION")]

    def leaves_a_transaction_open(session: Session) -> None:
        session.begin([])
        session.collection("t").put_many([{"_id": "left"}])

    def fails(session: Session) -> None:
        with session.transaction():
            session.collection("t").put_many([{"_id": "failed"}])
            raise KeyError

    for work in (leaves_a_transaction_open, fails):
        try:
            bench.store.run(work)
        except KeyError:
            pass
        assert not mysql.sql(TRANSACTION.format(bench.store.run(number)))
        assert bench.store.run(settings) == fresh
        assert bench.ids() == []


def test_prepared_statements_outlive_a_unit_of_work(bench: Bench, mysql: Server) -> None:
    for place in range(3):
        bench.charge(adds(f"a{place}"), locked=("x",))
    [(count,)] = mysql.sql(PREPARED.format(bench.store.run(number)))
    assert count == 2  # the read and the write, each once


def test_a_session_is_good_within_its_unit_of_work_only(bench: Bench) -> None:
    kept: list[Session] = []
    bench.store.run(kept.append)
    with pytest.raises(StoreError, match=r"only good within Store\.run"):
        kept[0].collection("t").count()


def test_a_forked_child_has_connections_of_its_own_and_its_parents_go_on(bench: Bench) -> None:
    before = bench.store.run(number)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # it must not come back into pytest, whatever happens
        try:
            bench.put({"_id": "child"})
            os.write(writing, b"%d" % bench.store.run(number))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        its = int(told.read())
    os.waitpid(child, 0)
    assert its != before and bench.store.run(number) == before
    assert bench.ids() == ["child"]


def test_close_ends_idle_connections_at_once_and_lent_ones_as_they_come_back(url: str) -> None:
    store = open_store(url)
    Bench(store).put({"_id": "a"})
    holder = Transaction(store, "a")
    Bench(store).ids()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        Bench(store).ids()
    holder.join()
    assert holder.error is None
