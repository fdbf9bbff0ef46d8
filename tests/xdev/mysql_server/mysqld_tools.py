"""What the tests on a real server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from mubss.xdev.api import Doc, How, Lock, Read, Session, Store, Write

WAIT_S = 20  # for what must come; only a failing test takes so long


class Bench:
    """The collection `t` of a store; each method is a unit of work."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, *docs: Doc) -> None:
        self.store.run(lambda session: session.collection("t").put_many(list(docs)))

    def ids(self) -> list[str]:
        docs: list[Doc] = self.store.run(lambda session: session.collection("t").scan(limit=100_000))
        return [doc["_id"] for doc in docs]

    def get(self, document_id: str) -> Doc | None:
        return self.store.run(lambda session: session.collection("t").get_one(document_id))

    def charge(self, *writes: Write, locked: tuple[str, ...] = (), lock: Lock = Lock.UPDATE) -> list[list[Doc]]:
        """A transaction as charging has it: reads under lock in one exchange, writes and COMMIT in another."""

        def work(session: Session) -> list[list[Doc]]:
            found = session.begin([Read("t", locked, lock)] if locked else [])
            session.finish(writes)
            return found

        return self.store.run(work)


def adds(*ids: str) -> Write:
    """The writing of new documents."""
    return Write("t", [{"_id": one} for one in ids], How.ADD)


class Transaction:
    """A transaction in a thread of its own, which holds what it has locked until it is told to end."""

    def __init__(self, store: Store, *locked: str) -> None:
        self.error: Exception | None = None
        self._held, self._next = Event(), Event()
        self._more: Callable[[Session], Any] | None = None
        self._thread = Thread(target=self._run, args=(store, locked))
        self._thread.start()
        assert self._held.wait(WAIT_S)

    def _run(self, store: Store, locked: tuple[str, ...]) -> None:
        def work(session: Session) -> None:
            session.begin([Read("t", locked, Lock.UPDATE)])
            self._held.set()
            assert self._next.wait(WAIT_S)
            if self._more is not None:
                self._more(session)
            session.finish([])

        try:
            store.run(work)
        except Exception as error:
            self.error = error

    def go_on(self, more: Callable[[Session], Any] | None = None) -> None:
        """It does what more it is told, and commits."""
        self._more = more
        self._next.set()

    def join(self) -> None:
        """Waits for its end."""
        self.go_on(self._more)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


def until(what: Callable[[], Any]) -> Any:
    """What `what` gives, as soon as it gives anything."""
    end = time.monotonic() + WAIT_S
    while True:
        if found := what():
            return found
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
