"""Reading one row of hostile input: each value checked by its field, each fault with file, table and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mubss.core.errors import InputError, RefdataError
from mubss.core.money import MICROS_PER_UNIT, parse_amount
from mubss.core.wording import counted

MAX_FAULTS = 200  # told one by one; a file can hold millions
MAX_NAME_CHARACTERS = 80
_SHOWN_CHARACTERS = 60
# 24 characters leave 8 of the 32 bytes of an `_id` for a chunk's number; no "/", which separates a rate key.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,23}")
CODE_FORM = "1 to 24 letters, digits, - or _"


class Faults:
    """What is wrong, in the order it was found; every fault is counted, the first MAX_FAULTS are kept."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.count = 0

    def add(self, where: str, what: str) -> None:
        """Notes one fault: `where` is the file, or file, table and key."""
        self.count += 1
        if self.count <= MAX_FAULTS:
            self.texts.append(f"{where}: {what}")

    def raise_any(self) -> None:
        """Raises RefdataError if there is any fault."""
        if self.count > MAX_FAULTS:
            raise RefdataError([*self.texts, f"and {self.count - MAX_FAULTS} more faults"])
        if self.texts:
            raise RefdataError(self.texts)


def shown(value: Any) -> str:
    """A value as a fault shows it: bounded, and quoted if it is text."""
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, float):
        return f"the float {value}"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of over 20 digits"
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}… of {counted(len(value), 'character')}"
    return repr(value)


def one_of(names: Iterable[str]) -> str:
    """`expected one of A, B, C`, bounded."""
    listed = list(names)
    if not listed:
        return "there is none"
    return f"expected one of {', '.join(listed[:20])}{', …' if len(listed) > 20 else ''}"


def is_code(value: Any) -> bool:
    """Whether a value can be the code of a plan, service, zone, band or tax."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


class Row:
    """One TOML table under `where`: a method takes one key, notes a fault there, and returns something usable.

    A key without a default is required.
    """

    def __init__(self, faults: Faults, where: str, values: dict[str, Any]) -> None:
        self.where = where
        self.faulty = False  # in a key of its own; rows within it have their own word
        self._faults = faults
        self._taken: list[str] = []
        self._values = values

    def fault(self, key: str, what: str) -> None:
        """Notes a fault of a key."""
        self.faulty = True
        self._faults.add(f"{self.where}.{key}", what)

    def take(self, key: str, default: Any = None) -> Any:
        """The raw value of a key, whose name is then known."""
        if key not in self._taken:
            self._taken.append(key)
        return self._values.get(key, default)

    def form(self, key: str, pattern: re.Pattern[str], expected: str, default: str | None = None) -> str:
        """Text that fits a pattern, or the default; "" with a fault."""
        value = self.take(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self.refuse(key, value, expected)
        return ""

    def code(self, key: str, default: str | None = None) -> str:
        """A code, or the default; "" with a fault."""
        return self.form(key, _CODE, CODE_FORM, default)

    def name(self) -> str:
        """`name`, one line that people read; "" where there is none."""
        value = self.take("name", "")
        if isinstance(value, str) and len(value) <= MAX_NAME_CHARACTERS and value.isprintable():
            return value
        self.refuse("name", value, f"one line of up to {MAX_NAME_CHARACTERS} characters")
        return ""

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of a few words; "" with a fault."""
        value = self.take(key)
        if isinstance(value, str) and value in choices:
            return value
        self.refuse(key, value, " or ".join(choices))
        return ""

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from low to high; low with a fault."""
        value = self.take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.refuse(key, value, f"a whole number, {low} to {high}")
        return low

    def boolean(self, key: str) -> bool:
        """true or false, by default false; false with a fault."""
        value = self.take(key, False)
        if isinstance(value, bool):
            return value
        self.refuse(key, value, "true or false")
        return False

    def amount(self, key: str, high_micros: int, default: str | None = None) -> int:
        """An amount from 0, written as decimal text, as micros; 0 with a fault."""
        value = self.take(key, default)
        if isinstance(value, str):
            try:
                micros = parse_amount(value)
            except InputError:
                micros = -1
            if 0 <= micros <= high_micros:
                return micros
        expected = f'text like "0.02", 0 to {high_micros // MICROS_PER_UNIT}, at most 6 decimals'
        if isinstance(value, float):
            expected += " (a TOML float isn't exact)"
        self.refuse(key, value, expected)
        return 0

    def texts(self, key: str, most: int, expected: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of 1 to `most` texts; one text alone is a list of one. Empty with a fault."""
        value = self.take(key)
        if value is None and default is not None:
            return list(default)
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and 1 <= len(texts) <= most and all(isinstance(text, str) for text in texts):
            return texts
        self.refuse(key, value, f"a list of 1 to {most} texts: {expected}")
        return []

    def rows(self, key: str, most: int) -> Iterator[Row]:
        """The rows of `[[table.key]]` within this one, counted from 1."""
        value = self.take(key, [])
        if isinstance(value, list) and len(value) <= most:
            return rows_of(self._faults, f"{self.where}.{key}", value)
        self.refuse(key, value, f"up to {most} rows")
        return iter(())

    def counts(self, key: str, most: int, high: int) -> dict[str, int]:
        """A table of code = whole number from 1 to high; empty if there is none."""
        value = self.take(key, {})
        if not isinstance(value, dict) or len(value) > most:
            self.refuse(key, value, f"a table of up to {most}: code = whole number")
            return {}
        row = Row(self._faults, f"{self.where}.{key}", value)
        for code in value:
            if not is_code(code):
                row.fault(shown(code)[1:-1], f"not a code; expected {CODE_FORM}")
        return {code: row.integer(code, 1, high) for code in value if is_code(code)}

    def done(self) -> None:
        """Refuses every key that nothing took."""
        for key in self._values:
            if key not in self._taken:
                self.fault(shown(key)[1:-1], f"unknown key; expected one of {', '.join(self._taken)}")

    def refuse(self, key: str, value: Any, expected: str) -> None:
        """Notes that a value isn't what was expected."""
        self.fault(key, f"{'missing' if value is None else shown(value)}; expected {expected}")


def rows_of(faults: Faults, where: str, values: list[Any], mark: str = "") -> Iterator[Row]:
    """Each value that is a table, as a Row named by its number from 1; a fault for each that isn't."""
    for number, value in enumerate(values, 1):
        if isinstance(value, dict):
            yield Row(faults, f"{where}[{mark}{number}]", value)
        else:
            faults.add(f"{where}[{mark}{number}]", f"{shown(value)}; expected a table")
