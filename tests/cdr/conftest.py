"""A world on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_world import World


@pytest.fixture
def world(empty_store_url: str, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "in"
    folder.mkdir()
    made = World(empty_store_url, folder)
    yield made
    made.close()


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """On the embedded store alone, where the engine makes no difference."""
    folder = tmp_path / "in"
    folder.mkdir()
    made = World(f"sqlite:///{tmp_path}/store.db", folder)
    yield made
    made.close()
