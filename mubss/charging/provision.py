"""Opens accounts: the one place where an account, its identities and its first posting come to be."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mubss.charging.order import Guard, Order
from mubss.core import next_plan
from mubss.core.draft import opening_posting
from mubss.core.identity import ordered_id
from mubss.core.model import ACTIVE, Account, AddMember
from mubss.storage import accounts as storage
from mubss.storage.database import How, Session, Store, Write

CHUNK = 100  # subscribers in a transaction: 3 ms on SQLite, so that charging never waits long for its turn
_RANDOM_BITS = 30  # of an id's 50; the others hold the place within a call, which may be a million


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to open; `identities` are "e164:…" and "imsi:…", `subscriber` the fields of its person."""

    type: str
    plan: str
    currency: str
    identities: tuple[str, ...]
    balance_micros: int
    credit_limit_micros: int
    subscriber: dict[str, Any]


def open_accounts(
    store: Store,
    accounts: Sequence[NewAccount],
    now_ms: int,
    progress: Callable[[int], None] = lambda count: None,
    beside: Callable[[dict[str, Any]], list[Write]] = lambda subscriber: [],
) -> list[str]:
    """Opens accounts in order and returns their ids; DuplicateId where an identity is taken.

    `beside` says what else is written with each subscriber.

    A chunk of them commits whole or not at all, so what was opened before a fault is known by the last
    `progress(count)`.
    """
    ids: list[str] = []
    for start in range(0, len(accounts), CHUNK):
        chunk = [_documents(new, now_ms, place) for place, new in enumerate(accounts[start : start + CHUNK], start)]

        def work(session: Session, chunk: list[_Documents] = chunk) -> None:
            session.begin([])
            session.finish(
                [
                    Write(storage.ACCOUNTS, [documents.account for documents in chunk], How.ADD),
                    Write(storage.IDENTITIES, [doc for documents in chunk for doc in documents.identities], How.ADD),
                    Write(storage.SUBSCRIBERS, [documents.subscriber for documents in chunk], How.ADD),
                    Write(storage.POSTINGS, [doc for documents in chunk for doc in documents.postings], How.ADD),
                    *(write for documents in chunk for write in beside(documents.subscriber)),
                ]
            )

        store.run(work)
        ids += [documents.account["_id"] for documents in chunk]
        progress(len(ids))
    return ids


def member_order(first: dict[str, Any], identities: Sequence[str], person: dict[str, Any], now_ms: int) -> Order:
    """What puts one more subscriber on the account of another, `first`, whose document is as it was read.

    An identity that is taken meanwhile makes it a GuardConflict; a change of the first subscriber's, too: the plan is
    that of all.
    """
    subscriber_id = ordered_id(now_ms, secrets.randbits(_RANDOM_BITS))
    account_id = first["account"]
    shared = {name: first[name] for name in ("account", "type", *next_plan.FIELDS) if name in first}
    subscriber = {"_id": subscriber_id, "version": 1, **shared, "state": ACTIVE, **person}
    led = [{"_id": identity, "account": account_id, "subscriber": subscriber_id} for identity in identities]
    guards = [Guard(storage.IDENTITIES, doc) for doc in led]
    guards.append(Guard(storage.SUBSCRIBERS, subscriber))
    guards.append(Guard(storage.SUBSCRIBERS, {**first, "version": first["version"] + 1}, first["version"]))
    return Order(AddMember(subscriber_id, list(identities)), account=account_id, guards=guards)


@dataclass(frozen=True, slots=True)
class _Documents:
    account: Account
    identities: list[dict[str, Any]]
    subscriber: dict[str, Any]
    postings: list[dict[str, Any]]


def _documents(new: NewAccount, now_ms: int, place: int) -> _Documents:
    # The place comes before the chance, so that accounts of one call sort as they came and inserts append.
    account_id = ordered_id(now_ms, place << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))
    account: Account = {
        "_id": account_id,
        "version": 1,
        "type": new.type,
        "state": ACTIVE,
        "plan": new.plan,
        "currency": new.currency,
        "identities": list(new.identities),
        "balance_micros": new.balance_micros,
        "credit_limit_micros": new.credit_limit_micros,
        "reserved_micros": 0,
        "sequence": 1 if new.balance_micros else 0,
        "usage_sequence": 0,
        "counters": {},
        "sessions": {},
        "since_s": now_ms // 1000,
    }
    return _Documents(
        account,
        [{"_id": identity, "account": account_id} for identity in new.identities],
        {
            "_id": account_id,
            "version": 1,
            "account": account_id,
            "type": new.type,
            "plan": new.plan,
            "state": ACTIVE,
            **new.subscriber,
        },
        [opening_posting(account_id, new.balance_micros, now_ms)] if new.balance_micros else [],
    )
