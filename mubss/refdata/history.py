"""Former versions of the reference data: listed, compared, and put again, each time as a new version."""

from __future__ import annotations

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import InputError, RefdataError
from mubss.refdata.build import read_stored
from mubss.refdata.load import RowChange, changes_of
from mubss.refdata.next_version import Loaded, Maker, digest, put, repeated, rows_of
from mubss.storage import refdata as storage
from mubss.storage import refdata_versions as kept
from mubss.storage.database import Doc, Session, Store
from mubss.storage.refdata import Documents, Snapshot, Version

MAX_NUMBER = 99_999_999


class UnknownVersion(InputError):
    """There is no such version, or it isn't kept any more."""


def versions(store: Store, keep: int, before: int = 0, limit: int = 100) -> list[Doc]:
    """The versions that are kept, the last first; `before` is the number of the last one of the page before."""
    current = store.run(storage.read_version).number
    return kept.versions(store, max(1, current - keep), before, limit)


def read(store: Store, number: int = 0) -> tuple[Version, Documents]:
    """All rows of a version (0: the one in force)."""

    def work(session: Session) -> tuple[Version, Documents]:
        base = storage.read_all(session)
        found = _snapshot(session, base, number or base.version.number) if base.version.number else base
        return found.version, rows_of(found)

    return store.run(work)


def diff(store: Store, number: int, other: int = 0) -> tuple[Version, Version, list[RowChange]]:
    """What became of the rows of one version in another (0: the one in force), and both of them."""

    def work(session: Session) -> tuple[Version, Version, list[RowChange]]:
        base = storage.read_all(session)
        before, after = (_snapshot(session, base, one or base.version.number) for one in (number, other))
        return before.version, after.version, changes_of(rows_of(before), rows_of(after))

    return store.run(work)


def rollback(
    store: Store,
    calendar: OperatorCalendar,
    number: int,
    now_s: int,
    maker: Maker,
    *,
    dry_run: bool = False,
    version: int | None = None,
) -> Loaded:
    """Makes what version `number` said the next version, after the checks that a load has, of what is in use too.

    UnknownVersion, RefdataError with every fault, or AccountChanged where `version` isn't the one in force.
    """

    def work(session: Session) -> Loaded:
        base = storage.read_all(session)
        former = _snapshot(session, base, number)
        read_stored(former, calendar)
        return put(session, base, rows_of(former), now_s, maker._replace(rolled_back_to=number), dry_run, version)

    return repeated(store, work, maker.keep, dry_run)


def _snapshot(session: Session, base: Snapshot, number: int) -> Snapshot:
    """What a version was; proved by its digest where it isn't the one in force."""
    if not 1 <= number <= base.version.number:
        raise UnknownVersion(f"version: {number}; expected 1 to {base.version.number}, the one in force")
    if number == base.version.number:
        return base
    doc = session.collection(kept.VERSIONS).get_one(kept.version_id(number))
    stored = None if doc is None else kept.read_back(session, base, number)
    if doc is None or stored is None:
        raise UnknownVersion(f"version: {number}; expected one that is kept; `mubss ref versions` has them")
    found = Snapshot(Version(number, doc["loaded_s"], doc["digest"]), stored)
    if digest(rows_of(found)) != found.version.digest:
        raise RefdataError([f"stored: version {number} can't be read back: it isn't as its digest says"])
    return found
