"""`audit`: who did what, by RPC and command; unsealed (`seq` 0) until a sealer gives it its place in the chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mubss.core.audit import START, sealed
from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.errors import DuplicateId

AUDIT, HEAD = "audit", "audit_head"
_HEAD = "head"
PAGE = 500


def add(store: Store, entry: Doc) -> None:
    """Writes an entry by itself."""
    store.run(lambda session: session.collection(AUDIT).add_many([entry]))


def is_unsealed(store: Store) -> bool:
    """Whether an entry waits for its place."""
    return bool(store.run(lambda session: session.collection(AUDIT).find("$.seq = 0").fields("_id").limit(1).execute()))


def make_head(store: Store) -> None:
    """Makes what sealers take turns by, unless it is there."""

    def work(session: Session) -> None:
        heads = session.collection(HEAD)
        if heads.get_one(_HEAD) is None:
            heads.add_many([{"_id": _HEAD, "seq": 0, "hash": START}])

    try:
        store.run(work)
    except DuplicateId:  # another one was as fast
        pass


def seal_page(store: Store) -> int:
    """Gives the oldest unsealed entries their places, in one transaction that holds the head; how many."""

    def work(session: Session) -> int:
        with session.transaction():
            entries = session.collection(AUDIT)
            [head] = session.collection(HEAD).get_many([_HEAD], for_update=True)
            assert head is not None
            found = entries.find("$.seq = 0").fields("_id").sort("$._id").limit(PAGE).execute()
            if not found:
                return 0
            docs = [
                doc
                for doc in entries.get_many([one["_id"] for one in found], for_update=True)
                if doc and not doc["seq"]
            ]
            seq, prev = head["seq"], head["hash"]
            placed = []
            for doc in docs:
                placed.append(sealed(doc, seq + 1, prev))
                seq, prev = seq + 1, placed[-1]["hash"]
            entries.put_many(placed)
            session.collection(HEAD).put_many([{"_id": _HEAD, "seq": seq, "hash": prev}])
            return len(placed)

    return store.run(work)


@dataclass(frozen=True, slots=True)
class Counted:
    """The chain's head, and how many entries there are, at one moment."""

    seq: int
    hash: str
    entries: int
    unsealed: int


def count(store: Store) -> Counted:
    """How far the chain goes, and what stands beside it."""

    def work(session: Session) -> Counted:
        with session.transaction():
            head = session.collection(HEAD).get_one(_HEAD) or {"seq": 0, "hash": START}
            entries = session.collection(AUDIT)
            unsealed = len(entries.find("$.seq = 0").fields("_id").execute())
            return Counted(head["seq"], head["hash"], entries.count(), unsealed)

    return store.run(work)


def chain(store: Store, last: int) -> Iterator[Doc]:
    """Sealed entries in their order, up to number `last`; one that is there twice comes twice."""
    for first in range(0, last, PAGE):
        yield from _between(store, first, min(first + PAGE, last))


def _between(store: Store, first: int, last: int) -> list[Doc]:
    values = {"first": first, "last": last}
    return store.run(
        lambda session: (
            session.collection(AUDIT)
            .find("$.seq > :first AND $.seq <= :last")
            .sort("$.seq", "$._id")
            .bind(values)
            .execute()
        )
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to find; "" and 0 are all. `subscriber` is an id, and entries of its account are found, too."""

    subscriber: str = ""
    account: str = ""
    who: str = ""
    since_ms: int = 0
    until_ms: int = 0


def find(store: Store, wanted: Wanted, limit: int) -> list[Doc]:
    """Entries, the last first."""
    conditions, values = [], dict[str, str | int]()
    if wanted.subscriber:
        conditions.append("$.subscriber IN (:subscriber, :account)")
        values |= {"subscriber": wanted.subscriber, "account": wanted.account or wanted.subscriber}
    if wanted.who:
        conditions.append("$.who = :who")
        values["who"] = wanted.who
    for name, sign in (("since_ms", ">="), ("until_ms", "<")):
        if value := getattr(wanted, name):
            conditions.append(f"$.at_ms {sign} :{name}")
            values[name] = value

    def work(session: Session) -> list[Doc]:
        statement = session.collection(AUDIT).find(" AND ".join(conditions)).sort("$.at_ms DESC", "$._id DESC")
        statement = statement.limit(limit)
        return (statement.bind(values) if values else statement).execute()

    return store.run(work)
