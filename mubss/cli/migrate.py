"""`mubss migrate`: brings the store to this program's schema."""

from __future__ import annotations

import time
from contextlib import closing

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import print_json, say
from mubss.services import migrating, stores


@click.command("migrate", cls=Command)
@click.option("--dry-run", is_flag=True, help="List the steps and do none.")
@click.pass_obj
def migrate(invocation: Invocation, /, dry_run: bool) -> None:
    """Brings a store that an older version made to this one's schema; nothing to do is no error."""
    url = invocation.config.store_url
    with closing(stores.open_existing(url)) as store:
        before, steps = migrating.pending(store)
        if not dry_run and steps:
            steps = migrating.migrate(store, lambda: int(time.time()))
        if steps and not dry_run:
            invocation.note(store)
        after, _ = migrating.pending(store)
    if invocation.as_json:
        shown = [{"version": step.version, "title": step.title, "adds_only": step.adds_only} for step in steps]
        print_json({"before": before.version, "version": after.version, "dry_run": dry_run, "steps": shown})
        return
    for step in steps:
        click.echo(f"{'to do' if dry_run else 'done'}: {step.version}, {step.title}")
    say(f"{stores.place(url)}: its schema is version {after.version}")
