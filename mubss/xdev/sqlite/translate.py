"""From the tree of an expression to SQLite's SQL, with the meanings that `mubss.xdev.expressions` promises.

A document's value becomes its *sort key*: one SQL value whose order under SQLite (numbers < texts < blobs) is MySQL's
order of JSON types, and whose equality is equality of type and value: numbers and texts stand for themselves,
null is minus infinity, objects, arrays and booleans are blobs that start with 1, 2, 3 (false) and 4 (true). Every
comparison and ORDER BY is then a plain one over that expression, and an index over it serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mubss.xdev.expressions import ID, Kind, Node, Operation, Path, kind_of
from mubss.xdev.translate import COMPARED, Translator, has_fraction

_TRUE, _FALSE = "x'34'", "x'33'"

_TEXT_CALLS = {
    "upper": "xd_upper({0})",  # SQLite's own know ASCII only; MySQL's know Unicode
    "lower": "xd_lower({0})",
    "trim": "trim({0})",
    "ltrim": "ltrim({0})",
    "rtrim": "rtrim({0})",
    "json_unquote": "{0}",
    "length": "length(CAST({0} AS BLOB))",
    "char_length": "length({0})",
    "instr": "instr({0}, {1})",
    "replace": "replace({0}, {1}, {2})",
}
_NUMBER_CALLS = {
    "negate": "(-{0})",
    "abs": "abs({0})",
    "+": "({0} + {1})",
    "-": "({0} - {1})",
    "*": "({0} * {1})",
    "/": "(CAST({0} AS REAL) / {1})",
    "div": "CAST(CAST({0} AS REAL) / {1} AS INTEGER)",
    "%": "({0} % {1})",
}
_DATE_PARTS = {
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
    "dayofyear": "%j",
}
_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_JSON_TYPES = {
    "null": "NULL",
    "true": "BOOLEAN",
    "false": "BOOLEAN",
    "integer": "INTEGER",
    "real": "DOUBLE",
    "text": "STRING",
    "array": "ARRAY",
    "object": "OBJECT",
}


def sort_key(path: Path) -> str:
    """The sort key of a document's value: what comparisons and indexes are made of. NULL where it is missing."""
    place = path_text(path)
    value = f"json_extract(doc, {place})"
    return (
        f"CASE json_type(doc, {place}) WHEN 'true' THEN {_TRUE} WHEN 'false' THEN {_FALSE} WHEN 'null' THEN -9e999 "
        f"WHEN 'object' THEN CAST('1' || {value} AS BLOB) WHEN 'array' THEN CAST('2' || {value} AS BLOB) "
        f"ELSE {value} END"
    )


def path_text(path: Path) -> str:
    """A document path as an SQL text."""
    return quote(_plain_path(path))


def _plain_path(path: Path) -> str:
    """A document path as SQLite's JSON functions read it; no member's name holds a double quote."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path.steps)


def quote(text: str) -> str:
    """An SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


class SqliteTranslator(Translator):
    """See `Translator`; `values` are what `?1`, `?2`… stand for."""

    true, false = _TRUE, _FALSE

    def value(self, value: Any) -> str:
        self.values.append(value)
        return f"?{len(self.values)}"

    def path(self, path: Path) -> str:
        return sort_key(path)

    def path_json(self, path: Path) -> str:
        return f"(doc -> {path_text(path)})"

    def call_json(self, node: Node) -> str:
        return f"json_quote({self.compared(node)})"

    def is_text(self, column: str) -> str:
        return f"typeof({column}) = 'text'"

    def json_array(self, items: Sequence[str]) -> str:
        joined = " || ',' || ".join(f"ifnull({item}, 'null')" for item in items)
        return f"'[' || {joined} || ']'"

    def json_object(self, members: Sequence[tuple[str, str]]) -> str:
        return f"json_object({', '.join(f'{quote(name)}, json({value})' for name, value in members)})"

    def like(self, left: Node, pattern: Node) -> str:
        return f"{self.text(left)} LIKE {self.text(pattern)} ESCAPE '\\'"

    def compare(self, name: str, operands: Sequence[Node]) -> str:
        # `_id` itself, and so the primary key, where everything else is text: the column would turn numbers into text.
        by_id = all(kind_of(operand) is Kind.TEXT for operand in operands)
        sides = ["_id" if by_id and operand == ID else self.compared(operand) for operand in operands]
        if name in COMPARED:
            return f"{sides[0]} {COMPARED[name]} {sides[1]}"
        if name == "between":
            return f"{sides[0]} BETWEEN {sides[1]} AND {sides[2]}"
        return f"{sides[0]} IN ({', '.join(sides[1:])})"

    def contained(self, scalar: Node, array: Path) -> str:
        """It is the value, or stands in the array or in an array within it."""
        place = path_text(array)
        element = f"CASE type WHEN 'true' THEN {_TRUE} WHEN 'false' THEN {_FALSE} WHEN 'object' THEN NULL ELSE atom END"
        elements = (
            f"WITH RECURSIVE e (type, atom, value) AS (SELECT type, atom, value FROM json_each(doc, {place}) "
            "UNION ALL SELECT j.type, j.atom, j.value FROM e, json_each(e.value) AS j WHERE e.type = 'array')"
        )
        found = f"EXISTS ({elements} SELECT 1 FROM e WHERE {element} = {self.compared(scalar)})"
        kind = f"ifnull(json_type(doc, {place}), '')"
        return f"CASE {kind} WHEN '' THEN NULL WHEN 'object' THEN 0 ELSE {found} END"

    def text(self, node: Node) -> str:
        if isinstance(node, Path):
            place = path_text(node)
            kind, value = f"json_type(doc, {place})", f"json_extract(doc, {place})"
            return f"CASE WHEN {kind} IN ('true', 'false', 'null') THEN {kind} ELSE {value} || '' END"
        return self.compared(node)

    def _number(self, node: Node) -> str:
        """A value as an operand of arithmetic; a document's text counts as the number it starts with."""
        if isinstance(node, Path):
            place = path_text(node)
            return f"(CASE json_type(doc, {place}) WHEN 'null' THEN 0 ELSE json_extract(doc, {place}) END)"
        return self.compared(node)

    def call(self, node: Operation) -> str:
        name, operands = node.name, node.operands
        if name in _NUMBER_CALLS:
            return _NUMBER_CALLS[name].format(*[self._number(operand) for operand in operands])
        if name in _TEXT_CALLS:
            return _TEXT_CALLS[name].format(*[self.text(operand) for operand in operands])
        if name == "concat":
            return f"({' || '.join(self.text(operand) for operand in operands)})"
        if name == "substr":
            return self._substring(operands)
        if name == "ifnull":
            first = f"{self._number(operands[0])} + {'0.0' if has_fraction(node) else '0'}"
            if kind_of(operands[1]) is Kind.TEXT:
                first = self.text(operands[0])
            return f"ifnull({first}, {self.compared(operands[1])})"
        if name == "json_type":
            cases = " ".join(f"WHEN '{own}' THEN '{mysql}'" for own, mysql in _JSON_TYPES.items())
            return f"CASE json_type(doc, {self._place(operands[0])}) {cases} END"
        if name == "json_length":
            place = self._place(operands[0])
            return (
                f"CASE json_type(doc, {place}) WHEN 'array' THEN json_array_length(doc, {place}) "
                f"WHEN 'object' THEN (SELECT count(*) FROM json_each(doc, {place})) "
                f"ELSE json_type(doc, {place}) IS NOT NULL OR NULL END"
            )
        return self._date_call(name, operands)

    def _substring(self, operands: tuple[Node, ...]) -> str:
        columns = [f"{self.text(operands[0])} AS t", f"{self._number(operands[1])} AS p"]
        length = ""
        if len(operands) > 2:
            columns.append(f"{self._number(operands[2])} AS n")
            length = ", max(0, n)"
        # MySQL gives '' for position 0 and for one before the first character; SQLite starts counting there.
        cut = f"CASE WHEN t IS NOT NULL AND (p = 0 OR -p > length(t)) THEN '' ELSE substr(t, p{length}) END"
        return f"(SELECT {cut} FROM (SELECT {', '.join(columns)}))"

    def _date_call(self, name: str, operands: tuple[Node, ...]) -> str:
        columns = [f"{self.text(operand)} AS t{index}" for index, operand in enumerate(operands)]
        if name == "datediff":
            part = "CAST(julianday(date(t0)) - julianday(date(t1)) AS INTEGER)"
        elif name == "weekday":
            part = "(CAST(strftime('%w', t0) AS INTEGER) + 6) % 7"  # 0 is Monday
        else:
            part = f"CAST(strftime('{_DATE_PARTS[name]}', t0) AS INTEGER)"
        # SQLite would also take 'now' and bare numbers (Julian days) for dates.
        dated = " AND ".join(f"t{index} GLOB '{_DATE}*'" for index in range(len(operands)))
        return f"(SELECT {part} FROM (SELECT {', '.join(columns)}) WHERE {dated})"

    def _place(self, node: Node) -> str:
        assert isinstance(node, Path)  # the signature takes nothing else
        return path_text(node)
