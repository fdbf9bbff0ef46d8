"""X DevAPI expressions as both engines take them: a small tree, its kinds checked, free of any SQL.

`expression_reader` makes it from text. Only what both engines can answer alike is left in it, with these meanings:

- **Values of a document** (`$.a.b[0]`, or `a.b`) keep their JSON type. Comparisons follow MySQL's order of JSON
  types: null < numbers < texts < objects < arrays < booleans; so `$.a = 1` is not true of `"1"` or `true`, and
  `$.a > 5` is true of any text. Texts compare byte by byte. How two objects or two arrays compare is unspecified.
- **A missing member is NULL**: every comparison with it is unknown, `NOT` of that too, and only true finds a document.
  JSON `null` is a value: `$.a IS NULL` is true of missing members alone; `json_type($.a) = "NULL"` finds the others.
- `x IN (a, b)` is `x = a OR x = b`, `x BETWEEN a AND b` is `x >= a AND x <= b`, and `ifnull(x, 0)` is a number. (MySQL
  itself would make texts of all three: its engine has to spell them out, the last as `ifnull(x + 0, 0)`.)
- `x IN $.list` is JSON_CONTAINS: true if the scalar x is the value at `$.list`, or in that array, however deep.
- **A condition is a comparison or a logical combination of them**: a bare `$.a` isn't one, write `$.a = true`.
  NOT binds tighter than `=`, as in X DevAPI: write `NOT ($.a = 1)`.
- `LIKE` and the text functions work on texts, whole numbers and booleans (`true`), case-sensitively, with `\\` as
  LIKE's escape; arithmetic on numbers, `DIV` and `%` on whole ones; the date functions on "YYYY-MM-DD[ hh:mm:ss]".
  On values of other types, and for `[0]` of what is no array, the engines may differ.
- Refused, since the engines don't share them: wildcards in paths, REGEXP, CAST, INTERVAL, bit operators, OVERLAPS,
  literal arrays and objects, numbers compared with literal texts, other functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Any, NamedTuple

from mubss.xdev.errors import InvalidExpression

Scalar = None | bool | int | float | str

MAX_OCTETS = 50_000  # what SQLite takes as a LIKE pattern
INT64 = range(-(1 << 63), 1 << 63)


class Kind(Enum):
    """What is known of an expression's type before a document is seen."""

    JSON = "a document's value"
    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "a boolean"
    NULL = "NULL"
    CONDITION = "a condition"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, written or bound."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`:name`, to be bound."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """A document path: member names and array indexes from the root."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or function of `OPERATIONS` over its operands."""

    name: str
    operands: tuple[Node, ...]


ID = Path(("_id",))

Node = Literal | Placeholder | Path | Operation


class Order(NamedTuple):
    """One sort criterion."""

    node: Node
    descending: bool


class Field(NamedTuple):
    """One member of a projection."""

    node: Node
    alias: str


class Signature(NamedTuple):
    """What an operation takes (the last kind repeats up to `most` operands) and gives."""

    takes: tuple[frozenset[Kind], ...]
    most: int
    gives: Kind


_VALUES = frozenset({Kind.JSON, Kind.NUMBER, Kind.TEXT, Kind.TRUTH, Kind.NULL})
_NUMBERS = frozenset({Kind.JSON, Kind.NUMBER, Kind.NULL})
_TEXTS = frozenset({Kind.JSON, Kind.TEXT, Kind.NULL})
_PATTERNS = frozenset({Kind.TEXT, Kind.NULL})
_CONDITIONS = frozenset({Kind.CONDITION, Kind.TRUTH, Kind.NULL})
_SCALARS = frozenset({Kind.NUMBER, Kind.TEXT, Kind.TRUTH})
_DOCUMENT = frozenset({Kind.JSON})

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
MATCHES = frozenset({*COMPARISONS, "in", "not_in", "between", "not_between"})
_MANY = 100_000


def _signatures() -> dict[str, Signature]:
    table: dict[str, Signature] = {}

    def add(names: str, gives: Kind, *takes: frozenset[Kind], most: int = 0) -> None:
        for name in names.split():
            table[name] = Signature(takes, most or len(takes), gives)

    add(" ".join(COMPARISONS), Kind.CONDITION, _VALUES, _VALUES)
    add("in not_in", Kind.CONDITION, _VALUES, _VALUES, most=_MANY)
    add("between not_between", Kind.CONDITION, _VALUES, _VALUES, _VALUES)
    add("like not_like", Kind.CONDITION, _TEXTS, _PATTERNS)
    add("contained not_contained", Kind.CONDITION, _SCALARS, _DOCUMENT)
    add("is_null is_not_null", Kind.CONDITION, _VALUES | _CONDITIONS)
    add("and or", Kind.CONDITION, _CONDITIONS, _CONDITIONS, most=500)  # SQLite's expressions are 1000 deep at most
    add("xor", Kind.CONDITION, _CONDITIONS, _CONDITIONS)
    add("not", Kind.CONDITION, _CONDITIONS)
    add("+ - * / div %", Kind.NUMBER, _NUMBERS, _NUMBERS)
    add("negate abs", Kind.NUMBER, _NUMBERS)
    add("upper lower trim ltrim rtrim json_unquote", Kind.TEXT, _TEXTS)
    add("concat", Kind.TEXT, _TEXTS, most=_MANY)
    add("length char_length", Kind.NUMBER, _TEXTS)
    add("instr", Kind.NUMBER, _TEXTS, _TEXTS)
    add("replace", Kind.TEXT, _TEXTS, _TEXTS, _TEXTS)
    add("substr", Kind.TEXT, _TEXTS, _NUMBERS, _NUMBERS)
    add("json_type", Kind.TEXT, _DOCUMENT)
    add("json_length", Kind.NUMBER, _DOCUMENT)
    add("year month day hour minute second dayofyear weekday", Kind.NUMBER, _TEXTS)
    add("datediff", Kind.NUMBER, _TEXTS, _TEXTS)
    # What ifnull gives is of its fallback's kind: `kind_of` sees to it.
    add("ifnull", Kind.NULL, _DOCUMENT, frozenset({Kind.NUMBER, Kind.TEXT}))
    return table


OPERATIONS = _signatures()
_OPTIONAL_OPERANDS = {"substr": 1}


def bind(node: Node, values: Mapping[str, Any]) -> Node:
    """The tree with every placeholder replaced by its value; InvalidExpression names one that's missing."""
    if isinstance(node, Placeholder):
        if node.name not in values:
            raise InvalidExpression(f":{node.name}: no value is bound to it")
        return Literal(_scalar(values[node.name], f":{node.name}"))
    if isinstance(node, Operation):
        return Operation(node.name, tuple([bind(operand, values) for operand in node.operands]))
    return node


def placeholders(node: Node) -> frozenset[str]:
    """The names that have to be bound."""
    if isinstance(node, Placeholder):
        return frozenset({node.name})
    if isinstance(node, Operation):
        return frozenset().union(*(placeholders(operand) for operand in node.operands))
    return frozenset()


def kind_of(node: Node) -> Kind:
    """The kind of a bound tree, every operation in it checked against its signature."""
    if isinstance(node, Path):
        return Kind.TEXT if node == ID else Kind.JSON
    if isinstance(node, Literal):
        return _literal_kind(node.value)
    if isinstance(node, Placeholder):
        raise InvalidExpression(f":{node.name}: no value is bound to it")
    kinds = [kind_of(operand) for operand in node.operands]
    signature = OPERATIONS[node.name]
    least = len(signature.takes) - _OPTIONAL_OPERANDS.get(node.name, 0)
    if not least <= len(kinds) <= signature.most:
        raise InvalidExpression(f"{node.name}: expected {least} to {signature.most} operands, got {len(kinds)}")
    for index, kind in enumerate(kinds):
        wanted = signature.takes[min(index, len(signature.takes) - 1)]
        if kind not in wanted:
            raise InvalidExpression(_mismatch(node.name, index, kind, wanted))
    if node.name in MATCHES:
        for kind in kinds[1:]:
            if kind is not kinds[0] and kind in _SCALARS and kinds[0] in _SCALARS:
                raise InvalidExpression(f"{node.name}: can't compare {kinds[0].value} with {kind.value}")
    return kinds[1] if node.name == "ifnull" else signature.gives


def require_condition(node: Node) -> None:
    """Refuses a bound tree that is no condition."""
    kind = kind_of(node)
    if kind not in _CONDITIONS:
        raise InvalidExpression(f"expected a condition, got {kind.value}; write it as a comparison: $.a = true")


def _mismatch(name: str, index: int, kind: Kind, wanted: frozenset[Kind]) -> str:
    expected = " or ".join(sorted(one.value for one in wanted if one is not Kind.NULL))
    return f"{name}: operand {index + 1}: expected {expected}, got {kind.value}"


def _literal_kind(value: Scalar) -> Kind:
    if value is None:
        return Kind.NULL
    if isinstance(value, bool):
        return Kind.TRUTH
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _scalar(value: Any, name: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in INT64:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, str):
        try:
            if len(value.encode()) <= MAX_OCTETS:
                return value
        except UnicodeEncodeError:
            pass
    shape = f"{type(value).__name__} {str(value)[:40]!r}"
    raise InvalidExpression(f"{name}: expected null, a boolean, a 64-bit integer, a number or a text, got {shape}")
