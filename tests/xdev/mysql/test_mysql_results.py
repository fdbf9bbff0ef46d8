"""Rows: every type of column byte by byte, there and back, and octets that are none of its values."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from mysqlx.protobuf.mysqlx_resultset_pb2 import ColumnMetaData, Row

from mubss.xdev.mysql.frames import BrokenStream
from mubss.xdev.mysql.replies import Reply
from mubss.xdev.mysql.results import json_texts, rows

BINARY, UTF8MB4 = 63, 255
DATE, DATETIME, JSON = 1, 2, 2  # ColumnMetaData.content_type, of DATETIME and of BYTES


def column(kind: str, name: str = "c", **fields: int) -> bytes:
    message = ColumnMetaData(type=ColumnMetaData.FieldType.Value(kind.split()[0]), name=name.encode(), **fields)
    octets: bytes = message.SerializeToString()
    return octets


COLUMNS = {
    "SINT": column("SINT"),
    "UINT": column("UINT"),
    "BIT": column("BIT"),
    "DOUBLE": column("DOUBLE"),
    "FLOAT": column("FLOAT"),
    "DECIMAL": column("DECIMAL"),
    "DATE": column("DATETIME", content_type=DATE),
    "DATETIME": column("DATETIME", content_type=DATETIME),
    "DATETIME of compact metadata": column("DATETIME"),
    "TIME": column("TIME"),
    "SET": column("SET", collation=UTF8MB4),
    "ENUM": column("ENUM", collation=UTF8MB4),
    "BYTES": column("BYTES", collation=BINARY),
    "BYTES of text": column("BYTES", collation=UTF8MB4),
    "BYTES of JSON": column("BYTES", collation=UTF8MB4, content_type=JSON),
}


def reply_of(columns: list[bytes], *fields: list[bytes]) -> Reply:
    reply = Reply()
    reply.columns = columns
    reply.rows = [Row(field=row).SerializeToString() for row in fields]
    return reply


def read(kind: str, octets: bytes) -> Any:
    [[value]] = rows(reply_of([COLUMNS[kind]], [octets]))
    return value


def varints(*numbers: int) -> bytes:
    return b"".join(_VarintBytes(number) for number in numbers)


def written(kind: str, value: Any) -> bytes:
    """The octets of a value, as mysqlx_resultset.proto describes them."""
    match kind.split()[0]:
        case "SINT":
            return varints(2 * value if value >= 0 else -2 * value - 1)
        case "UINT" | "BIT":
            return varints(value)
        case "DOUBLE":
            return struct.pack("<d", value)
        case "FLOAT":
            return struct.pack("<f", value)
        case "DECIMAL":
            sign, digits, scale = value.as_tuple()
            text = "".join(map(str, digits)) + "cd"[sign]
            return bytes([-scale]) + bytes.fromhex(text + "0" * (len(text) % 2))
        case "DATE":
            return varints(value.year, value.month, value.day)
        case "DATETIME":
            day = varints(value.year, value.month, value.day)
            return day + clock(value.hour, value.minute, value.second, value.microsecond)
        case "TIME":
            micros = abs(value) // timedelta(microseconds=1)
            seconds, micros = divmod(micros, 1_000_000)
            return bytes([value < timedelta()]) + clock(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)
        case "SET":
            members = [varints(len(text.encode())) + text.encode() for text in sorted(value)]
            return b"".join(members) or b"\x01"
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def clock(*parts: int) -> bytes:
    numbers = list(parts)
    while numbers and not numbers[-1]:
        numbers.pop()
    return varints(*numbers)


VECTORS: list[tuple[str, str, Any]] = [
    ("SINT", "00", 0),
    ("SINT", "01", -1),
    ("SINT", "02", 1),
    ("SINT", "7f", -64),
    ("SINT", "8001", 64),
    ("SINT", "d704", -300),
    ("SINT", "feffffffffffffffff01", 2**63 - 1),
    ("SINT", "ffffffffffffffffff01", -(2**63)),
    ("UINT", "00", 0),
    ("UINT", "7f", 127),
    ("UINT", "8001", 128),
    ("UINT", "ffffffffffffffffff01", 2**64 - 1),
    ("BIT", "05", 0b101),
    ("BIT", "80808080808080808001", 1 << 63),
    ("DOUBLE", "0000000000000000", 0.0),
    ("DOUBLE", "9a9999999999b9bf", -0.1),
    ("DOUBLE", "ffffffffffffef7f", 1.7976931348623157e308),
    ("FLOAT", "0000c03f", 1.5),
    ("FLOAT", "000000c0", -2.0),
    ("DECIMAL", "04123401d0", Decimal("-12.3401")),  # the example of mysqlx_resultset.proto
    ("DECIMAL", "000c", Decimal(0)),
    ("DECIMAL", "0010c0", Decimal(10)),
    ("DECIMAL", "00100d", Decimal(-100)),
    ("DECIMAL", "021d", Decimal("-0.01")),
    ("DECIMAL", "06123456789012345678c0", Decimal("123456789012.345678")),
    ("DATE", "e80f021d", date(2024, 2, 29)),
    ("DATE", "010101", date(1, 1, 1)),
    ("DATE", "8f4e0c1f", date(9999, 12, 31)),
    ("DATETIME", "e80f021d", datetime(2024, 2, 29)),
    ("DATETIME", "e80f021d0a", datetime(2024, 2, 29, 10)),
    ("DATETIME", "e80f021d173b3a", datetime(2024, 2, 29, 23, 59, 58)),
    ("DATETIME", "e80f021d173b3abf843d", datetime(2024, 2, 29, 23, 59, 58, 999_999)),
    ("DATETIME", "e80f021d00000001", datetime(2024, 2, 29, 0, 0, 0, 1)),
    ("DATETIME of compact metadata", "e80f021d0001", datetime(2024, 2, 29, 0, 1)),
    ("TIME", "00", timedelta()),
    ("TIME", "00010203", timedelta(hours=1, minutes=2, seconds=3)),
    ("TIME", "01000001", timedelta(seconds=-1)),
    ("TIME", "01c6063b3b", -timedelta(hours=838, minutes=59, seconds=59)),
    ("TIME", "01000000a0c21e", timedelta(milliseconds=-500)),
    ("SET", "01", frozenset()),
    ("SET", "00", frozenset({""})),
    ("SET", "0161", frozenset({"a"})),
    ("SET", "0342415203464f4f", frozenset({"FOO", "BAR"})),
    ("SET", "02c2b5", frozenset({"µ"})),
    ("ENUM", "6f6e00", "on"),
    ("BYTES", "00", b""),
    ("BYTES", "00ff0000", b"\0\xff\0"),
    ("BYTES of text", "00", ""),
    ("BYTES of text", "c2b50000", "µ\0"),
    ("BYTES of JSON", "7b7d00", "{}"),
]


@pytest.mark.parametrize(("kind", "octets", "value"), VECTORS)
def test_values_there_and_back(kind: str, octets: str, value: Any) -> None:
    found = read(kind, bytes.fromhex(octets))
    assert found == value
    assert type(found) is type(value)
    assert written(kind, value).hex() == octets


@pytest.mark.parametrize(
    ("kind", "octets", "value"),
    [
        ("DECIMAL", "02000c", Decimal("0.00")),  # zeros in front
        ("DECIMAL", "020000d0", Decimal("-0.00")),
        ("DATETIME", "e80f021d00000000", datetime(2024, 2, 29)),  # zeros at the end
        ("TIME", "0100000000", timedelta()),
        ("SET", "03464f4f03424152", frozenset({"FOO", "BAR"})),  # in the order of the column
    ],
)
def test_other_octets_of_a_value(kind: str, octets: str, value: Any) -> None:
    found = read(kind, bytes.fromhex(octets))
    assert found == value
    assert kind != "DECIMAL" or str(found) == str(value)  # -0.00 == 0


@pytest.mark.parametrize("kind", COLUMNS)
def test_null(kind: str) -> None:
    assert read(kind, b"") is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "SINT": st.integers(-(2**63), 2**63 - 1),
    "UINT": st.integers(0, 2**64 - 1),
    "BIT": st.integers(0, 2**64 - 1),
    "DOUBLE": st.floats(allow_nan=False),
    "FLOAT": st.floats(allow_nan=False, width=32),
    "DECIMAL": st.builds(
        lambda sign, digits, scale: Decimal((sign, digits, -scale)),
        st.integers(0, 1),
        st.lists(st.integers(0, 9), min_size=1, max_size=65).map(tuple),
        st.integers(0, 30),
    ),
    "DATE": st.dates(),
    "DATETIME": st.datetimes(),
    "DATETIME of compact metadata": st.datetimes(),
    "TIME": st.timedeltas(timedelta(hours=-839), timedelta(hours=839)),
    "SET": st.frozensets(TEXTS, max_size=5),
    "ENUM": TEXTS,
    "BYTES": st.binary(max_size=300),
    "BYTES of text": TEXTS,
    "BYTES of JSON": TEXTS,
}
ANY = st.sampled_from(list(COLUMNS)).flatmap(lambda kind: st.tuples(st.just(kind), st.none() | VALUES[kind]))


@given(st.lists(ANY, max_size=8), st.integers(0, 3))
def test_rows_of_any_columns(cells: list[tuple[str, Any]], count: int) -> None:
    columns = [COLUMNS[kind] for kind, _ in cells]
    fields = [b"" if value is None else written(kind, value) for kind, value in cells]
    assert rows(reply_of(columns, *[fields] * count)) == [tuple(value for _, value in cells)] * count


# ── damaged ────────────────────────────────────────────────────────────────────────────────────────

DAMAGED = [
    ("SINT", "80"),  # a varint goes on
    ("SINT", "0000"),
    ("SINT", "ffffffffffffffffff02"),  # 65 bits
    ("UINT", "ffffffffffffffffffff01"),
    ("BIT", "0100"),
    ("DOUBLE", "00000000000000"),
    ("FLOAT", "0000000000000000"),
    ("DECIMAL", "02"),
    ("DECIMAL", "02c0"),
    ("DECIMAL", "0212"),
    ("DECIMAL", "021e"),
    ("DECIMAL", "02ac"),
    ("DECIMAL", "0212c000"),
    ("DATE", "e80f02"),
    ("DATE", "e80f021d00"),
    ("DATE", "e80f021e"),  # 30 February
    ("DATE", "000000"),
    ("DATETIME", "e80f"),
    ("DATETIME", "e80f021d80"),
    ("DATETIME", "e80f021d18"),
    ("DATETIME", "e80f021d0000000001"),
    ("DATETIME", "ffffffffffffffffff010101"),
    ("TIME", "02"),
    ("TIME", "0080"),
    ("TIME", "000102030405"),
    ("TIME", "00ffffffffffffffffff01"),
    ("SET", "0261"),
    ("SET", "80"),
    ("SET", "01ff"),
    ("ENUM", "ff00"),
    ("BYTES of text", "c200"),
]


@pytest.mark.parametrize(("kind", "octets"), DAMAGED)
def test_octets_that_are_no_value_name_the_column(kind: str, octets: str) -> None:
    columns = [column("UINT", "a"), COLUMNS[kind]]
    name = ColumnMetaData.FieldType.Name(ColumnMetaData.FromString(COLUMNS[kind]).type)
    with pytest.raises(BrokenStream) as caught:
        rows(reply_of(columns, [b"\1", bytes.fromhex(octets)]))
    assert str(caught.value) == f"c: {octets} is no {name}"


@settings(max_examples=500)
@given(st.sampled_from(list(COLUMNS)), st.binary(max_size=24))
def test_any_octets_are_a_value_or_name_the_column(kind: str, octets: bytes) -> None:
    try:
        read(kind, octets)
    except BrokenStream as error:
        assert str(error).startswith(f"c: {octets[:20].hex()} is no ")


def test_the_fields_of_a_row_are_the_columns() -> None:
    with pytest.raises(BrokenStream, match=r"^Mysqlx\.Resultset\.Row: expected 2 fields, got 1$"):
        rows(reply_of([COLUMNS["UINT"]] * 2, [b"\1"]))


@pytest.mark.parametrize(("columns", "row"), [([b""], b""), ([b"\xff"], b""), ([COLUMNS["SINT"]], b"\x0a\x05")])
def test_what_is_no_column_or_row(columns: list[bytes], row: bytes) -> None:
    reply = Reply()
    reply.columns, reply.rows = columns, [row]
    with pytest.raises(
        BrokenStream, match=r"^Mysqlx\.Resultset\.(ColumnMetaData|Row): \d octets that can't be decoded$"
    ):
        rows(reply)


def test_a_column_without_a_name_in_utf_8() -> None:
    damaged = ColumnMetaData(type=ColumnMetaData.FLOAT, name=b"\xff").SerializeToString()
    with pytest.raises(BrokenStream, match="\ufffd: 00 is no FLOAT"):
        rows(reply_of([damaged], [b"\0"]))


# ── documents ──────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.none() | st.binary(max_size=50) | st.integers(120, 20_000).map(bytes), max_size=6))
def test_json_texts_are_what_the_compiled_module_reads(texts: list[bytes | None]) -> None:
    reply = reply_of([], *[[b"" if text is None else text + b"\0"] for text in texts])
    assert json_texts(reply) == [text for text in texts if text is not None]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("", "0 octets that aren't one field"),
        ("1201 00", "3 octets that aren't one field"),
        ("0a", "a varint that doesn't end"),
        ("0a80", "a varint that doesn't end"),
        ("0affffffffffffffffffff01", "a varint that doesn't end"),
        ("0a03 7b7d", "expected one field of 3 octets, got 2"),
        ("0a02 7b7d00", "expected one field of 2 octets, got 3"),
        ("0a01 00 0a01 00", "expected one field of 1 octets, got 4"),
    ],
)
def test_a_row_that_isnt_one_field(row: str, text: str) -> None:
    reply = Reply()
    reply.rows = [bytes.fromhex("0a03 7b7d00"), bytes.fromhex(row)]
    with pytest.raises(BrokenStream, match=f"{text}$"):
        json_texts(reply)


@given(st.binary(max_size=20))
def test_any_octets_are_one_text_at_most(row: bytes) -> None:
    reply = Reply()
    reply.rows = [row]
    try:
        texts = json_texts(reply)
    except BrokenStream:
        return
    assert [text + b"\0" for text in texts] == [text[:-1] + b"\0" for text in Row.FromString(row).field if text]
