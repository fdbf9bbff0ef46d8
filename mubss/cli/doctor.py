"""`mubss doctor`: looks at all that the group stands on, and says what to do. It never writes anything."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import console, print_json
from mubss.config import file_of
from mubss.core.errors import ConfigError
from mubss.runtime import ExitCode, one_line
from mubss.services.doctor.scene import Level, Scene, fail
from mubss.services.doctor.table import CHECKS, Line, examine

_NAMES = click.Choice(tuple(CHECKS))
_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command("doctor", cls=Command)
@click.option("--only", multiple=True, type=_NAMES, help="A check to do, and no other; repeatable.")
@click.option("--skip", multiple=True, type=_NAMES, help="A check to leave out; repeatable.")
@click.option("--strict", is_flag=True, help="The exit code is 1 for a WARN, too.")
@click.pass_obj
def doctor(invocation: Invocation, /, only: tuple[str, ...], skip: tuple[str, ...], strict: bool) -> ExitCode:
    """Looks at configuration, store, clock, disks, folders, certificates, secrets, ports, limits and programs.

    A line for each finding: OK, WARN or FAIL, and what to do. The exit code is 1 where something is FAIL, or 78 where
    it is the configuration that can't be read; else 0.
    """
    names = tuple(name for name in CHECKS if name in (only or CHECKS) and name not in skip)
    try:
        config = invocation.config
    except ConfigError as error:
        lines = [Line("configuration", fail(text, "mend it; `mubss config defaults` shows every option"))
                 for text in str(error).splitlines()]  # fmt: skip
        _tell(invocation, lines)
        return ExitCode.CONFIG
    file = file_of(invocation.config_file)
    scene = Scene(config, file if file.is_file() else None, int(time.time()))
    lines = list(examine(scene, names))
    _tell(invocation, lines)
    bad = (Level.FAIL, Level.WARN) if strict else (Level.FAIL,)
    return ExitCode.FAILURE if any(line.finding.level in bad for line in lines) else ExitCode.OK


def _tell(invocation: Invocation, lines: list[Line]) -> None:
    counts = Counter(line.finding.level for line in lines)
    summary = {level.value: counts[level] for level in Level}
    if invocation.as_json:
        print_json({"summary": summary, "findings": [_row(line) for line in lines]})
        return
    from rich.text import Text

    out = console()
    wide = max([len(line.check) for line in lines], default=0)
    for line in lines:
        level, text, do = line.finding
        shown = Text(f"{level.value:4} ", style=_STYLES[level])
        shown.append(f"{line.check:{wide}} {one_line(text)}", style="default")
        if do:
            shown.append(f" → {one_line(do)}", style="default")
        out.print(shown, soft_wrap=True)
    out.print(", ".join(f"{count} {name}" for name, count in summary.items()))


def _row(line: Line) -> dict[str, Any]:
    level, text, do = line.finding
    return {"check": line.check, "level": level.value, "text": text, "do": do}
