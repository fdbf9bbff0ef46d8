"""`mubss subscriber erase`: the person goes, the books stay."""

from __future__ import annotations

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import counted, print_json
from mubss.services.auditing import plain
from mubss.services.erasing import erase


@click.command("erase", cls=Command)
@click.argument("msisdn")
@click.option("--yes", is_flag=True, required=True, help="It can't be undone.")
@click.option(
    "--bills", is_flag=True, help="Numbers in issued bills, too, and their PDFs: see what the law wants kept."
)
@click.pass_obj
def erase_command(invocation: Invocation, /, msisdn: str, yes: bool, bills: bool) -> None:
    """Erases the person of a terminated subscriber (MSISDN, imsi:… or id:…); postings, usage and bills keep figures.

    Issued bills and their PDFs stay as they are without --bills. Told again after a break it goes on.
    """
    with open_desk(invocation) as desk:
        folder = desk.config.resolve(desk.config.billfmt.invoices) if bills else None
        done = erase(desk.engine, plain(desk.store), msisdn, wall_clock_ms() // 1000, folder)
    if invocation.as_json:
        print_json(done._asdict())
    else:
        usage, suspense = counted(done.usage, "usage record"), counted(done.suspense, "report")
        notices = counted(done.notifications, "notification")
        click.echo(f"{done.subscriber} is erased: {usage}, {suspense} in suspense, {notices}")
