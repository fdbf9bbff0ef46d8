"""A collection of one session: a table of `_id` and `doc`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from mubss.xdev.api import Doc, Result
from mubss.xdev.documents import check_id, with_ids
from mubss.xdev.errors import StoreError
from mubss.xdev.sqlite import sets

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

    def get_one(self, document_id: str) -> Doc | None:
        found = sets.find_by_id(self._session.link, self.name, [document_id])
        return found[0] if found else None

    def get_many(self, ids: Sequence[str], *, for_update: bool = False) -> list[Doc | None]:
        if for_update and not self._session.link.in_transaction:
            raise StoreError("get_many for update: no transaction is open to hold the lock")
        found = {doc["_id"]: doc for doc in sets.find_by_id(self._session.link, self.name, ids)}
        return [found.get(document_id) for document_id in ids]

    def put_many(self, docs: Sequence[Doc]) -> int:
        with self._session.write():
            return sets.put(self._session.link, self.name, docs)

    def add_many(self, docs: Sequence[Doc]) -> int:
        with self._session.write():
            return sets.add(self._session.link, self.name, docs)

    def remove_many(self, ids: Sequence[str]) -> int:
        with self._session.write():
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
        row = self._session.link.execute(f"SELECT group_concat(doc) FROM ({rows})", [*values, limit]).fetchone()
        return [] if row[0] is None else list(orjson.loads(f"[{row[0]}]"))
