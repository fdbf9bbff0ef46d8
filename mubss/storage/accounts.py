"""How accounts, and the documents that lead to them, lie in the store. Only mubss.charging imports this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from mubss.core.model import Account, SessionRecord
from mubss.xdev.api import Doc, How, Lock, Read, Session, Write

ACCOUNTS, IDENTITIES, SESSIONS, POSTINGS, USAGE, SUSPENSE, SUBSCRIBERS, OUTBOX = (
    "accounts",
    "identities",
    "gy_sessions",
    "postings",
    "usage",
    "suspense",
    "subscribers",
    "outbox",
)


def find_accounts(session: Session, identities: Sequence[str]) -> dict[str, str]:
    """identity → account id, for the identities that exist."""
    found = session.collection(IDENTITIES).get_many(identities)
    return {doc["_id"]: doc["account"] for doc in found if doc is not None}


def next_identities(session: Session, after: str, limit: int) -> dict[str, str]:
    """identity → account id of up to `limit` identities that follow `after`, in their order."""
    return {doc["_id"]: doc["account"] for doc in session.collection(IDENTITIES).scan(after=after, limit=limit)}


def find_records(session: Session, hashes: Sequence[str]) -> dict[str, SessionRecord]:
    """Session hash → what is known of that session, outside an account."""
    found = session.collection(SESSIONS).get_many(hashes)
    return {doc["_id"]: cast(SessionRecord, doc) for doc in found if doc is not None}


def existing(session: Session, account_ids: Iterable[str]) -> set[str]:
    """Those of the accounts that exist, locked or not."""
    wanted = sorted(account_ids)
    return {doc["_id"] for doc in session.collection(ACCOUNTS).get_many(wanted) if doc is not None}


def lock_suspense(session: Session, ids: Sequence[str]) -> list[Doc]:
    """Those of the entries in suspense that are there, locked."""
    return [doc for doc in session.collection(SUSPENSE).get_many(ids, for_update=True) if doc is not None]


def begin(
    session: Session,
    account_ids: Iterable[str],
    hashes: Sequence[str],
    guards: dict[str, list[str]],
    lock: Lock = Lock.UPDATE,
    others: Mapping[str, Iterable[str]] | None = None,
) -> tuple[dict[str, Account], dict[str, SessionRecord], dict[tuple[str, str], Doc]]:
    """Opens the batch's transaction: the accounts, locked, the session records, the guarded documents, and others.

    Ids are sorted, so that two batches never lock the same accounts the other way round.
    """
    reads = [Read(ACCOUNTS, sorted(account_ids), lock)]
    if hashes:
        reads.append(Read(SESSIONS, hashes))
    reads += [Read(name, sorted(ids), Lock.UPDATE) for name, ids in guards.items()]
    if others:
        reads += [Read(name, sorted(ids)) for name, ids in others.items()]
    accounts, *rest = session.begin(reads)
    records = rest.pop(0) if hashes else []
    names = [*guards, *(others or ())]
    guarded = {(name, doc["_id"]): doc for name, docs in zip(names, rest, strict=True) for doc in docs}
    return (
        {doc["_id"]: cast(Account, doc) for doc in accounts},
        {doc["_id"]: cast(SessionRecord, doc) for doc in records},
        guarded,
    )


def writes(
    accounts: list[Account],
    new_records: list[SessionRecord],
    records: list[SessionRecord],
    postings: list[dict[str, Any]],
    usage: list[dict[str, Any]],
    suspense: list[dict[str, Any]],
    outbox: list[dict[str, Any]],
) -> list[Write]:
    """The batch as sets of documents; a posting, a usage record or a new session that is there already fails it."""
    sets = [
        Write(ACCOUNTS, accounts, How.PUT),
        Write(SESSIONS, new_records, How.ADD),
        Write(SESSIONS, records, How.PUT),
        Write(POSTINGS, postings, How.ADD),
        Write(USAGE, usage, How.ADD),
        Write(SUSPENSE, suspense, How.PUT),
        Write(OUTBOX, outbox, How.PUT),
    ]
    return [write for write in sets if write.docs]
