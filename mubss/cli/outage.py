"""`mubss outage`: what was granted while the store was away, and what became of it (docs/OUTAGE.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, money, print_json, print_table
from mubss.core.model import RequestType
from mubss.runtime import ExitCode
from mubss.services import outage as service

_COLUMNS = {
    "from": "from",
    "until": "until",
    "journal": "journal",
    "requests": "requests",
    "granted": "granted",
    "charged": "charged",
    "refused": "refused",
    "difference": "difference",
    "short": "beyond balances",
    "suspended": "in suspense",
}
_RECORDS = {
    "at": "answered",
    "account": "account",
    "session": "session",
    "request": "request",
    "state": "state",
    "result": "result",
    "granted": "granted",
    "charged": "charged",
    "short": "beyond balance",
}


@click.group("outage", cls=Group)
def outage() -> None:
    """Requests that were granted while the store was away."""


@outage.command("report")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only those from then on.")
@click.option("--journal", default="", metavar="NAME", help="Only those of this one.")
@click.option("--requests", is_flag=True, help="Each request, instead of the sums.")
@click.option("--state", type=click.Choice(service.STATES), help="Only requests that came to this.")
@click.pass_obj
def report(
    invocation: Invocation, /, since: datetime | None, journal: str, requests: bool, state: str | None
) -> ExitCode | None:
    """What was granted, what of it was charged and refused, and the difference; exit code 1 while some of it waits."""
    with open_desk(invocation) as desk:
        since_s = int(since.replace(tzinfo=desk.tables.calendar.zone).timestamp()) if since else 0
        waits = service.waiting(desk.config)
        if requests or state:
            found = service.records(desk.store, since_s=since_s, journal=journal, state=state or "")
            if invocation.as_json:
                print_json([{"id": one["_id"], **{k: v for k, v in one.items() if k != "_id"}} for one in found])
            else:
                print_table([_record(desk, one) for one in found], _RECORDS, right=("granted", "charged", "short"))
        else:
            rows = service.report(desk.store, since_s=since_s, journal=journal)
            if invocation.as_json:
                print_json({"reconciled": rows, "waiting": waits})
            else:
                print_table([_row(desk, row) for row in rows], _COLUMNS, right=tuple(_COLUMNS)[3:])
    for one in waits:
        text = "damaged: it is done as far as it can be read" if one["is_kept"] else "not done yet"
        click.echo(f"{one['journal']}: {counted(one['requests'], 'request')}, {text}", err=True)
    return ExitCode.FAILURE if waits else None


def _row(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    amounts = ("granted", "charged", "refused", "difference", "short")
    return {
        **row,
        "from": desk.time(row["from_s"]),
        "until": desk.time(row["until_s"]),
        **{name: _money(desk, row[f"{name}_micros"], row["currency"]) for name in amounts},
    }


def _record(desk: Desk, doc: dict[str, Any]) -> dict[str, Any]:
    return {
        **doc,
        "at": desk.time(doc["at_s"]),
        "request": f"{RequestType(doc['type']).name} {doc['number']}",
        **{name: _money(desk, doc[f"{name}_micros"], doc["currency"]) for name in ("granted", "charged", "short")},
    }


def _money(desk: Desk, micros: int, code: str) -> str:
    currency = desk.tables.currencies.get(code)
    return money(micros, code, currency.decimals if currency else 2)
