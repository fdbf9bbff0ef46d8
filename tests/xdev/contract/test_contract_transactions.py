"""Transactions, savepoints, begin/finish, and two stores on the same documents."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ReferenceType, ref

import pytest
from contract_support import Bench

from mubss.xdev.api import How, Lock, Read, Session, Store, Write
from mubss.xdev.errors import DuplicateId, InvalidDocument, NoSuchCollection, StoreError
from mubss.xdev.store import open_store


class Oops(Exception):
    """What a unit of work fails with."""


def test_a_transaction_commits_or_leaves_nothing(bench: Bench) -> None:
    def good(session: Session) -> None:
        with session.transaction():
            t = session.collection("t")
            t.add({"_id": "a"})
            t.put_many([{"_id": "b"}])
            t.modify("true").set("$.n", 1).execute()

    def bad(session: Session) -> None:
        with session.transaction():
            t = session.collection("t")
            t.add({"_id": "c"})
            t.modify("true").set("$.n", 2).execute()
            t.remove_many(["a"])
            assert t.count() == 2
            raise Oops

    bench.store.run(good)
    with pytest.raises(Oops):
        bench.store.run(bad)
    assert bench.all() == [{"_id": "a", "n": 1}, {"_id": "b", "n": 1}]


def test_a_unit_of_work_leaves_nothing_to_the_garbage_collector(bench: Bench) -> None:
    """At 2,000 requests/s that came to 20 ms every few seconds."""

    def work(session: Session) -> ReferenceType[Session]:
        session.collection("t").get_many(["a"])
        session.begin([Read("t", ["a"])])
        session.finish([Write("t", [{"_id": "a"}])])
        return ref(session)

    gc.disable()
    try:
        assert bench.store.run(work)() is None
    finally:
        gc.enable()


def test_transactions_do_not_nest(bench: Bench) -> None:
    def work(session: Session) -> None:
        with session.transaction():
            session.collection("t").add({"_id": "a"})
            for nested in (lambda: session.transaction().__enter__(), lambda: session.begin([])):
                with pytest.raises(StoreError, match="nest"):
                    nested()
            session.collection("t").add({"_id": "b"})

    bench.store.run(work)
    assert bench.ids() == ["a", "b"]


def test_savepoints(bench: Bench) -> None:
    def work(session: Session) -> None:
        t = session.collection("t")
        with pytest.raises(StoreError, match="no transaction"), session.savepoint():
            pass
        with session.transaction():
            t.add({"_id": "a"})
            with session.savepoint():
                t.add({"_id": "b"})
            with pytest.raises(Oops), session.savepoint():
                t.add({"_id": "c"})
                with session.savepoint():
                    t.add({"_id": "d"})
                raise Oops
            with session.savepoint(), pytest.raises(Oops), session.savepoint():
                t.add({"_id": "e"})
                raise Oops
            with pytest.raises(DuplicateId), session.savepoint():
                t.add({"_id": "f"}, {"_id": "a"})
            t.add({"_id": "g"})

    bench.store.run(work)
    assert bench.ids() == ["a", "b", "g"]


def test_a_call_that_fails_in_a_transaction_leaves_nothing_of_itself(bench: Bench) -> None:
    many = [{"_id": f"{n:04}"} for n in range(600)]

    def work(session: Session) -> None:
        t = session.collection("t")
        with session.transaction():
            t.add({"_id": "0599", "n": 1})
            with pytest.raises(DuplicateId):
                t.add_many(many)
            with pytest.raises(DuplicateId):
                t.add_many(many[-2:])
            assert t.count() == 1

    bench.store.run(work)
    assert bench.all() == [{"_id": "0599", "n": 1}]


def test_begin_reads_and_finish_writes(bench: Bench) -> None:
    bench.store.run(lambda session: session.create_collection("u"))
    bench.add({"_id": "a", "n": 1}, {"_id": "b", "n": 2})

    def work(session: Session) -> Any:
        read = session.begin(
            [
                Read("t", ["a", "b", "missing", "a"], Lock.UPDATE),
                Read("t", ["b"], Lock.SKIP_LOCKED),
                Read("u", ["a"]),
                Read("u", []),
            ]
        )
        session.finish(
            [
                Write("t", [{"_id": "a", "n": 3}, {"_id": "c", "n": 4}]),
                Write("u", [{"_id": "x"}], How.ADD),
                Write("t", ["b", "missing"], How.REMOVE),
                Write("u", []),
            ]
        )
        return [sorted(docs, key=lambda doc: doc["_id"]) for docs in read]

    assert bench.store.run(work) == [[{"_id": "a", "n": 1}, {"_id": "b", "n": 2}], [{"_id": "b", "n": 2}], [], []]
    assert bench.all() == [{"_id": "a", "n": 3}, {"_id": "c", "n": 4}]
    assert Bench(bench.store, "u").ids() == ["x"]


FAULTS: list[tuple[Write, type[StoreError]]] = [
    (Write("t", [{"_id": "new"}, {"_id": "old"}], How.ADD), DuplicateId),
    (Write("t", [{"_id": "x" * 33}]), InvalidDocument),
    (Write("t", [{"_id": "n", "v": float("nan")}]), InvalidDocument),
    (Write("t", [{"n": 1}]), InvalidDocument),
    (Write("t", [1], How.REMOVE), InvalidDocument),
    (Write("nothing", [{"_id": "a"}]), NoSuchCollection),
    (Write("no name", [{"_id": "a"}]), StoreError),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_any_error_in_finish_rolls_all_of_it_back(bench: Bench, fault: Write, error: type[StoreError]) -> None:
    bench.add({"_id": "old", "n": 1})

    def work(session: Session) -> None:
        session.begin([Read("t", ["old"], Lock.UPDATE)])
        with pytest.raises(error):
            session.finish([Write("t", [{"_id": "old", "n": 2}]), Write("t", [{"_id": "b"}], How.ADD), fault])
        session.rollback()  # there is nothing left to roll back, and it never raises
        assert session.collection("t").get_one("old") == {"_id": "old", "n": 1}
        session.begin([])
        session.finish([Write("t", [{"_id": "after"}])])

    bench.store.run(work)
    assert bench.ids() == ["after", "old"]


NEW = [{"_id": f"{n:04}"} for n in range(300)]


@pytest.mark.parametrize(
    ("docs", "named"),
    [
        ([{"_id": "old"}], "old"),
        ([{"_id": "a"}, {"_id": "b"}, {"_id": "old"}, {"_id": "c"}], "old"),
        ([{"_id": "a"}, {"_id": "b"}, {"_id": "a"}, {"_id": "old"}], "a"),
        ([*NEW, {"_id": "old"}], "old"),
        ([*NEW, NEW[270]], "0270"),
    ],
    ids=["alone", "among new ones", "twice", "in a second statement", "twice there"],
)
def test_finish_names_the_first_duplicate(bench: Bench, docs: list[Any], named: str) -> None:
    bench.add({"_id": "old", "n": 1})

    def work(session: Session) -> None:
        session.begin([])
        session.finish([Write("t", [{"_id": "before"}]), Write("t", docs, How.ADD)])

    with pytest.raises(DuplicateId) as caught:
        bench.store.run(work)
    assert (caught.value.collection, caught.value.document_id) == ("t", named)
    assert bench.all() == [{"_id": "old", "n": 1}]


def test_a_bad_begin_leaves_no_transaction(bench: Bench) -> None:
    def work(session: Session) -> None:
        for reads in ([Read("nothing", ["a"])], [Read("t", ["x" * 33])], [Read("no name", [])]):
            with pytest.raises(StoreError):
                session.begin(reads)
        session.begin([])
        session.rollback()
        session.rollback()
        for attempt in (lambda: session.finish([]), lambda: session.collection("t").get_many(["a"], for_update=True)):
            with pytest.raises(StoreError, match="no transaction"):
                attempt()
        with session.transaction():
            session.collection("t").get_many(["a"], for_update=True)

    bench.store.run(work)


def test_what_is_left_open_is_rolled_back(bench: Bench) -> None:
    def leaves_open(session: Session) -> None:
        session.begin([])
        session.collection("t").add({"_id": "a"})

    bench.store.run(leaves_open)
    assert bench.all() == []


def test_a_session_is_only_good_within_run(bench: Bench) -> None:
    kept: list[Session] = []
    bench.store.run(kept.append)
    for use in (
        lambda: kept[0].collection("t").count(),
        lambda: kept[0].begin([]),
        kept[0].list_collections,
    ):
        with pytest.raises(StoreError, match="session has ended"):
            use()


def test_run_returns_and_raises_what_the_work_does(store: Store) -> None:
    assert store.run(lambda session: 42) == 42
    with pytest.raises(Oops):
        store.run(lambda session: (_ for _ in ()).throw(Oops))


def test_a_closed_store_refuses(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.run(lambda session: session.list_collections())


def test_two_stores_see_what_the_other_committed_and_nothing_else(store_url: str, bench: Bench) -> None:
    other = open_store(store_url)
    seen = Bench(other, "t")
    bench.add({"_id": "a", "n": 1})
    assert seen.get("a") == {"_id": "a", "n": 1}

    def work(session: Session) -> None:
        session.begin([Read("t", ["a"], Lock.UPDATE)])
        session.collection("t").put_many([{"_id": "a", "n": 2}, {"_id": "b"}])
        assert seen.all() == [{"_id": "a", "n": 1}]
        session.finish([Write("t", [{"_id": "c"}])])
        assert seen.all() == [{"_id": "a", "n": 2}, {"_id": "b"}, {"_id": "c"}]

    bench.store.run(work)
    seen.call("remove_many", ["b"])
    assert bench.ids() == ["a", "c"]
    other.close()


def test_an_index_made_by_one_store_serves_another(store_url: str, bench: Bench) -> None:
    other = open_store(store_url)
    seen = Bench(other, "t")
    assert seen.ids() == []
    bench.call("create_index", "by_n", ["$.n"])
    bench.store.run(lambda session: session.create_collection("later"))
    seen.add({"_id": "a", "n": 1})
    assert bench.ids("$.n = 1") == ["a"]
    Bench(other, "later").add({"_id": "x"})
    assert Bench(bench.store, "later").ids() == ["x"]
    other.close()
