"""Reference data as a tariff manager writes it: TOML files, read within bounds into rows by table.

tomllib reads them: 100,000 prefixes take it 0.1 s, tomlkit (which keeps comments and layout) some 100 times that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mubss.core.errors import RefdataError
from mubss.refdata.check import Faults, shown
from mubss.storage.refdata import TABLES

MAX_FILES = 100
MAX_FILE_BYTES = 4 << 20  # the worst of these (all small numbers) takes 2.5 s
# A key of n dotted parts costs tomllib n² × 8 ns; this much is one line of 10,000 dots, or any number of sane ones.
MAX_DOTS_SQUARED = 10**8


class Source(NamedTuple):
    """One file read: its name for faults, and its rows by table."""

    name: str
    tables: dict[str, list[Any]]


def read_files(paths: Sequence[str | Path]) -> list[Source]:
    """Reads the files; RefdataError names every one that can't be read or isn't of the form."""
    faults = Faults()
    if not 1 <= len(paths) <= MAX_FILES:
        raise RefdataError([f"files: {len(paths)}; expected 1 to {MAX_FILES}"])
    sources = []
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            faults.add(str(path), f"can't be read: {error.strerror}")
        else:
            sources.append(parse(str(path), data, faults))
    faults.raise_any()
    return sources


def parse(name: str, data: bytes, faults: Faults) -> Source:
    """One file's bytes as rows; a row may still be anything that TOML has."""
    document = _decode(name, data, faults)
    tables: dict[str, list[Any]] = {}
    for table, rows in document.items():
        if table not in TABLES:
            faults.add(name, f"{shown(table)[1:-1]}: unknown table; expected one of {', '.join(TABLES)}")
        elif not isinstance(rows, list):
            faults.add(name, f"{table}: {shown(rows)}; expected rows, each under [[{table}]]")
        else:
            tables[table] = rows
    return Source(name, tables)


def _decode(name: str, data: bytes, faults: Faults) -> dict[str, Any]:
    if len(data) > MAX_FILE_BYTES:
        faults.add(name, f"over {MAX_FILE_BYTES} bytes; cut it into several files")
        return {}
    try:
        text = data.decode()
        if _dots_squared(text.split("\n")) > MAX_DOTS_SQUARED:
            faults.add(name, "lines with thousands of dots; expected keys of one or two parts")
            return {}
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        faults.add(name, f"not UTF-8 at byte {error.start}")
    except RecursionError:
        faults.add(name, "not TOML that can be taken: nested too deep")
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        faults.add(name, f"not TOML: {error}")
    return {}


def _dots_squared(lines: Iterable[str]) -> int:
    return sum(dots * dots for dots in (line.count(".") for line in lines))
