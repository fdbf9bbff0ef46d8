"""A store with the collections that reference data needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mubss.storage.database import Store, create_collections, open_database


@pytest.fixture
def store_url(empty_store_url: str) -> str:
    return empty_store_url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_database(store_url)
    create_collections(opened)
    yield opened
    opened.close()
