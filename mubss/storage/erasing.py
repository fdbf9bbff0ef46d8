"""What is changed or removed when a person is erased, a page of documents in a transaction."""

from __future__ import annotations

from collections.abc import Callable

from mubss.core.identity import sequence_id
from mubss.storage.subscribers import IDENTITIES, SUBSCRIBERS, USAGE
from mubss.xdev.api import Doc, Session, Store

PAGE = 500  # documents in a transaction: charging never waits long for its turn
NOTIFICATIONS, SUSPENSE, CDR_SUSPENSE, BILLS = "notifications", "suspense", "cdr_suspense", "bills"
_END = "~"  # behind every digit and letter of an id


def change_usage(store: Store, account_id: str, change: Callable[[Doc], Doc]) -> int:
    """Puts `change(record)` in place of each usage record of an account; how many it changed."""
    count, after = 0, sequence_id(account_id, 0)

    def page(session: Session) -> tuple[int, str]:
        with session.transaction():
            records = session.collection(USAGE)
            found = records.scan(after=after, until=account_id + _END, limit=PAGE)
            return _put(session, USAGE, found, change), found[-1]["_id"] if len(found) == PAGE else ""

    while after:
        changed, after = store.run(page)
        count += changed
    return count


def _put(session: Session, collection: str, found: list[Doc], change: Callable[[Doc], Doc]) -> int:
    changed = [new for new, old in zip(map(change, found), found, strict=True) if new != old]
    if changed:
        session.collection(collection).put_many(changed)
    return len(changed)


def change_named(store: Store, collection: str, identities: tuple[str, ...], change: Callable[[Doc], Doc]) -> int:
    """The same with entries in suspense that name a person; each must name it no more afterwards."""
    names = {f"identity{number}": identity for number, identity in enumerate(identities)}
    condition = " OR ".join(f":{name} IN $.identities" for name in names)

    def page(session: Session) -> int:
        with session.transaction():
            entries = session.collection(collection)
            ids = [doc["_id"] for doc in entries.find(condition).fields("_id").limit(PAGE).bind(names).execute()]
            found = [doc for doc in entries.get_many(sorted(ids), for_update=True) if doc is not None]
            return _put(session, collection, found, change)

    return _until_none(store, page) if names else 0


def change_bills(store: Store, account_id: str, change: Callable[[Doc], Doc]) -> int:
    """The same with an account's bills."""

    def work(session: Session) -> int:
        with session.transaction():
            bills = session.collection(BILLS)
            ids = [doc["_id"] for doc in bills.find("$.account = :a").fields("_id").bind("a", account_id).execute()]
            found = [doc for doc in bills.get_many(sorted(ids), for_update=True) if doc is not None]
            return _put(session, BILLS, found, change)

    return store.run(work)


def remove_notifications(store: Store, subscriber_id: str) -> int:
    """Removes what a subscriber was told, or is to be told; how many."""

    def page(session: Session) -> int:
        notices = session.collection(NOTIFICATIONS)
        found = notices.find("$.subscriber = :s").fields("_id").limit(PAGE).bind("s", subscriber_id).execute()
        return notices.remove_many([doc["_id"] for doc in found])

    return _until_none(store, page)


def _until_none(store: Store, page: Callable[[Session], int]) -> int:
    total = 0
    while count := store.run(page):
        total += count
    return total


def identities_of(store: Store, account_id: str, identities: list[str], subscriber_id: str) -> list[str]:
    """Those of an account's identities that lead to this subscriber."""
    found = store.run(lambda session: session.collection(IDENTITIES).get_many(identities))
    return [
        doc["_id"]
        for doc in found
        if doc is not None and doc["account"] == account_id and doc.get("subscriber", account_id) == subscriber_id
    ]


def finish(store: Store, subscriber_id: str, identities: list[str]) -> int:
    """The numbers lead nowhere from now on, and may be given to others; their subscriber names them no more."""

    def work(session: Session) -> int:
        with session.transaction():
            people = session.collection(SUBSCRIBERS)
            [person] = people.get_many([subscriber_id], for_update=True)
            if person is not None and "erasing" in person:
                rest = {name: value for name, value in person.items() if name != "erasing"}
                people.put_many([{**rest, "version": person["version"] + 1}])
            return session.collection(IDENTITIES).remove_many(identities)

    return store.run(work)
