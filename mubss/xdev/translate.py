"""What the engines' translators share: from the tree of an expression to the conditions and clauses of SQL.

An engine says how a document's value, a literal and a function are written in its own SQL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from mubss.xdev.errors import InvalidExpression
from mubss.xdev.expressions import (
    COMPARISONS,
    ID,
    Field,
    Kind,
    Literal,
    Node,
    Operation,
    Order,
    Path,
    kind_of,
    require_condition,
)

COMPARED = {name: "<>" if name == "!=" else name for name in COMPARISONS}
ARITHMETIC = frozenset(("negate", "abs", "+", "-", "*", "/", "div", "%", "ifnull"))
_JOINED = {"and": " AND ", "or": " OR "}


def parts(node: Node) -> Iterator[Node]:
    """An arithmetic tree and its operands, down to what isn't arithmetic."""
    yield node
    if isinstance(node, Operation) and node.name in ARITHMETIC:
        for operand in node.operands:
            yield from parts(operand)


def has_fraction(node: Node) -> bool:
    """Whether an arithmetic tree's result has a fraction whatever the document holds: 2.0 rather than 2."""
    return any(
        part.name == "/" if isinstance(part, Operation) else isinstance(part, Literal) and isinstance(part.value, float)
        for part in parts(node)
    )


class Translator(ABC):
    """Translates the parts of one statement; `values` are what its parameters stand for."""

    for_update = ""  # what stands behind a SELECT that locks what it finds
    true, false = "TRUE", "FALSE"  # as sides of comparisons
    json_true, json_false = "'true'", "'false'"

    def __init__(self) -> None:
        self.values: list[Any] = []

    # ── what an engine has to say ──────────────────────────────────────────────────────────────────

    @abstractmethod
    def value(self, value: Any) -> str:
        """A constant that isn't a boolean."""

    @abstractmethod
    def path(self, path: Path) -> str:
        """A document's value as a side of a comparison; NULL where it is missing."""

    @abstractmethod
    def path_json(self, path: Path) -> str:
        """A document's value as JSON; NULL where it is missing."""

    @abstractmethod
    def call(self, node: Operation) -> str:
        """A function or an arithmetic operation, as a side of a comparison."""

    @abstractmethod
    def call_json(self, node: Node) -> str:
        """A call or a literal as JSON."""

    @abstractmethod
    def text(self, node: Node) -> str:
        """A value as text."""

    @abstractmethod
    def compare(self, name: str, operands: Sequence[Node]) -> str:
        """A comparison, IN or BETWEEN."""

    @abstractmethod
    def like(self, left: Node, pattern: Node) -> str:
        """`left LIKE pattern`."""

    @abstractmethod
    def contained(self, scalar: Node, array: Path) -> str:
        """JSON_CONTAINS of a scalar: true, false or NULL."""

    @abstractmethod
    def is_text(self, column: str) -> str:
        """Whether a column of what `path` gives holds a text."""

    @abstractmethod
    def json_array(self, items: Sequence[str]) -> str:
        """An array of JSON values, `doc` among them; NULL becomes null."""

    @abstractmethod
    def json_object(self, members: Sequence[tuple[str, str]]) -> str:
        """An object of names and JSON values."""

    # ── clauses ────────────────────────────────────────────────────────────────────────────────────

    def select(
        self,
        item: str,
        table: str,
        condition: Node | None,
        order: Sequence[Order] = (),
        count: int = -1,
        skipped: int = 0,
    ) -> str:
        """The SELECT of one column `item`, in order and within the limits."""
        sql = f"SELECT {item} AS item FROM {table}"
        if condition is not None:
            sql += f" WHERE {self.condition(condition)}"
        if order:
            terms = [self.order(one.node) + (" DESC" if one.descending else "") for one in order]
            sql += f" ORDER BY {', '.join(terms)}"
        if count >= 0 or skipped:
            sql += f" LIMIT {count if count >= 0 else (1 << 63) - 1} OFFSET {skipped}"
        return sql

    def count_by(self, path: Path, table: str, condition: Node | None) -> str:
        """The SELECT of one column: `[text, number]` for each text that stands at a path, once."""
        where = "" if condition is None else f" WHERE {self.condition(condition)}"
        inner = f"SELECT {self.path(path)} AS k, count(*) AS n FROM {table}{where} GROUP BY k"
        return f"SELECT json_array(k, n) AS item FROM ({inner}) AS counted WHERE {self.is_text('k')}"

    def fields(self, fields: Sequence[Field]) -> str:
        """A projection as one JSON object."""
        return self.json_object([(field.alias, self.json(field.node)) for field in fields])

    def order(self, node: Node) -> str:
        """A tree as an ORDER BY term; a constant would be the number of a column to SQL."""
        if isinstance(node, Literal) or kind_of(node) is Kind.CONDITION:
            raise InvalidExpression("sort: expected a value of documents, got a constant or a condition")
        return "_id" if node == ID else self.compared(node)

    def json(self, node: Node) -> str:
        """A tree as JSON, for a projection or an expression in `modify`; NULL for a missing member."""
        kind = kind_of(node)
        if kind is Kind.CONDITION:
            raise InvalidExpression("expected a value, got a condition")
        if isinstance(node, Path):
            return self.path_json(node)
        if kind is Kind.TRUTH:
            return self.json_true if isinstance(node, Literal) and node.value else self.json_false
        return self.call_json(node)

    def condition(self, node: Node) -> str:
        """A bound tree as an SQL condition; InvalidExpression if it is none."""
        require_condition(node)
        return self._condition(node)

    def compared(self, node: Node) -> str:
        """A value as a side of a comparison."""
        if isinstance(node, Path):
            return self.path(node)
        if isinstance(node, Literal):
            if isinstance(node.value, bool):
                return self.true if node.value else self.false
            return self.value(node.value)
        assert isinstance(node, Operation)  # a placeholder was bound before
        return self.call(node)

    def _condition(self, node: Node) -> str:
        if isinstance(node, Literal):
            return "NULL" if node.value is None else str(int(bool(node.value)))
        assert isinstance(node, Operation)  # `require_condition` lets nothing else through
        name, operands = node.name, node.operands
        if name in _JOINED:
            return f"({_JOINED[name].join(self._condition(operand) for operand in operands)})"
        if name == "xor":
            return f"({self._condition(operands[0])} <> {self._condition(operands[1])})"
        if name == "not":
            return f"(NOT {self._condition(operands[0])})"
        if name in ("is_null", "is_not_null"):
            inner = operands[0]
            tested = self._condition(inner) if kind_of(inner) is Kind.CONDITION else self.compared(inner)
            return f"({tested} {name.replace('_', ' ').upper()})"
        if name.startswith("not_"):
            return f"(NOT {self._condition(Operation(name.removeprefix('not_'), operands))})"
        if name == "like":
            return f"({self.like(operands[0], operands[1])})"
        if name == "contained":
            assert isinstance(operands[1], Path)  # its signature takes nothing else
            return self.contained(operands[0], operands[1])
        return f"({self.compare(name, operands)})"
