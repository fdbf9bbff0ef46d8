"""Loading files into the store: merged with what is there, checked whole, then the next version, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mubss.core.calendar import OperatorCalendar
from mubss.core.tariff import Tables
from mubss.refdata.build import build_tables
from mubss.refdata.check import Faults
from mubss.refdata.cross_check import Checker
from mubss.refdata.form import Source
from mubss.refdata.next_version import Loaded, Maker, put, repeated, rows_of
from mubss.refdata.rows import read_rows
from mubss.storage import refdata as storage
from mubss.storage.database import Doc, Session, Store
from mubss.storage.refdata import TABLES, Documents, Version


def load(
    store: Store,
    sources: Sequence[Source],
    calendar: OperatorCalendar,
    now_s: int,
    *,
    replace: bool = False,
    dry_run: bool = False,
    version: int | None = None,
    maker: Maker = Maker(),  # noqa: B008
) -> Loaded:
    """Makes the store's reference data, merged with (or replaced by) what the files say, a new version.

    RefdataError, with every fault and nothing changed, if the whole isn't right; `dry_run` writes nothing.
    AccountChanged where there is something to change and `version`, if it is given, isn't the one in force.
    """

    def work(session: Session) -> Loaded:
        base = storage.read_all(session)
        before = rows_of(base, replace)
        documents, _ = validate(sources, calendar, base.version.number + 1, None if replace else before)
        return put(session, base, documents, now_s, maker, dry_run, version, before)

    return repeated(store, work, maker.keep, dry_run)


class RowChange(NamedTuple):
    """What becomes of one row: None where there is none."""

    table: str
    key: str
    before: Doc | None
    after: Doc | None


def diff(
    store: Store, sources: Sequence[Source], calendar: OperatorCalendar, *, replace: bool = False
) -> tuple[Version, list[RowChange]]:
    """What `load` would change, row by row, on top of the version in force; RefdataError with every fault."""
    base = store.run(storage.read_all)
    before = rows_of(base, replace)
    after, _ = validate(sources, calendar, base.version.number + 1, None if replace else before)
    return base.version, changes_of(before, after)


def changes_of(before: Documents, after: Documents) -> list[RowChange]:
    """The rows that differ."""
    changes = [
        RowChange(table, key, before[table].get(key), after[table].get(key))
        for table in TABLES
        for key in [*before[table], *(key for key in after[table] if key not in before[table])]
    ]
    return [change for change in changes if change.before != change.after]


def read_documents(store: Store) -> tuple[Version, Documents]:
    """All rows of the version in force, as the store keeps them; RefdataError if this system didn't write them."""
    base = store.run(storage.read_all)
    return base.version, rows_of(base)


def validate(
    sources: Sequence[Source], calendar: OperatorCalendar, version: int = 0, stored: Documents | None = None
) -> tuple[Documents, Tables]:
    """What files say, on top of `stored`, as documents and tables; RefdataError with every fault."""
    faults = Faults()
    named = read_rows(sources, faults)
    documents = named.documents if stored is None else merge(stored, named.documents)
    if not any(source.faults for source in sources):  # else names that a broken file gives would count as unknown
        Checker(documents, faults, named.origins, named.broken).check()
    faults.raise_any()
    return documents, build_tables(documents, version, calendar)


def merge(stored: Documents, named: Documents) -> Documents:
    """Stored rows replaced by key, new ones behind them; what files name keeps their order among itself."""
    merged: Documents = {}
    for table in TABLES:
        rows = merged[table] = {}
        places = iter(named[table].items())
        for key, doc in stored[table].items():
            key, doc = next(places) if key in named[table] else (key, doc)
            rows[key] = doc
        rows.update(places)
    return merged
