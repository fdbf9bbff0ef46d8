"""`mubss gy`: what the DIAMETER servers do, and what they couldn't charge."""

from __future__ import annotations

import click

from mubss.cli.command import Group
from mubss.cli.suspense import suspense
from mubss.cli.trace import trace


@click.group("gy", cls=Group)
def gy() -> None:
    """The DIAMETER servers: trace, suspense."""


gy.add_command(suspense)
gy.add_command(trace)
