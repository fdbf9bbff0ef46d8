"""find, modify and remove: built up by calls, run by `execute`. An engine's translator makes the SQL.

`modify` changes the documents here and writes them back as a set, in one transaction: MySQL's JSON_SET and SQLite's
json_set differ in what they do with paths that lead nowhere and with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import orjson

from mubss.xdev import changes
from mubss.xdev.api import Doc, Expr, Result
from mubss.xdev.documents import encode
from mubss.xdev.errors import InvalidExpression
from mubss.xdev.expression_reader import read, read_field, read_order, read_path
from mubss.xdev.expressions import ID, Field, Literal, Node, Operation, Order, Path, bind, placeholders
from mubss.xdev.translate import Translator

CHUNK = 256  # documents that are changed at a time
_MAX_FIELDS = 60  # SQLite's json_object takes 127 arguments
_MAX_COUNT = (1 << 63) - 1


class Target(Protocol):
    """One collection of an engine, as its statements use it."""

    name: str
    table: str  # as SQL names it

    def translator(self) -> Translator: ...
    def select(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The JSON values that a SELECT of one column finds."""
        ...

    def write(self, parts: int = 1) -> AbstractContextManager[None]:
        """Makes what is done within one call, in `parts` statements, all or nothing."""
        ...

    def put_many(self, docs: Sequence[Doc]) -> int: ...
    def remove_many(self, ids: Sequence[str]) -> int: ...


class _Statement:
    """What the three share: a condition, bound values, sort criteria and a limit."""

    def __init__(self, target: Target, condition: str) -> None:
        self._target = target
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

    def _select(self, translator: Translator, item: str, condition: Node | None) -> str:
        return translator.select(item, self._target.table, condition, self._order, self._count, self._skipped)

    def _chosen(self, condition: Node) -> list[str]:
        """The ids of the documents that the condition chooses, locked."""
        translator = self._target.translator()
        select = self._select(translator, translator.json(ID), condition) + translator.for_update
        return self._target.select(select, translator.values)


class Find(_Statement):
    """See `mubss.xdev.api.FindStatement`."""

    def __init__(self, target: Target, condition: str) -> None:
        super().__init__(target, condition)
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

    def count_by(self, doc_path: str) -> dict[str, int]:
        """How many of the documents have each text at a path."""
        if self._fields or self._order or self._count >= 0 or self._skipped:
            raise InvalidExpression("count_by: expected neither fields, sort, limit nor offset")
        path, translator = read_path(doc_path), self._target.translator()
        select = translator.count_by(path, self._target.table, self._asked())
        return dict(self._target.select(select, translator.values))

    def _asked(self) -> Node | None:
        return next(iter(self._bound(*([self._condition] if self._condition else []))), None)

    def execute(self) -> list[Doc]:
        """The documents found."""
        translator = self._target.translator()
        condition = self._asked()
        item = translator.fields(self._fields) if self._fields else "doc"
        return self._target.select(self._select(translator, item, condition), translator.values)

    def count(self) -> int:
        """How many documents the condition chooses."""
        translator = self._target.translator()
        condition = next(iter(self._bound(*([self._condition] if self._condition else []))), None)
        # json_array: both engines hand out JSON, and a plain number is none to MySQL.
        select = translator.select("json_array(count(*))", self._target.table, condition)
        [[found]] = self._target.select(select, translator.values)
        return int(found)


class Modify(_Statement):
    """See `mubss.xdev.api.ModifyStatement`."""

    def __init__(self, target: Target, condition: str) -> None:
        super().__init__(target, _required(condition, "modify"))
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
        with self._target.write(2):
            ids = self._chosen(condition)
            pieces = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
            return Result(sum(self._change(piece, expressions) for piece in pieces), [])

    def _change(self, ids: list[str], expressions: list[Node]) -> int:
        """Changes the documents of `ids`; returns how many became different."""
        translator = self._target.translator()
        item = translator.json_array(["doc", *(translator.json(node) for node in expressions)])
        chosen = Operation("in", (ID, *map(Literal, ids)))
        select = translator.select(item, self._target.table, chosen)
        different = []
        for doc, *values in self._target.select(select, translator.values):
            before = encode(doc)
            after = self._apply(doc, values)
            if encode(after, "document") != before:
                different.append(after)
        return self._target.put_many(different)

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


class Remove(_Statement):
    """See `mubss.xdev.api.RemoveStatement`."""

    def __init__(self, target: Target, condition: str) -> None:
        super().__init__(target, _required(condition, "remove"))

    def execute(self) -> Result:
        """Removes the documents."""
        assert self._condition is not None  # the constructor requires one
        [condition] = self._bound(self._condition)
        with self._target.write(2):
            return Result(self._target.remove_many(self._chosen(condition)), [])


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
