"""`bills`: one for each account, cycle and period, and `counters`, their numbers; mubss.charging writes both."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from mubss.core.identity import sequence_id
from mubss.core.settling import PARTLY_PAID, UNPAID, VOID
from mubss.xdev.api import Doc, Session, Store

BILLS, COUNTERS, PAYMENTS = "bills", "counters", "payments"
ACCOUNTS, USAGE, POSTINGS = "accounts", "usage", "postings"
PAGE = 1000


def bill_id(account_id: str, cycle: int, period: str, attempt: int = 0) -> str:
    """The `_id` of a bill: there is one of each; `attempt` counts those before it that were voided."""
    text = f"{account_id}\0{cycle}\0{period}" + (f"\0{attempt}" if attempt else "")
    return blake2b(text.encode(), digest_size=16).hexdigest()


def note_id(bill: str, notes: int) -> str:
    """The `_id` of a bill's next credit note, behind so many."""
    return blake2b(f"{bill}\0credit\0{notes}".encode(), digest_size=16).hexdigest()


def payment_id(account_id: str, reference: str) -> str:
    """The `_id` of a payment: an account has one of a reference."""
    return blake2b(f"{account_id}\0payment\0{reference}".encode(), digest_size=16).hexdigest()


def counter_id(series: str, year: str) -> str:
    """The `_id` of the counter that numbers bills of a series and year."""
    return f"bill:{series}:{year}"


def get_many(store: Store, ids: Sequence[str]) -> dict[str, Doc]:
    """Those of the bills that are there, by id."""
    found = store.run(lambda session: session.collection(BILLS).get_many(ids))
    return {doc["_id"]: doc for doc in found if doc is not None}


class Wanted(NamedTuple):
    """The bill that an account is to have."""

    id: str
    attempt: int = 0  # how many before it were voided


class Unbilled(NamedTuple):
    """What a group of accounts is billed from, by the account's id."""

    wanted: dict[str, Wanted]
    bills: dict[str, Doc]  # that are there already; of their accounts nothing else is read
    accounts: dict[str, Doc]
    usage: dict[str, list[Doc]]  # at least what no bill has; nothing of accounts that are younger than the period
    postings: dict[str, list[Doc]]


def read_unbilled(store: Store, account_ids: Sequence[str], cycle: int, period: str, end_s: int) -> Unbilled:
    """All that the bills of accounts for a period that ends at `end_s` are made from, in one visit to the store."""

    def work(session: Session) -> Unbilled:
        wanted, there = _wanted(session, account_ids, cycle, period)
        unbilled = [account for account in account_ids if account not in there]
        accounts = {doc["_id"]: doc for doc in session.collection(ACCOUNTS).get_many(unbilled) if doc}
        usage: dict[str, list[Doc]] = {}
        postings: dict[str, list[Doc]] = {}
        for account_id, account in accounts.items():
            if account.get("since_s", 0) >= end_s:  # it came later: nothing of it can be on that bill
                usage[account_id], postings[account_id] = [], []
                continue
            billing = account.get("billing", {})
            ranges = billing.get("usage", ())
            first = ranges[0][1] if ranges and ranges[0][0] == 1 else 0  # all up to it is on bills
            usage[account_id] = _behind(session, USAGE, account_id, first)
            postings[account_id] = _behind(session, POSTINGS, account_id, billing.get("sequence", 0))
        return Unbilled(wanted, there, accounts, usage, postings)

    return store.run(work)


def _wanted(
    session: Session, account_ids: Sequence[str], cycle: int, period: str
) -> tuple[dict[str, Wanted], dict[str, Doc]]:
    """Which bills accounts are to have, and those that are there; one that was voided has the next in its place."""
    wanted = {account: Wanted(bill_id(account, cycle, period)) for account in account_ids}
    there: dict[str, Doc] = {}
    asked = list(account_ids)
    while asked:
        found = session.collection(BILLS).get_many([wanted[account].id for account in asked])
        docs = {doc["account"]: doc for doc in found if doc is not None}
        there |= {account: doc for account, doc in docs.items() if doc["state"] != VOID}
        asked = [account for account, doc in docs.items() if doc["state"] == VOID]
        for account in asked:
            attempt = wanted[account].attempt + 1
            wanted[account] = Wanted(bill_id(account, cycle, period, attempt), attempt)
    return wanted, there


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


def find(store: Store, filters: dict[str, str | int], limit: int, before: str = "") -> list[Doc]:
    """Bills by account, cycle or period, the last numbers first; `before` is the last number of the page before."""
    conditions = [f"$.{name} = :{name}" for name in filters]
    values = dict(filters)
    if before:
        conditions.append("$.number < :before")
        values["before"] = before

    def work(session: Session) -> list[Doc]:
        found = session.collection(BILLS).find(" AND ".join(conditions)).sort("$.number DESC").limit(limit)
        return found.bind(values).execute() if values else found.execute()

    return store.run(work)


def open_of(store: Store, account_id: str) -> list[Doc]:
    """Those of an account's bills of which something is open."""
    condition = "$.account = :account AND $.settled.open > 0"
    return store.run(lambda session: session.collection(BILLS).find(condition).bind("account", account_id).execute())


def overdue(store: Store, today: str, cycle: int | None = None, after: str = "", limit: int = PAGE) -> list[Doc]:
    """Bills that aren't paid and were due before a day, in order of their ids behind one; of a cycle, or all."""
    conditions = ["$.state IN (:unpaid, :partly)", "$.due_day < :today", "_id > :after"]
    values: dict[str, str | int] = {"unpaid": UNPAID, "partly": PARTLY_PAID, "today": today, "after": after}
    if cycle is not None:
        conditions.append("$.cycle = :cycle")
        values["cycle"] = cycle
    return store.run(
        lambda session: (
            session.collection(BILLS).find(" AND ".join(conditions)).sort("_id").limit(limit).bind(values).execute()
        )
    )


def by_number(store: Store, number: str) -> Doc | None:
    """The bill of a number."""
    found = store.run(
        lambda session: session.collection(BILLS).find("$.number = :number").bind("number", number).execute()
    )
    return found[0] if found else None
