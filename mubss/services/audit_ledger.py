"""`mubss ledger check`: proves that every account is the sum of its postings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple, cast

from mubss.core.ledger import check_account
from mubss.core.model import Account
from mubss.core.wording import counted
from mubss.storage import archives, subscribers
from mubss.storage.database import Doc, Store

REPORT_EVERY = 500  # accounts
_END = "~"  # behind every id


class Finding(NamedTuple):
    """One thing wrong with one account."""

    account: str
    fault: str


def check(store: Store, progress: Callable[[int], None] = lambda count: None) -> tuple[int, list[Finding]]:
    """(accounts checked, what is wrong), by walking accounts and postings side by side: both are in account order.

    Only one account's postings are in memory at a time. Charging and archiving may go on: an account that doesn't
    add up at first sight is read again by itself.
    """
    count, findings = 0, list[Finding]()
    histories, archived = _histories(store), _archived(store)
    owner, postings = next(histories)
    whose, carried = next(archived)
    for account in subscribers.all_accounts(store):
        account_id = account["_id"]
        while owner < account_id:
            findings += _orphans(store, owner, len(postings))
            owner, postings = next(histories)
        while whose < account_id:
            findings += _orphans(store, whose, carried["sequence"])
            whose, carried = next(archived)
        own: list[Doc] = []
        before: Doc | None = None
        if owner == account_id:
            own = postings
            owner, postings = next(histories)
        if whose == account_id:
            before = carried
            whose, carried = next(archived)
        if check_account(cast(Account, account), own, before):
            findings += check_one(store, account_id)
        count += 1
        if count % REPORT_EVERY == 0:
            progress(count)
    while owner < _END:
        findings += _orphans(store, owner, len(postings))
        owner, postings = next(histories)
    while whose < _END:
        findings += _orphans(store, whose, carried["sequence"])
        whose, carried = next(archived)
    progress(count)
    return count, findings


def _histories(store: Store) -> Iterator[tuple[str, list[Doc]]]:
    """Each account id that has postings, with them; at the end one past all ids."""
    for account_id, postings in groupby(subscribers.all_postings(store), key=lambda posting: str(posting["account"])):
        yield account_id, list(postings)
    yield _END, []


def _archived(store: Store) -> Iterator[tuple[str, Doc]]:
    """Each account id of which postings were archived, with their sums; at the end one past all ids."""
    for doc in archives.all_carried(store):
        yield doc["_id"], doc
    yield _END, {}


def _orphans(store: Store, account_id: str, count: int) -> Iterator[Finding]:
    if subscribers.get_account(store, account_id) is None:  # else it was opened a moment ago
        yield Finding(account_id, f"{counted(count, 'posting')} of an account that isn't there")


def check_one(store: Store, account_id: str) -> Iterator[Finding]:
    """What is wrong with one account; charging may go on."""
    for _ in range(10):
        account, carried = subscribers.get_account(store, account_id), archives.carried_of(store, account_id)
        postings = subscribers.postings(store, account_id)
        again = subscribers.get_account(store, account_id)
        if account is None or again is None:
            return  # erased meanwhile
        if account["version"] == again["version"] and carried == archives.carried_of(store, account_id):
            for fault in check_account(cast(Account, account), postings, carried):
                yield Finding(account_id, fault)
            return
    yield Finding(account_id, "changed too often to be checked; try again with less load")
