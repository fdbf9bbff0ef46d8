"""Subscribers: the person and contract beside an account. What a clerk lists and searches by; never money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mubss.core.identity import sequence_id
from mubss.core.model import ACTIVE, STATES, TERMINATED
from mubss.xdev.api import Doc, Session, Store

PAGE = 1000
_HAS_PLAN = (
    "((plan = :plan AND (next_plan_from_s IS NULL OR next_plan_from_s > :now_s))"
    " OR (next_plan = :plan AND next_plan_from_s <= :now_s))"
)
_END = "~"  # behind every digit and letter of an id
SUBSCRIBERS, IDENTITIES, ACCOUNTS, POSTINGS, USAGE = "subscribers", "identities", "accounts", "postings", "usage"


def account_of(store: Store, identity: str) -> str | None:
    """The account id that an identity ("e164:…", "imsi:…") leads to."""
    doc = store.run(lambda session: session.collection(IDENTITIES).get_one(identity))
    return None if doc is None else str(doc["account"])


def holders_of(store: Store, identities: Sequence[str]) -> dict[str, str]:
    """Identity → subscriber's id, for those of the identities that are taken."""
    found = store.run(lambda session: session.collection(IDENTITIES).get_many(identities))
    return {doc["_id"]: _holder(doc) for doc in found if doc is not None}


def _holder(identity: Doc) -> str:
    return str(identity.get("subscriber", identity["account"]))


def accounts_of(store: Store, identities: Sequence[str]) -> dict[str, str]:
    """Identity → account id, for those of the identities that are taken."""
    found = store.run(lambda session: session.collection(IDENTITIES).get_many(identities))
    return {doc["_id"]: doc["account"] for doc in found if doc is not None}


def identities_between(store: Store, first: str, last: str, limit: int) -> list[Doc]:
    """Identities from one to another, both included, in order."""
    before = first[:-1] + chr(ord(first[-1]) - 1) + _END
    return store.run(lambda session: session.collection(IDENTITIES).scan(after=before, until=last + " ", limit=limit))


def of_identity(store: Store, identity: str) -> Doc | None:
    """The subscriber that an identity is of: the account's own, or one of those who share it."""

    def work(session: Session) -> Doc | None:
        found = session.collection(IDENTITIES).get_one(identity)
        return None if found is None else session.collection(SUBSCRIBERS).get_one(_holder(found))

    return store.run(work)


def get(store: Store, subscriber_id: str) -> Doc | None:
    """One subscriber by id."""
    return store.run(lambda session: session.collection(SUBSCRIBERS).get_one(subscriber_id))


def get_account(store: Store, account_id: str) -> Doc | None:
    """An account as it stands, to look at; only mubss.charging changes one."""
    return store.run(lambda session: session.collection(ACCOUNTS).get_one(account_id))


def find(
    store: Store, filters: dict[str, str | int], *, after: str = "", limit: int = 100, now_s: int = 0
) -> list[Doc]:
    """Subscribers by state, plan, type or bill_cycle, in order of their id; `after` is the last one's of a page.

    The plan is that in force at `now_s`, whatever waited until then (core/next_plan.py).
    """
    conditions = [f"{name} = :{name}" if name != "plan" else _HAS_PLAN for name in filters]
    values: dict[str, str | int] = dict(filters)
    if "plan" in filters:
        values["now_s"] = now_s
    if after:
        conditions.append("_id > :after")
        values["after"] = after
    return store.run(
        lambda session: (
            session.collection(SUBSCRIBERS)
            .find(" AND ".join(conditions))
            .sort("_id")
            .limit(limit)
            .bind(values)
            .execute()
        )
    )


def count_living(store: Store) -> int:
    """How many there are that aren't terminated."""

    def work(session: Session) -> int:
        collection = session.collection(SUBSCRIBERS)
        return collection.count() - collection.find("state = :state").bind("state", TERMINATED).count()

    return store.run(work)


def count_by_state(store: Store) -> dict[str, int]:
    """How many subscribers are in each state; those that aren't active are few, and found by an index."""

    def work(session: Session) -> dict[str, int]:
        collection = session.collection(SUBSCRIBERS)
        others = {
            state: len(collection.find("state = :state").fields("$._id").bind("state", state).execute())
            for state in STATES
            if state != ACTIVE
        }
        return {ACTIVE: collection.count() - sum(others.values()), **others}

    return store.run(work)


def postings(store: Store, account_id: str, after: int = 0) -> list[Doc]:
    """The postings of an account behind a sequence, in order."""
    return list(_walk(store, POSTINGS, sequence_id(account_id, after), account_id + _END))


def walk_postings(store: Store, account_id: str) -> Iterator[Doc]:
    """The same from the first one on, read as they are asked for."""
    return _walk(store, POSTINGS, sequence_id(account_id, 0), account_id + _END)


def usage(store: Store, account_id: str, after: int = 0) -> list[Doc]:
    """The usage records of an account behind a sequence, in order."""
    return list(_walk(store, USAGE, sequence_id(account_id, after), account_id + _END))


def page_of(store: Store, collection: str, account_id: str, after: int, limit: int) -> list[Doc]:
    """Postings or usage records of an account behind a sequence, in order, a page of them."""
    first, until = sequence_id(account_id, after), account_id + _END
    return store.run(lambda session: session.collection(collection).scan(after=first, until=until, limit=limit))


def postings_between(store: Store, account_id: str, first: int, last: int) -> list[Doc]:
    """The postings of an account from one sequence to another, in order."""
    return list(_walk(store, POSTINGS, sequence_id(account_id, first - 1), sequence_id(account_id, last + 1)))


def usage_between(store: Store, account_id: str, first: int, last: int) -> list[Doc]:
    """The usage records of an account from one sequence to another, in order."""
    return list(_walk(store, USAGE, sequence_id(account_id, first - 1), sequence_id(account_id, last + 1)))


def all_accounts(store: Store) -> Iterator[Doc]:
    """Every account, in order of its id."""
    return _walk(store, ACCOUNTS)


def accounts_at_risk(store: Store) -> Iterator[Doc]:
    """Currency and sums (micros) of accounts with open reservations, or beyond their limit; looks at every account."""

    def page(after: str) -> Callable[[Session], list[Doc]]:
        names = ("_id", "currency", "reserved_micros", "balance_micros", "credit_limit_micros")
        return lambda session: (
            session.collection(ACCOUNTS)
            .find("_id > :after AND ($.reserved_micros > 0 OR $.balance_micros + $.credit_limit_micros < 0)")
            .fields(*(f"$.{name} AS {name}" for name in names))
            .sort("_id")
            .limit(PAGE)
            .bind("after", after)
            .execute()
        )

    after = ""
    while found := store.run(page(after)):
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1]["_id"]


def all_postings(store: Store) -> Iterator[Doc]:
    """Every posting, in order of account and sequence."""
    return _walk(store, POSTINGS)


def _walk(store: Store, collection: str, after: str = "", until: str = "") -> Iterator[Doc]:
    """Documents in order of their ids, a thousand at a time."""

    def read(session: Session) -> list[Doc]:
        return session.collection(collection).scan(after=after, until=until, limit=PAGE)

    while True:
        page = store.run(read)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["_id"]
