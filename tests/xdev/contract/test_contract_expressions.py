"""The expression language: which documents a condition finds.

TABLE and DATE_TABLE are what MySQL 9.7 finds, but for IN and BETWEEN, which mean what they say here.
"""

from __future__ import annotations

from typing import Any

import pytest
from contract_support import Bench

from mubss.xdev.api import Store
from mubss.xdev.errors import InvalidExpression

DOCUMENTS: dict[str, Any] = {
    "null": None,
    "T": True,
    "F": False,
    "0": 0,
    "1": 1,
    "5": 5,
    "1.0": 1.0,
    "1.5": 1.5,
    "-3": -3,
    "s1": "1",
    "sx": "x",
    "sX": "X",
    "s": "",
    "s5": "5",
    "s10": "10",
    "strue": "true",
    "[]": [],
    "[1]": [1],
    "{}": {},
    "{a}": {"a": 1},
    "se": "é",
}
ALL = ["missing", *DOCUMENTS]
HIGHER_THAN_TEXT = ["T", "F", "[]", "[1]", "{}", "{a}"]
TEXTS = ["s1", "sx", "sX", "s", "s5", "s10", "strue", "se"]
NUMBERS = ["0", "1", "5", "1.0", "1.5", "-3"]


def but(*left_out: str) -> list[str]:
    """All that have the member, but these."""
    return [name for name in DOCUMENTS if name not in left_out]


TABLE: dict[str, list[str]] = {
    "": ALL,
    "true": ALL,
    "false": [],
    # The JSON type counts.
    "$.a = 1": ["1", "1.0"],
    "a = 1": ["1", "1.0"],
    "a == 1.0": ["1", "1.0"],
    "`a` = 1.5": ["1.5"],
    '$."a" = -3': ["-3"],
    "$.a != 1": but("1", "1.0"),
    "$.a <> 1": but("1", "1.0"),
    '$.a = "1"': ["s1"],
    '$.a != "1"': but("s1"),
    '$.a = "x"': ["sx"],
    "$.a = 'é'": ["se"],
    '$.a = "É"': [],
    '$.a = ""': ["s"],
    "$.a = true": ["T"],
    "$.a = false": ["F"],
    "$.a != true": but("T"),
    "true = $.a": ["T"],
    # Order: null < numbers < texts < objects < arrays < booleans.
    "$.a < 1": ["null", "0", "-3"],
    "$.a <= 1": ["null", "0", "1", "1.0", "-3"],
    "$.a > 1": ["5", "1.5", *TEXTS, *HIGHER_THAN_TEXT],
    "$.a >= 1": ["1", "1.0", "5", "1.5", *TEXTS, *HIGHER_THAN_TEXT],
    "1 < $.a": ["5", "1.5", *TEXTS, *HIGHER_THAN_TEXT],
    '$.a < "1"': ["null", "s", *NUMBERS],
    '$.a > "x"': ["se", *HIGHER_THAN_TEXT],
    "$.a > false": ["T"],
    "$.a < true": but("T"),
    # A missing member is NULL; JSON null is a value.
    "$.a IS NULL": ["missing"],
    "$.a IS NOT NULL": but(),
    "$.a = null": [],
    "$.a != null": [],
    "NOT ($.a = 1)": but("1", "1.0"),
    "!($.a = 1 OR $.a = 5)": but("1", "1.0", "5"),
    "($.a = 1) IS NULL": ["missing"],
    "$.a = 1 OR true": ALL,
    "$.a = 1 AND false": [],
    "NOT ($.a = 1 AND false)": ALL,
    'json_type($.a) = "NULL"': ["null"],
    # Logic.
    '$.a = 1 OR $.a = "x" OR $.a = true': ["1", "1.0", "sx", "T"],
    '$.a = 1 || $.a = "x" && $._id = "sx"': ["1", "1.0", "sx"],
    '($.a = 1 OR $.a = "x") AND $._id = "sx"': ["sx"],
    "$.a > 0 and $.a < 5": ["1", "1.0", "1.5"],
    '$.a = 1 XOR $._id = "1"': ["1.0"],
    # IN and BETWEEN are what = and <= are.
    "$.a IN (1, 5)": ["1", "1.0", "5"],
    '$.a IN (1, "x", false)': ["1", "1.0", "sx", "F"],
    "$.a IN (true)": ["T"],
    "$.a IN (null)": [],
    "$.a IN (1, null)": ["1", "1.0"],
    "$.a NOT IN (1, 5)": but("1", "1.0", "5"),
    "$.a NOT IN (1, null)": [],
    "1 IN ($.a, 7)": ["1", "1.0"],
    "$.a BETWEEN 0 AND 2": ["0", "1", "1.0", "1.5"],
    '$.a BETWEEN "0" AND "2"': ["s1", "s10"],
    "$.a NOT BETWEEN 0 AND 2": but("0", "1", "1.0", "1.5"),
    # Membership.
    "1 IN $.a": ["1", "1.0", "[1]"],
    '"x" IN $.a': ["sx"],
    "true IN $.a": ["T"],
    '"x" NOT IN $.a': but("sx"),
    "NOT (1 IN $.a)": but("1", "1.0", "[1]"),
    # LIKE.
    '$.a LIKE "x"': ["sx"],
    '$.a LIKE "X"': ["sX"],
    '$.a LIKE "tr%"': ["T", "strue"],
    '$.a LIKE "s%" OR $.a IS NULL': ["missing"],
    '$.a NOT LIKE "%"': [],
    '$.a LIKE "_" AND $.a > ""': ["s1", "sx", "sX", "s5", "se"],
    # The id.
    '$._id = "sx"': ["sx"],
    '_id IN ("s5", "s1", "nobody")': ["s1", "s5"],
    '$._id > "sx"': ["{}", "{a}"],
    '$._id BETWEEN "s" AND "s5"': ["s", "s1", "s10", "s5"],
    '$._id LIKE "s%" AND $._id != "s"': ["s1", "sx", "sX", "s5", "s10", "strue", "se"],
    "$._id = $.a": [],
    # Between members, and within.
    "$.a = $.a": but(),
    "$.a = $.b": [],
    "$.a < $._id": ["null", *NUMBERS, "s", "s1", "s5", "s10", "sX"],
    "$.a.a = 1": ["{a}"],
    '$.a[0] = 1 AND json_type($.a) = "ARRAY"': ["[1]"],
    # Arithmetic.
    "$.a + 1 = 6 AND $.a < 6": ["5"],
    "$.a - 1 > 0 AND $.a < 6": ["5", "1.5"],
    "$.a * 2 = 3": ["1.5"],
    "$.a / 2 = 2.5 AND $.a < 6": ["5"],
    "$.a / 0 IS NULL": ALL,
    "$.a DIV 2 = 2 AND $.a < 6": ["5"],
    "$.a % 3 = 2 AND $.a < 6": ["5"],
    "mod($.a, 3) = 2 AND $.a < 6": ["5"],
    "-$.a = 3": ["-3"],
    "abs($.a) = 3": ["-3"],
    "1 + 2 * 3 = 7": ALL,
    "(1 + 2) * 3 = 7": [],
    # Functions.
    'upper($.a) = "X"': ["sx", "sX"],
    'lower($.a) = "x"': ["sx", "sX"],
    'upper($.a) = "É"': ["se"],
    'ucase($._id) = "STRUE"': ["strue"],
    'concat($.a, "y", $.a) = "xyx"': ["sx"],
    'concat($.a, $.b) = "x"': [],
    'length($.a) = 2 AND $.a < "y"': ["-3", "s10"],
    '$.a > "y" AND length($.a) = 2 AND char_length($.a) = 1': ["se"],
    'substr($.a, 2) = "rue"': ["T", "strue"],
    'substring($.a, -2, 1) = "u"': ["T", "strue"],
    'mid($.a, 1, 2) = "10"': ["s10"],
    'substr($.a, 0) = "" AND $.a = "x"': ["sx"],
    'substr($.a, -9, 9) = "" AND $.a = "x"': ["sx"],
    'substr($.a, 1, -1) = "" AND $.a = "x"': ["sx"],
    'instr($.a, "ue") = 3': ["T", "strue"],
    'replace($.a, "x", "zz") = "zz"': ["sx"],
    'trim(concat("  ", $.a, " ")) = "x"': ["sx"],
    'ltrim(concat("  ", $.a, " ")) = "x "': ["sx"],
    'rtrim(concat("  ", $.a, " ")) = "  x"': ["sx"],
    'json_unquote($.a) = "x"': ["sx"],
    "ifnull($.a, 7) = 7": ["missing"],
    'ifnull($.a, "none") = "none"': ["missing"],
    "coalesce($.b, $.a, 7) = 7": ["missing"],
    "ifnull($.b, 1) + 1 = 2": ALL,
    'json_type($.a) = "BOOLEAN"': ["T", "F"],
    'json_type($.a) IN ("ARRAY", "OBJECT")': ["[]", "[1]", "{}", "{a}"],
    'json_type($.a) = "STRING"': TEXTS,
    "json_length($.a) = 0": ["[]", "{}"],
    "json_length($.a) IS NULL": ["missing"],
    "json_length($.a) = 1": but("[]", "{}"),
}


@pytest.fixture
def filled(bench: Bench) -> Bench:
    bench.add({"_id": "missing"}, *({"_id": name, "a": value} for name, value in DOCUMENTS.items()))
    return bench


def test_the_table_of_conditions(filled: Bench) -> None:
    """One test for the whole table, on one store: each row still names itself."""
    for condition, expected in TABLE.items():
        assert (condition, filled.ids(condition)) == (condition, sorted(expected))


def test_the_table_on_indexes(filled: Bench) -> None:
    """An index changes no answer."""
    filled.call("create_index", "by_a", ["$.a"])
    filled.call("create_index", "by_b_a", ["$.b", "$.a"])
    for condition, expected in TABLE.items():
        assert (condition, filled.ids(condition)) == (condition, sorted(expected))


MEMBERS: dict[str, Any] = {
    "flat": [1, "x", True],
    "nested": [[2, [1]], {"k": 5}],
    "object": {"k": 1},
    "in object": [{"k": 1}, [{"k": 1}]],
    "scalar": 1,
    "null": [None],
    "empty": [],
}
MEMBER_TABLE = {
    "1 IN $.m": ["flat", "nested", "scalar"],
    "1 NOT IN $.m": ["object", "in object", "null", "empty"],
    "2 IN $.m": ["nested"],
    "5 IN $.m": [],
    '"x" IN $.m OR true IN $.m': ["flat"],
    '1 IN $.m[0] AND json_type($.m) = "ARRAY"': ["flat", "nested"],
    "1 IN $.m.k": ["object"],
    "1 IN $.nothing": [],
    "NOT (1 IN $.nothing)": [],
}


def test_members_of_arrays(bench: Bench) -> None:
    bench.add(*({"_id": name, "m": value} for name, value in MEMBERS.items()))
    for condition, expected in MEMBER_TABLE.items():
        assert (condition, bench.ids(condition)) == (condition, sorted(expected))


DATES = {
    "leap": "2024-02-29",
    "eve": "2023-12-31 23:59:58",
    "iso": "2024-01-01T00:00:00",
    "fraction": "1999-07-04 12:34:56.789",
    "word": "now",
    "empty": "",
    "wrong": "2024-13-01",
}
DATE_TABLE = {
    "year($.d) = 2024": ["leap", "iso"],
    "month($.d) = 12": ["eve"],
    "day($.d) = 29": ["leap"],
    "dayofmonth($.d) = 1": ["iso"],
    "hour($.d) = 23": ["eve"],
    "minute($.d) = 34": ["fraction"],
    "second($.d) = 56": ["fraction"],
    "dayofyear($.d) = 60": ["leap"],
    "dayofyear($.d) = 365": ["eve"],
    "weekday($.d) = 6": ["eve", "fraction"],
    'datediff($.d, "2024-01-01") = 59': ["leap"],
    'datediff("2024-01-01 00:00:01", $.d) = 1': ["eve"],
    "year($.d) IS NULL": ["word", "empty", "wrong"],
}


def test_the_date_functions(bench: Bench) -> None:
    bench.add(*({"_id": name, "d": value} for name, value in DATES.items()))
    for condition, expected in DATE_TABLE.items():
        assert (condition, bench.ids(condition)) == (condition, sorted(expected))


BOUND: list[tuple[str, dict[str, Any], list[str]]] = [
    ("$.a = :x", {"x": 1}, ["1", "1.0"]),
    ("$.a = :x", {"x": 1.0}, ["1", "1.0"]),
    ("$.a = :x", {"x": "1"}, ["s1"]),
    ("$.a = :x", {"x": True}, ["T"]),
    ("$.a = :x", {"x": None}, []),
    ("$.a = ? OR $.a = ?", {"0": 0, "1": "x"}, ["0", "sx"]),
    ("$.a = :x OR $.a = :x + :y", {"x": 0, "y": 5}, ["0", "5"]),
    ("$.a IN (:x, :y)", {"x": 0, "y": "x"}, ["0", "sx"]),
    ("$.a LIKE :x", {"x": "%x"}, ["sx"]),
    ("$.a LIKE :x", {"x": "\\%"}, []),
    (":x IN $.a", {"x": 1}, ["1", "1.0", "[1]"]),
    ("_id = :x", {"x": "sx"}, ["sx"]),
    ("concat($.a, :x) = :y", {"x": "'\"\\", "y": "x'\"\\"}, ["sx"]),
    ("substr($.a, :x, :y) = 'ru'", {"x": 2, "y": 2}, ["T", "strue"]),
    (":x AND $.a = 5", {"x": True}, ["5"]),
    ("$.a = :x", {"x": (1 << 63) - 1}, []),
    ("$.a > :x", {"x": "x" * 50_000}, ["se", *HIGHER_THAN_TEXT]),
]


@pytest.mark.parametrize(("condition", "values", "expected"), BOUND)
def test_bound_values(filled: Bench, condition: str, values: dict[str, Any], expected: list[str]) -> None:
    assert filled.ids(condition, **values) == sorted(expected)


REFUSED: dict[str, dict[str, Any]] = {
    "$.a": {},  # a value, not a condition
    "NOT $.a = 1": {},  # NOT binds tighter than =
    "$.a AND true": {},
    "$.a IS TRUE": {},
    "1": {},
    "'x'": {},
    "$.a = 1 = true": {},
    "1 = '1'": {},
    "length($.a) = '1'": {},
    "$.a + 'x' = 1": {},
    "upper(1) = 'x'": {},
    "$._id = 1": {},
    "$.a LIKE $.a": {},
    "$.a LIKE 1": {},
    "$.a REGEXP 'x'": {},
    "$.a & 1 = 1": {},
    "$.a << 1 = 1": {},
    "~$.a = 1": {},
    "CAST($.a AS SIGNED) = 1": {},
    "$.a + INTERVAL 1 DAY = '2024-01-01'": {},
    "$.a OVERLAPS $.b": {},
    "$.a = [1]": {},
    "$.a = {'a': 1}": {},
    "$.a[*] = 1": {},
    "$.* = 1": {},
    "$**.a = 1": {},
    "$ = 1": {},
    "$[0] = 1": {},
    "$.a[99999999] = 1": {},
    "$.a[-1] = 1": {},
    "sleep(1) = 0": {},
    "load_file('/etc/passwd') = 'x'": {},
    "upper() = 'x'": {},
    "upper($.a, $.b) = 'x'": {},
    "ifnull($.a) = 1": {},
    "ifnull($.a, $.b) = 1": {},
    "sys.upper($.a) = 'x'": {},
    "* = 1": {},
    "$.a =": {},
    "($.a = 1": {},
    "$.a = 1)": {},
    "$.a = 1 AS b": {},
    "$.a = 1; DROP TABLE t": {},
    "$.a = 1;": {},
    "SELECT 1": {},
    "selected = 1": {},
    "WHERE $.a = 1": {},
    "$.a = 'it\\'s'": {},
    "$.a = 'it''s'": {},
    "$.a = 'open": {},
    "$.a = 1.5.2": {},
    "$.a = 99999999999999999999": {},
    '$.`a"b` = 1': {},
    "$.'' = 1": {},
    "$.a = \ud800": {},
    "$.a = '\ud800'": {},
    "\x00": {},
    "(" * 200 + "true" + ")" * 200: {},
    "NOT (" * 60 + "true" + ")" * 60: {},
    "upper(" * 60 + "$.a" + ")" * 60 + " = 'X'": {},
    " OR ".join(["$.a = 1"] * 600): {},
    "$.a = " + "x" * 60_000: {},
    "$." + ".".join(["a"] * 60) + " = 1": {},
    "$.a = :x": {},  # not bound
    "$.a = :y ": {"x": 1},
    "$.a = 1 ": {"x": 1},  # bound, but nowhere in it
    "$.a = :x  ": {"x": [1]},
    "$.a = :x   ": {"x": {"a": 1}},
    "$.a = :x    ": {"x": b"x"},
    "$.a = :x     ": {"x": float("nan")},
    "$.a = :x      ": {"x": 1 << 63},
    "$.a = :x       ": {"x": "\ud800"},
    "$.a = :x        ": {"x": "x" * 50_001},
    "$.a + :x = 1": {"x": "1"},
    ":x": {"x": 1},
    "1 = :x": {"x": "1"},
    "": {"x": 1},
}


def test_what_is_refused_is_refused_by_name(filled: Bench) -> None:
    for condition, values in REFUSED.items():
        with pytest.raises(InvalidExpression) as caught:
            filled.find(condition, **values)
            pytest.fail(f"accepted: {condition[:80]}")
        assert 0 < len(str(caught.value)) < 800
        assert "\n" not in str(caught.value)


def test_long_and_deep_expressions_that_are_fine(filled: Bench) -> None:
    assert filled.ids(" OR ".join(f"$.a = {n}" for n in range(500))) == sorted(["0", "1", "1.0", "5"])
    assert filled.ids(f"$.a IN ({', '.join(str(n) for n in range(1000))})") == sorted(["0", "1", "1.0", "5"])
    assert filled.ids("NOT (" * 20 + "$.a = 5" + ")" * 20) == ["5"]
    assert filled.ids("upper(" * 20 + "$.a" + ")" * 20 + " = 'X'") == ["sX", "sx"]
    assert filled.ids("substr(" * 4 + "$.a" + ", 1)" * 4 + " = 'x'") == ["sx"]


def test_members_with_any_printable_name(bench: Bench) -> None:
    names = ["select", "a b", "a.b", "a'b", "a[0]", "$", "ü", "世", "date", "%", "a-b", "?", ":x", "1"]
    bench.add({"_id": "a", **{name: n for n, name in enumerate(names)}})
    for n, name in enumerate(names):
        assert bench.ids(f'$."{name}" = {n}') == ["a"], name
        assert bench.ids(f'$."{name}" = {n + 1}') == [], name


def test_whole_numbers_of_64_bits_are_compared_exactly(bench: Bench) -> None:
    edges = [-(1 << 63), -(1 << 63) + 1, (1 << 53), (1 << 53) + 1, (1 << 63) - 2, (1 << 63) - 1]
    bench.add(*({"_id": str(n), "n": edge} for n, edge in enumerate(edges)))
    for n, edge in enumerate(edges):
        assert bench.ids("$.n = :n", n=edge) == [str(n)]
        assert bench.ids("$.n < :n", n=edge) == [str(m) for m in range(n)]


def test_an_expression_can_be_asked_again_with_other_values(store: Store) -> None:
    store.run(lambda session: session.create_collection("t"))
    filled = Bench(store, "t")
    filled.add(*({"_id": str(n), "n": n} for n in range(10)))
    for n in range(10):
        assert filled.ids("$.n = :n", n=n) == [str(n)]
