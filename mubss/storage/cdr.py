"""What is known of CDR files: each file and how far it is taken, each source's sequence, what lies in suspense.

The records that were charged are written by mubss.charging, with the money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mubss.core.cdr import CALLS, DISCARDED, RECORDS, SUSPENDED
from mubss.core.history import find_range, with_key
from mubss.core.identity import session_hash
from mubss.xdev.api import Doc, Session, Store

FILES, SOURCES, SUSPENSE, ACCOUNTS = "cdr_files", "cdr_sources", "cdr_suspense", "accounts"
IDENTITIES = "identities"
LOADING, DONE, REFUSED = "loading", "done", "refused"
PAGE = 1000


def get_file(store: Store, file_id: str) -> Doc | None:
    """The document of a file."""
    return store.run(lambda session: session.collection(FILES).get_one(file_id))


def put_file(store: Store, doc: Doc) -> None:
    """Notes what is known of a file."""
    store.run(lambda session: session.collection(FILES).put_many([doc]))


def finish_file(store: Store, doc: Doc) -> None:
    """Notes that a file is done, and its number among those of its source."""
    source_id = session_hash(doc["source"])

    def work(session: Session) -> None:
        with session.transaction():
            sources = session.collection(SOURCES)
            [known] = sources.get_many([source_id], for_update=True)
            seen = with_key(known["seen"] if known else [], doc["sequence"])
            sources.put_many([{"_id": source_id, "source": doc["source"], "seen": seen, "at_s": doc["ended_s"]}])
            session.collection(FILES).put_many([doc])

    store.run(work)


def has_sequence(store: Store, source: str, sequence: int) -> bool:
    """Whether a file of that number was taken of a source."""
    known = store.run(lambda session: session.collection(SOURCES).get_one(session_hash(source)))
    return known is not None and find_range(known["seen"], sequence) is not None


def suspend(store: Store, entries: Sequence[Doc]) -> dict[str, Doc]:
    """Puts records into suspense that weren't taken before; the note on each, by id, says what was taken and where."""
    wanted: dict[str, Doc] = {}
    for entry in entries:
        wanted.setdefault(entry["_id"], entry)

    def work(session: Session) -> dict[str, Doc]:
        with session.transaction():
            records = session.collection(RECORDS)
            notes = {doc["_id"]: doc for doc in records.get_many(sorted(wanted), for_update=True) if doc is not None}
            new = [entry for key, entry in wanted.items() if key not in notes]
            notes |= {entry["_id"]: _note(entry, SUSPENDED) for entry in new}
            records.add_many([notes[entry["_id"]] for entry in new])
            session.collection(SUSPENSE).put_many(new)
            return notes

    return store.run(work)


def _note(entry: Doc, state: str) -> Doc:
    return {"_id": entry["_id"], "file": entry["file"], "at": entry["offset"], "state": state}


def discard(store: Store, entry: Doc, version: int) -> bool:
    """Closes an entry in suspense and notes it with its record; False where it isn't of that version any more."""

    def work(session: Session) -> bool:
        with session.transaction():
            suspense = session.collection(SUSPENSE)
            [stored] = suspense.get_many([entry["_id"]], for_update=True)
            if stored is None or stored.get("version", 0) != version:
                return False
            suspense.put_many([entry])
            session.collection(RECORDS).put_many([_note(entry, DISCARDED)])
            return True

    return store.run(work)


def find_files(store: Store, limit: int) -> list[Doc]:
    """The files that came last, the last first."""
    return store.run(
        lambda session: session.collection(FILES).find().sort("$.started_ms DESC", "_id").limit(limit).execute()
    )


def find_sources(store: Store) -> list[Doc]:
    """Every source, with the ranges of its files' numbers."""
    return store.run(lambda session: session.collection(SOURCES).find().sort("$.source").execute())


def forget_calls(store: Store, before_s: int) -> int:
    """Removes what is known of calls in parts that nothing was heard of since; how many."""

    def page(session: Session) -> int:
        calls = session.collection(CALLS)
        found = calls.find("at_s < :before").fields("_id").limit(PAGE).bind("before", before_s).execute()
        return calls.remove_many([doc["_id"] for doc in found])

    forgotten = 0
    while count := store.run(page):
        forgotten += count
    return forgotten


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records in suspense to find; "" and () are all."""

    state: str = ""
    reason: str = ""
    identities: tuple[str, ...] = ()  # any of them


def find_suspense(store: Store, wanted: Wanted, *, after: Doc | None = None, limit: int = 100) -> list[Doc]:
    """Records in suspense in the order of their time; `after` is the last one of the page before."""
    values: dict[str, str | int] = {name: value for name in ("state", "reason") if (value := getattr(wanted, name))}
    conditions = [f"$.{name} = :{name}" for name in values]
    theirs = {f"identity{number}": identity for number, identity in enumerate(wanted.identities)}
    if theirs:
        conditions.append(f"({' OR '.join(f':{name} IN $.identities' for name in theirs)})")
        values |= theirs
    if after is not None:
        conditions.append("($.at_s > :after_s OR ($.at_s = :after_s AND $._id > :after))")
        values |= {"after_s": after["at_s"], "after": after["_id"]}

    def work(session: Session) -> list[Doc]:
        found = session.collection(SUSPENSE).find(" AND ".join(conditions)).sort("$.at_s", "$._id").limit(limit)
        return found.bind(values).execute() if values else found.execute()

    return store.run(work)


def count_suspense(store: Store, state: str) -> int:
    """How many records in suspense are in a state; looks at every one."""
    return store.run(lambda session: session.collection(SUSPENSE).find("$.state = :state").bind("state", state).count())


def get_suspense(store: Store, ids: Sequence[str]) -> dict[str, Doc]:
    """Those of the records in suspense that are there, by id."""
    found = store.run(lambda session: session.collection(SUSPENSE).get_many(ids))
    return {doc["_id"]: doc for doc in found if doc is not None}


def get_payers(store: Store, identities: Sequence[str]) -> dict[str, Doc]:
    """Identity → the account it leads to, for those that lead to one; to look at."""

    def work(session: Session) -> dict[str, Doc]:
        found = [doc for doc in session.collection(IDENTITIES).get_many(identities) if doc is not None]
        wanted = sorted({doc["account"] for doc in found})
        accounts = dict(zip(wanted, session.collection(ACCOUNTS).get_many(wanted), strict=True))
        return {doc["_id"]: account for doc in found if (account := accounts[doc["account"]]) is not None}

    return store.run(work)
