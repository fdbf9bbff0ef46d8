"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stats_times import NOON
from stats_world import StatsWorld


@pytest.fixture
def world(empty_store_url: str) -> Iterator[StatsWorld]:
    made = StatsWorld(empty_store_url, NOON)
    yield made
    made.close()


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[StatsWorld]:
    """For what has little to do with the store: on SQLite alone."""
    made = StatsWorld(f"sqlite:///{tmp_path}/store.db", NOON)
    yield made
    made.close()
