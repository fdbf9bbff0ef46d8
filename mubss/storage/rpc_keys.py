"""`rpc_keys`: idempotency keys of the management interface, each with what its first call was answered."""

from __future__ import annotations

from mubss.xdev.api import Doc, Session, Store

KEYS = "rpc_keys"
PAGE = 1000


def get(store: Store, key: str) -> Doc | None:
    """What is known of a key."""
    return store.run(lambda session: session.collection(KEYS).get_one(key))


def forget(store: Store, before_s: int) -> int:
    """Removes keys of calls before a time; how many."""

    def page(session: Session) -> int:
        keys = session.collection(KEYS)
        found = keys.find("$.at_s < :before").fields("_id").limit(PAGE).bind("before", before_s).execute()
        return keys.remove_many([doc["_id"] for doc in found])

    forgotten = 0
    while count := store.run(page):
        forgotten += count
    return forgotten
