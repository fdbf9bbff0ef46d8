"""What the commands that make a version of the reference data share: who makes it, and what is told of it."""

from __future__ import annotations

import click

from mubss.cli.command import Invocation
from mubss.cli.output import print_json, print_table
from mubss.refdata.next_version import Loaded, Maker


def maker_of(invocation: Invocation, what: str) -> Maker:
    """Who makes a version by this command."""
    who = invocation.act.who if invocation.act is not None else ""
    return Maker(who, what, invocation.config.refdata.keep_versions)


def tell(invocation: Invocation, loaded: Loaded, check: bool, what: str) -> None:
    """Says what became of the reference data, or would by `what`."""
    if invocation.as_json:
        changes = {table: change._asdict() for table, change in loaded.changes.items()}
        version = loaded.version._asdict()
        lost = {plan: list(services) for plan, services in loaded.lost.items()}
        found = {"changed": loaded.changed, "checked_only": check, "version": version, "tables": changes}
        print_json({**found, "plans_lost_services": lost})
        return
    if loaded.changed:
        rows = [{"table": table, **change._asdict()} for table, change in loaded.changes.items() if any(change)]
        print_table(rows, {"table": "table", "added": "added", "updated": "updated", "removed": "removed"})
    click.echo(_verdict(loaded, check, what))
    for plan, services in loaded.lost.items():
        warning = f"{plan}, which subscribers have, no longer prices {', '.join(services)}"
        click.echo(f"warning: {warning}: such requests are refused", err=True)


def _verdict(loaded: Loaded, check: bool, what: str) -> str:
    number = loaded.version.number
    if not loaded.changed:
        return f"Nothing to change: version {number} says the same." if number else "Nothing to load."
    if check:
        return f"The {what} are right; on top of version {number} they would change this. Nothing was written."
    return f"Reference data is now version {number}; running servers follow within seconds."
