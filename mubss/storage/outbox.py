"""`outbox`: what the clients of sessions must be told, until they have answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mubss.xdev.api import Doc, Session, Store

COLLECTION, ACCOUNTS = "outbox", "accounts"


def due(store: Store, peers: Sequence[str], now_ms: int, limit: int) -> list[Doc]:
    """Entries for these connections (Origin-Hosts in small letters) whose time has come, the earliest first."""
    if not peers:
        return []
    names = {f"peer{number}": peer for number, peer in enumerate(peers)}
    condition = f"peer IN ({', '.join(':' + name for name in names)}) AND due_ms <= :now"
    return store.run(
        lambda session: (
            session.collection(COLLECTION)
            .find(condition)
            .sort("due_ms")
            .limit(limit)
            .bind({**names, "now": now_ms})
            .execute()
        )
    )


def count(store: Store, state: str) -> int:
    """How many entries are in a state; looks at every one that is kept."""
    return store.run(
        lambda session: session.collection(COLLECTION).find("$.state = :state").bind("state", state).count()
    )


def change(store: Store, ids: Sequence[str], decide: Callable[[Doc, Doc | None], Doc]) -> None:
    """Puts `decide(entry, its account)` in place of each entry, in one transaction; accounts are only looked at."""

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(COLLECTION)
            entries = [doc for doc in collection.get_many(sorted(ids), for_update=True) if doc is not None]
            wanted = sorted({entry["account"] for entry in entries})
            accounts = dict(zip(wanted, session.collection(ACCOUNTS).get_many(wanted), strict=True))
            changed = [(entry, decide(entry, accounts[entry["account"]])) for entry in entries]
            collection.put_many([after for before, after in changed if after is not before])

    store.run(work)


def get(store: Store, ids: Sequence[str]) -> list[Doc]:
    """Those of the entries that there are."""
    found = store.run(lambda session: session.collection(COLLECTION).get_many(ids))
    return [doc for doc in found if doc is not None]


def forget(store: Store, before_s: int, limit: int) -> int:
    """Removes up to `limit` entries made before then, whatever became of them; how many."""

    def work(session: Session) -> int:
        collection = session.collection(COLLECTION)
        found = collection.find("made_s < :before").fields("_id").limit(limit).bind("before", before_s).execute()
        return collection.remove_many([doc["_id"] for doc in found])

    return store.run(work)
