#!/usr/bin/env python3
"""Measures a document store: `scripts/bench store [--store URL]`.

Every write is a durable transaction. "beside a busy thread" runs a thread of pure Python next to it, the worst that an
event loop can be: what costs there is how often the store gives the GIL up. Figures are of this machine, at this load.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mubss.core.identity import ordered_id
from mubss.xdev.api import Doc, How, Lock, Read, Session, Store, Write
from mubss.xdev.store import open_store

ACCOUNTS = 100_000
SIZES = (1, 8, 32, 128)
SECONDS_A_CASE = 0.7
BATCH = 64
USAGE = 16
COLLECTIONS = ("bench_accounts", "bench_postings", "bench_usage")


class World:
    """A store with its accounts, and documents to write to it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chance = random.Random(1)
        self.ids = [ordered_id(1_700_000_000_000 + n, self.chance.getrandbits(50)) for n in range(ACCOUNTS)]
        self.pad = "x" * 850
        self.sequence = 0

    def some_ids(self, count: int) -> list[str]:
        return self.chance.sample(self.ids, count)

    def accounts(self, ids: list[str]) -> list[Doc]:
        """Documents of about 1 KB."""
        return [
            {
                "_id": account_id,
                "plan": "demo-prepaid",
                "balance_micros": self.chance.getrandbits(40),
                "sessions": {"a": [1, 2, 3]},
                "pad": self.pad,
            }
            for account_id in ids
        ]

    def postings(self, ids: list[str]) -> list[Doc]:
        """Documents of about 200 bytes; ids sort by account, then by sequence."""
        self.sequence += 1
        return [
            {
                "_id": f"{account_id}{self.sequence:012x}",
                "account": account_id,
                "cause": "session",
                "bucket": "main",
                "amount_micros": -20_000,
                "balance_after_micros": 123_456_789,
                "at_s": 1_700_000_000,
            }
            for account_id in ids
        ]

    def fill(self) -> None:
        """Makes the collections and the accounts."""

        def work(session: Session) -> None:
            for name in COLLECTIONS:
                session.drop_collection(name)
                session.create_collection(name)
            for start in range(0, ACCOUNTS, 1000):
                docs = self.accounts(self.ids[start : start + 1000])
                session.collection("bench_accounts").put_many(docs)

        self.store.run(work)


@contextmanager
def busy_thread(wanted: bool) -> Iterator[None]:
    """A thread that does nothing but compute."""
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute, daemon=True)
    if wanted:
        thread.start()
    yield
    ended.set()
    if wanted:
        thread.join()


def measure(store: Store, prepare: Callable[[], Callable[[Session], object]]) -> tuple[int, float, float, list[float]]:
    """Rounds done, seconds and this thread's CPU seconds within them, and the rounds' own seconds, sorted."""
    rounds: list[float] = []
    wall = cpu = 0.0
    while wall < SECONDS_A_CASE:
        work = prepare()
        cpu_before, before = time.thread_time(), time.perf_counter()
        store.run(work)
        took = time.perf_counter() - before
        cpu += time.thread_time() - cpu_before
        wall += took
        rounds.append(took)
    return len(rounds), wall, cpu, sorted(rounds)


def sets(world: World, size: int) -> dict[str, Callable[[], Callable[[Session], object]]]:
    """The set operations on `size` documents, each as a transaction."""

    def read() -> Callable[[Session], object]:
        ids = world.some_ids(size)

        def work(session: Session) -> None:
            session.begin([Read("bench_accounts", ids, Lock.UPDATE)])
            session.finish([])

        return work

    def put() -> Callable[[Session], object]:
        docs = world.accounts(world.some_ids(size))
        return lambda session: session.collection("bench_accounts").put_many(docs)

    def add() -> Callable[[Session], object]:
        docs = world.postings(world.some_ids(size))
        return lambda session: session.collection("bench_postings").add_many(docs)

    return {"get_many": read, "put_many": put, "add_many": add}


def charging_round(world: World) -> Callable[[], Callable[[Session], object]]:
    """A batch as charging has it: 64 accounts read and written, 64 postings and 16 usage records added."""

    def prepare() -> Callable[[Session], object]:
        ids = world.some_ids(BATCH)
        accounts, postings = world.accounts(ids), world.postings(ids)

        def work(session: Session) -> None:
            session.begin([Read("bench_accounts", ids, Lock.UPDATE)])
            session.finish(
                [
                    Write("bench_accounts", accounts),
                    Write("bench_postings", postings, How.ADD),
                    Write("bench_usage", postings[:USAGE], How.ADD),
                ]
            )

        return work

    return prepare


def run(world: World) -> None:
    """Prints every case, alone and beside a busy thread."""
    print(f"{'':34}{'documents/s':>12}{'µs/doc':>9}{'CPU µs/doc':>12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for beside in (False, True):
        print("beside a busy thread:" if beside else "alone:")
        with busy_thread(beside):
            for size in SIZES:
                for name, prepare in sets(world, size).items():
                    report(f"  {name}, {size} a transaction", size, measure(world.store, prepare))
            written = BATCH + BATCH + USAGE
            report(
                f"  charging round, {BATCH} + {written}", BATCH + written, measure(world.store, charging_round(world))
            )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory of this process: {peak_mb} MB ({ACCOUNTS:,} ids among it)")


def report(name: str, documents: int, measured: tuple[int, float, float, list[float]]) -> None:
    """One row."""
    count, wall, cpu, rounds = measured
    total = count * documents
    p50, p99 = rounds[count // 2], rounds[min(count - 1, count * 99 // 100)]
    print(
        f"{name:34}{total / wall:12,.0f}{wall / total * 1e6:9.1f}{cpu / total * 1e6:12.1f}"
        f"{p50 * 1e3:9.2f}{p99 * 1e3:9.2f}{rounds[-1] * 1e3:9.2f}"
    )


def main() -> None:
    """Measures on a store of its own unless one is named; it makes and drops collections bench_*."""
    parser = argparse.ArgumentParser(prog="bench store", description=__doc__)
    parser.add_argument("--store", metavar="URL", help="by default an SQLite file in a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir=".") as folder:
        store = open_store(arguments.store or f"sqlite:///{folder}/store.db")
        world = World(store)
        world.fill()
        run(world)

        def clean(session: Session) -> None:
            for name in COLLECTIONS:
                session.drop_collection(name)

        store.run(clean)
        store.close()


if __name__ == "__main__":
    main()
