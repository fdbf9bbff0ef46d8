"""Records as people and programs write them: CSV with a first line that names the fields, or JSON."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TextIO

from google.protobuf.descriptor import FieldDescriptor

from mubss.core.errors import InputError
from mubss.core.wording import counted
from mubss.pb.cdr_pb2 import Record

MAX_LINES = 1_000_000  # of a file; more go into several
MAX_LINE_LETTERS = 100_000
MAX_LIST_LETTERS = 100_000_000  # of JSON that is one list: it is read whole
START = "start"  # ISO 8601 with a zone: `start_s` and `utc_offset_minutes` in one
FIELDS: Mapping[str, FieldDescriptor] = Record.DESCRIPTOR.fields_by_name
NAMES = (START, *FIELDS)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_DELIMITERS = ",;\t"


class Row(NamedTuple):
    """Where a record stands, such as "line 3", and its fields as they are written, or what is wrong with it."""

    where: str
    fields: Mapping[str, Any]
    fault: str = ""


def rows(file: TextIO) -> Iterator[Row]:
    """The records of a text: JSON where it begins with `[` (a list) or `{` (one object a line), else CSV.

    A row with a fault may be the last one. The file's newlines must be kept (`newline=""`).
    """
    first = file.readline(MAX_LINE_LETTERS + 1)
    begin = first.removeprefix("\ufeff").lstrip()
    if begin.startswith("["):
        return _of_list(begin + file.read(MAX_LIST_LETTERS))
    return _of_lines(begin, file) if begin.startswith("{") else _of_csv(first.removeprefix("\ufeff"), file)


def _of_list(text: str) -> Iterator[Row]:
    import orjson

    if len(text) > MAX_LIST_LETTERS:
        yield Row(
            "line 1", {}, f"a list of over {MAX_LIST_LETTERS} letters; expected one object a line in a large file"
        )
        return
    try:
        found = orjson.loads(text)
    except ValueError as error:
        yield Row(f"line {getattr(error, 'lineno', 1)}", {}, f"no JSON ({error}); expected a list of objects")
        return
    for number, one in enumerate(found, 1):
        yield _object(f"record {number}", one)


def _of_lines(first: str, file: TextIO) -> Iterator[Row]:
    import orjson

    number, line = 1, first
    while line:
        where = f"line {number}"
        if len(line) > MAX_LINE_LETTERS or number > MAX_LINES:
            yield Row(where, {}, f"expected up to {MAX_LINES} lines of up to {MAX_LINE_LETTERS} letters")
            return
        if line.strip():
            try:
                yield _object(where, orjson.loads(line))
            except ValueError as error:
                yield Row(where, {}, f"no JSON ({error}); expected an object on each line, or a list of them")
        number, line = number + 1, file.readline(MAX_LINE_LETTERS + 1)


def _object(where: str, found: Any) -> Row:
    if isinstance(found, dict):
        return Row(where, found)
    return Row(where, {}, f"{type(found).__name__}; expected an object with fields of a record")


def _of_csv(header: str, file: TextIO) -> Iterator[Row]:
    delimiter = max(_DELIMITERS, key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    strange = [name for place, name in enumerate(columns) if name not in NAMES or name in columns[:place]]
    if not columns or strange:
        shown = ", ".join(repr(name[:40]) for name in strange[:5]) or "nothing"
        yield Row("line 1", {}, f"{shown}; expected the names of fields, each once: {', '.join(NAMES)}")
        return
    lines = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            yield Row(f"line {lines.line_num + 1}", {}, f"{error}; expected a line of CSV")
            return
        where = f"line {lines.line_num + 1}"
        if cells is None:
            return
        if lines.line_num > MAX_LINES:
            yield Row(where, {}, f"expected up to {MAX_LINES} lines")
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            yield Row(where, {}, f"{counted(len(cells), 'cell')}; expected {len(columns)}: {', '.join(columns)}")
            continue
        texts = (cell.strip() for cell in cells)
        yield Row(where, {name: text for name, text in zip(columns, texts, strict=True) if text})


def to_record(fields: Mapping[str, Any]) -> Record:
    """A record of fields as CSV (all texts) or JSON has them; InputError names the field. None is as if not there."""
    record = Record()
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if name == START:
            _set_start(record, value, given)
        elif name not in FIELDS:
            raise InputError(f"{str(name)[:40]!r}: no such field; expected some of {', '.join(NAMES)}")
        else:
            read, expected = _readers(FIELDS[name])
            try:
                setattr(record, name, read(value))
            except (KeyError, TypeError, ValueError):  # what protobuf says of a value that doesn't fit, too
                raise InputError(f"{name}: {_shown(value)}; expected {expected}") from None
    return record


def _readers(field: FieldDescriptor) -> tuple[Callable[[Any], Any], str]:
    """How a value of a field is read, and what is expected of it."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text, "text"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean, "true or false"
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return _type, f"one of {', '.join(Record.Type.keys()[1:])}"
    bits = 64 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 32
    sign = "without a sign, " if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32 else ""
    return _integer, f"an integer {sign}of {bits} bits"


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a number of a telephone that JSON has as a number
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _BOOLEANS[value.lower() if isinstance(value, str) else str(value)]


def _type(value: Any) -> int:
    number: int = Record.Type.Value(_text(value).upper())
    if not number:
        raise ValueError
    return number


def _set_start(record: Record, value: Any, given: Mapping[str, Any]) -> None:
    if "start_s" in given or "utc_offset_minutes" in given:
        raise InputError("start: given beside start_s or utc_offset_minutes; expected the one or the others")
    try:
        moment = datetime.fromisoformat(_text(value))
        offset = moment.utcoffset()
        if offset is None or offset % timedelta(minutes=1):
            raise ValueError
    except (TypeError, ValueError):
        text = 'expected ISO 8601 with a zone like "2026-11-03T10:00:00+01:00"'
        raise InputError(f"start: {_shown(value)}; {text}") from None
    record.start_s = (moment - _EPOCH) // timedelta(seconds=1)
    record.utc_offset_minutes = offset // timedelta(minutes=1)


def _shown(value: Any) -> str:
    return repr(value)[:40]


def to_fields(record: Record) -> dict[str, Any]:
    """The fields of a record that have a value, `type` as its name, and `start` where its time is one."""
    found: dict[str, Any] = {field.name: value for field, value in record.ListFields()}
    found["type"] = Record.Type.Name(record.type) if record.type in Record.Type.values() else str(int(record.type))
    return found


def start_text(start_s: int, utc_offset_minutes: int) -> str:
    """`2026-11-03T10:00:00+01:00`, or the seconds where they are no time of the calendar's."""
    try:
        moment = _EPOCH + timedelta(seconds=start_s, minutes=utc_offset_minutes)
    except OverflowError:
        return str(start_s)
    hours, minutes = divmod(abs(utc_offset_minutes), 60)
    sign = "-" if utc_offset_minutes < 0 else "+"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{hours:02d}:{minutes:02d}"
