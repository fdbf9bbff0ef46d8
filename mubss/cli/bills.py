"""`mubss bills`: what a run would issue, and what was issued."""

from __future__ import annotations

from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import counted, print_json, print_table
from mubss.core.errors import InputError
from mubss.core.model import PREPAID
from mubss.core.money import format_amount
from mubss.runtime import ExitCode
from mubss.services import lifecycle
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
_LINES = {"what": "what", "for": "for", "units": "units", "free": "free", "tax": "tax", "amount": "amount"}


@click.group("bills", cls=Group)
def bills() -> None:
    """Bills: list, show, preview."""


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
            filters["period"] = period
        if subscriber:
            filters["account"] = str(lifecycle.find_subscriber(desk.store, subscriber)["account"])
        found = storage.find(desk.store, filters, limit)
        if invocation.as_json:
            print_json(found)
        else:
            print_table([_row(doc) for doc in found], _COLUMNS, right=("total", "due"))


def _row(doc: Doc) -> dict[str, Any]:
    return {**doc, "total": amount(doc, doc["total"]), "due": amount(doc, doc["due"])}


def amount(doc: Doc, minor: int) -> str:
    """An amount of a bill as people write it: "12.34 EUR"."""
    decimals = doc["decimals"]
    units, rest = divmod(abs(minor), 10**decimals)
    sign = "-" if minor < 0 else ""
    return f"{sign}{units}.{rest:0{decimals}} {doc['currency']}" if decimals else f"{sign}{units} {doc['currency']}"


@bills.command("show")
@click.argument("number")
@click.pass_obj
def show(invocation: Invocation, /, number: str) -> None:
    """One bill, line by line."""
    with open_desk(invocation) as desk:
        doc = storage.by_number(desk.store, number)
        if doc is None:
            raise InputError(f"number: {number[:40]!r}; expected that of a bill; `mubss bills list` shows them")
        if invocation.as_json:
            print_json(doc)
        else:
            _print(doc)


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


def _print(doc: Doc) -> None:
    click.echo(f"{doc['number']}, {doc['state']}, of {doc['msisdn']}")
    click.echo(f"{doc['from_day']} to {doc['until_day']}, cycle {doc['cycle']}, plan {doc['plan']}")
    click.echo()
    rows: list[dict[str, Any]] = [
        {
            "what": f"{line['kind'].replace('_', ' ')} {line['code']}".rstrip(),
            "for": _for(doc, line),
            "units": f"{line['units']:,}" if "units" in line else "",
            "free": f"{line['free_units'] + line['bundle_units']:,}" if "units" in line else "",
            "tax": line["tax"],
            "amount": amount(doc, line["amount"]),
        }
        for line in doc["lines"]
    ]
    if doc["kind"] == PREPAID:
        _print_statement(doc, rows)
        return
    for tax in doc["taxes"]:
        rows.append({"what": tax["name"], "for": f"on {amount(doc, tax['net'])}", "amount": amount(doc, tax["amount"])})
    sums = [("total", doc["total"]), ("due before", doc["previous_due"]), ("paid", -doc["paid"])]
    if doc.get("credited"):
        sums.append(("credit notes", -doc["credited"]))
    rows += [{"what": name, "amount": amount(doc, minor)} for name, minor in sums]
    rows.append({"what": "due now", "amount": amount(doc, doc["due"])})
    print_table(rows, _LINES, right=("units", "free", "amount"))


def _print_statement(doc: Doc, rows: list[dict[str, Any]]) -> None:
    """The charges of a prepaid subscriber, between the balances."""
    paid_in = [
        {
            "what": " ".join(filter(None, [one["kind"], one["reference"]])),
            "for": one["day"],
            "amount": amount(doc, one["amount"]),
        }
        for one in doc["topups"]
    ]
    balances = [
        {"what": f"{name} balance", "amount": amount(doc, doc[f"{name}_balance"])} for name in ("opening", "closing")
    ]
    charges = {"what": "charges", "amount": amount(doc, doc["total"])}
    print_table([balances[0], *paid_in, *rows, charges, balances[1]], _LINES, right=("units", "free", "amount"))


def _for(doc: Doc, line: dict[str, Any]) -> str:
    if "days" in line:
        text = f"{line['days']} of {line['of_days']} days"
        return f"{text} from {line['from_day']}" if line.get("advance") or line["kind"] == "fee_correction" else text
    if line["kind"] == "discount":
        return f"{format_amount(line['rate_ppm'] * 100, 0)} % of {amount(doc, line['base'])}"
    if line["kind"] == "minimum":
        return f"{amount(doc, line['counted'])} of {amount(doc, line['minimum'])}"
    return counted(line["records"], "record") if "records" in line else ""
