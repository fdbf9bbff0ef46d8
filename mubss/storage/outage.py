"""`outage_records`: what became of each request that was answered while the store was away. Never money itself."""

from __future__ import annotations

from collections.abc import Iterator

from mubss.xdev.api import Doc, Session, Store

COLLECTION = "outage_records"
PAGE = 500


def scan(store: Store) -> Iterator[Doc]:
    """All of them, journal by journal, in their order."""
    after = ""
    while True:
        page = store.run(lambda session, last=after: session.collection(COLLECTION).scan(after=last, limit=PAGE))  # type: ignore[misc]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["_id"]


def missing(store: Store, ids: list[str]) -> set[str]:
    """Those that aren't there."""
    found = store.run(lambda session: session.collection(COLLECTION).get_many(ids))
    return set(ids) - {doc["_id"] for doc in found if doc is not None}


def put(store: Store, docs: list[Doc]) -> None:
    """Writes documents whose request moved nothing."""

    def work(session: Session) -> None:
        with session.transaction():
            session.collection(COLLECTION).put_many(docs)

    store.run(work)
