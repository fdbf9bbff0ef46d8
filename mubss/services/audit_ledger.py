"""`mubss ledger check`: proves that every account is the sum of its postings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from mubss.core.ledger import check_account
from mubss.core.model import Account
from mubss.storage import subscribers
from mubss.storage.database import Doc, Session, Store

PAGE = 500


class Finding(NamedTuple):
    """One thing wrong with one account."""

    account: str
    fault: str


def check(store: Store, progress: Callable[[int], None] = lambda count: None) -> tuple[int, list[Finding]]:
    """(accounts checked, what is wrong), by walking accounts and postings side by side: both are in account order.

    Charging may go on: an account that doesn't add up at first sight is read again by itself.
    """
    count, findings, after = 0, list[Finding](), ""
    while True:
        accounts, postings = _page(store, after)
        for account in accounts:
            if check_account(cast(Account, account), postings.get(account["_id"], [])):
                findings += _check_one(store, account["_id"])
        count += len(accounts)
        progress(count)
        if len(accounts) < PAGE:
            return count, findings
        after = accounts[-1]["_id"]


def _page(store: Store, after: str) -> tuple[list[Doc], dict[str, list[Doc]]]:
    """The next accounts, and their postings by account."""

    def read_accounts(session: Session) -> list[Doc]:
        return session.collection(subscribers.ACCOUNTS).scan(after=after, limit=PAGE)

    accounts = store.run(read_accounts)
    postings: dict[str, list[Doc]] = {}
    if accounts:
        for posting in subscribers.postings_between(store, accounts[0]["_id"], accounts[-1]["_id"]):
            postings.setdefault(posting["account"], []).append(posting)
    return accounts, postings


def _check_one(store: Store, account_id: str) -> Iterator[Finding]:
    for _ in range(10):
        account = subscribers.get_account(store, account_id)
        postings = subscribers.postings(store, account_id)
        again = subscribers.get_account(store, account_id)
        if account is None or again is None:
            return
        if account["version"] == again["version"]:
            for fault in check_account(cast(Account, account), postings):
                yield Finding(account_id, fault)
            return
    yield Finding(account_id, "changed too often to be checked; try again with less load")
