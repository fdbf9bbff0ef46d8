"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mubss.core.money import format_amount
from mubss.core.wording import counted as counted
from mubss.runtime import one_line

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 10_000  # columns where no terminal sets a width: a pipe gets whole lines
_MAX_WORD = 32  # columns; longer words of a text that may be folded, such as paths, are broken


def say(text: str) -> None:
    """A line of what was done; a file's name in it may hold control letters, and they are no terminal's."""
    click.echo(one_line(text))


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
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    title: str = "",
    *,
    right: Collection[str] = (),
    fold: Collection[str] = (),
    spare: Sequence[str] = (),
    within: int = 0,
) -> None:
    """The rows under headings: `columns` is {key of a row: heading}; integers, and `right`, stand to the right.
    `within`: so many columns of a terminal at most, and of a pipe; 0: as many as it takes.

    On a terminal that is too narrow, texts of the columns `fold` go over several lines between words, then `spare`
    columns are left out, the last first; where that isn't enough each row becomes lines of `heading: value`. Nothing
    else is ever cut or folded: an MSISDN, an amount or a Session-Id stays one word to copy.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    if within:
        out.width = min(out.width, within)
    if title:  # not the table's own: that would be folded to the table's width
        out.print(Text(title, style="bold"), soft_wrap=True)
    cells = {key: [cell(row.get(key)) for row in rows] for key in columns}
    least = {key: _least_width(columns[key], cells[key], key in fold) for key in columns}
    shown, left_out = list(columns), list(spare)
    while _table_width(least[key] for key in shown) > out.width:
        if not left_out:
            _print_records(out, columns, cells)
            return
        shown.remove(left_out.pop())
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, show_header=any(columns.values())
    )
    for key in shown:
        to_right = key in right or any(_is_integer(row.get(key)) for row in rows)
        folds = key in fold
        table.add_column(
            columns[key], justify="right" if to_right else "left", overflow="fold", no_wrap=not folds,
            min_width=least[key],
        )  # fmt: skip
    for number in range(len(rows)):
        table.add_row(*(Text(cells[key][number]) for key in shown))
    out.print(table)
    if missing := [columns[key] for key in columns if key not in shown]:
        click.echo(f"left out at this width: {', '.join(missing)}", err=True)


def _least_width(heading: str, texts: Sequence[str], folds: bool) -> int:
    """Columns of a terminal that these texts need at least."""
    from rich.cells import cell_len

    if folds:  # between words only, but for very long ones
        texts = [word[:_MAX_WORD] for text in texts for word in text.split()]
    return max(map(cell_len, [heading, *texts]))


def _table_width(widths: Iterable[int]) -> int:
    """Two blanks stand between columns."""
    return sum(width + 2 for width in widths) - 2


def _print_records(out: Console, columns: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> None:
    from rich.text import Text

    widest = max(map(len, columns.values()))
    for number in range(max(map(len, cells.values()))):
        if number:
            out.print()
        for key, heading in columns.items():
            if text := cells[key][number]:
                # The terminal, not we, breaks what is wider than itself: it copies as one line.
                out.print(Text(f"{f'{heading}:':{widest + 1}} {text}" if heading else text), soft_wrap=True)


def print_rows(
    as_json: bool,
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    title: str = "",
    *,
    spare: Sequence[str] = (),
) -> None:
    """A list of things: JSON as it is, or a table of the `columns`."""
    if as_json:
        print_json(list(rows))
    else:
        print_table(rows, columns, title, spare=spare)


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
