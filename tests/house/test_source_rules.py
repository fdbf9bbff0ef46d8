"""Rules that sources keep and no linter knows: integers and no hidden clock in core, small files and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
CLOCKS = {"now", "utcnow", "today"}

SOURCES = sorted(
    path for folder in ("mubss", "scripts") for path in (ROOT / folder).rglob("*.py") if "_pb2" not in path.name
)
CORE = sorted((ROOT / "mubss/core").rglob("*.py"))


def faults_of_core(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and fault of everything that core must not hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
            yield node.lineno, f"{node.value}: money, units and times are integers"
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            yield node.lineno, "/ makes a float: money.divide names its rounding, // is for what isn't money"
        elif isinstance(node, ast.Name) and node.id in ("round", "float"):
            yield node.lineno, f"{node.id}: money.divide names its rounding"
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            yield node.lineno, f".{node.attr}: the time comes in as an argument"


def faults_of_size(text: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and fault of what has grown too long to be read at once."""
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield lines, f"{lines} lines in a file; at most {MAX_FILE_LINES}: where is the seam?"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines; at most {MAX_FUNCTION_LINES}: where is the seam?"


def faults_of_init(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and fault of what an `__init__` file does: importing a module of a package must load that module alone."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node.lineno, "an __init__ file imports nothing"


def test_core_has_no_floats_and_no_clock() -> None:
    assert CORE
    assert [f"{path}:{line}: {fault}" for path in CORE for line, fault in faults_of_core(parse(path))] == []


def test_files_and_functions_are_small() -> None:
    found = [
        f"{path}:{line}: {fault}" for path in SOURCES for line, fault in faults_of_size(path.read_text(), parse(path))
    ]
    assert found == []


def test_init_files_import_nothing() -> None:
    inits = [path for path in SOURCES if path.name == "__init__.py"]
    assert inits
    assert [f"{path}:{line}: {fault}" for path in inits for line, fault in faults_of_init(parse(path))] == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1.0",
        "x = 1e6",
        "x = a / b",
        "a /= b",
        "x = round(a)",
        "x = float(a)",
        "x = map(round, a)",
        "x = datetime.now(UTC)",
        "x = datetime.utcnow()",
        "x = date.today()",
    ],
)
def test_the_rules_of_core_bite(text: str) -> None:
    assert len(list(faults_of_core(ast.parse(text)))) == 1


def test_the_other_rules_bite() -> None:
    function = "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES
    assert [line for line, _ in faults_of_size(function, ast.parse(function))] == [1]
    assert len(list(faults_of_size("\n" * (MAX_FILE_LINES + 1), ast.parse("")))) == 1
    assert list(faults_of_size("\n" * MAX_FILE_LINES, ast.parse(""))) == []
    assert len(list(faults_of_init(ast.parse("from mubss.core import money")))) == 1


def parse(path: Path) -> ast.AST:
    return ast.parse(path.read_text("utf-8"), str(path))
