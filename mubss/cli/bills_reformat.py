"""`mubss bills reformat`: an issued bill's PDF once more."""

from __future__ import annotations

from contextlib import closing

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import print_json
from mubss.runtime import ExitCode
from mubss.services.formatting import Formatter


@click.command("reformat", cls=Command)
@click.argument("number")
@click.pass_obj
def reformat(invocation: Invocation, /, number: str) -> int:
    """Renders bill NUMBER again, or one that failed; its figures, and whether it is paid, stay as they are."""
    with open_desk(invocation) as desk:
        formatter = Formatter(desk.store, invocation.config, lambda: desk.tables, lambda: wall_clock_ms() // 1000)
        with closing(formatter):
            done = formatter.one(number)
        invocation.note(desk.store)
        if invocation.as_json:
            print_json({"bill": done.bill, "path": str(done.path) if done.path else "", "fault": done.fault})
        elif done.fault:
            click.echo(f"{number}: {done.fault}", err=True)
        else:
            click.echo(f"{done.path}: {done.bill['document']['pages']} pages, {done.bill['state']}")
    return ExitCode.FAILURE if done.fault else ExitCode.OK
