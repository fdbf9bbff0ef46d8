"""`mubss bills void`, `credit`, `pay` and `overdue`: what becomes of a bill once it is there."""

from __future__ import annotations

from datetime import datetime

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.bill_view import amount as amount_text
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import print_json, print_rows
from mubss.core.dunning import days_overdue
from mubss.core.money import parse_amount
from mubss.services import bill_corrections as corrections
from mubss.services.dunning import reactivate_if_paid
from mubss.storage import bills as storage


@click.command("void", cls=Command)
@click.argument("number")
@click.option("--reason", required=True, metavar="TEXT", help="Kept with the bill.")
@click.pass_obj
def void(invocation: Invocation, /, number: str, reason: str) -> None:
    """Takes back bill NUMBER before anybody has it: the next run of its period makes another, with a new number.

    It must be in BILL_STATUS_NEW or _FAILED, and its account's last. It keeps its number and is BILL_STATUS_VOID.
    """
    with open_desk(invocation) as desk:
        doc = corrections.void(desk.engine, desk.store, number, reason, wall_clock_ms() // 1000)
        if invocation.as_json:
            print_json(doc)
        else:
            click.echo(f"{number} is void; the next run of {doc['period']} makes another for {doc['msisdn']}")


@click.command("credit", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("number")
@click.option("--reason", required=True, metavar="TEXT", help="Kept with the credit note.")
@click.option("--amount", metavar="AMOUNT", help="With taxes, like 10.50; left out, all that isn't credited yet.")
@click.pass_obj
def credit(invocation: Invocation, /, number: str, reason: str, amount: str | None) -> None:
    """Issues a credit note for bill NUMBER: off what is open of it, and what is more is the account's credit."""
    with open_desk(invocation) as desk:
        decimals = corrections.find_bill(desk.store, number)["decimals"]
        micros = None if amount is None else parse_amount(amount, decimals=decimals)
        series, now_s = invocation.config.billing.credit_series, wall_clock_ms() // 1000
        note = corrections.credit(desk.engine, desk.store, desk.tables, number, micros, reason, series, now_s)
        desk.nudge()
        if invocation.as_json:
            print_json(note)
        else:
            given, left = amount_text(note, -note["total"]), amount_text(note, max(0, note["due"]))
            click.echo(f"{note['number']} gives back {given} of {number}, of which {left} is open")


@click.command("pay", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("number")
@click.argument("amount")
@click.option("--reference", required=True, metavar="TEXT", help="Tells it from other payments of the subscriber.")
@click.pass_obj
def pay(invocation: Invocation, /, number: str, amount: str, reference: str) -> None:
    """Records that AMOUNT (10 or 10.50) was paid for bill NUMBER.

    The same again, with its reference, is recorded once. What is more than is open stays for bills to come.
    """
    with open_desk(invocation) as desk:
        micros = parse_amount(amount, decimals=corrections.find_bill(desk.store, number)["decimals"])
        paid = corrections.pay(desk.engine, desk.store, number, micros, reference, wall_clock_ms() // 1000)
        if invocation.config.billing.reactivate_paid:
            reactivate_if_paid(desk.engine, desk.store, paid.bill["account"])
        desk.nudge()
        if invocation.as_json:
            print_json({**paid.payment, "before": paid.before, "state": paid.bill["state"], **paid.bill["settled"]})
            return
        doc = paid.bill
        if paid.before:
            click.echo(f"{reference} was recorded before, for {number}; nothing was added")
            return
        rest = paid.payment["amount"] - paid.payment["used"]
        over = f"; {amount_text(doc, rest)} is for bills to come" if rest else ""
        click.echo(f"{number} is {doc['state']}: {amount_text(doc, doc['settled']['open'])} open{over}")


_OVERDUE = {
    "number": "number",
    "msisdn": "subscriber",
    "due_day": "due",
    "days": "days",
    "open": "open",
    "step": "step",
    "action": "last done",
}


@click.command("overdue", cls=Command)
@click.option("--cycle", type=int, help="Only those of this bill cycle.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.pass_obj
def overdue(invocation: Invocation, /, cycle: int | None, limit: int) -> None:
    """Bills that are past their due day and not paid, and how far dunning has come with each."""
    with open_desk(invocation) as desk:
        today = datetime.fromtimestamp(wall_clock_ms() // 1000, desk.tables.calendar.zone).date()
        found = storage.overdue(desk.store, today.isoformat(), cycle, limit=limit)
        rows = []
        for doc in sorted(found, key=lambda one: (one["due_day"], one["number"])):
            last = (doc.get("dunned") or [{"step": 0, "action": ""}])[-1]
            row = {name: doc[name] for name in ("number", "msisdn", "due_day")} | {"days": days_overdue(doc, today)}
            shown = doc["settled"]["open"] if invocation.as_json else amount_text(doc, doc["settled"]["open"])
            rows.append({**row, "open": shown, "step": last["step"], "action": last["action"]})
    print_rows(invocation.as_json, rows, _OVERDUE)
