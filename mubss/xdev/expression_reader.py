"""From the text of an expression to its tree, by the official connector's parser.

The parser is imported when the first expression is read (0.1 s, 6 MB). Its messages are dicts where the connector's C
extension is in use and protobuf messages where it isn't. What it can't read: texts with a doubled quote or a backslash
(it counts their length wrong), so bind such; reserved words as member names (`$.date`: write `$."date"`); exponents.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from mubss.xdev.errors import InvalidExpression
from mubss.xdev.expressions import (
    INT64,
    MAX_OCTETS,
    Field,
    Literal,
    Node,
    Operation,
    Order,
    Path,
    Placeholder,
)

T = TypeVar("T")

MAX_DEPTH = 50
_MAX_STEPS = 50
_MAX_INDEX = 1_000_000

# Message types of mysqlx_expr.proto and mysqlx_datatypes.proto.
_IDENT, _LITERAL, _FUNC_CALL, _OPERATOR, _PLACEHOLDER = 1, 2, 4, 5, 6
_MEMBER, _ARRAY_INDEX = 1, 3
_SINT, _UINT, _NULL, _DOUBLE, _FLOAT, _BOOL, _STRING = 1, 2, 3, 5, 6, 7, 8
_DESC = 2

_OPERATORS = {
    **{name: name for name in ("!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "div", "%", "xor", "not")},
    **{name: name for name in ("in", "not_in", "between", "not_between", "like", "not_like")},
    "==": "=",
    "cont_in": "contained",
    "not_cont_in": "not_contained",
    "&&": "and",
    "||": "or",
    "!": "not",
    "sign_minus": "negate",
}
_FUNCTIONS = {
    **{name: name for name in ("upper", "lower", "trim", "ltrim", "rtrim", "concat", "replace", "substr", "instr")},
    **{name: name for name in ("length", "char_length", "abs", "ifnull", "json_type", "json_length", "json_unquote")},
    **{name: name for name in ("year", "month", "day", "hour", "minute", "second", "dayofyear", "weekday", "datediff")},
    "ucase": "upper",
    "lcase": "lower",
    "character_length": "char_length",
    "substring": "substr",
    "mid": "substr",
    "mod": "%",
    "coalesce": "ifnull",
    "dayofmonth": "day",
}


@lru_cache(maxsize=1024)
def read(text: str) -> Node:
    """The tree of one expression; InvalidExpression for what can't be read or isn't shared."""
    return _guarded(text, "expression", _read_expression)


@lru_cache(maxsize=256)
def read_order(text: str) -> tuple[Order, ...]:
    """Sort criteria, `$.a DESC, $.b`."""
    return _guarded(text, "sort", _read_order)


@lru_cache(maxsize=256)
def read_field(text: str) -> Field:
    """One projection, `$.a.b AS c`; without AS the text itself becomes the member's name."""
    return _guarded(text, "field", _read_field)


@lru_cache(maxsize=1024)
def read_path(text: str) -> Path:
    """A document path, `$.a.b[0]` or `a.b[0]`."""
    return _guarded(text, "document path", _read_path)


def _guarded(text: str, what: str, reader: Callable[[str], T]) -> T:
    """Runs one reader over text of any kind: size bounded, whatever the parser trips over named."""
    if not isinstance(text, str):
        raise InvalidExpression(f"{what}: expected text, got {type(text).__name__}")
    if len(text) > MAX_OCTETS:
        raise InvalidExpression(f"{what}: expected up to {MAX_OCTETS} characters, got {len(text)}")
    stripped = text.strip()
    if not stripped:
        raise InvalidExpression(f"{what}: expected one, got an empty text")
    shown = f"{what}: {stripped[:80]!r}"
    # The parser drops these silently, even from the front of a member's name: `selected = 1` would become `ed = 1`.
    if stripped[:6].lower() == "select" or stripped[:5].lower() == "where" or stripped.endswith(";"):
        raise InvalidExpression(f"{shown}: write a member's name as $.name; no SELECT, WHERE or ';'")
    if "\\" in stripped:
        raise InvalidExpression(f"{shown}: bind a text that holds a backslash")
    try:
        return reader(stripped)
    except InvalidExpression as error:
        raise InvalidExpression(f"{shown}: {error}") from None
    except RecursionError:
        raise InvalidExpression(f"{shown}: nested too deep") from None
    except Exception as error:
        raise InvalidExpression(f"{shown}: can't be read: {str(error)[:120]}") from None


def _parser(text: str) -> Any:
    from mysqlx.expr import ExprParser

    return ExprParser(text, allow_relational=False)


def _all_read(parser: Any) -> None:
    if parser.pos < len(parser.tokens):
        raise InvalidExpression(f"what stands at {parser.tokens[parser.pos].value!r} was not expected")


def _names(parser: Any) -> dict[int, str]:
    return {position: name for name, position in parser.placeholder_name_to_position.items()}


def _read_expression(text: str) -> Node:
    parser = _parser(text)
    message = parser.expr()
    _all_read(parser)
    return _node(message, _names(parser), 0)


def _read_order(text: str) -> tuple[Order, ...]:
    parser = _parser(text)
    specs = parser.parse_order_spec()
    _all_read(parser)
    names = _names(parser)
    if names:
        raise InvalidExpression("a placeholder can't be sorted by")
    return tuple(Order(_node(_get(spec, "expr"), names, 0), _get(spec, "direction", 1) == _DESC) for spec in specs)


def _read_field(text: str) -> Field:
    parser = _parser(text)
    projections = parser.parse_table_select_projection()
    _all_read(parser)
    if len(projections) != 1:
        raise InvalidExpression(f"expected one field in each text, got {len(projections)}")
    names = _names(parser)
    if names:
        raise InvalidExpression("a placeholder can't stand in a field")
    return Field(_node(_get(projections[0], "source"), names, 0), _text(_get(projections[0], "alias")))


def _read_path(text: str) -> Path:
    parser = _parser(text)
    message = parser.document_field()
    _all_read(parser)
    return _path(_get(message, "identifier"))


def _get(message: Any, name: str, default: Any = None) -> Any:
    """A field of a message, which is a dict, a protobuf message or the connector's wrapper of either."""
    if hasattr(message, "get_message"):
        message = message.get_message()
    if isinstance(message, dict):
        return message.get(name, default)
    return getattr(message, name)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _node(message: Any, names: dict[int, str], depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise InvalidExpression(f"expected at most {MAX_DEPTH} levels of nesting")
    kind = _get(message, "type")
    if kind == _OPERATOR:
        return _operator(message, names, depth)
    if kind == _IDENT:
        return _path(_get(message, "identifier"))
    if kind == _LITERAL:
        return _literal(_get(message, "literal"))
    if kind == _PLACEHOLDER:
        return Placeholder(names[_get(message, "position", 0)])
    if kind == _FUNC_CALL:
        call = _get(message, "function_call")
        name = _text(_get(_get(call, "name"), "name")).lower()
        known = None if _get(_get(call, "name"), "schema_name") else _FUNCTIONS.get(name)
        if known is None:
            raise InvalidExpression(f"{name}(): not a function that the engines share; known: {', '.join(_FUNCTIONS)}")
        operands = [_node(operand, names, depth + 1) for operand in _get(call, "param", ())]
        return _fallbacks(operands) if known == "ifnull" else Operation(known, tuple(operands))
    raise InvalidExpression("objects and arrays can't stand in an expression that the engines share")


def _operator(message: Any, names: dict[int, str], depth: int) -> Node:
    operator = _get(message, "operator")
    name = _text(_get(operator, "name"))
    params = list(_get(operator, "param", ()))
    if name in ("is", "is_not"):
        if _get(params[1], "type") != _LITERAL or _get(_get(params[1], "literal"), "type") != _NULL:
            raise InvalidExpression("IS: expected NULL; write a boolean as $.a = true")
        return Operation(f"{name}_null", (_node(params[0], names, depth + 1),))
    known = _OPERATORS.get(name)
    if known is None:
        raise InvalidExpression(f"{name}: not an operator that the engines share")
    if known in ("and", "or"):  # one flat operation of a long chain, which the parser nests to the left
        flat = params[1:]
        while _is_operator(params[0], name):
            params = list(_get(_get(params[0], "operator"), "param"))
            flat[:0] = params[1:]
        params = [params[0], *flat]
    return Operation(known, tuple([_node(operand, names, depth + 1) for operand in params]))


def _is_operator(message: Any, name: str) -> bool:
    return _get(message, "type") == _OPERATOR and _text(_get(_get(message, "operator"), "name")) == name


def _fallbacks(operands: list[Node]) -> Node:
    """ifnull(a, b, c) as ifnull(a, ifnull(b, c)): one operation of two operands."""
    if len(operands) < 2:
        raise InvalidExpression(f"ifnull: expected 2 operands or more, got {len(operands)}")
    node = operands[-1]
    for operand in reversed(operands[:-1]):
        node = Operation("ifnull", (operand, node))
    return node


def _literal(scalar: Any) -> Literal:
    kind = _get(scalar, "type")
    if kind == _NULL:
        return Literal(None)
    if kind == _BOOL:
        return Literal(bool(_get(scalar, "v_bool")))
    if kind in (_SINT, _UINT):
        value = int(_get(scalar, "v_signed_int" if kind == _SINT else "v_unsigned_int"))
        if value not in INT64:
            raise InvalidExpression(f"{value}: expected an integer within 64 bits")
        return Literal(value)
    if kind in (_DOUBLE, _FLOAT):
        return Literal(float(_get(scalar, "v_double" if kind == _DOUBLE else "v_float")))
    if kind == _STRING:
        return Literal(_text(_get(_get(scalar, "v_string"), "value")))
    raise InvalidExpression("expected null, a boolean, a number or a text")


def _path(identifier: Any) -> Path:
    steps: list[str | int] = []
    for item in _get(identifier, "document_path", ()):
        kind = _get(item, "type")
        if kind == _MEMBER:
            steps.append(_member(_text(_get(item, "value"))))
        elif kind == _ARRAY_INDEX:
            index = int(_get(item, "index", 0))
            if index > _MAX_INDEX:
                raise InvalidExpression(f"[{index}]: expected an index up to {_MAX_INDEX}")
            steps.append(index)
        else:
            raise InvalidExpression("a path with * or ** names many values: the engines don't share that")
    if not steps or isinstance(steps[0], int):
        raise InvalidExpression("expected a path that starts with a member's name: $.name")
    if len(steps) > _MAX_STEPS:
        raise InvalidExpression(f"expected a path of at most {_MAX_STEPS} steps, got {len(steps)}")
    return Path(tuple(steps))


def _member(name: str) -> str:
    if not name or not name.isprintable() or '"' in name or "\\" in name:
        raise InvalidExpression(f"{name[:40]!r}: expected a member's name of printable characters without quotes")
    return name
