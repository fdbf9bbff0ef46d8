"""A subscriber's person: created with whatever must commit with it, and changed as it was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mubss.charging.provision import open_accounts
from mubss.core.errors import AccountChanged, InputError
from mubss.core.tariff import Tables
from mubss.services.lifecycle import NewSubscriber, checked, faults_of, find_subscriber, taken
from mubss.storage import subscribers
from mubss.storage.database import Doc, DuplicateId, How, Store, Write

Beside = Callable[[Doc], tuple[str, Doc]]  # of the subscriber: a collection, and what is added to it


def create_one(store: Store, tables: Tables, new: NewSubscriber, now_ms: int, beside: Beside) -> Doc:
    """Creates a subscriber with an account of its own; InputError where an identity is taken."""
    account = checked(new, tables, now_ms // 1000)
    made: list[Doc] = []

    def writes(subscriber: Doc) -> list[Write]:
        made.append(subscriber)
        collection, doc = beside(subscriber)
        return [Write(collection, [doc], How.ADD)]

    try:
        open_accounts(store, [account], now_ms, beside=writes)
    except DuplicateId as error:
        if error.document_id in new.identities:
            raise InputError(taken(error.document_id)) from None
        raise
    return made[-1]


def update(store: Store, tables: Tables, identity: str, version: int, changes: dict[str, Any], beside: Beside) -> Doc:
    """Changes language, bill cycle or contact of a subscriber that is as it was read; AccountChanged where it isn't."""
    known = find_subscriber(store, identity)
    after = {**known, **changes}
    wanted = NewSubscriber(
        known["msisdn"],
        known.get("imsi", ""),
        known["type"],
        known["plan"],
        0,
        after["bill_cycle"],
        after.get("language", "en"),
        after.get("name", ""),
        after.get("address", ""),
        after.get("email", ""),
    )
    if faults := list(faults_of(wanted, tables)):
        raise InputError("; ".join(faults))

    def work(session: Any) -> Doc:
        with session.transaction():
            [stored] = session.collection(subscribers.SUBSCRIBERS).get_many([known["_id"]], for_update=True)
            if stored is None or stored["version"] != version:
                has = stored["version"] if stored is not None else 0
                raise AccountChanged(f"version: {version}; expected {has}: read it again")
            doc = {**stored, **changes, "version": version + 1}
            collection, key = beside(doc)
            session.collection(subscribers.SUBSCRIBERS).put_many([doc])
            session.collection(collection).add_many([key])
            return doc

    return store.run(work)
