"""Reference data as a tariff manager writes it: TOML files, read within bounds into rows by table.

tomllib reads them: 100,000 prefixes take it 0.1 s, tomlkit (which keeps comments and layout) some 100 times that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mubss.core.errors import RefdataError
from mubss.core.wording import counted
from mubss.refdata.check import one_of, shown
from mubss.storage.refdata import TABLES

MAX_FILES = 100
MAX_ROWS = 5_000  # of a table in one file
MAX_FILE_BYTES = 4 << 20  # the worst of these (all small numbers) takes 2.5 s
# A key of n dotted parts costs tomllib n² × 8 ns; this much is one line of 10,000 dots, or any number of sane ones.
MAX_DOTS_SQUARED = 10**8


class Source(NamedTuple):
    """One file read: its name for faults, its rows by table, and what kept others from being rows."""

    name: str
    tables: dict[str, list[Any]]
    faults: list[str]


def read_files(paths: Sequence[str | Path]) -> list[Source]:
    """Reads the files; one that can't be read, or isn't of the form, is a Source of faults."""
    if not 1 <= len(paths) <= MAX_FILES:
        raise RefdataError([f"files: {len(paths)}; expected 1 to {MAX_FILES}"])
    return [_read_file(str(path)) for path in paths]


def _read_file(path: str) -> Source:
    try:
        with open(path, "rb") as file:
            return parse(path, file.read(MAX_FILE_BYTES + 1))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        return Source(path, {}, [f"can't be read: {getattr(error, 'strerror', error)}"])


def parse(name: str, data: bytes) -> Source:
    """One file's bytes as rows; a row may still be anything that TOML has."""
    source = Source(name, {}, [])
    for table, rows in _decode(data, source.faults).items():
        if table not in TABLES:
            source.faults.append(f"{shown(table)[1:-1]}: unknown table; {one_of(TABLES)}")
        elif not isinstance(rows, list):
            source.faults.append(f"{table}: {shown(rows)}; expected rows, each under [[{table}]]")
        elif len(rows) > MAX_ROWS:
            source.faults.append(f"{table}: {counted(len(rows), 'row')}; expected up to {MAX_ROWS} in a file")
        else:
            source.tables[table] = rows
    return source


def _decode(data: bytes, faults: list[str]) -> dict[str, Any]:
    if len(data) > MAX_FILE_BYTES:
        faults.append(f"over {MAX_FILE_BYTES} bytes; cut it into several files")
        return {}
    try:
        text = data.decode()
        if _dots_squared(text.split("\n")) > MAX_DOTS_SQUARED:
            faults.append("lines with thousands of dots; expected keys of one or two parts")
            return {}
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        faults.append(f"not UTF-8 at byte {error.start}")
    except RecursionError:
        faults.append("not TOML that can be taken: nested too deep")
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        faults.append(f"not TOML: {error}")
    return {}


def _dots_squared(lines: Iterable[str]) -> int:
    return sum(dots * dots for dots in (line.count(".") for line in lines))
