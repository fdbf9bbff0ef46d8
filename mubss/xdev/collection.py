"""What the engines' collections share: the calls that come down to statements and to the set operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from mubss.xdev.api import Doc, Result
from mubss.xdev.documents import check_id, check_name, with_ids
from mubss.xdev.errors import InvalidExpression, StoreError
from mubss.xdev.expression_reader import read_path
from mubss.xdev.expressions import Path
from mubss.xdev.statements import Find, Modify, Remove
from mubss.xdev.translate import Translator


class BaseCollection(ABC):
    """See `mubss.xdev.api.Collection`; every write outside a transaction is one of its own."""

    def __init__(self, name: str, table: str) -> None:
        self.name = name
        self.table = table

    def add(self, *docs: Doc) -> Result:
        whole = with_ids(docs)
        count = self.add_many(whole)
        return Result(count, [doc["_id"] for doc in whole])

    def find(self, condition: str = "") -> Find:
        return Find(self, condition)

    def modify(self, condition: str) -> Modify:
        return Modify(self, condition)

    def remove(self, condition: str) -> Remove:
        return Remove(self, condition)

    def get_one(self, document_id: str) -> Doc | None:
        found = self._read([document_id], for_update=False)
        return found[0] if found else None

    def get_many(self, ids: Sequence[str], *, for_update: bool = False) -> list[Doc | None]:
        if for_update and not self._in_transaction:
            raise StoreError("get_many for update: no transaction is open to hold the lock")
        found = {doc["_id"]: doc for doc in self._read(ids, for_update=for_update)}
        return [found.get(document_id) for document_id in ids]

    def scan(self, *, after: str = "", until: str = "", limit: int = 1000) -> list[Doc]:
        if limit < 1:
            raise StoreError(f"scan: limit: expected 1 or more, got {limit!r}")
        bounds, values = "_id > ?", [after]
        if until:
            bounds, values = "_id > ? AND _id < ?", [after, check_id(until)]
        return self.select(
            f"SELECT doc AS item FROM {self.table} WHERE {bounds} ORDER BY _id LIMIT {int(limit)}", values
        )

    def create_index(self, index_name: str, fields: Sequence[str]) -> None:
        if isinstance(fields, str) or not fields:
            raise InvalidExpression(f"index {index_name}: expected a sequence of document paths, got {fields!r}")
        self._create_index(check_name(index_name, "index"), [read_path(field) for field in fields])

    def drop_index(self, index_name: str) -> None:
        self._drop_index(check_name(index_name, "index"))

    @property
    @abstractmethod
    def _in_transaction(self) -> bool: ...

    @abstractmethod
    def translator(self) -> Translator: ...

    @abstractmethod
    def select(self, sql: str, values: Sequence[Any]) -> list[Any]: ...

    @abstractmethod
    def write(self, parts: int = 1) -> AbstractContextManager[None]: ...

    @abstractmethod
    def put_many(self, docs: Sequence[Doc]) -> int: ...

    @abstractmethod
    def add_many(self, docs: Sequence[Doc]) -> int: ...

    @abstractmethod
    def remove_many(self, ids: Sequence[str]) -> int: ...

    @abstractmethod
    def count(self) -> int: ...

    @abstractmethod
    def _read(self, ids: Sequence[str], *, for_update: bool) -> list[Doc]: ...

    @abstractmethod
    def _create_index(self, index_name: str, paths: Sequence[Path]) -> None: ...

    @abstractmethod
    def _drop_index(self, index_name: str) -> None: ...
