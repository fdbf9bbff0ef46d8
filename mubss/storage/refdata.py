"""Reference data in the store: `ref_*` collections, and their version in `meta`.

A zone with many prefixes is several documents, `<zone>:0000` and on, so that none grows large; every other
document is one row, whose `_id` is its code. Documents change only with the version, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mubss.xdev.api import Doc, How, Lock, Read, Session, Write
from mubss.xdev.errors import StoreConflict

# Table → collection, in the order that tables build on each other.
TABLES = {
    "currencies": "ref_currencies",
    "taxes": "ref_taxes",
    "bill_discounts": "ref_bill_discounts",
    "services": "ref_services",
    "holidays": "ref_holidays",
    "bands": "ref_bands",
    "destinations": "ref_destinations",
    "networks": "ref_networks",
    "price_plans": "ref_price_plans",
    "bundles": "ref_bundles",
    "service_map": "ref_service_map",
    "bill_cycles": "ref_bill_cycles",
    "dunning": "ref_dunning",
}
Documents = dict[str, dict[str, Doc]]  # table → key → document, in the order that counts
Stored = dict[str, dict[str, Doc]]  # table → _id → document as it lies in the store

_META, _VERSION_ID, _SUBSCRIBERS = "meta", "refdata", "subscribers"
_CHUNK_PREFIXES = 1000
_OF_FIRST_CHUNK = ("numbers", "blocked")
_PAGE_DOCUMENTS = 500
_READ_ATTEMPTS = 20


class Version(NamedTuple):
    """What `meta` says of the reference data; number 0 before the first load."""

    number: int
    loaded_s: int
    digest: str


class Snapshot(NamedTuple):
    """All reference data of one version, as it lies in the store; `join` makes rows of it."""

    version: Version
    stored: Stored


def read_version(session: Session) -> Version:
    """The version in force: one read of one document."""
    return _version(session.collection(_META).get_one(_VERSION_ID))


def read_all(session: Session) -> Snapshot:
    """Every document of one version; StoreConflict if versions come faster than they can be read.

    No lock is held meanwhile (on SQLite it would stop all charging): what was read counts if the version stood still.
    """
    version = read_version(session)
    for _ in range(_READ_ATTEMPTS):
        stored = {table: {doc["_id"]: doc for doc in _scan(session, name)} for table, name in TABLES.items()}
        read, version = version, read_version(session)
        if read == version:
            return Snapshot(version, stored)
    raise StoreConflict("reference data: changed while it was read, time and again")


def write_all(
    session: Session, base: Snapshot, documents: Documents, loaded_s: int, digest: str, beside: Sequence[Write] = ()
) -> Version:
    """Makes `documents` the next version, in one transaction that writes only what differs from `base`, and `beside`.

    StoreConflict (or DuplicateId, for two first loads at once) if `base` is no longer in force: read it again.
    """
    wanted = split(documents)
    writes = []
    for table, collection in TABLES.items():
        old, new = base.stored[table], wanted[table]
        writes.append(Write(collection, [doc for key, doc in new.items() if old.get(key) != doc], How.PUT))
        writes.append(Write(collection, [key for key in old if key not in new], How.REMOVE))
    version = Version(base.version.number + 1, loaded_s, digest)
    meta = {"_id": _VERSION_ID, "version": version.number, "loaded_s": loaded_s, "digest": digest}
    writes.append(Write(_META, [meta], How.PUT if base.version.number else How.ADD))
    [found] = session.begin([Read(_META, [_VERSION_ID], Lock.UPDATE)])
    if _version(found[0] if found else None) != base.version:
        session.rollback()
        raise StoreConflict("reference data: changed since it was read")
    session.finish([write for write in (*writes, *beside) if write.docs])
    return version


def is_plan_used(session: Session, plan: str) -> bool:
    """Whether any subscriber, terminated ones too, has the price plan, or will have it."""
    return any(_has_subscriber(session, f"{name} = :value", plan) for name in ("plan", "next_plan"))


def is_bill_cycle_used(session: Session, number: int) -> bool:
    """Whether any subscriber, terminated ones too, is in the bill cycle."""
    return _has_subscriber(session, "bill_cycle = :value", number)


def is_any_subscriber(session: Session) -> bool:
    """Whether there is any subscriber."""
    return bool(session.collection(_SUBSCRIBERS).find().limit(1).execute())


def _has_subscriber(session: Session, condition: str, value: str | int) -> bool:
    return bool(session.collection(_SUBSCRIBERS).find(condition).limit(1).bind("value", value).execute())


def _version(doc: Doc | None) -> Version:
    return Version(0, 0, "") if doc is None else Version(doc["version"], doc["loaded_s"], doc["digest"])


def _scan(session: Session, name: str) -> Iterator[Doc]:
    collection = session.collection(name)
    after = ""
    while page := collection.scan(after=after, limit=_PAGE_DOCUMENTS):
        yield from page
        after = page[-1]["_id"]


def join(stored: Stored) -> Documents:
    """Stored documents as rows: a zone's chunks as one, bands in their order.

    KeyError, TypeError or AttributeError for documents that this system didn't write.
    """
    documents = {table: dict(docs) for table, docs in stored.items()}
    zones: dict[str, Doc] = {}
    for doc in stored["destinations"].values():
        zone = zones.setdefault(doc["zone"], {"_id": doc["zone"], "name": doc["name"], "prefixes": []})
        zone["prefixes"] += doc["prefixes"]
        zone |= {key: doc[key] for key in _OF_FIRST_CHUNK if key in doc}
    documents["destinations"] = zones
    bands = sorted(stored["bands"].values(), key=lambda doc: doc["position"])
    documents["bands"] = {doc["_id"]: {key: doc[key] for key in doc if key != "position"} for doc in bands}
    return documents


def split(documents: Documents) -> Stored:
    """Rows as documents to store; `join` undoes it."""
    stored = {table: dict(docs) for table, docs in documents.items()}
    stored["bands"] = {
        key: {**doc, "position": position} for position, (key, doc) in enumerate(documents["bands"].items())
    }
    chunks = stored["destinations"] = {}
    for zone, doc in documents["destinations"].items():
        prefixes = doc["prefixes"]
        for number, start in enumerate(range(0, max(1, len(prefixes)), _CHUNK_PREFIXES)):
            key = f"{zone}:{number:04}"
            part = prefixes[start : start + _CHUNK_PREFIXES]
            chunks[key] = {"_id": key, "zone": zone, "name": doc["name"], "prefixes": part}
        chunks[f"{zone}:0000"] |= {key: doc[key] for key in _OF_FIRST_CHUNK if key in doc}
    return stored
