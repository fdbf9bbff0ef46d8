"""Loading files into the store: merged with what is there, checked whole, then written all or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import AccountChanged, RefdataError
from mubss.core.tariff import Tables
from mubss.refdata.build import build_tables
from mubss.refdata.check import Faults
from mubss.refdata.cross_check import Checker
from mubss.refdata.form import Source
from mubss.refdata.plan_build import plan_code
from mubss.refdata.rows import read_rows
from mubss.storage import refdata as storage
from mubss.storage.database import Doc, DuplicateId, Session, Store, StoreConflict
from mubss.storage.refdata import TABLES, Documents, Snapshot, Version

_ATTEMPTS = 5  # of loads that others overtake


class Changes(NamedTuple):
    """What a load does to one table, in rows."""

    added: int
    updated: int
    removed: int


class Loaded(NamedTuple):
    """The version in force after a load, the same as before if nothing changed, and what it did by table.

    `lost` is {plan that subscribers have: services that it priced before and no longer does}.
    """

    version: Version
    changed: bool
    changes: dict[str, Changes]
    lost: dict[str, tuple[str, ...]]


def load(
    store: Store,
    sources: Sequence[Source],
    calendar: OperatorCalendar,
    now_s: int,
    *,
    replace: bool = False,
    dry_run: bool = False,
    version: int | None = None,
) -> Loaded:
    """Makes the store's reference data, merged with (or replaced by) what the files say, a new version.

    RefdataError, with every fault and nothing changed, if the whole isn't right; `dry_run` writes nothing.
    AccountChanged where there is something to change and `version`, if it is given, isn't the one in force.
    """

    def work(session: Session) -> Loaded:
        base = storage.read_all(session)
        before = _rows(base, replace)
        documents, _ = validate(sources, calendar, base.version.number + 1, None if replace else before)
        changes = {table: _compare(before[table], documents[table]) for table in TABLES}
        if storage.split(documents) == base.stored:
            return Loaded(base.version, False, changes, {})
        if version not in (None, base.version.number):
            raise AccountChanged(f"version: {version}; expected {base.version.number}: read it again")
        _check_use(session, before, documents)
        lost = _lost_services(session, before["price_plans"], documents["price_plans"])
        if dry_run:
            return Loaded(base.version, True, changes, lost)
        return Loaded(storage.write_all(session, base, documents, now_s, digest(documents)), True, changes, lost)

    for _ in range(_ATTEMPTS - 1):
        try:
            return store.run(work)
        except (StoreConflict, DuplicateId):
            continue
    return store.run(work)


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
    before = _rows(base, replace)
    after, _ = validate(sources, calendar, base.version.number + 1, None if replace else before)
    changes = [
        RowChange(table, key, before[table].get(key), after[table].get(key))
        for table in TABLES
        for key in [*before[table], *(key for key in after[table] if key not in before[table])]
    ]
    return base.version, [change for change in changes if change.before != change.after]


def read_documents(store: Store) -> tuple[Version, Documents]:
    """All rows of the version in force, as the store keeps them; RefdataError if this system didn't write them."""
    base = store.run(storage.read_all)
    return base.version, _rows(base, replace=False)


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


def digest(documents: Documents) -> str:
    """128 bits of BLAKE2b over all rows as 32 hex digits: the same data has the same digest in every store."""
    rows = {**documents, "bands": list(documents["bands"].values())}  # only the order of bands means something
    return blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=16).hexdigest()


def _rows(base: Snapshot, replace: bool) -> Documents:
    try:
        return storage.join(base.stored)
    except (KeyError, TypeError, AttributeError) as error:
        if replace:  # the way to mend a damaged store
            return {table: {} for table in TABLES}
        raise RefdataError([f"stored: {type(error).__name__} {error}; --replace writes it anew"]) from error


def _compare(before: Mapping[str, Doc], after: Mapping[str, Doc]) -> Changes:
    updated = sum(before[key] != after[key] for key in before.keys() & after.keys())
    return Changes(len(after.keys() - before.keys()), updated, len(before.keys() - after.keys()))


def _lost_services(session: Session, before: Mapping[str, Doc], after: Mapping[str, Doc]) -> dict[str, tuple[str, ...]]:
    """Plans in use, with the services that they no longer price."""
    lost = {}
    for key in before.keys() & after.keys():
        gone = _priced(before[key]) - _priced(after[key])
        if gone and storage.is_plan_used(session, plan_code(key)):
            lost[key] = tuple(sorted(gone))
    return dict(sorted(lost.items()))


def _priced(plan: Doc) -> set[str]:
    """The services of a plan; what a damaged store holds instead of rates, a load mends, so it names none."""
    rates = plan.get("rates")
    return {str(rate.get("service")) for rate in rates if isinstance(rate, dict)} if isinstance(rates, list) else set()


def _check_use(session: Session, before: Documents, after: Documents) -> None:
    """Refuses changes that accounts, whose money and usage are counted by what was, can't take."""
    faults = Faults()
    plans = {plan_code(key): plan for key, plan in after["price_plans"].items()}
    for key, old in before["price_plans"].items():
        code = plan_code(key)
        kept = code in plans and all(plans[code][name] == old[name] for name in ("type", "currency"))
        if not kept and storage.is_plan_used(session, code):
            was = f"was {old['type']} in {old['currency']}"
            faults.add(f"stored: price_plans[{key}]", f"{was}; subscribers have it, or will, so it must stay that")
    for number in before["bill_cycles"].keys() - after["bill_cycles"].keys():
        if storage.is_bill_cycle_used(session, int(number)):
            faults.add(f"stored: bill_cycles[{number}]", "subscribers are in it, so it must stay")
    services = after["services"]
    for code, old in before["services"].items():
        if code in services and services[code]["unit"] != old["unit"] and storage.is_any_subscriber(session):
            faults.add(
                f"stored: services[{code}].unit",
                f"was {old['unit']} and usage is counted in it; give a service in {services[code]['unit']} a new code",
            )
    faults.raise_any()
