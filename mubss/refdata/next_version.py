"""The next version of the reference data: written all or nothing, if what is in use can take it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from mubss.core.errors import AccountChanged, RefdataError
from mubss.refdata.check import Faults
from mubss.refdata.plan_build import plan_code
from mubss.storage import refdata as storage
from mubss.storage import refdata_versions as kept
from mubss.storage.database import Doc, DuplicateId, Session, Store, StoreConflict, StoreError
from mubss.storage.refdata import TABLES, Documents, Snapshot, Version

log = logging.getLogger(__name__)

KEPT_VERSIONS = 50
_ATTEMPTS = 5  # of loads that others overtake


class Changes(NamedTuple):
    """What a load does to one table, in rows."""

    added: int
    updated: int
    removed: int


class Maker(NamedTuple):
    """Who makes a version and by what, how many before it are kept, and which of them it puts again (0: none)."""

    who: str = ""
    what: str = ""
    keep: int = KEPT_VERSIONS
    rolled_back_to: int = 0


class Loaded(NamedTuple):
    """The version in force after a load, the same as before if nothing changed, and what it did by table.

    `lost` is {plan that subscribers have: services that it priced before and no longer does}.
    """

    version: Version
    changed: bool
    changes: dict[str, Changes]
    lost: dict[str, tuple[str, ...]]


def put(
    session: Session,
    base: Snapshot,
    documents: Documents,
    now_s: int,
    maker: Maker,
    dry_run: bool,
    version: int | None,
    before: Documents | None = None,
) -> Loaded:
    """Makes documents that are right by themselves the version behind `base`, if what is in use can take them."""
    before = rows_of(base) if before is None else before
    changes = {table: _compare(before[table], documents[table]) for table in TABLES}
    wanted = storage.split(documents)
    if wanted == base.stored:
        return Loaded(base.version, False, changes, {})
    if version not in (None, base.version.number):
        raise AccountChanged(f"version: {version}; expected {base.version.number}: read it again")
    _check_use(session, before, documents)
    lost = _lost_services(session, before["price_plans"], documents["price_plans"])
    if dry_run:
        return Loaded(base.version, True, changes, lost)
    new_digest = digest(documents)
    told: Doc = {"loaded_s": now_s, "digest": new_digest, "who": maker.who, "what": maker.what}
    told |= {"changes": {table: list(one) for table, one in changes.items() if any(one)}}
    told |= {"rolled_back_to": maker.rolled_back_to} if maker.rolled_back_to else {}
    beside = kept.writes_of(session, base, wanted, told)
    return Loaded(storage.write_all(session, base, documents, now_s, new_digest, beside), True, changes, lost)


def repeated(store: Store, work: Callable[[Session], Loaded], keep: int, dry_run: bool) -> Loaded:
    """Does a load again where others overtake it; what isn't to be kept any more is forgotten behind it."""
    for _ in range(_ATTEMPTS - 1):
        try:
            loaded = store.run(work)
            break
        except (StoreConflict, DuplicateId):
            continue
    else:
        loaded = store.run(work)
    if not loaded.changed or dry_run or loaded.version.number <= keep:
        return loaded
    try:
        kept.forget(store, loaded.version.number - keep)
    except StoreError as error:  # the next load does it
        log.warning("former versions of the reference data aren't forgotten yet: %s", error)
    return loaded


def digest(documents: Documents) -> str:
    """128 bits of BLAKE2b over all rows as 32 hex digits: the same data has the same digest in every store."""
    rows = {**documents, "bands": list(documents["bands"].values())}  # only the order of bands means something
    return blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=16).hexdigest()


def rows_of(base: Snapshot, replace: bool = False) -> Documents:
    """The rows of a snapshot; RefdataError if this system didn't write it, or none at all where it is replaced."""
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
