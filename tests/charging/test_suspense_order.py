"""Entries in suspense are found in the order of their time, page by page, also those of before `at_ms` was kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging_world import World
from mubss.core.identity import session_hash
from mubss.storage import suspense
from mubss.storage.suspense import Wanted
from mubss.xdev.api import Session

ENTRY = st.fixed_dictionaries(
    {"at_s": st.sampled_from([100, 101]), "session": st.sampled_from("ab"), "number": st.integers(0, 2)},
    optional={"at_ms": st.sampled_from([100_500, 100_999, 101_000])},
)


def order(entry: dict[str, Any]) -> tuple[object, ...]:
    return entry["at_s"], entry.get("at_ms", 0), entry["session"], entry["number"], entry["_id"]


def pages(world: World, limit: int) -> Iterator[list[str]]:
    after = None
    while page := suspense.find(world.store, Wanted(), after=after, limit=limit):
        after = page[-1]
        yield [entry["_id"] for entry in page]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ENTRY, max_size=8), st.integers(1, 3))
def test_pages_are_in_the_order_of_time(world: World, made: list[dict[str, Any]], limit: int) -> None:
    entries = [{**entry, "_id": session_hash(str(number))} for number, entry in enumerate(made)]

    def fill(session: Session) -> None:
        collection = session.collection(suspense.COLLECTION)
        collection.remove("true").execute()
        collection.put_many(entries)

    world.store.run(fill)
    assert [one for page in pages(world, limit) for one in page] == [
        entry["_id"] for entry in sorted(entries, key=order)
    ]
