"""`mubss backup` and `mubss restore`: the embedded store as one file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted, print_json, say
from mubss.services import backups
from mubss.services.control import FOLDER


@click.command("backup", cls=Command)
@click.argument("file", metavar="FILE")
@click.pass_obj
def backup(invocation: Invocation, /, file: str) -> None:
    """Writes a checked copy of the embedded store to the new FILE, while all programs run."""
    url = invocation.config.store_url
    backups.store_file(url)  # a server is told how, rather than opened
    invocation.open_store().close()
    done = backups.back_up(url, Path(file).absolute())
    if invocation.as_json:
        print_json({"file": done.file, "octets": done.octets, "schema_version": done.schema_version})
        return
    say(f"{done.file}: {counted(done.octets, 'octet')}, schema version {done.schema_version}, checked")


@click.command("restore", cls=Command)
@click.argument("file", metavar="FILE")
@click.pass_obj
def restore(invocation: Invocation, /, file: str) -> None:
    """Puts the backup FILE in the embedded store's place; every program must be stopped. What was there is kept."""
    config = invocation.config
    done = backups.restore(config.store_url, Path(file).absolute(), config.resolve(FOLDER))
    if invocation.as_json:
        print_json(done._asdict())
        return
    say(f"{done.file}: restored, {counted(done.octets, 'octet')}, schema version {done.schema_version}, checked")
    if done.replaced:
        say(f"{done.replaced}: what was there before")
    click.echo("`mubss ledger check` proves that every balance is the sum of its postings")
