"""`bills`: one for each account, cycle and period, and `counters`, their numbers; mubss.charging writes both."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from mubss.xdev.api import Doc, Session, Store

BILLS, COUNTERS = "bills", "counters"


def bill_id(account_id: str, cycle: int, period: str) -> str:
    """The `_id` of a bill: there is one of each."""
    return blake2b(f"{account_id}\0{cycle}\0{period}".encode(), digest_size=16).hexdigest()


def counter_id(series: str, year: str) -> str:
    """The `_id` of the counter that numbers bills of a series and year."""
    return f"bill:{series}:{year}"


def get_many(store: Store, ids: Sequence[str]) -> dict[str, Doc]:
    """Those of the bills that are there, by id."""
    found = store.run(lambda session: session.collection(BILLS).get_many(ids))
    return {doc["_id"]: doc for doc in found if doc is not None}


def get_counter(store: Store, counter: str) -> Doc | None:
    """A counter as it stands."""
    return store.run(lambda session: session.collection(COUNTERS).get_one(counter))


def find(store: Store, filters: dict[str, str | int], limit: int) -> list[Doc]:
    """Bills by account, cycle or period, the last numbers first."""
    conditions = " AND ".join(f"$.{name} = :{name}" for name in filters)

    def work(session: Session) -> list[Doc]:
        found = session.collection(BILLS).find(conditions).sort("$.number DESC").limit(limit)
        return found.bind(filters).execute() if filters else found.execute()

    return store.run(work)


def by_number(store: Store, number: str) -> Doc | None:
    """The bill of a number."""
    found = store.run(
        lambda session: session.collection(BILLS).find("$.number = :number").bind("number", number).execute()
    )
    return found[0] if found else None
