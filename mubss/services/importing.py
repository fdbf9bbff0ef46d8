"""Subscribers from a CSV file: every line checked, against the file and the store, before the first is written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from mubss.charging.engine import wall_clock_ms
from mubss.core.errors import InputError
from mubss.core.money import parse_amount
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.services.lifecycle import NewSubscriber, create, faults_of, taken
from mubss.storage import subscribers
from mubss.storage.database import Store

COLUMNS = ("msisdn", "imsi", "type", "plan", "balance", "bill_cycle", "language", "name", "address", "email")
REQUIRED = ("msisdn", "plan")
MAX_LINES = 1_000_000  # half of them take 205 MB; a larger file is cut into several
MAX_FAULTS = 1000
CHUNK = 1000  # lines between two reports of progress
_DELIMITERS = ",;\t"

Progress = Callable[[int], None]


class FaultyFile(InputError):
    """What is wrong with a file of subscribers, a line for each fault; nothing was written."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(slots=True)
class Import:
    """A file that was read: the subscribers to create, the line of each, and what is wrong with it."""

    path: str
    new: list[NewSubscriber] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    skipped: int = 0
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0

    def fault(self, line: int, text: str) -> None:
        """Notes what is wrong with a line."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(f"{self.path}:{line}: {text}")
        else:
            self.more_faults += 1

    def raise_any(self) -> None:
        """Raises what was noted."""
        if self.more_faults:
            self.faults.append(f"{self.path}: and {self.more_faults} faults more")
        if self.faults:
            raise FaultyFile([*self.faults, f"{self.path}: nothing was written"])


def read(
    store: Store, tables: Tables, path: str, *, skip_existing: bool = False, progress: Progress = lambda count: None
) -> Import:
    """Reads and checks a whole file; FaultyFile names every faulty line. `progress` gets the lines read so far.

    With `skip_existing` a line whose MSISDN and IMSI are both those of one subscriber is passed over.
    """
    found = Import(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            _read_lines(found, file, tables, progress)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8, octet {error.object[error.start]:#04x}; expected text in UTF-8") from None
    _check_repeats(found)
    _check_store(found, store, skip_existing)
    found.raise_any()
    return found


def write(store: Store, tables: Tables, found: Import, progress: Progress = lambda count: None) -> int:
    """Creates the subscribers of a file that was read; returns how many. Charging goes on beside it.

    Each commit is 100 subscribers; ids carry the time of their CHUNK, so that inserts append to the store's trees.
    """
    for start in range(0, len(found.new), CHUNK):
        try:
            create(
                store,
                tables,
                found.new[start : start + CHUNK],
                wall_clock_ms(),
                lambda count, start=start: progress(start + count),  # type: ignore[misc]
            )
        except InputError as error:  # another process was faster than we
            text = f"{found.path}: {error}; the lines before it are written: run it again with --skip-existing"
            raise InputError(text) from None
    return len(found.new)


def _read_lines(found: Import, file: TextIO, tables: Tables, progress: Progress) -> None:
    header = file.readline(10_000)
    delimiter = max(_DELIMITERS, key=header.count)
    columns = _columns(found, next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), []))
    if not columns:
        return
    known: dict[str, str] = {}  # plans, types and languages: one text of each is enough
    rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            found.fault(rows.line_num + 1, f"{error}; expected a line of CSV")
            return
        if row is None:
            return
        line = rows.line_num + 1
        if line > MAX_LINES + 1:
            found.fault(line, f"expected up to {MAX_LINES} lines; cut the file into several")
            return
        if line % CHUNK == 0:
            progress(line)
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            found.fault(line, f"{counted(len(row), 'cell')}; expected {len(columns)}: {', '.join(columns)}")
            continue
        cells = {name: cell.strip() for name, cell in zip(columns, row, strict=True)}
        _take(found, line, cells, tables, known)


def _columns(found: Import, names: list[str]) -> list[str]:
    """The columns that the file's first line names; [] where it isn't one that can be read."""
    columns = [name.strip().lower() for name in names]
    before = len(found.faults)
    for place, name in enumerate(columns):
        if name not in COLUMNS:
            found.fault(1, f"column {name[:40]!r}; expected {', '.join(COLUMNS)}")
        elif name in columns[:place]:
            found.fault(1, f"column {name!r} stands twice")
    for name in REQUIRED:
        if name not in columns:
            found.fault(1, f"no column {name!r}; expected a first line that names the columns")
    return columns if len(found.faults) == before else []


def _take(found: Import, line: int, cells: dict[str, str], tables: Tables, known: dict[str, str]) -> None:
    """One line as a subscriber, or its faults."""
    faults: list[str] = []
    balance_micros, bill_cycle = 0, None
    if text := cells.get("balance"):
        try:
            balance_micros = parse_amount(text, "balance")
        except InputError as error:
            faults.append(str(error))
    if text := cells.get("bill_cycle"):
        if text.isascii() and text.isdecimal() and len(text) <= 2:
            bill_cycle = int(text)
        else:
            faults.append(f"bill_cycle: {text[:20]!r}; expected the number of a bill cycle")
    one = {name: known.setdefault(cells.get(name, ""), cells.get(name, "")) for name in ("type", "plan", "language")}
    new = NewSubscriber(
        cells["msisdn"],
        cells.get("imsi", ""),
        one["type"],
        one["plan"],
        balance_micros,
        bill_cycle,
        one["language"] or "en",
        cells.get("name", ""),
        "\n".join(line.strip() for line in cells.get("address", "").split("|")),
        cells.get("email", ""),
    )
    unread = {fault.partition(":")[0] for fault in faults}
    faults += [fault for fault in faults_of(new, tables) if fault.partition(":")[0] not in unread]
    for fault in faults:
        found.fault(line, fault)
    if not faults:
        found.new.append(new)
        found.lines.append(line)


def _check_repeats(found: Import) -> None:
    """Notes every MSISDN and IMSI that a line before has too."""
    for name in ("msisdn", "imsi"):
        first: dict[str, int] = {}
        for new, line in zip(found.new, found.lines, strict=True):
            value = getattr(new, name)
            if value and (earlier := first.setdefault(value, line)) != line:
                found.fault(line, f"{name}: {value!r} is on line {earlier} too; expected each once")


def _check_store(found: Import, store: Store, skip_existing: bool) -> None:
    """Notes every MSISDN and IMSI that a subscriber has already; drops the lines to skip."""
    new: list[NewSubscriber] = []
    lines: list[int] = []
    for part, part_lines in _parts(found):
        taken_by = subscribers.holders_of(store, [identity for one in part for identity in one.identities])
        for one, line in zip(part, part_lines, strict=True):
            holders = [taken_by.get(identity) for identity in one.identities]
            if skip_existing and holders[0] is not None and len(set(holders)) == 1:
                found.skipped += 1
                continue
            new.append(one)
            lines.append(line)
            for identity, holder in zip(one.identities, holders, strict=True):
                if holder is not None:
                    found.fault(line, taken(identity))
    found.new, found.lines = new, lines


def _parts(found: Import) -> Iterator[tuple[Sequence[NewSubscriber], Sequence[int]]]:
    for start in range(0, len(found.new), CHUNK):
        yield found.new[start : start + CHUNK], found.lines[start : start + CHUNK]
