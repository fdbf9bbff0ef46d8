"""`mubss peers`: which network elements are connected, to whichever mubss-gy, on whichever machine."""

from __future__ import annotations

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import print_rows
from mubss.services.peers import connected

_COLUMNS = {
    "host": "peer",
    "realm": "realm",
    "address": "address",
    "profile": "profile",
    "since": "since",
    "answered": "answered",
    "pending": "under way",
    "watchdog": "watchdog",
    "process": "process",
}
_SPARE = ("realm", "profile", "process", "watchdog")  # left out where the terminal is too narrow, the last first


@click.command("peers", cls=Command)
@click.pass_obj
def peers(invocation: Invocation, /) -> None:
    """The DIAMETER peers that are connected, as their mubss-gy noted within the last half minute."""
    with open_desk(invocation) as desk:
        found = connected(desk.store, wall_clock_ms() // 1000)
        rows = [{name: value for name, value in doc.items() if name != "_id"} for doc in found]
        if not invocation.as_json:
            for row in rows:
                row |= {"since": desk.time(row["since_s"]), "watchdog": "suspect" if row["suspect"] else "okay"}
    if not rows and not invocation.as_json:
        click.echo("no peer is connected")
        return
    print_rows(invocation.as_json, rows, _COLUMNS, spare=_SPARE)
