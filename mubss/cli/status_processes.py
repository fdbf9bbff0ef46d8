"""How `mubss status` and the demo show the processes of the group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from mubss.cli.output import print_table
from mubss.services.group import Running
from mubss.services.licensing import utc

WIDTH = 120  # columns at most, unless a terminal has fewer or all is asked for
_COLUMNS = {name: name for name in ("program", "process", "version", "state", "licence", "up", "doing")}
_PER_SECOND = "_per_second"
_MOMENT = "_s"  # UTC seconds


def print_processes(running: list[Running], *, wide: bool = False) -> None:
    """A line for each process; then what is wrong, a line each. `wide`: nothing is left out or cut."""
    rows = [_row(one, wide) for one in running]
    width = 0 if wide else WIDTH
    print_table(rows, _COLUMNS, right=("process", "up"), fold=("doing",), within=width)
    for line in (line for one in running for line in _wrong(one)):
        click.echo(line if wide or len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")


def _row(one: Running, wide: bool) -> dict[str, str]:
    """A process in a line: its rates, then what its program tells of itself; zeros only where all is asked for."""
    facts = {name: value for name, value in one.facts.items() if not name.startswith("licence")}
    rates = [_fact(name, value) for name, value in facts.items() if name.endswith(_PER_SECOND)]
    others = [
        _fact(name, value)
        for name, value in facts.items()
        if not name.endswith(_PER_SECOND) and value not in ("", {}, None) and (wide or value != 0)
    ]
    return {
        "program": one.program,
        "process": str(one.pid),
        "version": one.version,
        "state": one.state,
        "licence": _licence(one),
        "up": span(one.uptime_s),
        "doing": ", ".join([*rates, *others]),
    }


def _licence(one: Running) -> str:
    """`valid, 364 d`; `broken` alone, as its days count no more once the program ends."""
    state, days = one.facts.get("licence", ""), one.facts.get("licence_days")
    return str(state) if one.licence_fault or days is None else f"{state}, {days} d"


def _wrong(one: Running) -> Iterator[str]:
    who = f"{one.program} {one.pid}"
    if one.licence_fault:
        yield f"{who}: licence: {one.licence_fault}"
    if one.last_error:
        yield f"{who}: last error: {one.last_error}"


def _fact(name: str, value: Any) -> str:
    """`ccr/s 12.5`, `sessions 3`, `passed 2026-11-29T16:47:20Z`."""
    if name.endswith(_PER_SECOND):
        return f"{name.removesuffix(_PER_SECOND)}/s {value}"
    if name.endswith(_MOMENT):
        return f"{name.removesuffix(_MOMENT)} {utc(value) if value else 'never'}"
    return f"{name} {value}"


def span(seconds: int) -> str:
    """A length of time in its two largest units: "3d 4h", "5m 9s"."""
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {seconds % 60}s"
