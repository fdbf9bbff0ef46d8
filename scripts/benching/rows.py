"""What a benchmark measured, as rows; tables, medians and JSON lines are made of these."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from statistics import median
from typing import NamedTuple


class Row(NamedTuple):
    """One line of a table. A name that comes again within a table is the same thing, measured again."""

    table: str
    name: str
    figures: dict[str, float]  # by the column's title, which says the unit


class Spread(NamedTuple):
    """One figure of several rounds."""

    median: float
    least: float
    most: float


def add_json(parser: ArgumentParser) -> None:
    """The option that asks for rows instead of tables."""
    parser.add_argument("--json", action="store_true", help="rows as JSON lines instead of tables")


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Prints each row as it comes; after tables the medians of what was measured more than once."""
    shown: list[Row] = []
    for row in rows:
        if as_json:
            print(to_line(row), flush=True)
        else:
            if not shown or (shown[-1].table, list(shown[-1].figures)) != (row.table, list(row.figures)):
                print(f"\n{row.table}\n\n{head(list(row.figures))}")
            print(line([row.name, *map(plain, row.figures.values())]), flush=True)
        shown.append(row)
    again = {key: found for key, found in gather(shown).items() if len(found) > 1}
    if again and not as_json:
        print("\nmedians (least to most)")
        for table in dict.fromkeys(table for table, _ in again):
            print(f"\n{table}\n\n{median_table({name: found for (at, name), found in again.items() if at == table})}")


def to_line(row: Row) -> str:
    """The row as JSON."""
    return json.dumps(row._asdict(), ensure_ascii=False)


def from_line(text: str) -> Row:
    """The row that `to_line` wrote."""
    return Row(**json.loads(text))


def gather(rows: Iterable[Row]) -> dict[tuple[str, str], list[dict[str, float]]]:
    """The figures of each round, by table and name, in the order in which these came first."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for row in rows:
        found.setdefault((row.table, row.name), []).append(row.figures)
    return found


def spread(values: list[float]) -> Spread:
    """Median, least and most."""
    return Spread(median(values), min(values), max(values))


def columns(rounds: Iterable[dict[str, float]]) -> list[str]:
    """The titles that any of them has, in order."""
    return list(dict.fromkeys(title for figures in rounds for title in figures))


def median_table(found: dict[str, list[dict[str, float]]]) -> str:
    """A Markdown table of medians, each with its least and most where there are several rounds."""
    titles = columns(figures for rounds in found.values() for figures in rounds)
    lines = [head(titles)]
    for name, rounds in found.items():
        values = [[figures[title] for figures in rounds if title in figures] for title in titles]
        lines.append(line([name, *(with_spread(spread(one)) if one else "" for one in values)]))
    return "\n".join(lines)


def with_spread(one: Spread) -> str:
    """ "7,244 (6,938–7,300)"; without the brackets where nothing differs."""
    if one.least == one.most:
        return plain(one.median)
    return f"{plain(one.median)} ({plain(one.least)}–{plain(one.most)})"


def plain(value: float) -> str:
    """Three digits that count, at least: 7,244, 12.3, 0.85."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def head(titles: list[str]) -> str:
    """A table's first two lines."""
    return line(["", *titles]) + "\n" + "|---" * (len(titles) + 1) + "|"


def line(cells: list[str]) -> str:
    """One line of a Markdown table; what is in a cell can't end it."""
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
