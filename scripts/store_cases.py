"""What `scripts/bench store` measures: accounts of 1 KB read and written, postings of 200 bytes added, in sets."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from mubss.core.identity import ordered_id
from mubss.xdev.api import Doc, How, Lock, Read, Session, Store, Write

ACCOUNTS = 100_000
SECONDS_A_CASE = 0.7
BATCH = 64
USAGE = 16
COLLECTIONS = ("bench_accounts", "bench_postings", "bench_usage")

Work = Callable[[Session], object]


class Measured(NamedTuple):
    """Rounds done, seconds and this thread's CPU seconds within them, and the rounds' own seconds, sorted."""

    count: int
    wall_s: float
    cpu_s: float
    rounds_s: list[float]


class World:
    """A store with its accounts, and documents to write to it."""

    def __init__(self, store: Store, accounts: int = ACCOUNTS, case_s: float = SECONDS_A_CASE) -> None:
        self.store = store
        self.case_s = case_s
        self.chance = random.Random(1)
        self.ids = [ordered_id(1_700_000_000_000 + n, self.chance.getrandbits(50)) for n in range(accounts)]
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
            for start in range(0, len(self.ids), 1000):
                docs = self.accounts(self.ids[start : start + 1000])
                session.collection("bench_accounts").put_many(docs)

        self.store.run(work)

    def clear(self) -> None:
        """Drops the collections."""

        def work(session: Session) -> None:
            for name in COLLECTIONS:
                session.drop_collection(name)

        self.store.run(work)


def measure(run: Callable[[Work], object], prepare: Callable[[], Work], case_s: float) -> Measured:
    """Rounds of `run` for a while; what `prepare` does isn't counted."""
    rounds: list[float] = []
    wall = cpu = 0.0
    while wall < case_s:
        work = prepare()
        cpu_before, before = time.thread_time(), time.perf_counter()
        run(work)
        took = time.perf_counter() - before
        cpu += time.thread_time() - cpu_before
        wall += took
        rounds.append(took)
    return Measured(len(rounds), wall, cpu, sorted(rounds))


def sets(world: World, size: int) -> dict[str, Callable[[], Work]]:
    """The set operations on `size` documents, each as a transaction."""

    def read() -> Work:
        ids = world.some_ids(size)

        def work(session: Session) -> None:
            session.begin([Read("bench_accounts", ids, Lock.UPDATE)])
            session.finish([])

        return work

    def put() -> Work:
        docs = world.accounts(world.some_ids(size))
        return lambda session: session.collection("bench_accounts").put_many(docs)

    def add() -> Work:
        docs = world.postings(world.some_ids(size))
        return lambda session: session.collection("bench_postings").add_many(docs)

    return {"get_many": read, "put_many": put, "add_many": add}


def charging_round(world: World) -> Callable[[], Work]:
    """A batch as charging has it: 64 accounts read and written, 64 postings and 16 usage records added."""

    def prepare() -> Work:
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
