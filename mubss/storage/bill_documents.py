"""Bills that wait for their document: taken by a lease in the bill, which is lost when its time is over.

Whoever writes a bill raises its `version`; here nothing is changed but `state`, `lease`, `document` and `fault`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mubss.core.settling import NEW
from mubss.storage.audit import AUDIT
from mubss.storage.bills import BILLS
from mubss.xdev.api import Doc, Session, Store

Entry = Callable[[list[Doc], list[Doc]], Doc]  # of bills as they were, and as they are

FAILED = "BILL_STATUS_FAILED"  # its document can't be made; `fault` says why


def waiting(store: Store, now_s: int, limit: int) -> list[str]:
    """Ids of bills in state NEW that nobody has at the moment."""
    found = store.run(
        lambda session: (
            session.collection(BILLS)
            .find("$.state = :state")
            .fields("$._id AS _id", "$.lease AS lease")
            .limit(limit)
            .bind("state", NEW)
            .execute()
        )
    )
    return [doc["_id"] for doc in found if not is_held(doc, now_s)]


def count(store: Store, state: str) -> int:
    """How many bills are in a state."""
    return store.run(lambda session: session.collection(BILLS).find("$.state = :state").bind("state", state).count())


def failed(store: Store) -> list[str]:
    """Ids of bills that couldn't be rendered."""
    found = store.run(
        lambda session: (
            session.collection(BILLS).find("$.state = :state").fields("$._id AS _id").bind("state", FAILED).execute()
        )
    )
    return [doc["_id"] for doc in found]


def is_held(bill: Doc, now_s: int) -> bool:
    """Whether somebody's lease on it still runs."""
    lease = bill.get("lease")
    return lease is not None and bool(lease["until_s"] > now_s)


def take(
    store: Store, ids: Sequence[str], owner: str, now_s: int, until_s: int, wanted: Callable[[Doc], bool]
) -> list[Doc]:
    """Leases those of the bills that are `wanted` and that nobody has; as they are now."""

    def work(session: Session) -> list[Doc]:
        with session.transaction():
            found = session.collection(BILLS).get_many(sorted(ids), for_update=True)
            mine = [
                {**doc, "version": doc["version"] + 1, "lease": {"owner": owner, "until_s": until_s}}
                for doc in found
                if doc is not None and wanted(doc) and not is_held(doc, now_s)
            ]
            if mine:
                session.collection(BILLS).put_many(mine)
            return mine

    return store.run(work)


def settle(
    store: Store, ids: Sequence[str], owner: str, change: Callable[[Doc], Doc], entry: Entry | None = None
) -> list[Doc]:
    """Puts `change(bill)` in place of those bills that `owner` still has, without the lease; those that were.

    `entry` makes the audit's of what differs in them.
    """

    def work(session: Session) -> list[Doc]:
        with session.transaction():
            found = session.collection(BILLS).get_many(sorted(ids), for_update=True)
            mine = [doc for doc in found if doc is not None and (doc.get("lease") or {}).get("owner") == owner]
            after = [change(doc) for doc in mine]
            changed = [
                {name: value for name, value in new.items() if name != "lease"} | {"version": old["version"] + 1}
                for old, new in zip(mine, after, strict=True)
            ]
            if changed:
                session.collection(BILLS).put_many(changed)
            told = [number for number, new in enumerate(after) if new is not mine[number]]
            if told and entry is not None:
                made = entry([mine[number] for number in told], [changed[number] for number in told])
                session.collection(AUDIT).add_many([made])
            return changed

    return store.run(work)
