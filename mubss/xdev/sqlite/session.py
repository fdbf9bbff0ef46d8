"""A session: one unit of work on one connection that the pool lent."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from mubss.xdev.api import Doc, How, Inspection, Read, Write
from mubss.xdev.documents import check_name
from mubss.xdev.errors import StoreError
from mubss.xdev.sqlite import sets
from mubss.xdev.sqlite.collection import SqliteCollection
from mubss.xdev.sqlite.connection import Connection


class SqliteSession:
    """See `mubss.xdev.api.Session`."""

    def __init__(self, link: Connection) -> None:
        self._link: Connection | None = link
        self._collections: dict[str, SqliteCollection] = {}
        self._savepoints = 0

    @property
    def link(self) -> Connection:
        """The connection that is lent for this unit of work."""
        if self._link is None:
            raise StoreError("the session has ended: it is only good within Store.run")
        return self._link

    def end(self) -> None:
        """Takes the connection away, without the transaction that was left open."""
        self.link.rollback()
        self._link = None
        self._collections.clear()  # each knows its session: without end, only the garbage collector would free them

    def collection(self, name: str) -> SqliteCollection:
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = SqliteCollection(self, check_name(name))
        return found

    def create_collection(self, name: str) -> SqliteCollection:
        made = self.collection(name)
        # With a rowid, 64 accounts among 100,000 dirty 64 pages of 4 KB and 64 postings of 200 bytes, each of another
        # account, 92. WITHOUT ROWID it is 130 pages for the postings, and documents over 1,000 bytes spill into a
        # second page each (a batch took 7.1 ms instead of 2.8); a range of postings is read in 8 µs instead of 16.
        with self.write():
            self.link.execute(
                f'CREATE TABLE IF NOT EXISTS "{made.name}" (_id TEXT PRIMARY KEY NOT NULL, doc TEXT NOT NULL)'
            )
        return made

    def create_collections(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        with self.write(2):  # one commit for all of them
            for name, names in wanted.items():
                collection = self.create_collection(name)
                for index_name, fields in names.items():
                    collection.create_index(index_name, fields)

    def drop_collection(self, name: str) -> None:
        with self.write():
            self.link.execute(f'DROP TABLE IF EXISTS "{check_name(name)}"')

    def list_collections(self) -> list[str]:
        rows = self.link.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
        )
        return [name for (name,) in rows.fetchall()]

    def inspect(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> Inspection:
        made = dict(self.link.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall())
        missing = [
            f"{name}.{index_name}"
            for name, names in wanted.items()
            for index_name, fields in names.items()
            if made.get(f"{name}.{index_name}") != self.collection(name).index_sql(index_name, fields)
        ]
        try:
            log = os.stat(f"{self.link.path}-wal").st_size
        except OSError:
            log = 0
        return Inspection(f"SQLite {sqlite3.sqlite_version}", tuple(missing), log, 0)

    def fault(self) -> str:
        found = str(self.link.execute("PRAGMA quick_check(1)").fetchone()[0])
        return "" if found == "ok" else " ".join(found.split())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        link = self.link
        link.begin()
        try:
            yield
        except BaseException:
            link.rollback()
            raise
        link.commit()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        link = self.link
        if not link.in_transaction:
            raise StoreError("savepoint: no transaction is open")
        self._savepoints += 1
        name = f"s{self._savepoints}"
        link.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if link.in_transaction and not link.lost:
                link.execute(f"ROLLBACK TO {name}")
                link.execute(f"RELEASE {name}")
            raise
        link.execute(f"RELEASE {name}")

    @contextmanager
    def write(self, parts: int = 1) -> Iterator[None]:
        """Makes one call all or nothing: a transaction of its own where none is open, a savepoint if it has parts."""
        if not self.link.in_transaction:
            with self.transaction():
                yield
        elif parts > 1:
            with self.savepoint():
                yield
        else:
            yield

    def begin(self, reads: Iterable[Read]) -> list[list[Doc]]:
        link = self.link
        link.begin()
        try:
            return [sets.find_by_id(link, self.collection(read.collection).name, read.ids) for read in reads]
        except BaseException:
            link.rollback()
            raise

    def finish(self, writes: Iterable[Write]) -> None:
        link = self.link
        if not link.in_transaction:
            raise StoreError("finish: no transaction is open; begin one first")
        try:
            for write in writes:
                table = self.collection(write.collection).name
                if write.how is How.PUT:
                    sets.put(link, table, write.docs)
                elif write.how is How.ADD:
                    sets.add(link, table, write.docs, whole=False)
                else:
                    sets.remove(link, table, write.docs)
        except BaseException:
            link.rollback()
            raise
        link.commit()

    def rollback(self) -> None:
        self.link.rollback()
