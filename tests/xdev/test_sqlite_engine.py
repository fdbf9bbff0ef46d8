"""What is SQLite's alone: the pool, indexes that are really used, faults of the file, checkpoints, gevent."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mubss.xdev.api import How, Read, Session, Write
from mubss.xdev.errors import StoreConflict, StoreError, StoreUnavailable
from mubss.xdev.sqlite import connection
from mubss.xdev.sqlite.checkpoint import START_OVER_PAGES, about_pages, checkpoint, preallocate
from mubss.xdev.sqlite.connection import Connection
from mubss.xdev.sqlite.engine import SqliteStore
from mubss.xdev.sqlite.turnstile import Turnstile
from mubss.xdev.store import open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    opened = open_store(f"sqlite:///{file}?busy_timeout_ms=200")
    assert isinstance(opened, SqliteStore)
    opened.run(lambda session: session.create_collection("t"))
    yield opened
    opened.close()


def put(store: SqliteStore, *docs: Any) -> None:
    store.run(lambda session: session.collection("t").put_many(docs))


INDEXED = {
    "$.plan = 'x'": True,
    "$.plan = :v": True,
    "'x' = $.plan": True,
    "$.plan IN ('x', 'y', 3)": True,
    "$.plan > 'x' AND $.plan <= 'y'": True,
    "$.plan BETWEEN 1 AND 2": True,
    "$.plan IS NULL": True,
    "$.plan = true": True,
    "$.plan = 'x' AND $.other = 1": True,
    "$.plan != 'x'": False,
    "$.other = 1": False,
    "upper($.plan) = 'X'": False,
    "$._id = 'x'": True,
    "$._id IN ('x', :v)": True,
    "$._id > 'x'": True,
}


def test_queries_use_the_indexes(store: SqliteStore) -> None:
    """The SQL of a condition is made of the very expression that the index is over, or SQLite reads every document."""

    def work(session: Session) -> None:
        t = session.collection("t")
        t.create_index("by_plan", ["$.plan", "$.state"])
        plans: list[str] = []
        link = session.link  # type: ignore[attr-defined]
        execute = link.execute

        def explained(sql: str, values: Any = ()) -> Any:
            plans.append(" ".join(row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", values)))
            return execute(sql, values)

        link.execute = explained
        try:
            for condition, used in INDEXED.items():
                statement = t.find(condition)
                (statement.bind("v", "x") if ":v" in condition else statement).execute()
                assert (condition, "SEARCH t USING" in plans[-1]) == (condition, used), plans[-1]
            t.find("$.plan = 'x'").sort("$.state").execute()
            assert "USE TEMP B-TREE" not in plans[-1]
            t.find().sort("$.plan").limit(1).execute()
            assert "USE TEMP B-TREE" not in plans[-1]
            t.find().sort("_id").limit(1).execute()
            assert "USE TEMP B-TREE" not in plans[-1]
            for read in (lambda: t.get_many(["a", "b"]), lambda: t.scan(after="a", until="b")):
                read()
                assert "SEARCH t USING INDEX" in plans[-1]
        finally:
            del link.execute

    store.run(work)


def test_connections_are_lent_again_and_apart(store: SqliteStore) -> None:
    links: list[Any] = []
    for _ in range(3):
        store.run(lambda session: links.append(session.link))  # type: ignore[attr-defined]
    assert len(set(links)) == 1

    def nested(session: Session) -> None:
        links.append(session.link)  # type: ignore[attr-defined]
        store.run(lambda inner: links.append(inner.link))  # type: ignore[attr-defined]

    store.run(nested)
    assert len(set(links)) == 2


def test_many_threads_lose_no_update(file: Path) -> None:
    store = open_store(f"sqlite:///{file}")
    store.run(lambda session: session.create_collection("t").add({"_id": "a", "n": 0}))

    def count(session: Session) -> None:
        ((doc,),) = session.begin([Read("t", ["a"])])
        session.finish([Write("t", [{"_id": "a", "n": doc["n"] + 1}])])

    def work() -> None:
        for _ in range(25):
            store.run(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.run(lambda session: session.collection("t").get_one("a")) == {"_id": "a", "n": 100}
    store.close()


def test_a_writer_that_waits_too_long_is_told(store: SqliteStore, file: Path) -> None:
    other = Turnstile(str(file), 1000)
    other.acquire()
    with pytest.raises(StoreConflict, match="no turn to write within 200 ms"):
        put(store, {"_id": "a"})
    other.release()
    put(store, {"_id": "a"})
    other.close()


def test_an_outside_tool_that_holds_the_lock_is_named(store: SqliteStore, file: Path) -> None:
    outside = sqlite3.connect(file, isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreConflict, match="another program holds the write lock"):
        put(store, {"_id": "a"})
    assert store.run(lambda session: session.collection("t").count()) == 0
    outside.execute("ROLLBACK")
    outside.close()
    put(store, {"_id": "a"})


def test_a_stopped_process_costs_the_others_no_more_than_the_bound(store: SqliteStore, file: Path) -> None:
    code = (
        "import sys\nfrom mubss.xdev.sqlite.turnstile import Turnstile\n"
        "turnstile = Turnstile(sys.argv[1], 1000)\nturnstile.acquire()\n"
        "print('held', flush=True)\nsys.stdin.readline()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreConflict):
            put(store, {"_id": "a"})
        holder.kill()
        holder.wait(10)
        put(store, {"_id": "a"})


def test_the_turnstile_lets_in_who_waits_first(file: Path) -> None:
    """The one that let go can't come back before one that already queues."""
    first, second, third = (Turnstile(str(file), 100) for _ in range(3))
    first.acquire()
    assert second._try(second._next)  # what `acquire` does before it waits for `main`
    with pytest.raises(StoreConflict):
        third.acquire()
    first.release()
    with pytest.raises(StoreConflict):
        first.acquire()
    assert second._try(second._main)
    second._unlock(second._next)
    second.release()
    first.acquire()
    for turnstile in (first, second, third):
        turnstile.close()


def broken(path: Path) -> str:
    store = open_store(f"sqlite:///{path}?busy_timeout_ms=100")
    with pytest.raises(StoreError) as caught:
        store.run(lambda session: session.create_collection("t").add({"_id": "a"}))
    store.close()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, StoreUnavailable), caught.value
    return str(caught.value)


def test_faults_of_the_file_are_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "store.db"
    assert f"{missing}: there is no folder {missing.parent}" in broken(missing)
    assert not missing.parent.exists()
    text = tmp_path / "text.db"
    text.write_text("This is no database.\n" * 100)
    assert f"{text}: it is not an SQLite database" in broken(text)
    assert sorted(tmp_path.iterdir()) == [text]  # nothing was left beside it
    folder = tmp_path / "folder.db"
    folder.mkdir()
    assert f"{folder}: it can't be opened" in broken(folder)
    damaged = tmp_path / "damaged.db"
    link = sqlite3.connect(damaged)
    link.execute("CREATE TABLE x (y)")
    link.executemany("INSERT INTO x VALUES (?)", [("x" * 500,)] * 100)
    link.commit()
    link.close()
    content = bytearray(damaged.read_bytes())
    content[100:4096] = os.urandom(3996)
    damaged.write_bytes(content)
    assert f"{damaged}: it is damaged" in broken(damaged)


def test_a_full_disk_leaves_nothing_of_the_set_that_did_not_fit(store: SqliteStore, file: Path) -> None:
    put(store, {"_id": "a", "n": 1})

    def work(session: Session) -> None:
        session.link.execute("PRAGMA max_page_count = 100")  # type: ignore[attr-defined]
        session.begin([])
        t = session.collection("t")
        t.put_many([{"_id": "a", "n": 2}])
        with pytest.raises(StoreUnavailable, match=f"{file}: the disk is full"):
            t.put_many([{"_id": f"{n}", "pad": "x" * 1000} for n in range(1000)])
        assert t.count() == 1
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            session.finish([Write("t", [{"_id": f"{n}", "pad": "x" * 1000} for n in range(1000)])])

    store.run(work)
    assert store.run(lambda session: session.collection("t").scan()) == [{"_id": "a", "n": 1}]
    put(store, {"_id": "b"})


def test_a_transaction_that_sqlite_gave_up_takes_no_more_statements(store: SqliteStore) -> None:
    def work(session: Session) -> None:
        link = session.link  # type: ignore[attr-defined]
        with pytest.raises(StoreError), session.transaction():
            link._link.execute("ROLLBACK")  # as SQLite does by itself after some errors
            session.collection("t").put_many([{"_id": "alone"}])
        with pytest.raises(StoreError), session.transaction(), session.savepoint():
            link._link.execute("ROLLBACK")
            raise StoreError("whatever")

    store.run(work)
    assert store.run(lambda session: session.collection("t").count()) == 0
    put(store, {"_id": "a"})


NO_SPACE = """
import resource, signal, sys
from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.store import open_store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1])
store.run(lambda session: session.create_collection("t"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
n = 0
try:
    while n < 10_000:
        store.run(lambda session: session.collection("t").add({"_id": str(n), "pad": "x" * 2000}))
        n += 1
except StoreUnavailable as error:
    print(n, error)
"""


def test_a_file_that_can_not_grow(file: Path) -> None:
    """A real error of the file system, in the middle of commits: those before it stay."""
    command = [sys.executable, "-c", NO_SPACE, f"sqlite:///{file}"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    count, _, message = done.stdout.partition(" ")
    assert str(file) in message, done.stderr
    store = open_store(f"sqlite:///{file}")
    assert store.run(lambda session: session.collection("t").count()) == int(count) > 0
    store.close()


THRIFTY = """
import sys
from mubss.xdev.api import How, Write
from mubss.xdev.store import open_store

store = open_store(sys.argv[1])
store.run(lambda session: session.create_collection("t"))

def docs(kind):
    return [{"_id": f"{n:04}{kind}", "pad": "x" * 700} for n in range(0, 4000, 20)]

def work(session):
    session.begin([])
    session.finish([Write("t", docs("a"), How.ADD), Write("t", docs("a"))])  # pages that were there are changed

store.run(lambda session: session.collection("t").put_many([{"_id": f"{n:04}", "pad": ""} for n in range(4000)]))
store.run(work)
"""


def test_finish_writes_no_temporary_files(file: Path, tmp_path: Path) -> None:
    """Where a file is made and taken away again, its folder has another time of change."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    os.utime(folder, ns=(1, 1))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SQLITE_TMPDIR": str(folder)}
    subprocess.run([sys.executable, "-c", THRIFTY, f"sqlite:///{file}"], env=environment, check=True)
    assert folder.stat().st_mtime_ns == 1


def test_the_log_starts_over_and_stays_bounded(store: SqliteStore, file: Path) -> None:
    """A checkpoint leaves nothing in the log, and the next writer begins it anew."""
    store._checkpointing = True  # none beside this one
    link = Connection(str(file), busy_timeout_ms=1000, cache_kib=1024)
    for n in range(START_OVER_PAGES // 500 + 1):
        put(store, *({"_id": f"{k:03}", "n": n, "pad": "x" * 3000} for k in range(500)))
    log = Path(f"{file}-wal")
    checkpoint(link)
    before = log.stat().st_size
    put(store, {"_id": "after"})
    length, moved = link.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1:]
    assert length == moved < 20
    assert log.stat().st_size == before < 64 << 20
    link.close()


@pytest.mark.parametrize("count", [1, 16, 128])
def test_how_long_the_log_grows_is_known_well_enough(store: SqliteStore, file: Path, count: int) -> None:
    """Requests that change an account among 20,000 and add two rows: never many more pages than were reckoned."""
    store._checkpointing = True  # none beside this one
    put(store, *({"_id": f"{n:05}", "pad": "x" * 900} for n in range(20_000)))
    store.run(lambda session: session.create_collection("added"))
    link = Connection(str(file), busy_timeout_ms=1000, cache_kib=1024)
    chosen = random.Random(count)

    def length() -> int:
        return int(link.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])

    def charge(session: Session) -> None:
        accounts = [{"_id": f"{n:05}", "pad": "y" * 900} for n in chosen.sample(range(20_000), count)]
        added = [{"_id": f"{chosen.random()}", "pad": "z" * 300} for _ in range(2 * count)]
        session.begin([])
        session.finish([Write("t", accounts), Write("added", added, How.ADD)])

    store.run(charge)
    length()  # all of it is moved: the next one begins the log anew
    for _ in range(6):
        store.run(charge)
    assert 0.2 < length() / (6 * about_pages(3 * count)) < 1.3
    link.close()


def test_writes_without_a_pause_are_checkpointed_beside_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "AUTOCHECKPOINT_PAGES", 0)  # SQLite's own, within the commits
    store = open_store(f"sqlite:///{file}")
    store.run(lambda session: session.create_collection("t"))
    docs = [{"_id": f"{k:04}", "pad": "x" * 3000} for k in range(1000)]
    for n in range(60):  # 240 MB of log, were it never started over
        store.run(lambda session, n=n: session.collection("t").put_many([{**doc, "n": n} for doc in docs]))
    assert Path(f"{file}-wal").stat().st_size < 160 << 20
    store.close()


def test_the_log_gets_its_room_at_once_and_loses_nothing(store: SqliteStore, file: Path) -> None:
    put(store, {"_id": "a"})  # in the log
    log = Path(f"{file}-wal")
    before = log.read_bytes()
    preallocate(str(file))
    assert log.stat().st_size == 32 << 20
    assert log.read_bytes()[: len(before)] == before
    put(store, {"_id": "b"})
    copied = file.with_name("copy.db")  # as a machine that stopped here would leave it
    copied.write_bytes(file.read_bytes())
    file.with_name("copy.db-wal").write_bytes(log.read_bytes())
    again = open_store(f"sqlite:///{copied}")
    assert again.run(lambda session: session.collection("t").scan()) == [{"_id": "a"}, {"_id": "b"}]
    again.close()
    preallocate(str(file.with_name("nowhere.db")))


SPARING = """
import sys
from mubss.xdev.store import open_store
store = open_store(sys.argv[1])
store.run(lambda session: session.create_collection("t").create_index("by_n", ["$.n"]))
for n in range(200):
    docs = [{"_id": f"{n:03}{k:03}", "n": k, "pad": "x" * 900} for k in range(256)]
    store.run(lambda session: session.collection("t").put_many(docs))
store.run(lambda session: session.collection("t").find("$.n = 7").execute())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_process_stays_small(file: Path) -> None:
    """50,000 documents of 1 KB written: memory at the peak in KiB, Python and the parser included."""
    command = [sys.executable, "-c", SPARING, f"sqlite:///{file}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80_000


GREEN = """
from gevent import monkey
monkey.patch_all()
import sys, threading
import gevent
from gevent import get_hub
from mubss.xdev.api import Read, Write
from mubss.xdev.sqlite import engine
from mubss.xdev.store import open_store

get_ident = monkey.get_original("_thread", "get_ident")
checkpointed_in = []

def checkpoint(link, checkpoint=engine.checkpoint):
    checkpointed_in.append(get_ident())
    checkpoint(link)

engine.checkpoint = checkpoint
store = open_store(sys.argv[1], offload=lambda work: get_hub().threadpool.apply(work))
store.run(lambda session: session.create_collection("t").add({"_id": "a", "n": 0}))
ticks = 0

def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0.001)

def count(session):
    ((doc,),) = session.begin([Read("t", ["a"])])
    docs = [{"_id": f"{k}", "pad": "x" * 500} for k in range(200)]
    session.finish([Write("t", [{"_id": "a", "n": doc["n"] + 1}]), Write("t", docs)])

def work():
    for _ in range(20):
        store.run(count)

ticker = gevent.spawn(tick)
gevent.joinall([gevent.spawn(work) for _ in range(4)], raise_error=True)  # 16,000 rows: several checkpoints
assert store.run(lambda session: session.collection("t").find("$.n = :n").bind("n", 80).execute()) != []
for _ in range(1000):
    if checkpointed_in and not store._checkpointing:
        break
    gevent.sleep(0.005)
try:
    store.run(lambda session: session.collection("t").add({"_id": "a"}))
except Exception as error:
    print(type(error).__name__, ticks > 20, not ticker.dead, bool(checkpointed_in), get_ident() in checkpointed_in)
store.close()
"""


def test_it_works_under_gevent_and_never_blocks_the_hub(file: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", GREEN, f"sqlite:///{file}"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["DuplicateId", "True", "True", "True", "False"], "")
