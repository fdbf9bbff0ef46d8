"""`gy_peers`: the connections of every mubss-gy, as each process said of its own last."""

from __future__ import annotations

from collections.abc import Sequence

from mubss.xdev.api import Doc, Session, Store

COLLECTION = "gy_peers"
MAX_PEERS = 10_000  # that are looked at


def note(store: Store, there: Sequence[Doc], gone: Sequence[str]) -> None:
    """Writes down a process's connections, and takes out those that it no longer has."""

    def work(session: Session) -> None:
        collection = session.collection(COLLECTION)
        if there:
            collection.put_many(there)
        if gone:
            collection.remove_many(gone)

    store.run(work)


def all_of(store: Store) -> list[Doc]:
    """Every connection that was noted, dead processes' too."""
    return store.run(lambda session: session.collection(COLLECTION).scan(limit=MAX_PEERS))
