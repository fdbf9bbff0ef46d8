"""`mubss ref`: reference data, loaded from a tariff manager's files and shown as it is in force."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any

import click

from mubss.cli.command import Group, Invocation
from mubss.cli.output import cell, print_json, print_table
from mubss.core.errors import InputError
from mubss.core.money import format_amount
from mubss.refdata.check import one_of, shown
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import Loaded, load, read_documents
from mubss.refdata.rows import WEEKDAYS
from mubss.storage.refdata import TABLES, Version

_PERCENT_MICROS_PER_PPM = 100  # 200_000 ppm are 20 %
# Fields of documents that a tariff manager knows by other names.
_HEADINGS = {
    "_id": "key",
    "rate_ppm": "rate percent",
    "validity_s": "validity seconds",
    "block_units": "per units",
    "setup_micros": "setup fee",
    "absent": "or none",
}
# The order in which fields are shown, whichever table they belong to; a store keeps none.
_FIELDS = (
    "_id name numeric decimals rate_ppm closing_day unit type currency monthly_fee_micros credit_limit_micros tax "
    "free_units rates quota_units quota_limit_units validity_s weekdays from_quarter until_quarter prefixes rules "
    "absent rating_groups service_identifiers service zone band price_micros block_units setup_micros minimum_micros"
).split()
_ORDER = {name: place for place, name in enumerate(_FIELDS)}


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
        loaded = load(store, sources, calendar, int(time.time()), replace=replace, dry_run=check)
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
    click.echo(_verdict(loaded, check))
    for plan, services in loaded.lost.items():
        warning = f"{plan}, which subscribers have, no longer prices {', '.join(services)}"
        click.echo(f"warning: {warning}: such requests are refused", err=True)


def _verdict(loaded: Loaded, check: bool) -> str:
    number = loaded.version.number
    if not loaded.changed:
        return f"Nothing to change: version {number} says the same." if number else "Nothing to load."
    if check:
        return f"The files are right; on top of version {number} they would change this. Nothing was written."
    return f"Reference data is now version {number}; running servers follow within seconds."


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

    TABLE is one of currencies, taxes, services, bands, destinations, price_plans, service_map, bill_cycles.
    """
    with closing(invocation.open_store()) as store:
        _, documents = read_documents(store)
    rows = {name: _ordered(row) for name, row in documents[table].items()}
    if table == "bill_cycles":
        rows = dict(sorted(rows.items(), key=lambda row: int(row[0])))
    if key is None:
        if invocation.as_json:
            print_json(list(rows.values()))
        else:
            _print_rows([_summary(doc) for doc in rows.values()])
        return
    if key not in rows:
        raise InputError(f"{table}: {shown(key)}; {one_of(rows)}")
    if invocation.as_json:
        print_json(rows[key])
        return
    single = {name: value for name, value in rows[key].items() if not _is_rows(value)}
    print_table(
        [{"field": _heading(name), "value": _shown(name, value)} for name, value in single.items()],
        {"field": "field", "value": "value"},
        fold=("value",),
    )
    for name, value in rows[key].items():
        if _is_rows(value):
            click.echo(f"\n{name}")
            _print_rows([{_heading(field): _shown(field, item) for field, item in row.items()} for row in value])


def _ordered(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A document, and those within it, with its fields in the order of `_ORDER`."""
    return {
        name: [_ordered(row) for row in value] if _is_rows(value) else value
        for name, value in sorted(doc.items(), key=lambda field: _ORDER.get(field[0], len(_ORDER)))
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    print_table(rows, {heading: heading for heading in rows[0]} if rows else {"key": "key"})


def _summary(doc: Mapping[str, Any]) -> dict[str, Any]:
    """One row as a line of a table: of rates, rules and prefixes only how many there are."""
    counted = ("rates", "rules", "prefixes")
    return {_heading(name): len(value) if name in counted else _shown(name, value) for name, value in doc.items()}


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _heading(name: str) -> str:
    plain = name.removesuffix("_micros").removesuffix("_quarter").replace("_", " ")
    return _HEADINGS.get(name, plain)


def _shown(name: str, value: Any) -> Any:
    """A value as a tariff manager writes it."""
    if name.endswith("_micros"):
        return format_amount(value)
    if name == "rate_ppm":
        return format_amount(value * _PERCENT_MICROS_PER_PPM, 0)
    if name.endswith("_quarter"):
        return f"{value // 4:02}:{value % 4 * 15:02}"
    if name == "weekdays":
        return " ".join(WEEKDAYS[day] for day in value)
    if name in ("rating_groups", "service_identifiers"):
        return "any" if value is None else ", ".join(f"{low}-{high}" if low < high else str(low) for low, high in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return value if isinstance(value, int) else cell(value)
