"""`mubss ref`: reference data, loaded from a tariff manager's files and shown as it is in force."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime

import click

from mubss.cli.command import Group, Invocation
from mubss.cli.output import print_json, print_table
from mubss.cli.ref_loaded import maker_of, tell
from mubss.cli.ref_versions import diff_command, rollback_command, versions_command
from mubss.cli.ref_view import ordered, print_one, print_summaries
from mubss.core.errors import InputError
from mubss.refdata.check import one_of, shown
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import load, read_documents
from mubss.storage.refdata import TABLES, Version


@click.group("ref", cls=Group)
def ref() -> None:
    """Reference data: currencies, services, price plans, destinations, bill cycles, taxes."""


@ref.command("load")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--replace", is_flag=True, help="Remove every row that no FILE names.")
@click.option("--check", is_flag=True, help="Say what is wrong, or what would change, and change nothing.")
@click.pass_obj
def load_command(invocation: Invocation, files: tuple[str, ...], replace: bool, check: bool) -> None:
    """Makes FILEs a new version, all or nothing: rows they name are replaced by key, others stay."""
    calendar = operator_calendar(invocation.config.general.timezone)
    sources = read_files(files)
    with closing(invocation.open_store()) as store:
        maker = maker_of(invocation, "ref load")
        loaded = load(store, sources, calendar, int(time.time()), replace=replace, dry_run=check, maker=maker)
    tell(invocation, loaded, check, "files")


@ref.command("list")
@click.pass_obj
def list_command(invocation: Invocation) -> None:
    """The version in force, and how many rows each table has."""
    with closing(invocation.open_store()) as store:
        version, documents = read_documents(store)
    rows = [{"table": table, "rows": len(documents[table])} for table in TABLES]
    prefixes = sum(len(doc["prefixes"]) for doc in documents["destinations"].values())
    if invocation.as_json:
        counts = {row["table"]: row["rows"] for row in rows}
        print_json({"version": version._asdict(), "tables": counts, "prefixes": prefixes})
        return
    print_table([*rows, {"table": "destination prefixes", "rows": prefixes}], {"table": "table", "rows": "rows"})
    click.echo(_version_line(version, invocation.config.general.timezone))


def _version_line(version: Version, timezone: str) -> str:
    if not version.number:
        return "No reference data was ever loaded: mubss ref load FILE..."
    loaded = datetime.fromtimestamp(version.loaded_s, operator_calendar(timezone).zone)
    return f"Version {version.number}, loaded {loaded.isoformat(' ')}, digest {version.digest}"


@ref.command("show")
@click.argument("table", metavar="TABLE", type=click.Choice(list(TABLES)))
@click.argument("key", required=False)
@click.pass_obj
def show_command(invocation: Invocation, table: str, key: str | None) -> None:
    """The rows of TABLE, or all there is of the one of KEY: a code, zone, number or context.

    TABLE is one of currencies, taxes, bill_discounts, services, holidays, bands, destinations, networks, price_plans,
    bundles, service_map, bill_cycles, dunning.
    """
    with closing(invocation.open_store()) as store:
        _, documents = read_documents(store)
    rows = {name: ordered(row) for name, row in documents[table].items()}
    if table in ("bill_cycles", "dunning"):
        rows = dict(sorted(rows.items(), key=lambda row: int(row[0])))
    if key is not None and key not in rows:
        raise InputError(f"{table}: {shown(key)}; {one_of(rows)}")
    if invocation.as_json:
        print_json(list(rows.values()) if key is None else rows[key])
    elif key is None:
        print_summaries(list(rows.values()))
    else:
        print_one(rows[key])


for command in (versions_command, diff_command, rollback_command):
    ref.add_command(command)
