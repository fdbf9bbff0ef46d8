"""Indexes of the store's collections: made, dropped, and read back.

The document paths of an index stand in its comment as JSON, `[["plan"], ["a", 0]]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from mubss.xdev.documents import check_name
from mubss.xdev.errors import StoreError
from mubss.xdev.expression_reader import read_path
from mubss.xdev.expressions import Path
from mubss.xdev.mysql import messages
from mubss.xdev.mysql.keys import key

if TYPE_CHECKING:
    from mubss.xdev.mysql.session import MysqlSession

Steps = tuple[str | int, ...]

_NO_SUCH_INDEX = 1091
_INDEX_EXISTS = 1061
_INDEXES = (
    "SELECT table_name, index_name, index_comment FROM information_schema.statistics "
    "WHERE table_schema = ? AND seq_in_index = 1 AND index_comment LIKE '[[%'"
)


def missing_of(session: MysqlSession, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[str, ...]:
    """Those of the wanted that aren't there, or are over other paths."""
    known = _ours(session)
    return tuple(
        f"{collection}.{index_name}"
        for collection, names in wanted.items()
        for index_name, fields in names.items()
        if (collection, index_name, _comment([read_path(field) for field in fields])) not in known
    )


def create(session: MysqlSession, collection: str, index_name: str, paths: Sequence[Path]) -> None:
    """Makes an index, unless it is there; StoreError where one of that name is over other paths."""
    _create(session, {(collection, index_name): paths})


def create_many(session: MysqlSession, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """The same for many: collection → {index: document paths}."""
    paths = {
        (collection, check_name(index_name, "index")): [read_path(field) for field in fields]
        for collection, names in wanted.items()
        for index_name, fields in names.items()
    }
    _create(session, paths)


def _create(session: MysqlSession, wanted: Mapping[tuple[str, str], Sequence[Path]]) -> None:
    comments = {at: _comment(paths) for at, paths in wanted.items()}
    known = _ours(session)
    missing = [at for at in wanted if (*at, comments[at]) not in known]  # for the others no right is needed
    if not missing:
        return
    statements = []
    for collection, index_name in missing:
        keys = ", ".join(key(path) for path in wanted[collection, index_name])
        quoted = comments[collection, index_name].replace("\\", "\\\\").replace("'", "''")
        sql = f"CREATE INDEX `{index_name}` ON {session.table(collection)} ({keys}) COMMENT '{quoted}'"
        statements.append(messages.statement(sql))  # ALTER TABLE, for several at once, needs another right
    session.define(statements, missing[0][0], _INDEX_EXISTS)
    session.forget_indexes()
    known = _ours(session)
    for collection, index_name in missing:
        if (collection, index_name, comments[collection, index_name]) not in known:
            raise StoreError(f"{collection}: there is an index {index_name} already, over other fields")


def drop(session: MysqlSession, collection: str, index_name: str) -> None:
    """Drops an index, if it is there."""
    sql = f"DROP INDEX `{index_name}` ON {session.table(collection)}"
    session.define([messages.statement(sql)], collection, _NO_SUCH_INDEX)
    session.forget_indexes()


def read_indexed(session: MysqlSession) -> dict[str, frozenset[Steps]]:
    """Collection → the paths that an index of it starts with."""
    indexed: dict[str, set[Steps]] = {}
    for collection, _, comment in _ours(session):
        try:
            indexed.setdefault(collection, set()).add(tuple(orjson.loads(comment)[0]))
        except (ValueError, TypeError, IndexError):
            continue  # somebody else's index, with a comment that looks like ours
    return {collection: frozenset(paths) for collection, paths in indexed.items()}


def _comment(paths: Sequence[Path]) -> str:
    return orjson.dumps([path.steps for path in paths]).decode()


def _ours(session: MysqlSession) -> set[tuple[str, ...]]:
    """Collection, name and comment of every index that is made by us."""
    rows = session.rows(_INDEXES, [session.schema])
    return {tuple(part.decode() if isinstance(part, bytes) else str(part) for part in row) for row in rows}
