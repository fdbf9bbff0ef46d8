"""`mubss archive`: usage and postings of closed months, moved to files and looked at there (docs/ARCHIVE.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.ledger import print_postings, print_usage
from mubss.cli.output import counted, print_json, print_rows, print_table
from mubss.core.bill_period import checked_label
from mubss.core.errors import InputError
from mubss.runtime import ExitCode
from mubss.services import archiving, lifecycle
from mubss.services.archiving import Archiving, Through
from mubss.services.auditing import plain
from mubss.storage import archives
from mubss.storage.archives import KINDS
from mubss.storage.subscribers import POSTINGS, USAGE

_COLUMNS = {"kind": "kind", "month": "month", "rows": "documents", "octets": "octets", "path": "file"}


@click.group("archive", cls=Group)
def archive() -> None:
    """Old usage and postings in Parquet files: run, list, verify, show."""


@archive.command("run")
@click.option("--month", default="", metavar="YYYY-MM", help="The last month to go; by default as [retention] says.")
@click.option("--dry-run", is_flag=True, help="Only tells what would go, and what would stay, and why.")
@click.pass_obj
def run(invocation: Invocation, /, month: str, dry_run: bool) -> None:
    """Moves what is from before the end of a closed month, and needed by no bill, to files; then it leaves the store.

    Broken off it goes on with the next call. Balances, and `mubss ledger check`, stay as they are.
    """
    with open_desk(invocation) as desk, _told() as progress:
        wanted = _wanted(desk, month)
        folder = desk.config.resolve(desk.config.retention.folder)
        calendar, store = desk.tables.calendar, plain(desk.store)
        statements = desk.config.billing.prepaid_statements
        stays: list[dict[str, Any]] = []
        clock_s: Callable[[], int] = lambda: wall_clock_ms() // 1000  # noqa: E731
        work = Archiving(store, folder, calendar, wanted, clock_s, progress, statements=statements)
        if dry_run:
            moved, stays = work.look(), [one._asdict() for one in work.staying()]
        else:
            moved = work.run()
            if moved:
                invocation.note(desk.store)
    rows = [one._asdict() for one in moved]
    if dry_run and invocation.as_json:
        print_json({"would_go": rows, "stays": stays})
        return
    columns = {name: title for name, title in _COLUMNS.items() if not dry_run or name not in ("path", "octets")}
    print_rows(invocation.as_json, rows, columns, "Would go" if dry_run else "Gone to the archive")
    if not moved and not invocation.as_json:
        click.echo("nothing that may leave the store")
    if stays:
        click.echo()
        print_table(stays, {"kind": "kind", "rows": "documents", "why": "why"}, "Would stay", fold=("why",))


def _wanted(desk: Desk, month: str) -> dict[str, Through]:
    options, calendar, now_s = desk.config.retention, desk.tables.calendar, wall_clock_ms() // 1000
    if month:
        return dict.fromkeys(KINDS, archiving.through(month, calendar.zone, now_s))
    months = {USAGE: options.usage_months, POSTINGS: options.postings_months}
    wanted = {kind: archiving.kept(count, calendar, now_s) for kind, count in months.items()}
    if not any(one.month for one in wanted.values()):
        raise InputError("month: none, and [retention] keeps all for ever; expected --month, or months to keep")
    return wanted


@archive.command("list")
@click.pass_obj
def list_command(invocation: Invocation, /) -> None:
    """The files of the archive, as the store knows them."""
    with open_desk(invocation) as desk:
        known = archives.manifests(desk.store)
    print_rows(invocation.as_json, known, {**_COLUMNS, "state": "state"}, "Archive")


@archive.command("verify")
@click.pass_obj
def verify(invocation: Invocation, /) -> ExitCode:
    """Reads every file and compares it with what was written, and the sums carried forward with its postings."""
    with open_desk(invocation) as desk, _told() as progress:
        folder = desk.config.resolve(desk.config.retention.folder)
        count = len(archives.manifests(desk.store))
        faults = [one._asdict() for one in archiving.verify(desk.store, folder, progress)]
    if invocation.as_json:
        print_json({"files": count, "faults": faults})
    elif faults:
        print_table(faults, {"where": "where", "text": "what is wrong"}, fold=("text",))
    else:
        click.echo(f"{counted(count, 'file')}: as they were written, and what is carried forward is their sum")
    return ExitCode.FAILURE if faults else ExitCode.OK


@archive.command("show")
@click.argument("msisdn")
@click.option("--kind", default=USAGE, show_default=True, type=click.Choice(KINDS), help="What to show.")
@click.option("--month", default="", metavar="YYYY-MM", help="Only of this month.")
@click.pass_obj
def show(invocation: Invocation, /, msisdn: str, kind: str, month: str) -> None:
    """What the archive has of MSISDN (or imsi:…, id:…)."""
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        if month:
            checked_label(month)
        folder = desk.config.resolve(desk.config.retention.folder)
        found = list(archiving.read(desk.store, folder, kind, doc["account"], month))
        if invocation.as_json:
            print_json(found)
            return
        account = lifecycle.find_account(desk.store, doc)
        title = f"Archived {kind} of {doc['msisdn']}"
        (print_postings if kind == POSTINGS else print_usage)(desk, account, found, title)


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("looking") as status:
        yield status.update
