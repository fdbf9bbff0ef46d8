"""Index keys: what an index over document paths holds, and the range of it that a comparison can lie in.

A key keeps the order of values (null < numbers < texts < objects < arrays < booleans) and loses precision: whole parts
of numbers within ±4·10^18, the first 47 octets of a text. So a comparison over an indexed path is written
`(key <= … AND exact comparison)`: the index narrows, the comparison decides. The key is a functional index part, which
is no column: MySQL's own tools go on taking the table for a collection.
"""

from __future__ import annotations

from math import floor

from mubss.xdev.expressions import ID, Path, Scalar

KEY_OCTETS = 48
_FAR = 4 * 10**18
_RANGES = {"=": ("=",), "<": ("<=",), "<=": ("<=",), ">": (">=",), ">=": (">=",)}
NUMBER_TYPES = ("'INTEGER'", "'UNSIGNED INTEGER'", "'DOUBLE'", "'DECIMAL'")  # what JSON_TYPE calls numbers


def extract(path: Path) -> str:
    """A document's value as JSON; NULL where it is missing."""
    return f"JSON_EXTRACT(doc, {path_text(path)})"


def path_text(path: Path) -> str:
    """A document path as an SQL text; no member's name holds a double quote or a backslash."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path.steps)
    return "'$" + steps.replace("'", "''") + "'"


def key(path: Path) -> str:
    """The key of a document's value, NULL where it is missing; as a part of an index and in conditions."""
    if path == ID:
        return "_id"
    value = extract(path)
    number = f"CAST(FLOOR(LEAST(GREATEST({value} + 0e0, -4e18), 4e18)) AS SIGNED) + {_FAR}"
    return (
        f"(CAST(CASE JSON_TYPE({value}) WHEN 'NULL' THEN '0' "
        + "".join(f"WHEN {kind} THEN CONCAT('1', LPAD({number}, 19, '0')) " for kind in NUMBER_TYPES)
        + f"WHEN 'STRING' THEN CONCAT('2', LEFT(CAST(JSON_UNQUOTE({value}) AS BINARY), {KEY_OCTETS - 1})) "
        f"WHEN 'OBJECT' THEN '3' WHEN 'ARRAY' THEN '4' WHEN 'BOOLEAN' THEN CONCAT('5', JSON_UNQUOTE({value})) "
        f"ELSE IF(JSON_TYPE({value}) IS NULL, NULL, '6') END AS BINARY({KEY_OCTETS})))"
    )


def narrowed(path: Path, comparison: str, value: Scalar) -> str:
    """A condition on the key that is true wherever `path comparison value` is, and NULL where the path is missing."""
    if comparison not in _RANGES or value is None:
        return ""
    return f"{key(path)} {_RANGES[comparison][0]} x'{key_of(value).hex()}'"


def key_of(value: Scalar) -> bytes:
    """The key of a value that isn't null."""
    if isinstance(value, bool):
        octets = b"5true" if value else b"5false"
    elif isinstance(value, str):
        octets = b"2" + value.encode()[: KEY_OCTETS - 1]
    else:
        assert value is not None  # `narrowed` leaves null out
        octets = b"1%019d" % (floor(min(max(float(value), -4e18), 4e18)) + _FAR)
    return octets.ljust(KEY_OCTETS, b"\0")
