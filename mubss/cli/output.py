"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mubss.core.money import format_amount
from mubss.runtime import one_line

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 10_000  # columns where no terminal sets a width: a pipe gets whole lines


def print_json(value: Any) -> None:
    """`value` as JSON, indented."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def console() -> Console:
    """Where tables and styled lines go: as wide as the terminal; a pipe gets whole lines without styles."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = _UNBOUNDED
    return found


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], title: str = "", right: Collection[str] = ()
) -> None:
    """The rows under headings: `columns` is {key of a row: heading}; integers, and `right`, stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    if title:  # not the table's own: that would be folded to the table's width
        out.print(Text(title, style="bold"))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_header=any(columns.values()))
    for key, heading in columns.items():
        values = [row.get(key) for row in rows]
        to_right = key in right or any(_is_integer(value) for value in values)
        table.add_column(heading, justify="right" if to_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(key))) for key in columns))
    out.print(table)


def print_rows(as_json: bool, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], title: str = "") -> None:
    """A list of things: JSON as it is, or a table of the `columns`."""
    if as_json:
        print_json(list(rows))
    else:
        print_table(rows, columns, title)


def cell(value: Any) -> str:
    """One value as a table shows it, on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return one_line(str(value))


def money(micros: int, currency: str, decimals: int = 2) -> str:
    """`10.00 EUR` from 10_000_000 micros: exact, at least `decimals` places."""
    return f"{format_amount(micros, decimals)} {currency}"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
