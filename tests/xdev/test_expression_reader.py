"""The tree that an expression becomes, with the connector's C messages and with its pure ones; hostile text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.xdev.errors import InvalidExpression
from mubss.xdev.expression_reader import read, read_field, read_order, read_path
from mubss.xdev.expressions import Field, Literal, Node, Operation, Order, Placeholder
from mubss.xdev.expressions import Path as DocumentPath

A, B = DocumentPath(("a",)), DocumentPath(("b", 0, "c d"))


def op(name: str, *operands: Node) -> Operation:
    return Operation(name, operands)


TREES: dict[str, Node] = {
    "$.a": A,
    "a": A,
    '$.b[0]."c d"': B,
    "b[0].`c d`": B,
    "1": Literal(1),
    "-1": Literal(-1),
    "1.25": Literal(1.25),
    "'x'": Literal("x"),
    '"é"': Literal("é"),
    "''": Literal(""),
    "TRUE": Literal(True),
    "false": Literal(False),
    "NULL": Literal(None),
    ":name": Placeholder("name"),
    "? + ?": op("+", Placeholder("0"), Placeholder("1")),
    "$.a = 1": op("=", A, Literal(1)),
    "a AND b[0].`c d` AND true": op("and", A, B, Literal(True)),
    "a OR a AND a OR a": op("or", A, op("and", A, A), A),
    "a && (a && a)": op("and", A, op("and", A, A)),
    "NOT a": op("not", A),
    "a IS NOT NULL": op("is_not_null", A),
    "a NOT IN (1, :x)": op("not_in", A, Literal(1), Placeholder("x")),
    "1 IN a": op("contained", Literal(1), A),
    "1 NOT IN a": op("not_contained", Literal(1), A),
    "a NOT BETWEEN 1 AND 2": op("not_between", A, Literal(1), Literal(2)),
    "a NOT LIKE 'x'": op("not_like", A, Literal("x")),
    "- a": op("negate", A),
    "a DIV 2": op("div", A, Literal(2)),
    "MOD(a, 2)": op("%", A, Literal(2)),
    "Upper(a)": op("upper", A),
    "coalesce(a, a, 0)": op("ifnull", A, op("ifnull", A, Literal(0))),
}


def test_the_table_of_trees() -> None:
    for text, tree in TREES.items():
        assert (text, read(text)) == (text, tree)


def test_order_fields_and_paths() -> None:
    assert read_order("a DESC, $.a + 1 ASC,a") == (
        Order(A, True),
        Order(op("+", A, Literal(1)), False),
        Order(A, False),
    )
    assert read_field("$.a AS b") == Field(A, "b")
    assert read_field(" upper($.a) ") == Field(op("upper", A), "upper($.a)")
    assert read_path('$.b[0]."c d"') == B


def test_the_same_trees_without_the_c_extension() -> None:
    """Where the connector has no C extension its messages are protobuf's own."""
    code = (
        "from mysqlx.protobuf import Protobuf\n"
        "Protobuf.set_use_pure(True)\n"
        "from test_expression_reader import *\n"
        "test_the_table_of_trees(); test_order_fields_and_paths()\n"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": f"{here.parents[1]}:{here}"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


PIECES = ["$", ".", "a", "[", "]", "0", "1.5", "'x'", '"', "'", "`", "(", ")", ",", "=", "!=", "<", "and", "or", "not"]
PIECES += [
    "in",
    "is",
    "null",
    "between",
    "like",
    "escape",
    "interval",
    "cast",
    "as",
    ":",
    "?",
    "{",
    "}",
    "*",
    "**",
    "-",
]
PIECES += [
    "->",
    "upper",
    "select ",
    "where",
    ";",
    "\\",
    "é",
    "\x00",
    "\ud800",
    " ",
    "date",
    "true",
    "overlaps",
    "%",
    "~",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=12))
def test_hostile_text_is_read_or_refused(text: str) -> None:
    for reader in (read, read_order, read_field, read_path):
        try:
            reader(text)
        except InvalidExpression as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("text", [None, 1, b"a", ["a"]])
def test_what_is_no_text_is_refused(text: object) -> None:
    for reader in (read, read_order, read_field, read_path):
        with pytest.raises((InvalidExpression, TypeError)):
            reader(text)  # type: ignore[arg-type]
