"""The MySQL store: sessions over the connections of one process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakSet

from mubss.xdev.api import Session
from mubss.xdev.errors import NotOffered
from mubss.xdev.mysql.address import Address
from mubss.xdev.mysql.pool import Pool
from mubss.xdev.mysql.session import MysqlSession

T = TypeVar("T")

_stores: WeakSet[MysqlStore] = WeakSet()


class MysqlStore:
    """See `mubss.xdev.api.Store`. It waits for sockets only, so nothing has to be offloaded from an event loop."""

    side_by_side = True

    def __init__(self, url: str, address: Address) -> None:
        self.url = url
        self._schema = address.schema
        self._pool = Pool(address)
        self._indexed: dict[str, frozenset[tuple[str | int, ...]]] = {}
        _stores.add(self)

    def make(self) -> None:
        """Makes the schema, unless it is there; existing ones need no right to do so."""
        self.run(lambda session: cast(MysqlSession, session).create_schema())

    def run(self, work: Callable[[Session], T]) -> T:
        link = self._pool.borrow()
        try:
            session = MysqlSession(link, self._schema, self._indexed)
            try:
                return work(session)
            finally:
                session.end()
        finally:
            self._pool.give_back(link)

    def copy_to(self, file: str) -> None:
        raise NotOffered(f"{file}: a MySQL server isn't copied into a file; its own tools do that")

    def close(self) -> None:
        """Closes what is idle now, and what is lent as it comes back."""
        self._pool.close()

    def abandon(self) -> None:
        """Lets go of a parent's connections; new ones are opened when they're needed."""
        self._pool.abandon()


def _abandon_all() -> None:
    for store in _stores:
        store.abandon()


os.register_at_fork(after_in_child=_abandon_all)
