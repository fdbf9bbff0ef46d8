"""Forward migrations of the store: numbered steps, one process at a time, each taken up where a kill left it.

A step brings the store from the version before to its own. What it does is idempotent, in batches of their own
transactions: on SQLite others' charges wait for such a one, so it is kept under 20 ms. Where a step is, and who does it
until when (a lease), is in the document `migration` of `meta`, changed in the same transaction as the batch. So one
that lost its lease, asleep for too long, can't write a batch any more.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from mubss.core.errors import Busy
from mubss.services.stores import newer, place
from mubss.storage.database import (
    COLLECTIONS,
    META,
    SCHEMA,
    SCHEMA_VERSION,
    Doc,
    Schema,
    Session,
    Store,
    StoreUnavailable,
    read_schema,
)

MIGRATION = "migration"  # its _id in META
LEASE_SECONDS = 60  # renewed with every batch
FIRST_BATCH, LAST_BATCH = 16, 512  # documents
SHORT_NS, LONG_NS = 4_000_000, 10_000_000  # of a batch: below it the next is larger, above it smaller

Change = Callable[[Doc], Doc | None]


class Step(NamedTuple):
    """`adds_only`: programs of the version before may go on beside it, since what they know stays as it is."""

    version: int
    title: str
    adds_only: bool
    work: Callable[[Run], None]


class Run:
    """One process's work on a store's migrations; `clock_s` gives UTC seconds."""

    def __init__(self, store: Store, clock_s: Callable[[], int]) -> None:
        self.store = store
        self._clock_s = clock_s
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def take(self) -> None:
        """The lease; Busy while another process has it."""

        def work(session: Session) -> None:
            with session.transaction():
                meta = session.collection(META)
                [state] = meta.get_many([MIGRATION], for_update=True)
                state = state or {"_id": MIGRATION, "places": {}}
                left_s = int(state.get("until_s", 0)) - self._clock_s()
                if state.get("owner") and left_s > 0:
                    raise Busy(f"{state['owner']} migrates this store; should it have ended, wait for {left_s} s")
                meta.put_many([self._renewed(state)])

        self.store.run(work)

    def beat(self) -> None:
        """The lease is renewed; Busy where it is another's by now."""

        def work(session: Session) -> None:
            with session.transaction():
                session.collection(META).put_many([self._renewed(self._mine(session))])

        self.store.run(work)

    def walk(self, collection: str, change: Change) -> None:
        """Each document of a collection as `change` makes it (None: as it is), from where the last run came to."""
        size, done = FIRST_BATCH, False
        while not done:
            before_ns = time.monotonic_ns()
            done = self.store.run(partial(self._batch, collection, change, size))
            took_ns = time.monotonic_ns() - before_ns
            if took_ns > LONG_NS:
                size = max(1, size // 2)
            elif took_ns < SHORT_NS:
                size = min(LAST_BATCH, size * 2)

    def _batch(self, name: str, change: Change, size: int, session: Session) -> bool:
        with session.transaction():
            state = self._mine(session)
            at = state["places"].get(name, {"after": "", "done": False})
            if at["done"]:
                return True
            collection = session.collection(name)
            ids = [doc["_id"] for doc in collection.scan(after=at["after"], limit=size)]
            docs = collection.get_many(ids, for_update=True)
            made = [(doc, change(dict(doc))) for doc in docs if doc is not None]
            if changed := [new for old, new in made if new is not None and new != old]:
                collection.put_many(changed)
            done = len(ids) < size
            state["places"][name] = {"after": ids[-1] if ids else at["after"], "done": done}
            session.collection(META).put_many([self._renewed(state)])
        return done

    def finish(self, step: Step) -> None:
        """The store is of the step's version now."""

        def work(session: Session) -> None:
            with session.transaction():
                state = self._mine(session)
                reader = step.version - 1 if step.adds_only else step.version
                schema = {"_id": SCHEMA, "version": step.version, "least_reader": reader}
                session.collection(META).put_many([schema, {**self._renewed(state), "places": {}}])

        self.store.run(work)

    def leave(self) -> None:
        """Others may go on at once; what is done of a step stays noted."""

        def work(session: Session) -> None:
            with session.transaction():
                session.collection(META).put_many([{**self._mine(session), "owner": "", "until_s": 0}])

        self.store.run(work)

    def _mine(self, session: Session) -> Doc:
        [state] = session.collection(META).get_many([MIGRATION], for_update=True)
        if state is None or state.get("owner") != self._owner:
            raise Busy("the lease of this migration ran out, and another process has it")
        return state

    def _renewed(self, state: Doc) -> Doc:
        return {**state, "owner": self._owner, "until_s": self._clock_s() + LEASE_SECONDS}


def _add_collections(run: Run) -> None:
    """One by one: an index over many documents is a transaction of its own, which no batches can shorten."""
    for name, indexes in COLLECTIONS.items():
        run.beat()
        run.store.run(lambda session, one={name: indexes}: session.create_collections(one))  # type: ignore[misc]


STEPS: tuple[Step, ...] = (
    Step(2, "collections and indexes that stores of version 1 may lack", adds_only=True, work=_add_collections),
)


def pending(store: Store, steps: Sequence[Step] = STEPS) -> tuple[Schema, list[Step]]:
    """What the store is, and the steps that it lacks; StoreUnavailable where it is no older one."""
    schema = read_schema(store)
    if not isinstance(schema.version, int):
        raise StoreUnavailable(f"{place(store.url)}: its schema is version {schema.version}; expected a number")
    last = steps[-1].version if steps else SCHEMA_VERSION
    if schema.version > last:
        raise StoreUnavailable(newer(store.url, schema, last))
    return schema, [step for step in steps if step.version > schema.version]


def migrate(store: Store, clock_s: Callable[[], int], steps: Sequence[Step] = STEPS) -> list[Step]:
    """Does what is pending; the steps that were done. Busy where another process does it."""
    if not pending(store, steps)[1]:
        return []
    run = Run(store, clock_s)
    run.take()
    try:
        done = pending(store, steps)[1]  # another one may have done some meanwhile
        for step in done:
            step.work(run)
            run.finish(step)
    finally:
        with suppress(Busy):  # it is another's: nothing to leave
            run.leave()
    return done
