"""find, modify and remove: built up by calls, run by `execute`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import orjson

from mubss.xdev.api import Doc, Expr, Result
from mubss.xdev.documents import encode
from mubss.xdev.errors import InvalidExpression
from mubss.xdev.expression_reader import read, read_field, read_order, read_path
from mubss.xdev.expressions import Field, Node, Order, Path, bind, placeholders
from mubss.xdev.sqlite import changes, sets
from mubss.xdev.sqlite.translate import Translator, quote

if TYPE_CHECKING:
    from mubss.xdev.sqlite.session import SqliteSession

_MAX_FIELDS = 60  # json_object takes 127 arguments
_MAX_COUNT = (1 << 63) - 1


class _Statement:
    """What the three share: a condition, bound values, sort criteria and a limit."""

    def __init__(self, session: SqliteSession, table: str, condition: str) -> None:
        self._session = session
        self._table = table
        self._condition: Node | None = read(condition) if condition else None
        self._values: dict[str, Any] = {}
        self._order: list[Order] = []
        self._count = -1
        self._skipped = 0

    def sort(self, *sort_criteria: str) -> Self:
        """Sorts by each criterion (`$.a DESC`) in turn; missing members come first, or last if descending."""
        for criterion in sort_criteria:
            self._order += read_order(criterion)
        return self

    def limit(self, count: int) -> Self:
        """Takes the first `count` documents."""
        self._count = _natural(count, "limit")
        return self

    def bind(self, name: str | Mapping[str, Any], value: Any = None) -> Self:
        """The value of the placeholder `:name`, or a mapping of several."""
        self._values.update(name if isinstance(name, Mapping) else {name: value})
        return self

    def _bound(self, *nodes: Node) -> list[Node]:
        """The trees with their values in place; a value that none of them asks for is a slip."""
        if self._values:
            known = frozenset().union(*(placeholders(node) for node in nodes))
            for name in self._values:
                if name not in known:
                    raise InvalidExpression(f":{name}: a value is bound to it, but no expression holds it")
        return [bind(node, self._values) for node in nodes]

    def _select(self, translator: Translator, columns: str, condition: Node | None) -> str:
        """The SELECT of `columns`, in order and within the limits."""
        sql = f'SELECT {columns} FROM "{self._table}"'
        if condition is not None:
            sql += f" WHERE {translator.condition(condition)}"
        if self._order:
            terms = [translator.order(order.node) + (" DESC" if order.descending else "") for order in self._order]
            sql += f" ORDER BY {', '.join(terms)}"
        if self._count >= 0 or self._skipped:
            sql += f" LIMIT {self._count} OFFSET {self._skipped}"
        return sql


class SqliteFind(_Statement):
    """See `mubss.xdev.api.FindStatement`."""

    def __init__(self, session: SqliteSession, table: str, condition: str) -> None:
        super().__init__(session, table, condition)
        self._fields: list[Field] = []

    def fields(self, *projection: str) -> Self:
        """Only these members, `$.a.b AS c` each; one that is missing shows as null."""
        self._fields += [read_field(text) for text in projection]
        aliases = [field.alias for field in self._fields]
        if len(aliases) != len(set(aliases)) or len(aliases) > _MAX_FIELDS:
            raise InvalidExpression(f"fields: expected up to {_MAX_FIELDS} different names, got {aliases!r}")
        return self

    def offset(self, count: int) -> Self:
        """Skips the first `count` documents."""
        self._skipped = _natural(count, "offset")
        return self

    def execute(self) -> list[Doc]:
        """The documents found."""
        translator = Translator()
        condition = self._bound(self._condition)[0] if self._condition else None
        if self._condition is None and self._values:
            self._bound()
        item = "doc"
        if self._fields:
            members = [f"{quote(field.alias)}, json({translator.json(field.node)})" for field in self._fields]
            item = f"json_object({', '.join(members)})"
        select = self._select(translator, f"{item} AS item", condition)
        return sets.documents(self._session.link, f"SELECT group_concat(item) FROM ({select})", translator.values)


class SqliteModify(_Statement):
    """See `mubss.xdev.api.ModifyStatement`.

    The documents are changed here and written back as a set, in one transaction: MySQL's rules for paths that lead
    nowhere are not those of SQLite's json_set.
    """

    def __init__(self, session: SqliteSession, table: str, condition: str) -> None:
        super().__init__(session, table, _required(condition, "modify"))
        self._changes: list[tuple[str, Path, Node | str]] = []

    def set(self, doc_path: str, value: Any) -> Self:
        """Sets a member, to a JSON value or to what an `Expr` gives on the old document."""
        made = read(value.text) if isinstance(value, Expr) else encode(value, doc_path)
        self._changes.append(("set", _changeable(doc_path), made))
        return self

    def unset(self, *doc_paths: str) -> Self:
        """Removes members."""
        self._changes += [("unset", _changeable(doc_path), "null") for doc_path in doc_paths]
        return self

    def array_append(self, doc_path: str, value: Any) -> Self:
        """Appends to an array; what is no array becomes one, what is missing stays so."""
        self._changes.append(("array_append", _changeable(doc_path), encode(value, doc_path)))
        return self

    def execute(self) -> Result:
        """Changes the documents; the count is of those that are different afterwards."""
        if not self._changes:
            raise InvalidExpression("modify: expected at least one change: set, unset or array_append")
        assert self._condition is not None  # the constructor requires one
        expressions = [made for _, _, made in self._changes if not isinstance(made, str)]
        condition, *expressions = self._bound(self._condition, *expressions)
        with self._session.write():
            chosen = Translator()
            select = self._select(chosen, "_id", condition)
            row = self._session.link.execute(f"SELECT json_group_array(_id) FROM ({select})", chosen.values).fetchone()
            ids = orjson.loads(row[0])
            with self._session.write(len(ids)):
                pieces = [ids[start : start + sets.CHUNK] for start in range(0, len(ids), sets.CHUNK)]
                return Result(sum(self._change(piece, expressions) for piece in pieces), [])

    def _change(self, ids: list[str], expressions: list[Node]) -> int:
        """Changes the documents of `ids`; returns how many became different."""
        translator = Translator()
        made = "".join(f" || ',' || ifnull({translator.json(node)}, 'null')" for node in expressions)
        places = ",".join(translator.value(document_id) for document_id in ids)
        sql = f"SELECT group_concat('[' || doc{made} || ']') FROM \"{self._table}\" WHERE _id IN ({places})"
        different = []
        for doc, *values in sets.documents(self._session.link, sql, translator.values):
            before = encode(doc)
            after = self._apply(doc, values)
            if encode(after, "document") != before:
                different.append(after)
        return sets.put(self._session.link, self._table, different)

    def _apply(self, doc: Any, values: list[Any]) -> Any:
        given = iter(values)
        for how, path, made in self._changes:
            # Loaded anew for each document: a later change of the same statement may alter it in place.
            value = orjson.loads(made) if isinstance(made, str) else next(given)
            if how == "set":
                doc = changes.set_value(doc, path.steps, value)
            elif how == "unset":
                changes.unset(doc, path.steps)
            else:
                doc = changes.array_append(doc, path.steps, value)
        return doc


class SqliteRemove(_Statement):
    """See `mubss.xdev.api.RemoveStatement`."""

    def __init__(self, session: SqliteSession, table: str, condition: str) -> None:
        super().__init__(session, table, _required(condition, "remove"))

    def execute(self) -> Result:
        """Removes the documents."""
        assert self._condition is not None  # the constructor requires one
        translator = Translator()
        select = self._select(translator, "_id", *self._bound(self._condition))
        with self._session.write():
            sql = f'DELETE FROM "{self._table}" WHERE _id IN ({select})'
            return Result(self._session.link.execute(sql, translator.values).rowcount, [])


def _required(condition: str, what: str) -> str:
    if not condition or (isinstance(condition, str) and not condition.strip()):
        raise InvalidExpression(f'{what}: expected a condition; "true" means all documents')
    return condition


def _changeable(doc_path: str) -> Path:
    path = read_path(doc_path)
    if path.steps[0] == "_id":
        raise InvalidExpression("_id: a document keeps its _id")
    return path


def _natural(count: int, what: str) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _MAX_COUNT:
        raise InvalidExpression(f"{what}: expected an integer of 0 or more, got {count!r}")
    return count
