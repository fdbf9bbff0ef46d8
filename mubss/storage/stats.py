"""`stats`: figures by metric, period and dimensions. `stats_cursors`: what is counted. `stats_pass`: by whom.

Figures and the cursors of what is in them change in one transaction, which holds the lease: whoever lost it, asleep for
too long, can't write any more. What is counted is read before, with nothing locked, by ids: postings and usage records
are numbered without a gap within their account, and so are bills within their series and year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mubss.core.errors import Busy
from mubss.core.identity import sequence_id
from mubss.core.stats import COUNTED_AGAIN, LEVELS, Row
from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.errors import DuplicateId

STATS, CURSORS, PASS, MINUTES = "stats", "stats_cursors", "stats_pass", "gy_answers"
ACCOUNTS, POSTINGS, USAGE, BILLS, COUNTERS = "accounts", "postings", "usage", "bills", "counters"
PAGE = 500
_LEASE = "lease"  # its _id in PASS
_BILL_COUNTERS = "bill:"  # what ids of counters of bills begin with
_TOGETHER = 100  # numbers of bills in one question


class Lease(NamedTuple):
    """Who counts, and what was counted by which clock; `passed_s` is when the last pass began that was finished."""

    owner: str = ""
    until_s: int = 0
    timezone: str = ""
    passed_s: int = 0
    is_rebuilding: bool = False

    def to_doc(self) -> Doc:
        return {"_id": _LEASE, **self._asdict()}


def _read(session: Session, *, for_update: bool = False) -> Lease:
    [doc] = session.collection(PASS).get_many([_LEASE], for_update=for_update)
    return Lease(**{name: doc[name] for name in Lease._fields}) if doc is not None else Lease()


def read_lease(store: Store) -> Lease:
    """As it stands."""
    return store.run(_read)


def take(store: Store, owner: str, now_s: int, until_s: int) -> Lease:
    """The lease; Busy while another has it."""

    def work(session: Session) -> Lease:
        with session.transaction():
            there = _read(session, for_update=True)
            if there.owner not in ("", owner) and there.until_s > now_s:
                raise Busy(f"{there.owner} counts for {there.until_s - now_s} s yet")
            taken = there._replace(owner=owner, until_s=until_s)
            session.collection(PASS).put_many([taken.to_doc()])
            return taken

    return store.run(work)


def change_lease(store: Store, lease: Lease, **changes: object) -> Lease:
    """The lease of its owner, changed; Busy where it is another's by now."""

    def work(session: Session) -> Lease:
        with session.transaction():
            after = _mine(session, lease.owner)._replace(**changes)  # type: ignore[arg-type]
            session.collection(PASS).put_many([after.to_doc()])
            return after

    return store.run(work)


def ask_rebuild(store: Store) -> None:
    """The next pass counts all documents again, whoever makes it."""

    def work(session: Session) -> None:
        with session.transaction():
            there = _read(session, for_update=True)
            session.collection(PASS).put_many([there._replace(is_rebuilding=True).to_doc()])

    store.run(work)


def _mine(session: Session, owner: str) -> Lease:
    there = _read(session, for_update=True)
    if there.owner != owner:
        raise Busy("the lease ran out, and another process counts")
    return there


# ── reading what is to be counted ──────────────────────────────────────────────────────────────────


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


# ── writing ────────────────────────────────────────────────────────────────────────────────────────


def count(store: Store, lease: Lease, rows: Sequence[Row], cursors: Sequence[Doc], minutes: Sequence[Doc] = ()) -> None:
    """Adds to figures, and moves the cursors of what they were counted from; all of it or nothing."""

    def work(session: Session) -> None:
        with session.transaction():
            session.collection(PASS).put_many([_mine(session, lease.owner)._replace(until_s=lease.until_s).to_doc()])
            stats = session.collection(STATS)
            there = stats.get_many(sorted(row.id for row in rows), for_update=True)
            known = {doc["_id"]: doc for doc in there if doc is not None}
            stats.put_many([_added(row, known.get(row.id)) for row in rows])
            session.collection(CURSORS).put_many(cursors)
            session.collection(MINUTES).put_many(minutes)

    store.run(work)


def _added(row: Row, stored: Doc | None) -> Doc:
    before = stored["figures"] if stored is not None else {}
    figures = {name: before.get(name, 0) + figure for name, figure in row.figures.items()}
    return {**_doc(row), "figures": figures}


def _doc(row: Row) -> Doc:
    fields = row._asdict()
    return {"_id": fields.pop("id"), **fields}


def replace_levels(store: Store, lease: Lease, starts: Mapping[str, int], rows: Sequence[Row], now_s: int) -> None:
    """How things stand takes the place of what was seen before in the same periods, which begin at `starts`."""

    def work(session: Session) -> None:
        with session.transaction():
            _mine(session, lease.owner)
            stats = session.collection(STATS)
            gone = []
            for metric in LEVELS:
                for period, start_s in starts.items():
                    gone += [doc["_id"] for doc in _select(session, metric, period, start_s, start_s + 1)]
            stats.remove_many(sorted(set(gone) - {row.id for row in rows}))
            stats.put_many([{**_doc(row), "at_s": now_s} for row in rows])

    store.run(work)


def forget_period(store: Store, period: str, before_s: int, limit: int = 200) -> int:
    """Removes up to so many rows of periods that began before then; how many."""
    values = {"period": period, "before": before_s}

    def work(session: Session) -> int:
        stats = session.collection(STATS)
        found = stats.find("$.period = :period AND $.start_s < :before").fields("$._id AS _id").limit(limit)
        return stats.remove_many([doc["_id"] for doc in found.bind(values).execute()])

    return store.run(work)


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


def forget_counted(store: Store, limit: int = 200) -> int:
    """Removes up to so many rows and cursors of what can be counted again; how many."""
    names = {f"m{place}": name for place, name in enumerate(COUNTED_AGAIN)}
    condition = f"$.metric IN ({', '.join(':' + name for name in names)})"

    def work(session: Session) -> int:
        with session.transaction():
            stats, cursors = session.collection(STATS), session.collection(CURSORS)
            found = stats.find(condition).fields("$._id AS _id").limit(limit).bind(names).execute()
            gone = stats.remove_many([doc["_id"] for doc in found])
            return gone + cursors.remove_many([doc["_id"] for doc in cursors.scan(limit=limit)])

    return store.run(work)


def add_minute(store: Store, minute: Doc) -> None:
    """What a process of mubss-gy answered within a minute; done again it is there once, also where that was counted."""
    try:
        store.run(lambda session: session.collection(MINUTES).add_many([minute]))
    except DuplicateId:  # an earlier try was heard, and its answer lost
        pass


# ── reading figures ────────────────────────────────────────────────────────────────────────────────


def _select(session: Session, metric: str, period: str, from_s: int, until_s: int) -> list[Doc]:
    values = {"metric": metric, "period": period, "from": from_s, "until": until_s}
    return (
        session.collection(STATS)
        .find("$.metric = :metric AND $.period = :period AND $.start_s >= :from AND $.start_s < :until")
        .bind(values)
        .execute()
    )


def rows(store: Store, metric: str, period: str, from_s: int, until_s: int) -> list[Doc]:
    """The rows of a metric whose periods begin within [from_s, until_s)."""
    return store.run(lambda session: _select(session, metric, period, from_s, until_s))
