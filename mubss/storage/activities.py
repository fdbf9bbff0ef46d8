"""`activities`: the queue of mubss-billing. What a change makes of one is said in core/activity.py."""

from __future__ import annotations

from collections.abc import Callable

from mubss.core.activity import RUNNING
from mubss.xdev.api import Doc, Session, Store

ACTIVITIES = "activities"


def change(store: Store, activity_id: str, changed: Callable[[Doc | None], Doc | None]) -> Doc | None:
    """Writes what `changed` makes of the stored document, which nobody else changes meanwhile; None writes nothing."""

    def work(session: Session) -> Doc | None:
        with session.transaction():
            [stored] = session.collection(ACTIVITIES).get_many([activity_id], for_update=True)
            doc = changed(stored)
            if doc is not None:
                session.collection(ACTIVITIES).put_many([doc])
            return doc

    return store.run(work)


def get(store: Store, activity_id: str) -> Doc | None:
    """One activity."""
    return store.run(lambda session: session.collection(ACTIVITIES).get_one(activity_id))


def find_due(store: Store, billcycle: int, now_s: int, limit: int = 20) -> list[Doc]:
    """A cycle's activities that may be taken, the oldest first."""
    values = {"cycle": billcycle, "now": now_s}
    return store.run(
        lambda session: (
            session.collection(ACTIVITIES)
            .find("$.billcycle = :cycle AND $.due_s <= :now")
            .sort("$.due_s", "$._id")
            .limit(limit)
            .bind(values)
            .execute()
        )
    )


def count_due(store: Store, billcycle: int, now_s: int) -> int:
    """How many of a cycle's may be taken."""
    values = {"cycle": billcycle, "now": now_s}
    return store.run(
        lambda session: (
            session.collection(ACTIVITIES).find("$.billcycle = :cycle AND $.due_s <= :now").bind(values).count()
        )
    )


def find_running(store: Store, billcycle: int) -> list[Doc]:
    """A cycle's activities that somebody has."""
    values = {"cycle": billcycle, "state": RUNNING}
    return store.run(
        lambda session: (
            session.collection(ACTIVITIES).find("$.billcycle = :cycle AND $.state = :state").bind(values).execute()
        )
    )


def find(store: Store, filters: dict[str, str | int], limit: int) -> list[Doc]:
    """Activities by billcycle, state, kind or period, the last first."""
    conditions = " AND ".join(f"$.{name} = :{name}" for name in filters)

    def work(session: Session) -> list[Doc]:
        found = session.collection(ACTIVITIES).find(conditions).sort("$.made_s DESC", "$._id").limit(limit)
        return found.bind(filters).execute() if filters else found.execute()

    return store.run(work)
