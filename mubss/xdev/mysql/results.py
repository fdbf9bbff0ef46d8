"""Rows: from the octets of `Mysqlx.Resultset.Row` to values, by the type of each column.

Documents come as one column of JSON text and take a path of their own (`json_texts`): no message is parsed for a row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from mysqlx.protobuf.mysqlx_resultset_pb2 import ColumnMetaData, Row

from mubss.xdev.mysql.frames import BrokenStream
from mubss.xdev.mysql.replies import Reply, parsed

_BINARY_COLLATION = 63
_DATE_ONLY = 1  # ColumnMetaData.content_type of a DATETIME column
_FIELD = 0x0A  # the tag of Row.field


def json_texts(reply: Reply) -> list[bytes]:
    """The JSON texts of a result of one column; SQL NULLs are left out."""
    texts = []
    for payload in reply.rows:
        if not payload or payload[0] != _FIELD:
            raise BrokenStream(f"Mysqlx.Resultset.Row: {len(payload)} octets that aren't one field")
        length, at = _varint(payload, 1)
        if at + length != len(payload):
            raise BrokenStream(f"Mysqlx.Resultset.Row: expected one field of {length} octets, got {len(payload) - at}")
        if length:
            texts.append(payload[at:-1])  # a NUL ends what isn't NULL
    return texts


def rows(reply: Reply) -> list[tuple[Any, ...]]:
    """Every row as a tuple of None, int, float, str, bytes, Decimal, date, datetime, timedelta or a set of texts."""
    columns = [parsed(ColumnMetaData, payload) for payload in reply.columns]
    return [tuple(_values(columns, parsed(Row, payload).field)) for payload in reply.rows]


def _values(columns: Sequence[Any], fields: Sequence[bytes]) -> Iterable[Any]:
    if len(columns) != len(fields):
        raise BrokenStream(f"Mysqlx.Resultset.Row: expected {len(columns)} fields, got {len(fields)}")
    for column, octets in zip(columns, fields, strict=True):
        try:
            yield value(column, octets)
        except (BrokenStream, IndexError, ValueError, ArithmeticError, struct.error):
            kind = ColumnMetaData.FieldType.Name(column.type)
            raise BrokenStream(f"{column.name.decode(errors='replace')}: {octets[:20].hex()} is no {kind}") from None


def value(column: Any, octets: bytes) -> Any:
    """One field (mysqlx_resultset.proto, "ColumnMetaData"); raises any of what `_values` catches where it is none."""
    if not octets:
        return None
    kind = column.type
    if kind == ColumnMetaData.SINT:
        number = _whole(octets)
        return number >> 1 ^ -(number & 1)
    if kind in (ColumnMetaData.UINT, ColumnMetaData.BIT):
        return _whole(octets)
    if kind == ColumnMetaData.DOUBLE:
        return struct.unpack("<d", octets)[0]
    if kind == ColumnMetaData.FLOAT:
        return struct.unpack("<f", octets)[0]
    if kind in (ColumnMetaData.BYTES, ColumnMetaData.ENUM):
        # A character column has a collation; `binary` is the one of octets.
        return octets[:-1] if column.collation == _BINARY_COLLATION else octets[:-1].decode()
    if kind == ColumnMetaData.DECIMAL:
        return _decimal(octets)
    if kind == ColumnMetaData.DATETIME:
        return _datetime(octets, column.content_type == _DATE_ONLY)
    if kind == ColumnMetaData.TIME:
        return _time(octets)
    if kind == ColumnMetaData.SET:
        return _set(octets)
    raise ValueError(f"type {kind}")


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends; 10 octets at most."""
    number = shift = 0
    for place in range(at, min(at + 10, len(octets))):
        octet = octets[place]
        number |= (octet & 127) << shift
        if octet < 128:
            return number, place + 1
        shift += 7
    raise BrokenStream("a varint that doesn't end")


def _whole(octets: bytes) -> int:
    number, end = _varint(octets, 0)
    if end != len(octets) or number >> 64:
        raise ValueError("not one number of 64 bits")
    return number


def _varints(octets: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(octets):
        number, at = _varint(octets, at)
        numbers.append(number)
    return numbers


def _decimal(octets: bytes) -> Decimal:
    """The scale, then two digits to an octet, then the sign: c is +, d is -; a 0 after it fills the octet up."""
    digits = octets[1:].hex()
    digits = digits.removesuffix("0")
    digits, sign = digits[:-1], digits[-1:]
    if sign not in ("c", "d") or not digits.isdecimal():
        raise ValueError("no sign")
    return Decimal((int(sign == "d"), tuple(map(int, digits)), -octets[0]))


def _datetime(octets: bytes, is_date: bool) -> date | datetime:
    """Year, month, day, then hour, minute, second and microsecond, the zeros at the end left out."""
    parts = _varints(octets)
    if not 3 <= len(parts) <= (3 if is_date else 7):
        raise ValueError(f"{len(parts)} numbers")
    if is_date:
        return date(*parts)
    return datetime(*parts)  # type: ignore[arg-type]


def _time(octets: bytes) -> timedelta:
    """The sign, then hours, minutes, seconds and microseconds, the zeros at the end left out."""
    parts = _varints(octets[1:])
    if octets[0] > 1 or len(parts) > 4:
        raise ValueError(f"sign {octets[0]}, {len(parts)} numbers")
    hours, minutes, seconds, micros = parts + [0] * (4 - len(parts))
    whole = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)
    return -whole if octets[0] else whole


def _set(octets: bytes) -> frozenset[str]:
    """Length and text of each member; a lone 1 is the empty set."""
    if octets == b"\x01":
        return frozenset()
    members, at = [], 0
    while at < len(octets):
        length, at = _varint(octets, at)
        if at + length > len(octets):
            raise ValueError("cut off")
        members.append(octets[at : at + length].decode())
        at += length
    return frozenset(members)
