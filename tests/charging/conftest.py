"""A world for each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from charging_world import World
from mubss.services import notifying
from notice_office import Office
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


@pytest.fixture
def quiet() -> Iterator[None]:
    """What dead notifications are logged as stays out of the output of tests."""
    notifying.log.setLevel(logging.CRITICAL)
    yield
    notifying.log.setLevel(logging.NOTSET)


@pytest.fixture
def office(world: World, tmp_path: Path, quiet: None) -> Office:
    """Who is told something, on both stores."""
    return Office(world, tmp_path)


@pytest.fixture
def small_office(tmp_path: Path, quiet: None) -> Iterator[Office]:
    """For what has little to do with the store: on SQLite alone."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    yield Office(world, tmp_path)
    world.store.close()
