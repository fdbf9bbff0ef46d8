"""`bills`: one for each account, cycle and period, and `counters`, their numbers; mubss.charging writes both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from mubss.core.identity import sequence_id
from mubss.xdev.api import Doc, Session, Store

BILLS, COUNTERS = "bills", "counters"
ACCOUNTS, USAGE, POSTINGS = "accounts", "usage", "postings"
PAGE = 1000


def bill_id(account_id: str, cycle: int, period: str) -> str:
    """The `_id` of a bill: there is one of each."""
    return blake2b(f"{account_id}\0{cycle}\0{period}".encode(), digest_size=16).hexdigest()


def counter_id(series: str, year: str) -> str:
    """The `_id` of the counter that numbers bills of a series and year."""
    return f"bill:{series}:{year}"


def get_many(store: Store, ids: Sequence[str]) -> dict[str, Doc]:
    """Those of the bills that are there, by id."""
    found = store.run(lambda session: session.collection(BILLS).get_many(ids))
    return {doc["_id"]: doc for doc in found if doc is not None}


class Unbilled(NamedTuple):
    """What a group of accounts is billed from; each is by the account's id, but bills by their own."""

    bills: dict[str, Doc]  # that are there already; of their accounts nothing else is read
    accounts: dict[str, Doc]
    usage: dict[str, list[Doc]]  # at least what no bill has
    postings: dict[str, list[Doc]]


def read_unbilled(store: Store, bill_ids: Mapping[str, str]) -> Unbilled:
    """Account → id of the bill that is wanted: all that the bills are made from, in one visit to the store."""

    def work(session: Session) -> Unbilled:
        there = {doc["_id"]: doc for doc in session.collection(BILLS).get_many(list(bill_ids.values())) if doc}
        wanted = [account for account, bill in bill_ids.items() if bill not in there]
        accounts = {doc["_id"]: doc for doc in session.collection(ACCOUNTS).get_many(wanted) if doc}
        usage, postings = {}, {}
        for account_id, account in accounts.items():
            billing = account.get("billing", {})
            ranges = billing.get("usage", ())
            first = ranges[0][1] if ranges and ranges[0][0] == 1 else 0  # all up to it is on bills
            usage[account_id] = _behind(session, USAGE, account_id, first)
            postings[account_id] = _behind(session, POSTINGS, account_id, billing.get("sequence", 0))
        return Unbilled(there, accounts, usage, postings)

    return store.run(work)


def _behind(session: Session, collection: str, account_id: str, sequence: int) -> list[Doc]:
    """An account's documents behind a sequence, in order."""
    found: list[Doc] = []
    after, until = sequence_id(account_id, sequence), account_id + "~"
    while page := session.collection(collection).scan(after=after, until=until, limit=PAGE):
        found += page
        if len(page) < PAGE:
            break
        after = page[-1]["_id"]
    return found


def last_number(store: Store, counter: str) -> int:
    """The last number that a counter gave; 0 before its first."""
    doc = store.run(lambda session: session.collection(COUNTERS).get_one(counter))
    return int(doc["version"]) if doc is not None else 0


def find(store: Store, filters: dict[str, str | int], limit: int) -> list[Doc]:
    """Bills by account, cycle or period, the last numbers first."""
    conditions = " AND ".join(f"$.{name} = :{name}" for name in filters)

    def work(session: Session) -> list[Doc]:
        found = session.collection(BILLS).find(conditions).sort("$.number DESC").limit(limit)
        return found.bind(filters).execute() if filters else found.execute()

    return store.run(work)


def by_number(store: Store, number: str) -> Doc | None:
    """The bill of a number."""
    found = store.run(
        lambda session: session.collection(BILLS).find("$.number = :number").bind("number", number).execute()
    )
    return found[0] if found else None
