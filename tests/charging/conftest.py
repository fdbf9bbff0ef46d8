"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from charging_world import World
from voucher_world import VoucherWorld


@pytest.fixture
def world(empty_store_url: str) -> Iterator[World]:
    made = World(empty_store_url)
    yield made
    made.store.close()


@pytest.fixture
def small_voucher_world(tmp_path: Path) -> Iterator[VoucherWorld]:
    """For what has little to do with the store: on SQLite alone."""
    made = VoucherWorld(f"sqlite:///{tmp_path}/store.db", tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def voucher_world(empty_store_url: str, tmp_path: Path) -> Iterator[VoucherWorld]:
    made = VoucherWorld(empty_store_url, tmp_path)
    yield made
    made.store.close()
