"""A world on each engine, and one on the embedded store alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bill_world import World


@pytest.fixture
def world(module_store_url: str, tmp_path: Path) -> Iterator[World]:
    """An empty one: a module's tests share the store, since a schema of MySQL takes seconds to make."""
    made = World(module_store_url, tmp_path)
    made.clear()
    yield made
    made.store.close()


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    made = World(f"sqlite:///{tmp_path}/store.db", tmp_path)
    yield made
    made.store.close()
