"""Several processes on one store: no update is lost, and kill -9 loses nothing that was acknowledged."""

from __future__ import annotations

import os
import random

import pytest
from contract_support import Bench, end, line, say, start

from mubss.xdev.api import How, Lock, Read, Session, Store, Write
from mubss.xdev.store import open_store

WRITER = """
import sys
from mubss.xdev.api import How, Lock, Read, Write
from mubss.xdev.store import open_store

store = open_store(sys.argv[1])
ids = [f"account{n}" for n in range(8)]

def work(session):
    while True:
        (accounts,) = session.begin([Read("t", ids, Lock.UPDATE)])
        version = accounts[0]["version"] + 1
        assert {account["version"] for account in accounts} == {version - 1}
        session.finish([
            Write("t", [{"_id": document_id, "version": version, "pad": "x" * 900} for document_id in ids]),
            Write("postings", [{"_id": f"{document_id}-{version}"} for document_id in ids], How.ADD),
        ])
        print(version, flush=True)

store.run(work)
"""


def test_kill_9_keeps_what_was_acknowledged_and_nothing_by_halves(store_url: str, bench: Bench) -> None:
    store = bench.store
    store.run(lambda session: session.create_collection("postings"))
    ids = [f"account{n}" for n in range(8)]
    bench.call("put_many", [{"_id": document_id, "version": 0} for document_id in ids])
    chance = random.Random(7)
    for _ in range(4):
        writer = start(WRITER, store_url)
        acknowledged = 0
        for _ in range(chance.randrange(5, 60)):
            acknowledged = int(line(writer))
        writer.kill()
        assert writer.stdout is not None
        acknowledged = max([acknowledged, *(int(rest) for rest in writer.stdout.read().split())])
        end([writer])
        versions = {doc["version"] for doc in bench.all()}
        assert len(versions) == 1
        version = versions.pop()
        assert acknowledged <= version <= acknowledged + 1
        assert Bench(store, "postings").call("count") == 8 * version
        assert sorted(doc["_id"] for doc in Bench(store, "postings").all()) == sorted(
            f"{document_id}-{n}" for document_id in ids for n in range(1, version + 1)
        )


COUNTER = """
import sys
from mubss.xdev.api import How, Lock, Read, Write
from mubss.xdev.store import open_store

store = open_store(sys.argv[1])
name, turns = sys.argv[2], int(sys.argv[3])
store.run(lambda session: session.collection("t").count())
print("ready", flush=True)
sys.stdin.readline()

def work(session):
    ballast = [{"_id": f"{name}{k}", "pad": "x" * 500} for k in range(100)]
    for _ in range(turns):
        ((counter,),) = session.begin([Read("t", ["counter"], Lock.UPDATE)])
        n = counter["n"] + 1
        turn = {"_id": f"{n:08}", "by": name}
        session.finish([
            Write("t", [{"_id": "counter", "n": n}]), Write("turns", [turn], How.ADD), Write("ballast", ballast)
        ])

store.run(work)
"""


def test_no_update_is_lost_between_processes_and_each_has_its_share(store_url: str, bench: Bench) -> None:
    turns = 100
    for name in ("turns", "ballast"):
        bench.store.run(lambda session, name=name: session.create_collection(name))
    bench.add({"_id": "counter", "n": 0})
    writers = [start(COUNTER, store_url, name, str(turns)) for name in "abc"]
    try:
        assert [line(writer) for writer in writers] == ["ready"] * 3
        for writer in writers:
            say(writer)
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    finally:
        end(writers)
    assert bench.get("counter") == {"_id": "counter", "n": 3 * turns}
    order = "".join(doc["by"] for doc in Bench(bench.store, "turns").all())
    assert sorted(order) == sorted("abc" * turns)
    # When the first is done the others are well on their way; SQLite's busy handler alone lets one finish first.
    until_one_is_done = order[: min(order.rindex(name) for name in "abc")]
    shares = [until_one_is_done.count(name) for name in "abc"]
    assert min(shares) >= turns // 3, f"{shares} of {turns} turns"


HOLDER = """
import sys
from mubss.xdev.api import Lock, Read
from mubss.xdev.store import open_store

def work(session):
    session.begin([Read("t", ["a"], Lock.UPDATE)])
    session.collection("t").put_many([{"_id": "a", "n": 666}, {"_id": "half"}])
    print("holding", flush=True)
    sys.stdin.readline()

open_store(sys.argv[1]).run(work)
"""


def test_a_process_killed_in_a_transaction_blocks_nobody(store_url: str, bench: Bench) -> None:
    bench.add({"_id": "a", "n": 1})
    holder = start(HOLDER, store_url)
    try:
        assert line(holder) == "holding"
        assert bench.get("a") == {"_id": "a", "n": 1}
        holder.kill()
        holder.wait(10)
        bench.call("put_many", [{"_id": "b"}])
    finally:
        end([holder])
    assert bench.all() == [{"_id": "a", "n": 1}, {"_id": "b"}]


def test_a_forked_child_opens_its_own_connections(bench: Bench) -> None:
    """The parent forks within a unit of work, with a transaction open: the child can use the store all the same."""
    store = bench.store
    bench.add({"_id": "a", "n": 1})

    def child(session: Session) -> int:
        try:
            try:
                session.collection("t").count()  # the parent's connection
            except Exception:
                pass
            else:
                return 2
            if store.run(lambda own: own.collection("t").get_one("a")) != {"_id": "a", "n": 1}:
                return 3
            return 0
        except BaseException:
            return 4

    def work(session: Session) -> int:
        session.begin([Read("t", ["a"], Lock.UPDATE)])
        session.collection("t").put_many([{"_id": "a", "n": 2}])
        pid = os.fork()
        if pid == 0:
            os._exit(child(session))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        session.finish([Write("t", [{"_id": "b"}], How.ADD)])
        return status

    assert store.run(work) == 0
    assert bench.all() == [{"_id": "a", "n": 2}, {"_id": "b"}]


def test_a_forked_child_writes_beside_its_parent(bench: Bench) -> None:
    store = bench.store
    bench.add({"_id": "parent"})
    pid = os.fork()
    if pid == 0:
        try:
            for n in range(20):
                store.run(lambda session, n=n: session.collection("t").add({"_id": f"child{n}"}))
            os._exit(0)
        finally:
            os._exit(1)
    for n in range(20):
        bench.add({"_id": f"parent{n}"})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert bench.call("count") == 41


@pytest.mark.parametrize("count", [2])
def test_first_openers_at_the_same_time(store_url: str, count: int) -> None:
    """An empty store opened by several at once is made by one of them, without an error."""
    code = """
import sys
from mubss.xdev.store import open_store
print("ready", flush=True)
sys.stdin.readline()
store = open_store(sys.argv[1])
store.run(lambda session: session.create_collection("t").add({"by": sys.argv[2]}))
"""
    openers = [start(code, store_url, str(n)) for n in range(count)]
    try:
        assert [line(opener) for opener in openers] == ["ready"] * count
        for opener in openers:
            say(opener)
        assert [opener.wait(30) for opener in openers] == [0] * count
    finally:
        end(openers)
    opened: Store = open_store(store_url)
    assert Bench(opened, "t").call("count") == count
    opened.close()
