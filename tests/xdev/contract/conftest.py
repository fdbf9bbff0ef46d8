"""The contract suite runs on every engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract_support import Bench

from mubss.xdev.api import Store
from mubss.xdev.store import open_store


@pytest.fixture
def store_url(empty_store_url: str) -> str:
    """The URL of an empty store."""
    store = open_store(empty_store_url)
    store.make()
    store.close()
    return empty_store_url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def bench(store: Store) -> Bench:
    """The collection `t`, every call a unit of work of its own."""
    store.run(lambda session: session.create_collection("t"))
    return Bench(store, "t")
