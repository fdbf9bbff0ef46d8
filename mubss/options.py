"""Options of the configuration: declared once in a dataclass, read from TOML and the environment, checked whole.

A section is a frozen dataclass whose fields are made by `option`; a table array within a section is a field
made by `tables`. What the default is says the option's type: text, an integer, true or false, a list of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from textwrap import wrap
from typing import Any, TypeVar

T = TypeVar("T")

DEFAULT = "default"  # the source of a value that nobody set
MAX_TEXT_LETTERS = 1000
MAX_LIST_ITEMS = 10_000
_SHOWN_LETTERS = 60
_PASSWORD = re.compile(r"(\w+://[^:/@\s]*:).*@")
_HEADER = re.compile(r"\s*\[(\[?)\s*([\w.\"' -]+?)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of one option besides its name and default; `check` says what is expected, or ""."""

    comment: str
    low: int | None = None
    high: int | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    check: Callable[[str], str] | None = None
    row: type | None = None  # of a table array


def option(
    default: T,
    comment: str,
    *,
    low: int | None = None,
    high: int | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    check: Callable[[str], str] | None = None,
) -> T:
    """One option of a section; `choices` and `check` hold for each item where it is a list."""
    about = Option(comment, low, high, unit, choices, check)
    made: T = field(default=default, metadata={"option": about})
    return made


def required(comment: str, *, check: Callable[[str], str] | None = None) -> str:
    """A text that every row of a table array must have."""
    made: str = field(metadata={"option": Option(comment, check=check)})
    return made


def tables(row: type[T], comment: str) -> tuple[T, ...]:
    """A table array: `[[section.name]]`, each a `row`; empty by default."""
    made: tuple[T, ...] = field(default=(), metadata={"option": Option(comment, row=row)})
    return made


def mask(value: Any) -> Any:
    """`value` with the password of a URL in it (or in the items of a list) replaced by ***."""
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1***@", value)
    if isinstance(value, (list, tuple)):
        return [mask(item) for item in value]
    return value


def shown(value: Any) -> str:
    """`value` for a message: masked, one line, bounded."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(mask(value))
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"


def about(made: Field[Any]) -> Option:
    """What `option`, `required` or `tables` recorded for the field of a section."""
    found: Option = made.metadata["option"]
    return found


def _kind(made: Field[Any]) -> type[Any]:
    return str if made.default is MISSING else type(made.default)


def expected(made: Field[Any]) -> str:
    """What the option of this field takes, in words: "an integer from 0 to 65535"."""
    known = about(made)
    choices = ", ".join(known.choices)
    kind = _kind(made)
    if known.row is not None:
        return f"tables [[…]] with {', '.join(column.name for column in fields(known.row))}"
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"an integer from {known.low} to {known.high}" + (f", in {known.unit}" if known.unit else "")
    if kind is tuple:
        return f"a list of text, any of {choices}" if choices else "a list of text"
    return f"one of {choices}" if choices else "text"


def refusal(made: Field[Any], value: Any) -> str:
    """What was expected instead of `value`, or "" where the option of this field takes it."""
    known = about(made)
    kind = _kind(made)
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or len(value) > MAX_LIST_ITEMS:
            return expected(made)
        if len(set(map(repr, value))) != len(value):
            return "a list without repeats"
        return next((wrong for item in value if (wrong := _text_refusal(made, item))), "")
    if kind is str:
        return _text_refusal(made, value)
    if type(value) is not kind:  # True is an int to isinstance, and isn't one here
        return expected(made)
    if kind is int and not (known.low is not None and known.high is not None and known.low <= value <= known.high):
        return expected(made)
    return ""


def _text_refusal(made: Field[Any], value: Any) -> str:
    known = about(made)
    if not isinstance(value, str):
        return expected(made)
    if len(value) > MAX_TEXT_LETTERS or not value.isprintable():
        return f"printable text of up to {MAX_TEXT_LETTERS} letters"
    if known.choices and value not in known.choices:
        return expected(made)
    return known.check(value) if known.check is not None else ""


def parse_text(made: Field[Any], text: str) -> Any:
    """A value from the environment, typed as the option; what can't be read comes back as text, to be refused."""
    default = made.default
    if about(made).row is not None:
        return text
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, int):
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
    if isinstance(default, tuple):
        return [item.strip() for item in text.split(",")] if text.strip() else []
    return text


def suggestion(name: str, known: list[str]) -> str:
    """A near miss named, else everything that is known."""
    near = get_close_matches(name, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"


class Reader:
    """Reads sections out of parsed TOML and an environment; gathers every fault and where each value came from."""

    def __init__(
        self, document: Mapping[str, Any], environ: Mapping[str, str], file: str, lines: dict[str, int]
    ) -> None:
        self.faults: list[str] = []
        self.sources: dict[str, str] = {}
        self._document = document
        self._environ = {name: text for name, text in environ.items() if name.startswith("MUBSS_") and "__" in name}
        self._file = file
        self._lines = lines

    def read(self, sections: Mapping[str, type]) -> dict[str, Any]:
        """A section object for each of `sections`; meaningful only while `faults` is empty."""
        for name, value in self._document.items():
            if name not in sections:
                self._fault(name, value, self._where(name), f"no such section; {suggestion(name, list(sections))}")
        made = {name: self._section(name, kind) for name, kind in sections.items()}
        known = [f"MUBSS_{name}__{made.name}".upper() for name, kind in sections.items() for made in fields(kind)]
        for name in sorted(set(self._environ) - set(known)):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`mubss config show` lists what there is"
            self.faults.append(f"{name} (environment): no such option; {hint}")
        return made

    def _section(self, name: str, kind: type) -> Any:
        table = self._document.get(name, {})
        if not isinstance(table, dict):
            self._fault(name, table, self._where(name), f"expected a table [{name}]")
            table = {}
        self._refuse_unknown(name, table, kind)
        values = {}
        for made in fields(kind):
            path = f"{name}.{made.name}"
            row = about(made).row
            variable = f"MUBSS_{name}__{made.name}".upper()
            value: Any = made.default
            source = DEFAULT
            if made.name in table:
                value, source = table[made.name], self._where(path)
            if variable in self._environ:
                value, source = parse_text(made, self._environ[variable]), variable
            if row is not None:
                value = tuple(self._rows(path, value, row, source))
            elif wrong := refusal(made, value):
                self._fault(path, value, source, f"expected {wrong}")
            self.sources[path] = source
            values[made.name] = tuple(value) if isinstance(value, list) else value
        return kind(**values)

    def _rows(self, path: str, value: Any, row: type, source: str) -> Iterator[Any]:
        whole = isinstance(value, (list, tuple)) and all(isinstance(table, dict) for table in value)
        if not whole or len(value) > MAX_LIST_ITEMS:
            self._fault(path, value, source, f"expected tables [[{path}]] in the file")
            return
        for number, table in enumerate(value):
            place = f"{path}[{number}]"
            self._refuse_unknown(place, table, row)
            values = {}
            for made in fields(row):
                where = self._where(f"{place}.{made.name}")
                if made.name not in table and made.default is MISSING:
                    self.faults.append(
                        f"{place}.{made.name}: missing ({self._where(place)}); expected {expected(made)}"
                    )
                item = table.get(made.name, "" if made.default is MISSING else made.default)
                if made.name in table and (wrong := refusal(made, item)):
                    self._fault(f"{place}.{made.name}", item, where, f"expected {wrong}")
                values[made.name] = tuple(item) if isinstance(item, list) else item
            yield row(**values)

    def _refuse_unknown(self, path: str, table: Mapping[str, Any], kind: type) -> None:
        known = [made.name for made in fields(kind)]
        for key, value in table.items():
            if key not in known:
                self._fault(
                    f"{path}.{key}", value, self._where(f"{path}.{key}"), f"no such option; {suggestion(key, known)}"
                )

    def _fault(self, path: str, value: Any, where: str, text: str) -> None:
        self.faults.append(f"{path} = {shown(value)} ({where}): {text}")

    def _where(self, path: str) -> str:
        """file:line of the key, or of the table that holds it."""
        line = self._lines.get(path) or self._lines.get(path.rpartition(".")[0])
        return f"{self._file}:{line}" if line else self._file


def render(sections: Mapping[str, type]) -> str:
    """Every option at its default as TOML, each under its comment, what it takes and its unit."""
    blocks = []
    for name, kind in sections.items():
        lines = [f"# {line}" for line in _wrap(kind.__doc__ or "")] + [f"[{name}]"]
        for made in fields(kind):
            known = about(made)
            if known.row is None:
                lines += [*_remarks(made), f"{made.name} = {_literal(made.default)}", ""]
                continue
            lines += [f"# {line}" for line in _wrap(known.comment)] + ["#", f"# [[{name}.{made.name}]]"]
            for column in fields(known.row):
                value = "" if column.default is MISSING else column.default
                lines += [f"# {line}" for line in _remarks(column)] + [f"# {column.name} = {_literal(value)}"]
            lines.append("")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def _remarks(made: Field[Any]) -> list[str]:
    return [f"# {line}" for line in [*_wrap(about(made).comment), f"Takes {expected(made)}."]]


def _wrap(text: str) -> list[str]:
    return wrap(" ".join(text.split()), 110)


def _literal(value: Any) -> str:
    """`value` in TOML; every text here is plain ASCII without quotes or backslashes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def find_lines(text: str) -> dict[str, int]:
    """The line of each key and table header of a TOML text: {"gy.port": 12, "gy.peers[0].origin_host": 40}.

    tomlkit keeps no positions. A line of a multi-line text that looks like a key can mislead it, nothing else does.
    """
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            section = _bare(header[2])
            if header[1]:
                counts[section] = counts.get(section, -1) + 1
                section = f"{section}[{counts[section]}]"
                found.setdefault(section.partition("[")[0], number)
            found.setdefault(section, number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(f"{section}.{_bare(assignment[1])}".lstrip("."), number)
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)
