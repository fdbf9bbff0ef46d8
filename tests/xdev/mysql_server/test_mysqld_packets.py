"""Servers with small limits: sets are cut to fit a packet, what can't be prepared is sent as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mysqld_tools import Bench

from mubss.xdev.api import How, Lock, Read, Session, Write
from mubss.xdev.errors import DuplicateId, InvalidDocument, StoreConflict
from mubss.xdev.store import open_store
from mysqld.server import Server

PACKET = 64 << 10


@pytest.fixture
def small(own: Server, own_url: str) -> Iterator[Bench]:
    """A store on a server that takes packets of 64 KB at most."""
    own.sql(f"SET GLOBAL mysqlx_max_allowed_packet = {PACKET}")
    store = open_store(own_url)
    yield Bench(store)
    store.close()
    own.sql("SET GLOBAL mysqlx_max_allowed_packet = DEFAULT")


def documents(count: int, octets: int) -> list[dict]:
    return [{"_id": f"{number:05}", "pad": "é" * (octets // 2)} for number in range(count)]


@pytest.mark.parametrize("octets", [10, 1_000, 30_000])
def test_sets_that_are_larger_than_a_packet_are_cut(small: Bench, octets: int) -> None:
    docs = documents(300, octets)
    ids = [doc["_id"] for doc in docs]
    small.store.run(lambda session: session.collection("t").add_many(docs))
    assert small.ids() == ids
    changed = [{**doc, "changed": True} for doc in docs]
    small.charge(Write("t", changed), Write("t", ids[::2], How.REMOVE), locked=tuple(ids))
    found = small.store.run(lambda session: session.collection("t").get_many(ids))
    assert found == [None if number % 2 == 0 else doc for number, doc in enumerate(changed)]


def test_a_set_that_is_cut_is_all_or_nothing(small: Bench) -> None:
    docs = documents(100, 3_000)
    small.put(docs[-1])
    with pytest.raises(DuplicateId):
        small.store.run(lambda session: session.collection("t").add_many(docs))
    assert small.ids() == [docs[-1]["_id"]]


def test_a_document_that_no_packet_holds_is_refused_and_nothing_written(small: Bench) -> None:
    [doc] = documents(1, PACKET)
    with pytest.raises(InvalidDocument, match=r"expected up to \d+ bytes of JSON \(mysqlx_max_allowed_packet\)"):
        small.charge(Write("t", [{"_id": "other"}, doc]))
    assert small.ids() == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_server_that_prepares_no_more_statements_is_used_without(own: Server, own_url: str, limit: int) -> None:
    own.sql(f"SET GLOBAL max_prepared_stmt_count = {limit}")
    try:
        store = open_store(own_url)
        bench = Bench(store)

        def work(session: Session) -> None:
            session.begin([Read("t", ["x"], Lock.UPDATE)])
            session.finish([Write("t", [{"_id": "a"}]), Write("t", [{"_id": "b"}], How.ADD)])

        for _ in range(3):  # the first tells, and is told again: the caller repeats conflicts
            try:
                store.run(work)
                break
            except StoreConflict as error:
                assert "raise max_prepared_stmt_count" in str(error)
        assert bench.ids() == ["a", "b"]
        store.close()
    finally:
        own.sql("SET GLOBAL max_prepared_stmt_count = DEFAULT")
