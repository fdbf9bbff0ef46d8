"""`mubss bills`: what a run would issue, and what was issued."""

from __future__ import annotations

from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.bill_view import amount, print_bill
from mubss.cli.bills_money import credit, overdue, pay, void
from mubss.cli.bills_reformat import reformat
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import counted, print_json, print_table
from mubss.core.bill_period import checked_label
from mubss.runtime import ExitCode
from mubss.services import lifecycle
from mubss.services.bill_corrections import find_bill
from mubss.services.bill_group import run_for
from mubss.services.billing import period_for
from mubss.services.billing import preview as preview_all
from mubss.storage import bills as storage
from mubss.storage import subscribers
from mubss.storage.database import Doc

_COLUMNS = {
    "number": "number",
    "msisdn": "subscriber",
    "period": "period",
    "total": "total",
    "due": "due",
    "state": "state",
}


@click.group("bills", cls=Group)
def bills() -> None:
    """Bills: list, show, preview, overdue; void, credit, pay and reformat them."""


@bills.command("list")
@click.option("--cycle", type=int, help="Only those of this bill cycle.")
@click.option("--period", default="", metavar="YYYY-MM", help="Only those of this period.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only this one's.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.pass_obj
def list_command(invocation: Invocation, /, cycle: int | None, period: str, subscriber: str, limit: int) -> None:
    """Bills that were issued, the last first."""
    with open_desk(invocation) as desk:
        filters: dict[str, str | int] = {}
        if cycle is not None:
            filters["cycle"] = cycle
        if period:
            filters["period"] = checked_label(period)
        if subscriber:
            filters["account"] = str(lifecycle.find_subscriber(desk.store, subscriber)["account"])
        found = storage.find(desk.store, filters, limit)
        if invocation.as_json:
            print_json(found)
        else:
            print_table([_row(doc) for doc in found], _COLUMNS, right=("total", "due"))


def _row(doc: Doc) -> dict[str, Any]:
    return {**doc, "total": amount(doc, doc["total"]), "due": amount(doc, doc["due"])}


@bills.command("show")
@click.argument("number")
@click.pass_obj
def show(invocation: Invocation, /, number: str) -> None:
    """One bill, line by line."""
    with open_desk(invocation) as desk:
        doc = find_bill(desk.store, number)
        if invocation.as_json:
            print_json(doc)
        else:
            print_bill(doc)


@bills.command("preview")
@click.option("--cycle", required=True, type=int, help="The bill cycle.")
@click.option("--period", default="", metavar="YYYY-MM", help="The month that it closes in; else the last one.")
@click.pass_obj
def preview(invocation: Invocation, /, cycle: int, period: str) -> ExitCode:
    """What a run would issue; nothing is written. Exit code 1 if an account can't be billed."""
    with open_desk(invocation) as desk:
        now_s = wall_clock_ms() // 1000
        run = run_for(invocation.config.billing, cycle, period_for(desk.tables, cycle, period, now_s))
        found = list(preview_all(desk.store, desk.tables, run))
        if invocation.as_json:
            print_json([{"account": one.account, "bill": one.bill, "fault": one.fault} for one in found])
            return ExitCode.FAILURE if any(one.fault for one in found) else ExitCode.OK
        rows = []
        for one in found:
            if one.bill is not None and not one.before:
                person = subscribers.get(desk.store, one.account) or {"msisdn": ""}
                rows.append({**_row(one.bill), "number": "", "msisdn": person["msisdn"], "state": "would be issued"})
        print_table(rows, _COLUMNS, right=("total", "due"))
        for one in found:
            if one.fault:
                click.echo(f"{one.account}: {one.fault}", err=True)
        before = sum(one.before for one in found)
        click.echo(f"{counted(len(rows), 'bill')} of {run.period.label}; {counted(before, 'bill')} there already")
    return ExitCode.FAILURE if any(one.fault for one in found) else ExitCode.OK


for command in (void, credit, pay, overdue, reformat):
    bills.add_command(command)
