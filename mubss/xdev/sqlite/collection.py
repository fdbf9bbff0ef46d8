"""A collection of one session: a table of `_id` and `doc`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mubss.xdev.api import Doc, Result
from mubss.xdev.documents import check_id, check_name, with_ids
from mubss.xdev.errors import InvalidExpression, StoreError
from mubss.xdev.expression_reader import read_path
from mubss.xdev.expressions import ID
from mubss.xdev.sqlite import sets
from mubss.xdev.sqlite.statements import SqliteFind, SqliteModify, SqliteRemove
from mubss.xdev.sqlite.translate import sort_key

if TYPE_CHECKING:
    from mubss.xdev.sqlite.session import SqliteSession


class SqliteCollection:
    """See `mubss.xdev.api.Collection`; every write outside a transaction is one of its own."""

    def __init__(self, session: SqliteSession, name: str) -> None:
        self.name = name
        self._session = session

    def add(self, *docs: Doc) -> Result:
        whole = with_ids(docs)
        count = self.add_many(whole)
        return Result(count, [doc["_id"] for doc in whole])

    def find(self, condition: str = "") -> SqliteFind:
        return SqliteFind(self._session, self.name, condition)

    def modify(self, condition: str) -> SqliteModify:
        return SqliteModify(self._session, self.name, condition)

    def remove(self, condition: str) -> SqliteRemove:
        return SqliteRemove(self._session, self.name, condition)

    def get_one(self, document_id: str) -> Doc | None:
        found = sets.find_by_id(self._session.link, self.name, [document_id])
        return found[0] if found else None

    def get_many(self, ids: Sequence[str], *, for_update: bool = False) -> list[Doc | None]:
        if for_update and not self._session.link.in_transaction:
            raise StoreError("get_many for update: no transaction is open to hold the lock")
        found = {doc["_id"]: doc for doc in sets.find_by_id(self._session.link, self.name, ids)}
        return [found.get(document_id) for document_id in ids]

    def put_many(self, docs: Sequence[Doc]) -> int:
        with self._session.write(len(docs)):
            return sets.put(self._session.link, self.name, docs)

    def add_many(self, docs: Sequence[Doc]) -> int:
        with self._session.write(len(docs)):
            return sets.add(self._session.link, self.name, docs)

    def remove_many(self, ids: Sequence[str]) -> int:
        with self._session.write(len(ids)):
            return sets.remove(self._session.link, self.name, ids)

    def count(self) -> int:
        row = self._session.link.execute(f'SELECT count(*) FROM "{self.name}"').fetchone()
        return int(row[0])

    def scan(self, *, after: str = "", until: str = "", limit: int = 1000) -> list[Doc]:
        if limit < 1:
            raise StoreError(f"scan: limit: expected 1 or more, got {limit!r}")
        bounds, values = "_id > ?", [after]
        if until:
            bounds, values = "_id > ? AND _id < ?", [after, check_id(until)]
        rows = f'SELECT doc FROM "{self.name}" WHERE {bounds} ORDER BY _id LIMIT ?'
        return sets.documents(self._session.link, f"SELECT group_concat(doc) FROM ({rows})", [*values, limit])

    def create_index(self, index_name: str, fields: Sequence[str]) -> None:
        if isinstance(fields, str) or not fields:
            raise InvalidExpression(f"index {index_name}: expected a sequence of document paths, got {fields!r}")
        paths = [read_path(field) for field in fields]
        keys = ", ".join("_id" if path == ID else sort_key(path) for path in paths)
        made = f'CREATE INDEX {self._index(index_name)} ON "{self.name}" ({keys})'
        link = self._session.link
        with self._session.write():
            row = link.execute("SELECT sql FROM sqlite_master WHERE name = ?", [f"{self.name}.{index_name}"]).fetchone()
            if row is None:
                link.execute(made)
            elif row[0] != made:
                raise StoreError(f"{self.name}: there is an index {index_name} already, over other fields")

    def drop_index(self, index_name: str) -> None:
        with self._session.write():
            self._session.link.execute(f"DROP INDEX IF EXISTS {self._index(index_name)}")

    def _index(self, index_name: str) -> str:
        """An index's quoted name: SQLite's are unique in a file, ours in a collection."""
        return f'"{self.name}.{check_name(index_name, "index")}"'
