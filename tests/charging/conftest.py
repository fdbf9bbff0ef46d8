"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from charging_world import World


@pytest.fixture
def world(empty_store_url: str) -> Iterator[World]:
    made = World(empty_store_url)
    yield made
    made.store.close()
