"""`stats`: figures by metric, period and dimensions. `stats_cursors`: what is counted. `stats_pass`: by whom.

Figures and the cursors of what is in them change in one transaction, which holds the lease: whoever lost it, asleep for
too long, can't write any more. What is counted is read before, with nothing locked, by ids: postings and usage records
are numbered without a gap within their account, and so are bills within their series and year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mubss.core.errors import Busy
from mubss.core.stats import COUNTED_AGAIN, LEVELS, Row
from mubss.xdev.api import Doc, Session, Store

STATS, CURSORS, PASS, MINUTES = "stats", "stats_cursors", "stats_pass", "gy_answers"
_LEASE = "lease"  # its _id in PASS


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
    return Lease(**{name: doc[name] for name in Lease._fields if name in doc}) if doc is not None else Lease()


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


def counted(store: Store, account_id: str) -> tuple[int, int] | None:
    """The last posting and usage record of an account that are counted for good; None where nobody ever counted."""

    def work(session: Session) -> tuple[int, int] | None:
        lease = _read(session)
        if not lease.timezone:
            return None
        cursor = session.collection(CURSORS).get_one(account_id)
        if cursor is None or lease.is_rebuilding:  # then all that is there is to be counted again
            return 0, 0
        return cursor["postings"], cursor["usage"]

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
