"""`mubss drain|reload`: the processes of this machine are told to end what they have begun, or to read files again."""

from __future__ import annotations

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import print_json, print_table
from mubss.runtime import ExitCode
from mubss.services.control import FOLDER, PROGRAMS
from mubss.services.group import tell

_PROGRAMS = click.Choice(PROGRAMS)


@click.command("drain", cls=Command)
@click.argument("programs", nargs=-1, type=_PROGRAMS)
@click.pass_obj
def drain(invocation: Invocation, /, programs: tuple[str, ...]) -> ExitCode:
    """Has all processes, or those of PROGRAMS, take nothing new, finish what is begun and end, as SIGTERM does.

    The exit code is 1 where none runs. A supervisor that restarts what ends must be told to stop them instead.
    """
    return _tell(invocation, "drain", programs)


@click.command("reload", cls=Command)
@click.argument("programs", nargs=-1, type=_PROGRAMS)
@click.pass_obj
def reload(invocation: Invocation, /, programs: tuple[str, ...]) -> ExitCode:
    """Has all processes, or those of PROGRAMS, read certificates and keys again, as SIGHUP does.

    Their logs tell what came of it. The exit code is 1 where none runs.
    """
    return _tell(invocation, "reload", programs)


def _tell(invocation: Invocation, do: str, programs: tuple[str, ...]) -> ExitCode:
    told = tell(invocation.config.resolve(FOLDER), do, programs or PROGRAMS)
    rows = [{"program": program, "process": pid} for program, pids in told.items() for pid in pids]
    if invocation.as_json:
        print_json(rows)
    elif rows:
        print_table(rows, {"program": "program", "process": "process"})
    else:
        click.echo(f"mubss: no process of {', '.join(programs) or 'the group'} runs on this machine", err=True)
    return ExitCode.OK if rows else ExitCode.FAILURE
