"""`mubss bills reformat`: an issued bill's PDF once more."""

from __future__ import annotations

from contextlib import closing

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import counted, print_json, say
from mubss.runtime import ExitCode
from mubss.services.formatting import Formatted, Formatter


@click.command("reformat", cls=Command)
@click.argument("number", required=False)
@click.option("--failed", is_flag=True, help="Every bill that couldn't be rendered, after what was wrong is put right.")
@click.pass_obj
def reformat(invocation: Invocation, /, number: str | None, failed: bool) -> int:
    """Renders bill NUMBER again, or those that failed; figures, and whether they are paid, stay as they are."""
    if failed == bool(number):
        raise click.UsageError("NUMBER, or --failed: expected one of them.")
    with open_desk(invocation) as desk:
        formatter = Formatter(
            desk.store, invocation.config, lambda: desk.tables, lambda: wall_clock_ms() // 1000, invocation.act
        )
        with closing(formatter):
            found = [formatter.one(number)] if number else list(formatter.failed())
        if invocation.as_json:
            shown = [{"bill": one.bill, "path": str(one.path) if one.path else "", "fault": one.fault} for one in found]
            print_json(shown if failed else shown[0])
        else:
            for one in found:
                _tell(one)
    return ExitCode.FAILURE if any(one.fault for one in found) else ExitCode.OK


def _tell(one: Formatted) -> None:
    if one.fault:
        click.echo(f"{one.bill['number']}: {one.fault}", err=True)
    else:
        say(f"{one.path}: {counted(one.bill['document']['pages'], 'page')}, {one.bill['state']}")
