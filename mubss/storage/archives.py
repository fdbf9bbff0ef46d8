"""What went to files and what is left of it: manifests, the sums carried forward, and whose turn it is to archive.

A manifest is one file's. Its documents leave the store a page at a time: page, sums and how far it has come change in
one transaction, which also holds the lease, so whoever lost that writes nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mubss.core.archive import carry, nothing
from mubss.core.errors import Busy, LedgerError
from mubss.storage.subscribers import POSTINGS, USAGE
from mubss.xdev.api import Doc, Session, Store

ARCHIVES, CARRIED, BILLS = "archives", "carried", "bills"
KINDS = (POSTINGS, USAGE)
WRITTEN, DONE = "written", "done"  # states of a manifest: its documents leave the store; they have left
LEASE_SECONDS = 120  # renewed with every page
PAGE = 1000
_RUN = "run"  # the `_id` of who archives, in ARCHIVES; a manifest's holds a dash


class Owner(NamedTuple):
    """Who archives, and its clock, UTC seconds."""

    name: str
    clock_s: Callable[[], int]


def manifests(store: Store) -> list[Doc]:
    """All of them, in order of kind, month and number."""
    found = store.run(lambda session: session.collection(ARCHIVES).find("true").sort("$._id").execute())
    return [doc for doc in found if doc["_id"] != _RUN]


def ends(store: Store) -> dict[str, int]:
    """Kind → the end of its last month of which anything was archived, UTC seconds; 0: none."""
    doc = store.run(lambda session: session.collection(ARCHIVES).get_one(_RUN)) or {}
    return {kind: int(doc.get("ends", {}).get(kind, 0)) for kind in KINDS}


def carried_of(store: Store, account_id: str) -> Doc | None:
    """What is carried forward of an account; None where nothing has left."""
    return store.run(lambda session: session.collection(CARRIED).get_one(account_id))


def all_carried(store: Store) -> Iterator[Doc]:
    """The same of all accounts, in order of their ids."""
    after = ""
    while True:
        page = store.run(lambda session, after=after: session.collection(CARRIED).scan(after=after, limit=PAGE))  # type: ignore[misc]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["_id"]


def unsettled_bills(store: Store, account_id: str, settled: Sequence[str]) -> list[Doc]:
    """An account's bills that aren't in one of these states."""
    found = store.run(
        lambda session: session.collection(BILLS).find("$.account = :account").bind("account", account_id).execute()
    )
    return [doc for doc in found if doc["state"] not in settled]


def take(store: Store, owner: Owner) -> None:
    """The lease; Busy while another process has it."""

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(ARCHIVES)
            [doc] = collection.get_many([_RUN], for_update=True)
            doc = doc or {"_id": _RUN, "ends": {}}
            left_s = int(doc.get("until_s", 0)) - owner.clock_s()
            if doc.get("owner", "") not in ("", owner.name) and left_s > 0:
                raise Busy(f"{doc['owner']} archives; should it have ended, wait for {left_s} s")
            collection.put_many([_renewed(doc, owner)])

    store.run(work)


def beat(store: Store, owner: Owner) -> None:
    """The lease is renewed; Busy where it is another's by now."""

    def work(session: Session) -> None:
        with session.transaction():
            session.collection(ARCHIVES).put_many([_renewed(_mine(session, owner), owner)])

    store.run(work)


def leave(store: Store, owner: Owner) -> None:
    """Others may archive at once."""

    def work(session: Session) -> None:
        with session.transaction():
            doc = _mine(session, owner)
            session.collection(ARCHIVES).put_many([{**doc, "owner": "", "until_s": 0}])

    store.run(work)


def add(store: Store, owner: Owner, new: Sequence[Doc], new_ends: dict[str, int]) -> None:
    """From now on these files count, and usage before `new_ends` isn't priced again."""

    def work(session: Session) -> None:
        with session.transaction():
            doc = _mine(session, owner)
            before = doc.get("ends", {})
            after = {kind: max(end_s, before.get(kind, 0)) for kind, end_s in {**before, **new_ends}.items()}
            session.collection(ARCHIVES).add_many(new)
            session.collection(ARCHIVES).put_many([_renewed({**doc, "ends": after}, owner)])

    store.run(work)


def drop(store: Store, owner: Owner, manifest_id: str) -> None:
    """Takes a file out of the archive of which no document has left the store; LedgerError for another."""

    def work(session: Session) -> None:
        with session.transaction():
            _mine(session, owner)
            [manifest] = session.collection(ARCHIVES).get_many([manifest_id], for_update=True)
            if manifest is None or manifest["done"]:
                raise LedgerError(f"archive: {manifest_id} has documents that aren't in the store any more")
            session.collection(ARCHIVES).remove_many([manifest_id])

    store.run(work)


def remove_page(store: Store, owner: Owner, manifest_id: str, done: int, docs: Sequence[Doc]) -> int:
    """Removes a page of a file's documents, behind the `done` first ones; how many are done after it.

    A document that isn't any more as it is in the file stays, and the manifest names it: in the file it doesn't count.
    LedgerError where it is a posting, which never changes.
    """

    def work(session: Session) -> int:
        with session.transaction():
            lease = _mine(session, owner)
            [manifest] = session.collection(ARCHIVES).get_many([manifest_id], for_update=True)
            assert manifest is not None
            if manifest["done"] != done:  # it was done, and the answer was lost
                return int(manifest["done"])
            kind = manifest["kind"]
            stored = session.collection(kind).get_many([doc["_id"] for doc in docs], for_update=True)
            same = [doc for doc, there in zip(docs, stored, strict=True) if doc == there]
            other = [doc["_id"] for doc, there in zip(docs, stored, strict=True) if doc != there]
            if kind == POSTINGS:
                if other:
                    raise LedgerError(f"posting {other[0]}: not as in {manifest['path']}; expected the same")
                _carry(session, same, manifest["month"])
            session.collection(kind).remove_many([doc["_id"] for doc in same])
            after = {**manifest, "done": done + len(docs), "staying": [*manifest["staying"], *other]}
            if after["done"] == after["rows"]:
                after["state"] = DONE
            session.collection(ARCHIVES).put_many([after, _renewed(lease, owner)])
            return int(after["done"])

    return store.run(work)


def _carry(session: Session, postings: Sequence[Doc], month: str) -> None:
    accounts = sorted({doc["account"] for doc in postings})
    collection = session.collection(CARRIED)
    there = collection.get_many(accounts, for_update=True)
    carried = {account: doc or nothing(account) for account, doc in zip(accounts, there, strict=True)}
    for posting in postings:
        try:
            carried[posting["account"]] = carry(carried[posting["account"]], posting, month)
        except ValueError as error:
            raise LedgerError(f"archive: {error}") from None
    collection.put_many(list(carried.values()))


def _mine(session: Session, owner: Owner) -> Doc:
    [doc] = session.collection(ARCHIVES).get_many([_RUN], for_update=True)
    if doc is None or doc.get("owner") != owner.name:
        raise Busy("the lease of this archiving ran out, and another process has it")
    return doc


def _renewed(doc: Doc, owner: Owner) -> Doc:
    return {**doc, "owner": owner.name, "until_s": owner.clock_s() + LEASE_SECONDS}
