"""`mubss gy`: what is asked of the mubss-gy processes that run on this machine."""

from __future__ import annotations

import click

from mubss.cli.command import Group
from mubss.cli.trace import trace


@click.group("gy", cls=Group)
def gy() -> None:
    """The running DIAMETER servers: trace."""


gy.add_command(trace)
