"""From the tree of an expression to MySQL's SQL, with the meanings that `mubss.xdev.expressions` promises.

MySQL compares JSON values by type and value, in the order that is promised; so a document's value stays JSON. What has
to be spelled out: IN and BETWEEN (they would make texts of everything), texts that are no JSON (compared octet by
octet, and without padding), and arithmetic (it would be done on doubles, whose whole numbers end at 2^53).
Constants stand in the SQL itself, texts as hexadecimal: nothing has to be kept in the order of its parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from mubss.xdev.expressions import ID, Kind, Literal, Node, Operation, Path, kind_of
from mubss.xdev.mysql.keys import NUMBER_TYPES, extract, narrowed, path_text
from mubss.xdev.translate import COMPARED, Translator, has_fraction, parts

_BYTEWISE = "COLLATE utf8mb4_0900_bin"  # utf8mb4_bin would pad with spaces
_DATE = "LIKE '____-__-__%'"
_WHOLE_TYPES = ("'INTEGER'", "'UNSIGNED INTEGER'")  # the latter are those from 2^32 on
_TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TEXT_CALLS = {
    "upper": "UPPER({0})",
    "lower": "LOWER({0})",
    "trim": "TRIM({0})",
    "ltrim": "LTRIM({0})",
    "rtrim": "RTRIM({0})",
    "json_unquote": "{0}",
    "length": "LENGTH({0})",
    "char_length": "CHAR_LENGTH({0})",
    "instr": "INSTR({0}, {1})",
    "replace": "REPLACE({0}, {1}, {2})",
}
# Whole numbers are reckoned with exactly, as decimals; with a fraction among them all of them as doubles.
_WHOLE = {
    "negate": "(-{0})",
    "abs": "ABS({0})",
    "+": "({0} + {1})",
    "-": "({0} - {1})",
    "*": "({0} * {1})",
    "div": "({0} DIV {1})",
    "%": "({0} % {1})",
    "ifnull": "IFNULL({0}, {1})",
}
_FRACTIONS = {**_WHOLE, "/": "(({0} + 0e0) / {1})", "div": "TRUNCATE({0} / {1}, 0)"}


class MysqlTranslator(Translator):
    """See `Translator`; `values` stays empty. `indexed` are the paths that an index starts with."""

    for_update = " FOR UPDATE"
    true, false = "CAST('true' AS JSON)", "CAST('false' AS JSON)"
    json_true, json_false = true, false

    def __init__(self, indexed: Collection[tuple[str | int, ...]] = ()) -> None:
        super().__init__()
        self._indexed = indexed

    def value(self, value: Any) -> str:
        if isinstance(value, str):
            return f"_utf8mb4 x'{value.encode().hex()}' {_BYTEWISE}"
        if isinstance(value, float):
            text = repr(value)
            return text if "e" in text else f"{text}e0"  # without an exponent it would be a decimal
        return "NULL" if value is None else str(value)

    def path(self, path: Path) -> str:
        return extract(path)

    def path_json(self, path: Path) -> str:
        return extract(path)

    def call_json(self, node: Node) -> str:
        kind = kind_of(node)
        if kind is Kind.TEXT:
            return f"CAST(JSON_QUOTE({self.text(node)}) AS JSON)"
        return f"CAST({self.compared(node)} AS JSON)"

    def is_text(self, column: str) -> str:
        return f"JSON_TYPE({column}) = 'STRING'"

    def json_array(self, items: Sequence[str]) -> str:
        return f"JSON_ARRAY({', '.join(items)})"

    def json_object(self, members: Sequence[tuple[str, str]]) -> str:
        return f"JSON_OBJECT({', '.join(f'{self.value(name)}, {value}' for name, value in members)})"

    def like(self, left: Node, pattern: Node) -> str:
        return rf"{self.text(left)} {_BYTEWISE} LIKE {self.text(pattern)} ESCAPE '\\'"

    def compare(self, name: str, operands: Sequence[Node]) -> str:
        if name == "between":
            low, high = self._pair(">=", operands[0], operands[1]), self._pair("<=", operands[0], operands[2])
            return f"{low} AND {high}"
        if name == "in":
            if operands[0] == ID and all(isinstance(operand, Literal) for operand in operands[1:]):
                return f"_id IN ({', '.join(self.compared(operand) for operand in operands[1:])})"
            return " OR ".join(self._pair("=", operands[0], operand) for operand in operands[1:])
        return self._pair(name, operands[0], operands[1])

    def contained(self, scalar: Node, array: Path) -> str:
        return f"JSON_CONTAINS(doc, {self.json(scalar)}, {path_text(array)})"

    def text(self, node: Node) -> str:
        if isinstance(node, Path):
            return f"JSON_UNQUOTE({extract(node)})"
        return self.compared(node)

    def call(self, node: Operation) -> str:
        name, operands = node.name, node.operands
        if name in _FRACTIONS and kind_of(node) is Kind.NUMBER:
            return self._arithmetic(node)
        if name in _TEXT_CALLS:
            return _TEXT_CALLS[name].format(*[self.text(operand) for operand in operands])
        if name == "concat":
            return f"CONCAT({', '.join(self.text(operand) for operand in operands)})"
        if name == "substr":
            positions = [self._reckoned(operand, _FRACTIONS) for operand in operands[1:]]
            return f"SUBSTR({', '.join([self.text(operands[0]), *positions])})"
        if name == "ifnull":
            return f"IFNULL({self.text(operands[0])}, {self.text(operands[1])})"
        if name == "json_type":
            return f"REPLACE(JSON_TYPE({self.compared(operands[0])}), 'UNSIGNED ', '')"  # from 2^32 on
        if name == "json_length":
            return f"JSON_LENGTH({self.compared(operands[0])})"
        dates = [self._date(operand) for operand in operands]
        return f"{name.upper()}({', '.join(dates)})"

    def _pair(self, name: str, left: Node, right: Node) -> str:
        """One comparison of two values."""
        if kind_of(left) is Kind.TEXT and kind_of(right) is Kind.TEXT:
            return f"({self._octets(left)} {COMPARED[name]} {self._octets(right)})"
        exact = f"{self.compared(left)} {COMPARED[name]} {self.compared(right)}"
        if isinstance(right, Path) and isinstance(left, Literal):
            left, right, name = right, left, _TURNED[name]
        if isinstance(left, Path) and isinstance(right, Literal) and left.steps in self._indexed:
            narrow = narrowed(left, name, right.value)
            exact = f"{narrow} AND {exact}" if narrow else exact
        return f"({exact})"

    def _octets(self, node: Node) -> str:
        """A text to be compared octet by octet; `_id` is octets, and so is found by the primary key."""
        if node == ID:
            return "_id"
        return self.value(node.value) if isinstance(node, Literal) else f"{self.compared(node)} {_BYTEWISE}"

    def _arithmetic(self, node: Operation) -> str:
        """A number as JSON: an integer where every operand is one."""
        if has_fraction(node):
            return f"CAST({self._reckoned(node, _FRACTIONS)} AS JSON)"
        whole = f"CAST({self._reckoned(node, _WHOLE)} AS JSON)"
        tests = {f"IFNULL(JSON_TYPE({extract(part)}), 'NULL')" for part in parts(node) if isinstance(part, Path)}
        if not tests:
            return whole
        are_whole = " AND ".join(f"{test} IN ({', '.join(_WHOLE_TYPES)}, 'NULL')" for test in sorted(tests))
        return f"CASE WHEN {are_whole} THEN {whole} ELSE CAST({self._reckoned(node, _FRACTIONS)} AS JSON) END"

    def _reckoned(self, node: Node, calls: dict[str, str]) -> str:
        """A number as SQL's own; null counts as 0, and so does what is no number."""
        if isinstance(node, Operation) and node.name in calls:
            return calls[node.name].format(*[self._reckoned(operand, calls) for operand in node.operands])
        if not isinstance(node, Path):
            return self.compared(node)
        value = extract(node)
        if calls is _WHOLE:
            number = f"CAST({value} AS DECIMAL(20, 0))"
            kinds = " ".join(f"WHEN {kind} THEN {number}" for kind in _WHOLE_TYPES)
            return f"CASE JSON_TYPE({value}) {kinds} WHEN 'NULL' THEN 0 END"
        number = f"{value} + 0e0"
        kinds = " ".join(f"WHEN {kind} THEN {number}" for kind in NUMBER_TYPES)
        return f"CASE JSON_TYPE({value}) {kinds} ELSE IF({value} IS NULL, NULL, 0e0) END"

    def _date(self, node: Node) -> str:
        text = self.text(node)
        return f"CAST(IF({text} {_DATE}, {text}, NULL) AS DATETIME(6))"
