"""A real mubss-crm server with TLS on each engine, for the tests of a module, and clients of every role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_world import CrmWorld


@pytest.fixture(scope="module")
def crm(module_store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrmWorld]:
    """The server, with the demo's subscribers."""
    world = CrmWorld(module_store_url, tmp_path_factory.mktemp("crm"))
    yield world
    world.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path
