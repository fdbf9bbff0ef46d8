"""`ref_versions`: who made which version of the reference data, and when. `ref_changes`: what each one replaced.

A version is read back from the one in force: what later ones replaced takes its place again, the last one first. So
what is kept grows with what changes, and the oldest are forgotten by removing documents. Both are written in the
transaction of their version, and never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mubss.storage.refdata import TABLES, Snapshot, Stored, Version, read_version
from mubss.xdev.api import Doc, How, Session, Store, Write

VERSIONS, CHANGES = "ref_versions", "ref_changes"
_CHUNK_LETTERS = 60_000  # of JSON in a document, unless one row has more
_PAGE_DOCUMENTS = 100


def version_id(number: int) -> str:
    """The `_id` of a version; those of its changes begin with it."""
    return f"{number:08}"


def writes_of(session: Session, base: Snapshot, wanted: Stored, doc: Doc) -> list[Write]:
    """What goes with the version behind `base`: `doc` says all of it but number and count of its changes.

    The version in force is noted, too, where a program that kept none made it.
    """
    number = base.version.number + 1
    chunks = list(_chunks(number, base.stored, wanted)) if base.version.number else []
    docs = [{"_id": version_id(number), "version": number, "documents": len(chunks), **doc}]
    if base.version.number and session.collection(VERSIONS).get_one(version_id(base.version.number)) is None:
        docs.append(_unknown(base.version))
    return [Write(VERSIONS, docs, How.PUT), Write(CHANGES, chunks, How.PUT)]


def _unknown(version: Version) -> Doc:
    known = {"version": version.number, "loaded_s": version.loaded_s, "digest": version.digest}
    return {"_id": version_id(version.number), "documents": 0, **known}


def _chunks(number: int, old: Stored, new: Stored) -> Iterator[Doc]:
    """What a version replaces: [table, _id, document as it lay in the store or None], many to a document."""
    rows: list[Any] = []
    letters = count = 0
    for table in TABLES:
        for key in [*old[table], *(key for key in new[table] if key not in old[table])]:
            before = old[table].get(key)
            if before == new[table].get(key):
                continue
            size = len(json.dumps(before))
            if rows and letters + size > _CHUNK_LETTERS:
                yield _chunk(number, count, rows)
                rows, letters, count = [], 0, count + 1
            rows.append([table, key, before])
            letters += size + len(key)
    if rows:
        yield _chunk(number, count, rows)


def _chunk(number: int, count: int, rows: list[Any]) -> Doc:
    return {"_id": f"{version_id(number)}:{count:06}", "version": number, "rows": rows}


def find(store: Store, number: int) -> Doc | None:
    """What is known of a version."""
    return store.run(lambda session: session.collection(VERSIONS).get_one(version_id(number)))


def versions(store: Store, least: int, before: int, limit: int) -> list[Doc]:
    """Versions from `least` on and below `before` (0: all), the last first, without their changes.

    The one in force is among them even where a program that kept none made it.
    """

    def work(session: Session) -> list[Doc]:
        current = read_version(session)
        condition, values = "$._id >= :least", {"least": version_id(least)}
        if before:
            condition, values = f"{condition} AND $._id < :before", {**values, "before": version_id(before)}
        found = session.collection(VERSIONS).find(condition).sort("$._id DESC").limit(limit).bind(values).execute()
        if current.number and not before and (not found or found[0]["version"] < current.number):
            found = [_unknown(current), *found][:limit]
        return found

    return store.run(work)


def read_back(session: Session, base: Snapshot, number: int) -> Stored | None:
    """What lay in the store as version `number`; None where not all that it needs is kept."""
    stored = {table: dict(docs) for table, docs in base.stored.items()}
    for later in range(base.version.number, number, -1):
        doc = session.collection(VERSIONS).get_one(version_id(later))
        chunks = list(_scan(session, version_id(later), version_id(later + 1)))
        if doc is None or not chunks or len(chunks) != doc["documents"]:
            return None
        for table, key, before in (row for chunk in chunks for row in chunk["rows"]):
            if before is None:
                stored[table].pop(key, None)
            else:
                stored[table][key] = before
    return {table: dict(sorted(docs.items())) for table, docs in stored.items()}


def _scan(session: Session, after: str, until: str) -> Iterator[Doc]:
    while page := session.collection(CHANGES).scan(after=after, until=until, limit=_PAGE_DOCUMENTS):
        yield from page
        after = page[-1]["_id"]


def forget(store: Store, least: int) -> None:
    """Removes what is kept of versions before `least`, the oldest first, in transactions that stay short."""
    for name, until in ((CHANGES, version_id(least + 1)), (VERSIONS, version_id(least))):

        def page(session: Session, name: str = name, until: str = until) -> int:
            ids = [doc["_id"] for doc in session.collection(name).scan(until=until, limit=_PAGE_DOCUMENTS)]
            return session.collection(name).remove_many(ids) if ids else 0

        while store.run(page):
            pass
