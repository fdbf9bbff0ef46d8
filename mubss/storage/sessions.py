"""`gy_sessions`: the way from a Session-Id to its account, and when to look at it again."""

from __future__ import annotations

from mubss.xdev.api import Doc, Session, Store

COLLECTION, ACCOUNTS = "gy_sessions", "accounts"
MAX_ID = 32


def due(store: Store, now_s: int, limit: int) -> list[Doc]:
    """Records whose time has come, the earliest first."""
    return store.run(
        lambda session: (
            session.collection(COLLECTION).find("due_s <= :now").sort("due_s").limit(limit).bind("now", now_s).execute()
        )
    )


def count_open(store: Store) -> int:
    """How many sessions are open; looks at every record of the last day."""
    return store.run(lambda session: session.collection(COLLECTION).find("$.open = true").count())


def forget(store: Store, ids: list[str], now_s: int, match_s: int = 0) -> None:
    """Removes ended sessions' records, unless one has come back to life meanwhile.

    With `match_s` a session's first loses its history alone, and is there for so long that its CDRs can be matched.
    """

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(COLLECTION)
            docs = collection.get_many(ids, for_update=True)
            gone = [doc for doc in docs if doc is not None and not doc["open"] and doc["due_s"] <= now_s]
            kept = [doc for doc in gone if match_s and doc["seen"]]
            collection.put_many([{**doc, "due_s": now_s + match_s, "seen": [], "outcomes": []} for doc in kept])
            collection.remove_many([doc["_id"] for doc in gone if doc not in kept])

    store.run(work)


def postpone(store: Store, due_s: dict[str, int]) -> None:
    """Sets when to look at open sessions again."""

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(COLLECTION)
            docs = collection.get_many(list(due_s), for_update=True)
            collection.put_many(
                [{**doc, "due_s": due_s[doc["_id"]]} for doc in docs if doc is not None and doc["open"]]
            )

    store.run(work)


def get(store: Store, key: str) -> Doc | None:
    """One record, by the hash of its Session-Id."""
    return store.run(lambda session: session.collection(COLLECTION).get_one(key))


def account_of(store: Store, record: Doc) -> Doc | None:
    """The account that a session is in, to look at."""
    return store.run(lambda session: session.collection(ACCOUNTS).get_one(record["account"]))


def page_open(store: Store, after: str, limit: int) -> list[tuple[Doc, Doc | None]]:
    """Open sessions' records with their accounts, in the order of their hashes behind `after`."""

    def work(session: Session) -> list[tuple[Doc, Doc | None]]:
        found = (
            session.collection(COLLECTION)
            .find("$.open = true AND _id > :after")
            .sort("_id")
            .limit(limit)
            .bind("after", after)
            .execute()
        )
        wanted = sorted({record["account"] for record in found})
        accounts = dict(zip(wanted, session.collection(ACCOUNTS).get_many(wanted), strict=True))
        return [(record, accounts[record["account"]]) for record in found]

    return store.run(work)
