"""`Session.inspect` and `fault`, and a store that is opened to be read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from mubss.xdev.api import Store
from mubss.xdev.errors import StoreError
from mubss.xdev.store import open_store

WANTED = {"t": {"one": ("$.a",), "two": ("$.a", "$.b")}, "u": {}}


@pytest.fixture
def made(store: Store) -> Iterator[Store]:
    store.run(lambda session: session.create_collections(WANTED))
    yield store


def test_a_store_as_it_should_be(made: Store) -> None:
    found = made.run(lambda session: session.inspect(WANTED))
    assert found.missing_indexes == () and found.engine.split()[0] in ("SQLite", "MySQL")
    assert found.log_octets >= 0 and made.run(lambda session: session.fault()) == ""
    assert found.clock_ms == 0 or abs(found.clock_ms - time.time_ns() // 1_000_000) < 3_600_000


def test_indexes_that_are_missing_or_others(made: Store) -> None:
    made.run(lambda session: session.collection("t").drop_index("one"))
    assert made.run(lambda session: session.inspect(WANTED)).missing_indexes == ("t.one",)
    other = {"t": {"one": ("$.a",), "two": ("$.b", "$.a")}}
    assert made.run(lambda session: session.inspect(other)).missing_indexes == ("t.one", "t.two")


def test_who_only_reads_reads_the_same(made: Store) -> None:
    made.run(lambda session: session.collection("t").add_many([{"_id": "x", "a": "Ü"}]))
    with closing(open_store(made.url, only_read=True)) as reader:
        assert reader.run(lambda session: session.collection("t").find("LOWER($.a) = 'ü'").execute())[0]["_id"] == "x"
        assert reader.run(lambda session: session.inspect(WANTED)).missing_indexes == ()
        if reader.url.startswith("sqlite"):
            with pytest.raises(StoreError, match="read-only"):
                reader.run(lambda session: session.collection("t").put_many([{"_id": "y"}]))
