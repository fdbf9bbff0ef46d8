"""`suspense`: units that were reported and that couldn't be charged when they came.

An entry without `state` or `version` is from before there were any: it is open, of version 0. So is one without
`at_ms`: it stands first in its second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mubss.core.model import OPEN
from mubss.xdev.api import Doc, Session, Store

COLLECTION = "suspense"
_ORDER = ("$.at_s", "ifnull($.at_ms, 0)", "$.session", "$.number", "$._id")  # at_s alone has an index, and leads


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to find; "" and () are all. `session` is the hash of a Session-Id."""

    state: str = ""
    reason: str = ""
    session: str = ""
    identities: tuple[str, ...] = ()  # that the request named, any of them
    account: str = ""  # or that was charged
    since_s: int = 0


def state_of(entry: Doc) -> str:
    """open, charged, already or discarded."""
    return str(entry.get("state", OPEN))


def count_open(store: Store) -> int:
    """How many reports wait there; looks at every entry."""
    return store.run(
        lambda session: (
            session.collection(COLLECTION).find('ifnull($.state, "open") = :state').bind("state", OPEN).count()
        )
    )


def get(store: Store, ids: Sequence[str]) -> dict[str, Doc]:
    """Those of the entries that are there, by id."""
    found = store.run(lambda session: session.collection(COLLECTION).get_many(ids))
    return {doc["_id"]: doc for doc in found if doc is not None}


def find(store: Store, wanted: Wanted, *, after: Doc | None = None, limit: int = 100) -> list[Doc]:
    """Entries in the order of their time, those of one moment by session and number; `after` ends the page before."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if wanted.session:
        conditions.append("$.session = :session")
        values["session"] = wanted.session
    if wanted.since_s:
        conditions.append("$.at_s >= :since")
        values["since"] = wanted.since_s
    if wanted.state:
        conditions.append('ifnull($.state, "open") = :state')
        values["state"] = wanted.state
    if wanted.reason:
        conditions.append("$.reason = :reason")
        values["reason"] = wanted.reason
    theirs = [f":identity{number} IN $.identities" for number in range(len(wanted.identities))]
    values |= {f"identity{number}": identity for number, identity in enumerate(wanted.identities)}
    if wanted.account:
        theirs.append("$.account = :account")
        values["account"] = wanted.account
    if theirs:
        conditions.append(f"({' OR '.join(theirs)})")
    if after is not None:
        conditions.append(_behind(after, values))

    def work(session: Session) -> list[Doc]:
        statement = session.collection(COLLECTION).find(" AND ".join(conditions)).sort(*_ORDER).limit(limit)
        return statement.bind(values).execute() if values else statement.execute()

    return store.run(work)


def _behind(entry: Doc, values: dict[str, Any]) -> str:
    """The condition that an entry comes after this one in `_ORDER`; its values are added."""
    last = (entry["at_s"], entry.get("at_ms", 0), entry["session"], entry["number"], entry["_id"])
    values |= {f"last{number}": value for number, value in enumerate(last)}
    condition = f"{_ORDER[-1]} > :last{len(_ORDER) - 1}"
    for number in reversed(range(len(_ORDER) - 1)):
        field = _ORDER[number]
        condition = f"({field} > :last{number} OR ({field} = :last{number} AND {condition}))"
    return condition


def replace(store: Store, entry: Doc, version: int) -> bool:
    """Writes an entry if the stored one still has that version; False where another came first."""

    def work(session: Session) -> bool:
        with session.transaction():
            collection = session.collection(COLLECTION)
            [stored] = collection.get_many([entry["_id"]], for_update=True)
            if stored is None or stored.get("version", 0) != version:
                return False
            collection.put_many([entry])
            return True

    return store.run(work)
