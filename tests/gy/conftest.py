"""A store and a server for a whole module of tests: each test takes subscribers of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gy_desk import Desk
from gy_wire import Raw
from gy_world import GyServer, World


@pytest.fixture(scope="module")
def world(module_store_url: str) -> Iterator[World]:
    made = World(module_store_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[GyServer]:
    with GyServer(world, served_realms="dest.realm") as running:  # that is whom xk6's example asks
        yield running


@pytest.fixture
def pgw(server: GyServer) -> Iterator[Raw]:
    """A peer that is open."""
    with Raw(server.port).open() as peer:
        yield peer


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)
