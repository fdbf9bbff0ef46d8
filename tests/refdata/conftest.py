"""A store with the collections that reference data needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mubss.storage.database import Store, create_collections, open_database


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mubss.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_database(store_url)
    create_collections(opened)
    yield opened
    opened.close()
