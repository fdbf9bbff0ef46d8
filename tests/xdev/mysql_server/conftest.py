"""Stores on the shared server, and a server of a module's own that its tests may stop, kill and freeze."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from mysqld_tools import Bench

from mubss.xdev.api import Store
from mubss.xdev.store import open_store
from mysqld.binaries import find_or_fetch
from mysqld.server import Server


@pytest.fixture
def url(mysql: Server, mysql_url: str) -> str:
    """A schema with one collection, `t`, on the shared server."""
    return made(mysql_url)


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    """A store on it."""
    store = open_store(url)
    yield Bench(store)
    store.close()


@pytest.fixture(scope="module")
def own(mysql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the module's own; `mysql` first, for where there is none at all."""
    server = Server(tmp_path_factory.mktemp("mysqld"), find_or_fetch(), fast=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_url(own: Server) -> str:
    """A schema with the collection `t` on the module's own server, which is brought back to life first if need be."""
    own.start()
    return made(own.url(schema=f"mubss_{secrets.token_hex(6)}"))


def made(url: str) -> str:
    """The URL, when its schema and the collection are there."""
    store: Store = open_store(url)
    store.make()
    store.run(lambda session: session.create_collection("t"))
    store.close()
    return url
