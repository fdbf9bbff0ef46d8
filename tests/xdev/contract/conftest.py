"""The contract suite runs on every engine of ENGINES: a second one is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract_support import Bench

from mubss.xdev.api import Store
from mubss.xdev.store import open_store

ENGINES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder}/store.db",
}


@pytest.fixture(params=list(ENGINES))
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return ENGINES[request.param](tmp_path)


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
