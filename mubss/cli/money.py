"""`mubss topup`, `mubss adjust` and `mubss balance`: money of one subscriber."""

from __future__ import annotations

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.account_view import balance_view, money_of
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import print_json, print_table
from mubss.core.model import Account
from mubss.core.money import parse_amount
from mubss.core.next_plan import plan_at
from mubss.services import lifecycle
from mubss.storage.database import Doc


@click.command("topup", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("msisdn")
@click.argument("amount")
@click.option("--reference", default="", metavar="TEXT", help="Kept with the posting.")
@click.pass_obj
def topup(invocation: Invocation, /, msisdn: str, amount: str, reference: str) -> None:
    """Adds AMOUNT (10 or 10.50) to the balance of MSISDN."""
    with open_desk(invocation) as desk:
        account = lifecycle.find_account(desk.store, lifecycle.find_subscriber(desk.store, msisdn))
        currency = desk.tables.currencies.get(account["currency"])
        micros = parse_amount(amount, decimals=currency.decimals if currency is not None else 6)
        account = lifecycle.top_up(desk.engine, desk.store, desk.tables, msisdn, micros, reference)
        desk.nudge()
        if invocation.as_json:
            before = account["balance_micros"] - micros
            topped = {"msisdn": _msisdn(desk, msisdn), "amount_micros": micros, "balance_before_micros": before}
            print_json({**topped, **balance_view(desk, account)})
        else:
            added, after = money_of(desk, account, micros), money_of(desk, account, account["balance_micros"])
            click.echo(f"{added} added to {_msisdn(desk, msisdn)}; balance {after}")


@click.command("adjust", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("msisdn")
@click.argument("amount")
@click.option("--reason", required=True, metavar="TEXT", help="Kept with the posting, and on the next bill.")
@click.pass_obj
def adjust(invocation: Invocation, /, msisdn: str, amount: str, reason: str) -> None:
    """Adds AMOUNT (5, or -2.50) to the balance of MSISDN, or takes it: a correction, no payment."""
    with open_desk(invocation) as desk:
        account = lifecycle.find_account(desk.store, lifecycle.find_subscriber(desk.store, msisdn))
        currency = desk.tables.currencies.get(account["currency"])
        micros = parse_amount(amount, decimals=currency.decimals if currency is not None else 6)
        lifecycle.check_text("reason", reason)
        account = lifecycle.move(desk.engine, desk.store, msisdn, "adjustment", micros, reason)
        desk.nudge()
        if invocation.as_json:
            print_json({"msisdn": _msisdn(desk, msisdn), "amount_micros": micros, **balance_view(desk, account)})
        else:
            moved, after = money_of(desk, account, micros), money_of(desk, account, account["balance_micros"])
            click.echo(f"{moved} for {_msisdn(desk, msisdn)}: {reason}; balance {after}")


def _msisdn(desk: Desk, identity: str) -> str:
    return str(lifecycle.find_subscriber(desk.store, identity)["msisdn"])


@click.command("balance", cls=Command)
@click.argument("msisdn")
@click.pass_obj
def balance(invocation: Invocation, /, msisdn: str) -> None:
    """Balance, what is reserved and available, free units left this month, open sessions of MSISDN."""
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        account = lifecycle.find_account(desk.store, doc)
        if invocation.as_json:
            known = {name: doc[name] for name in ("msisdn", "account", "type", "state")}
            known["plan"] = plan_at(doc, wall_clock_ms() // 1000)
            print_json({**known, **balance_view(desk, account)})
        else:
            print_balance(desk, doc, account)


def print_balance(desk: Desk, doc: Doc, account: Account) -> None:
    """The balance as tables."""
    found = balance_view(desk, account)
    names = ["balance", "reserved", "available"]
    if account["credit_limit_micros"]:
        names.insert(1, "credit_limit")
    rows = [
        {"what": name.replace("_", " "), "amount": money_of(desk, account, found[f"{name}_micros"])} for name in names
    ]
    title = f"{doc['msisdn']}, {doc['type']}, {doc['plan']}, {doc['state']}"
    print_table(rows, {"what": "", "amount": "amount"}, title, right=("amount",))
    if found["free_units"]:
        left = [
            {"service": code, "left": f"{one['left_units']:,}", "of": f"{one['units']:,}", "unit": one["unit"]}
            for code, one in found["free_units"].items()
        ]
        columns = {"service": "service", "left": "left", "of": "of", "unit": "unit"}
        click.echo()
        print_table(left, columns, f"Free units of {found['month']}", right=("left", "of"))
    if found["sessions"]:
        sessions = [
            {
                "session": one["session_id"],
                "since": desk.time(one["opened_s"]),
                "used": ", ".join(f"{units:,} {code}" for code, units in one["services"].items() if units),
                "reserved": money_of(desk, account, one["reserved_micros"]),
            }
            for one in found["sessions"]
        ]
        columns = {"session": "session", "since": "since", "used": "used", "reserved": "reserved"}
        click.echo()
        print_table(sessions, columns, "Open sessions", right=("reserved",), fold=("since", "used"))
