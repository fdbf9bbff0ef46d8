"""`notifications`: what subscribers are to be told. An entry commits with what caused it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from mubss.core.notice_kinds import Notice
from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.errors import DuplicateId

NOTIFICATIONS = "notifications"
NEW, SENT, DEAD, DROPPED, ACKNOWLEDGED = "new", "sent", "dead", "dropped", "acknowledged"
STATES = (NEW, SENT, DEAD, DROPPED, ACKNOWLEDGED)


def make(
    kind: str, subscriber: str, language: str, cause: str, values: Mapping[str, Any], now_s: int, due_s: int = 0
) -> Doc:
    """One notification, due at once unless told otherwise.

    The same kind, subscriber and cause ("bill …") are the same notification. Language "" is the subscriber's.
    """
    return {
        "_id": blake2b(f"{kind}\0{subscriber}\0{cause}".encode(), digest_size=16).hexdigest(),
        "version": 1,
        "kind": kind,
        "subscriber": subscriber,
        "language": language,
        "values": dict(values),
        "made_s": now_s,
        "state": NEW,
        "tries": 0,
        "due_s": due_s or now_s,
    }


def of_notice(notice: Notice, now_s: int) -> Doc:
    """What the ledger found to tell; who delivers it knows the subscriber's language."""
    return make(notice.kind, notice.subscriber, "", notice.cause, notice.values, now_s, notice.due_s)


def add(store: Store, doc: Doc) -> bool:
    """Writes one that nothing else commits with, unless it is there; whether it wasn't."""

    try:
        store.run(lambda session: session.collection(NOTIFICATIONS).add_many([doc]))
    except DuplicateId:
        return False
    return True


def due(store: Store, now_s: int, limit: int) -> list[str]:
    """The ids of those whose time has come, the earliest first."""
    values = {"state": NEW, "now": now_s}
    found = store.run(
        lambda session: (
            session.collection(NOTIFICATIONS)
            .find("$.state = :state AND $.due_s <= :now")
            .fields("_id")
            .sort("$.due_s")
            .limit(limit)
            .bind(values)
            .execute()
        )
    )
    return [doc["_id"] for doc in found]


def count(store: Store, state: str, now_s: int) -> int:
    """How many of a state have their time behind them: of NEW ones those that are due."""
    values = {"state": state, "now": now_s}
    return store.run(
        lambda session: (
            session.collection(NOTIFICATIONS).find("$.state = :state AND $.due_s <= :now").bind(values).count()
        )
    )


def change(store: Store, ids: Sequence[str], decide: Callable[[Doc], Doc]) -> list[Doc]:
    """Puts `decide(doc)` in place of each that there is, in one transaction; those that it changed, as they are now."""

    def work(session: Session) -> list[Doc]:
        with session.transaction():
            collection = session.collection(NOTIFICATIONS)
            before = [doc for doc in collection.get_many(sorted(ids), for_update=True) if doc is not None]
            after = [decide(doc) for doc in before]
            changed = [new for new, old in zip(after, before, strict=True) if new is not old]
            collection.put_many(changed)
            return changed

    return store.run(work)


def existing(store: Store, ids: Sequence[str]) -> set[str]:
    """Those of the ids that there are."""
    found = store.run(lambda session: session.collection(NOTIFICATIONS).get_many(ids))
    return {doc["_id"] for doc in found if doc is not None}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which to find; "" is all."""

    state: str = ""
    kind: str = ""
    subscriber: str = ""  # its id


def find(store: Store, wanted: Wanted, limit: int, offset: int = 0) -> list[Doc]:
    """Notifications, the last made first."""
    values = {name: value for name in ("state", "kind", "subscriber") if (value := getattr(wanted, name))}
    conditions = " AND ".join(f"$.{name} = :{name}" for name in values)

    def work(session: Session) -> list[Doc]:
        statement = session.collection(NOTIFICATIONS).find(conditions).sort("$.made_s DESC", "$._id").limit(limit)
        statement = statement.offset(offset) if offset else statement
        return (statement.bind(values) if values else statement).execute()

    return store.run(work)


def forget(store: Store, state: str, before_s: int, limit: int) -> int:
    """Removes up to `limit` of a state that were settled before then; how many."""
    values = {"state": state, "before": before_s}

    def work(session: Session) -> int:
        collection = session.collection(NOTIFICATIONS)
        statement = collection.find("$.state = :state AND $.due_s < :before").fields("_id").limit(limit)
        return collection.remove_many([doc["_id"] for doc in statement.bind(values).execute()])

    return store.run(work)
