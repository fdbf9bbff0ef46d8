"""A collection of one session: a table of `_id` and `doc`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from mubss.xdev.api import Doc
from mubss.xdev.collection import BaseCollection
from mubss.xdev.errors import StoreError
from mubss.xdev.expression_reader import read_path
from mubss.xdev.expressions import ID, Path
from mubss.xdev.sqlite import sets
from mubss.xdev.sqlite.translate import SqliteTranslator, sort_key

if TYPE_CHECKING:
    from mubss.xdev.sqlite.session import SqliteSession


class SqliteCollection(BaseCollection):
    """See `mubss.xdev.api.Collection`."""

    def __init__(self, session: SqliteSession, name: str) -> None:
        super().__init__(name, f'"{name}"')
        self._session = session

    @property
    def _in_transaction(self) -> bool:
        return self._session.link.in_transaction

    def translator(self) -> SqliteTranslator:
        return SqliteTranslator()

    def select(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return sets.documents(self._session.link, f"SELECT group_concat(item) FROM ({sql})", values)

    def write(self, parts: int = 1) -> AbstractContextManager[None]:
        return self._session.write(parts)

    def put_many(self, docs: Sequence[Doc]) -> int:
        with self.write(sets.parts(docs)):
            return sets.put(self._session.link, self.name, docs)

    def add_many(self, docs: Sequence[Doc]) -> int:
        with self.write(sets.parts(docs)):
            return sets.add(self._session.link, self.name, docs)

    def remove_many(self, ids: Sequence[str]) -> int:
        with self.write(sets.parts(ids)):
            return sets.remove(self._session.link, self.name, ids)

    def count(self) -> int:
        row = self._session.link.execute(f"SELECT count(*) FROM {self.table}").fetchone()
        return int(row[0])

    def _read(self, ids: Sequence[str], *, for_update: bool) -> list[Doc]:
        return sets.find_by_id(self._session.link, self.name, ids)

    def _create_index(self, index_name: str, paths: Sequence[Path]) -> None:
        made = self._index_sql(index_name, paths)
        link = self._session.link
        with self._session.write():
            row = link.execute("SELECT sql FROM sqlite_master WHERE name = ?", [f"{self.name}.{index_name}"]).fetchone()
            if row is None:
                link.execute(made)
            elif row[0] != made:
                raise StoreError(f"{self.name}: there is an index {index_name} already, over other fields")

    def index_sql(self, index_name: str, fields: Sequence[str]) -> str:
        """The statement that makes an index, as SQLite keeps it."""
        return self._index_sql(index_name, [read_path(field) for field in fields])

    def _index_sql(self, index_name: str, paths: Sequence[Path]) -> str:
        keys = ", ".join("_id" if path == ID else sort_key(path) for path in paths)
        return f"CREATE INDEX {self._index(index_name)} ON {self.table} ({keys})"

    def _drop_index(self, index_name: str) -> None:
        with self._session.write():
            self._session.link.execute(f"DROP INDEX IF EXISTS {self._index(index_name)}")

    def _index(self, index_name: str) -> str:
        """An index's quoted name: SQLite's are unique in a file, ours in a collection."""
        return f'"{self.name}.{index_name}"'
