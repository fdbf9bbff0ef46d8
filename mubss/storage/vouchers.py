"""`vouchers`: `_id` is a hash of the PIN. `voucher_batches`: what a batch is worth, and whether it may be redeemed.

`voucher_doors`: how many wrong PINs came from a subscriber or through a channel. mubss.charging writes a voucher's use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mubss.core.vouchers import USED
from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.errors import DuplicateId, StoreConflict

T = TypeVar("T")

VOUCHERS, BATCHES, DOORS = "vouchers", "voucher_batches", "voucher_doors"
_META, _PEPPER = "meta", "voucher_pepper"
_COUNTERS, _BATCH = "counters", "voucher batch"
_BATCHES_AT_ONCE = 100
_TRIES = 20  # against others who change the same documents


def fingerprint(store: Store) -> str | None:
    """That of the pepper of the store's vouchers; None while there are none."""
    doc = store.run(lambda session: session.collection(_META).get_one(_PEPPER))
    return None if doc is None else str(doc["fingerprint"])


def add_batch(store: Store, batch: Doc, pepper_fingerprint: str) -> Doc:
    """Adds a batch under the next number, and with the first one notes which pepper the store's vouchers have."""

    def work(session: Session) -> Doc:
        with session.transaction():
            counters, meta = session.collection(_COUNTERS), session.collection(_META)
            [counter] = counters.get_many([_BATCH], for_update=True)
            number = (counter["version"] if counter else 0) + 1
            counters.put_many([{"_id": _BATCH, "version": number}])
            if meta.get_one(_PEPPER) is None:
                meta.put_many([{"_id": _PEPPER, "fingerprint": pepper_fingerprint}])
            made = {**batch, "_id": batch_id(number), "number": number}
            session.collection(BATCHES).add_many([made])
            return made

    return _repeated(store, work)


def batch_id(number: int) -> str:
    """The `_id` of a batch: sorts as it counts."""
    return f"{number:06}"


def add_vouchers(store: Store, vouchers: Sequence[Doc]) -> set[str]:
    """Adds vouchers; those of the ids that are there already, and then nothing is added."""

    def work(session: Session) -> set[str]:
        with session.transaction():
            collection = session.collection(VOUCHERS)
            taken = {doc["_id"] for doc in collection.get_many([one["_id"] for one in vouchers]) if doc is not None}
            if not taken:
                collection.add_many(vouchers)
            return taken

    return store.run(work)


def get_voucher(store: Store, voucher_id: str) -> tuple[Doc | None, Doc | None]:
    """A voucher and its batch. The same reads are done, whatever there is."""

    def work(session: Session) -> tuple[Doc | None, Doc | None]:
        voucher = session.collection(VOUCHERS).get_one(voucher_id)
        return voucher, session.collection(BATCHES).get_one(voucher["batch"] if voucher else batch_id(0))

    return store.run(work)


def by_serial(store: Store, serial: str) -> Doc | None:
    """The voucher of a serial."""
    found = store.run(
        lambda session: session.collection(VOUCHERS).find("$.serial = :serial").bind("serial", serial).execute()
    )
    return found[0] if found else None


def get_batch(store: Store, number: int) -> Doc | None:
    """One batch."""
    return store.run(lambda session: session.collection(BATCHES).get_one(batch_id(number)))


def batches(store: Store, before: int, limit: int) -> list[Doc]:
    """Batches with numbers below one, the last first; 0 is all."""

    def work(session: Session) -> list[Doc]:
        statement = session.collection(BATCHES).find("$._id < :before" if before else "")
        statement = statement.sort("$._id DESC").limit(limit)
        return (statement.bind("before", batch_id(before)) if before else statement).execute()

    return store.run(work)


def count_used(store: Store, ids: Sequence[str]) -> dict[str, int]:
    """How many vouchers of each batch are used, those of many batches at once; an index leads to them."""

    def work(session: Session) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(ids), _BATCHES_AT_ONCE):
            values = {f"b{number}": one for number, one in enumerate(ids[start : start + _BATCHES_AT_ONCE])}
            names = ", ".join(f":{name}" for name in values)
            statement = session.collection(VOUCHERS).find(f"$.batch IN ({names}) AND $.state = :state")
            found |= statement.bind({**values, "state": USED}).count_by("$.batch")
        return found

    return store.run(work)


def change_batch(store: Store, number: int, decide: Callable[[Doc], Doc]) -> Doc | None:
    """Puts `decide(batch)` in its place; the batch afterwards, None where there is none."""

    def work(session: Session) -> Doc | None:
        with session.transaction():
            collection = session.collection(BATCHES)
            [batch] = collection.get_many([batch_id(number)], for_update=True)
            if batch is None:
                return None
            after = decide(batch)
            if after is not batch:
                collection.put_many([after])
            return after

    return _repeated(store, work)


def change_voucher(store: Store, serial: str, decide: Callable[[Doc], Doc]) -> Doc | None:
    """Puts `decide(voucher)` in the place of the one of a serial; it afterwards, None where there is none."""

    def work(session: Session) -> Doc | None:
        with session.transaction():
            collection = session.collection(VOUCHERS)
            found = collection.find("$.serial = :serial").fields("$._id AS _id").bind("serial", serial).execute()
            [voucher] = collection.get_many([found[0]["_id"]], for_update=True) if found else [None]
            if voucher is None:
                return None
            after = decide(voucher)
            if after is not voucher:
                collection.put_many([after])
            return after

    return _repeated(store, work)


def change_doors(store: Store, ids: Sequence[str], decide: Callable[[str, Doc | None], Doc | None]) -> list[Doc]:
    """Puts `decide(id, door)` in the place of each, unless one of them is None; those in force before.

    A door without a wrong try isn't kept.
    """

    def work(session: Session) -> list[Doc]:
        with session.transaction():
            collection = session.collection(DOORS)
            before = collection.get_many(ids, for_update=True)
            after = [decide(one, door) for one, door in zip(ids, before, strict=True)]
            changed = [door for door in after if door is not None]
            if len(changed) == len(after):
                there = {door["_id"] for door in before if door is not None}
                kept = [door for door in changed if door["wrong"]]
                collection.add_many([door for door in kept if door["_id"] not in there])
                collection.put_many([door for door in kept if door["_id"] in there])
                collection.remove_many([door["_id"] for door in changed if not door["wrong"] and door["_id"] in there])
            return [door for door in before if door is not None]

    return _repeated(store, work)


def _repeated(store: Store, work: Callable[[Session], T]) -> T:
    """Does a transaction again where another one came between, or made the same document at the same time."""
    for _ in range(_TRIES - 1):
        try:
            return store.run(work)
        except (DuplicateId, StoreConflict):
            continue
    return store.run(work)
