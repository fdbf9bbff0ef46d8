"""A collection of one session: a table that the X plugin made, with `_id` generated from `doc`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from mubss.xdev.api import Doc, Lock
from mubss.xdev.collection import BaseCollection
from mubss.xdev.expressions import Path
from mubss.xdev.mysql import indexes, sets
from mubss.xdev.mysql.translate import MysqlTranslator

if TYPE_CHECKING:
    from mubss.xdev.mysql.session import MysqlSession


class MysqlCollection(BaseCollection):
    """See `mubss.xdev.api.Collection`."""

    def __init__(self, session: MysqlSession, name: str) -> None:
        super().__init__(name, session.table(name))
        self._session = session

    @property
    def _in_transaction(self) -> bool:
        return self._session.in_transaction

    def translator(self) -> MysqlTranslator:
        return MysqlTranslator(self._session.indexed(self.name))

    def select(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return self._session.docs(sql, values, self.name)

    def write(self, parts: int = 1) -> AbstractContextManager[None]:
        return self._session.whole(parts)

    def put_many(self, docs: Sequence[Doc]) -> int:
        self._change(sets.put(self.name, self.table, docs, self._session.link.max_packet_octets))
        return len(docs)

    def add_many(self, docs: Sequence[Doc]) -> int:
        return self._change(sets.add(self.name, self.table, docs, self._session.link.max_packet_octets))

    def remove_many(self, ids: Sequence[str]) -> int:
        return self._change(sets.remove(self.name, self.table, ids))

    def count(self) -> int:
        return int(self._session.rows(f"SELECT count(*) FROM {self.table}", collection=self.name)[0][0])

    def _change(self, steps: Sequence[sets.Step]) -> int:
        if not steps:
            return 0
        with self.write(len(steps)):
            return sum(reply.affected for reply in self._session.run_steps(steps))

    def _read(self, ids: Sequence[str], *, for_update: bool) -> list[Doc]:
        steps = sets.find(self.name, self.table, ids, Lock.UPDATE if for_update else Lock.NONE)
        return self._session.documents(self._session.run_steps(steps)) if steps else []

    def _create_index(self, index_name: str, paths: Sequence[Path]) -> None:
        indexes.create(self._session, self.name, index_name, paths)

    def _drop_index(self, index_name: str) -> None:
        indexes.drop(self._session, self.name, index_name)
