"""What statistics are counted from: accounts with their cursors, documents by number, minutes of `gy_answers`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mubss.core.identity import sequence_id
from mubss.storage.stats import CURSORS, MINUTES
from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.errors import DuplicateId

ACCOUNTS, POSTINGS, USAGE, BILLS, COUNTERS = "accounts", "postings", "usage", "bills", "counters"
PAGE = 500
_BILL_COUNTERS = "bill:"  # what ids of counters of bills begin with
_TOGETHER = 100  # numbers of bills in one question


def accounts_behind(store: Store, after: str) -> list[tuple[Doc, Doc | None]]:
    """A page of accounts in the order of their ids, each with its cursor."""

    def work(session: Session) -> list[tuple[Doc, Doc | None]]:
        accounts = session.collection(ACCOUNTS).scan(after=after, limit=PAGE)
        return list(zip(accounts, session.collection(CURSORS).get_many([one["_id"] for one in accounts]), strict=True))

    return store.run(work)


def numbered(store: Store, collection: str, wanted: Iterable[tuple[str, range]]) -> dict[str, list[Doc]]:
    """Account → its postings or usage records of these numbers, as far as they are still there."""
    ids = [sequence_id(account, number) for account, numbers in wanted for number in numbers]
    found: dict[str, list[Doc]] = {}

    def work(session: Session) -> None:
        for first in range(0, len(ids), PAGE):
            for doc in session.collection(collection).get_many(ids[first : first + PAGE]):
                if doc is not None:
                    found.setdefault(doc["account"], []).append(doc)

    found.clear()
    store.run(work)
    return found


def bill_counters(store: Store) -> list[tuple[str, int, int]]:
    """(counter, the last number that it gave, the last that is counted), of each series and year of bills."""

    def work(session: Session) -> list[tuple[str, int, int]]:
        counters = session.collection(COUNTERS).scan(after=_BILL_COUNTERS, until=_BILL_COUNTERS + "~")
        cursors = session.collection(CURSORS).get_many([one["_id"] for one in counters])
        return [
            (counter["_id"], counter["version"], cursor["bills"] if cursor else 0)
            for counter, cursor in zip(counters, cursors, strict=True)
        ]

    return store.run(work)


def bills_numbered(store: Store, counter: str, numbers: range) -> list[Doc]:
    """The bills of a counter's series and year with these numbers."""
    _, series, year = counter.split(":")
    found: list[Doc] = []

    def work(session: Session) -> None:
        for first in range(numbers.start, numbers.stop, _TOGETHER):
            some = range(first, min(first + _TOGETHER, numbers.stop))
            values = {f"n{number}": f"{series}-{year}-{number:07}" for number in some}
            condition = f"$.number IN ({', '.join(':' + name for name in values)})"
            found.extend(session.collection(BILLS).find(condition).bind(values).execute())

    store.run(work)
    return found


def open_bills(store: Store, states: Sequence[str]) -> Iterator[Doc]:
    """Due day, what is open, currency and its decimals, of each bill in these states."""
    names = {f"s{place}": state for place, state in enumerate(states)}
    fields = ("$._id AS _id", "$.due_day AS due_day", "$.settled.open AS open")
    condition = f"$.state IN ({', '.join(':' + name for name in names)}) AND $._id > :after"
    after = ""
    while True:
        values = {**names, "after": after}
        page = store.run(
            lambda session, values=values: (  # type: ignore[misc]
                session.collection(BILLS)
                .find(condition)
                .fields(*fields, "$.currency AS currency", "$.decimals AS decimals")
                .sort("$._id")
                .limit(PAGE)
                .bind(values)
                .execute()
            )
        )
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]["_id"]


def uncounted_minutes(store: Store, limit: int) -> list[Doc]:
    """What processes of mubss-gy answered within a minute and nobody has counted."""
    return store.run(
        lambda session: session.collection(MINUTES).find("$.counted = 0").sort("$._id").limit(limit).execute()
    )


def add_minute(store: Store, minute: Doc) -> None:
    """What a process of mubss-gy answered within a minute; done again it is there once, also where that was counted."""
    try:
        store.run(lambda session: session.collection(MINUTES).add_many([minute]))
    except DuplicateId:  # an earlier try was heard, and its answer lost
        pass


def forget_counted_minutes(store: Store, before_s: int, limit: int = 200) -> int:
    """Removes up to so many minutes of Gy that were counted before then; how many."""
    return _forget_minutes(store, "$.counted > 0 AND $.counted < :before", before_s, limit)


def forget_minutes(store: Store, before_s: int, limit: int = 200) -> int:
    """Removes up to so many minutes of Gy from before then, counted or not; how many."""
    return _forget_minutes(store, "$.minute_s < :before", before_s, limit)


def _forget_minutes(store: Store, condition: str, before_s: int, limit: int) -> int:
    def work(session: Session) -> int:
        minutes = session.collection(MINUTES)
        found = minutes.find(condition).fields("$._id AS _id").limit(limit).bind("before", before_s).execute()
        return minutes.remove_many([doc["_id"] for doc in found])

    return store.run(work)
