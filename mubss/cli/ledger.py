"""`mubss ledger` and `mubss usage`: every movement of money, what was used, and the proof that it adds up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from mubss.cli.account_view import members, money_of
from mubss.cli.command import Command, Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_table
from mubss.core.model import Account
from mubss.runtime import ExitCode
from mubss.services import audit_ledger, lifecycle
from mubss.storage import archives, subscribers
from mubss.storage.database import Doc

_LAST = click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N.")


@click.group("ledger", cls=Group)
def ledger() -> None:
    """Postings, and the check that balances are their sums."""


@ledger.command("check")
@click.pass_obj
def check(invocation: Invocation, /) -> ExitCode:
    """Proves that every account is the sum of its postings; exit code 1 and what is wrong where one isn't."""
    with open_desk(invocation) as desk:
        began = time.perf_counter()
        with _counting() as progress:
            count, findings = audit_ledger.check(desk.store, progress)
        seconds = time.perf_counter() - began
        numbers = {finding.account: _msisdn(desk, finding.account) for finding in findings}
    per_second = int(count / seconds) if seconds else 0
    rows = [{"msisdn": numbers[one.account], "account": one.account, "fault": one.fault} for one in findings]
    if invocation.as_json:
        print_json({"accounts": count, "seconds": round(seconds, 3), "per_second": per_second, "findings": rows})
        return ExitCode.FAILURE if findings else ExitCode.OK
    if findings:
        print_table(rows, {"msisdn": "msisdn", "account": "account", "fault": "what is wrong"}, fold=("fault",))
    wrong = f"{len(numbers):,} don't add up" if findings else "all add up"
    click.echo(f"{counted(count, 'account')} checked in {seconds:.1f} s ({per_second:,}/s): {wrong}")
    return ExitCode.FAILURE if findings else ExitCode.OK


def _msisdn(desk: Desk, account_id: str) -> str:
    doc = subscribers.get(desk.store, account_id)
    return "" if doc is None else str(doc["msisdn"])


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """The count on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console

    with Console(stderr=True).status("checking") as status:
        yield lambda count: status.update(f"checking: {counted(count, 'account')}")


@ledger.command("postings")
@click.argument("msisdn")
@_LAST
@click.pass_obj
def postings(invocation: Invocation, /, msisdn: str, last: int | None) -> None:
    """Every change of the balance of MSISDN, in order."""
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        found = subscribers.postings(desk.store, doc["account"])[-(last or 0) :]
        if invocation.as_json:
            print_json(found)
        else:
            print_postings(desk, lifecycle.find_account(desk.store, doc), found, f"Postings of {doc['msisdn']}")
            carried = archives.carried_of(desk.store, doc["account"])
            if carried is not None and not last:
                where = f"mubss archive show {msisdn} --kind postings"
                click.echo(f"postings up to #{carried['sequence']} are in the archive: {where}")


def print_postings(desk: Desk, account: Account, found: list[Doc], title: str) -> None:
    """Postings as a table; amounts are in the account's currency."""
    rows: list[dict[str, Any]] = [
        {
            "sequence": one["sequence"],
            "at": desk.time(one["at_ms"] // 1000),
            "cause": _cause(one),
            "service": one.get("service", ""),
            "free": f"{one['free_units']:,}" if one.get("free_units") else "",
            "amount": money_of(desk, account, one["amount_micros"]),
            "balance": money_of(desk, account, one["balance_micros"]),
        }
        for one in found
    ]
    columns = {"sequence": "#", "at": "at", "cause": "cause", "service": "service"}
    if any(row["free"] for row in rows):
        columns["free"] = "free units"
    columns |= {"amount": "amount", "balance": "balance"}
    print_table(rows, columns, title, right=("free", "amount", "balance"), fold=("at", "cause"))


def _cause(posting: Doc) -> str:
    cause = posting["cause"]
    if "number" in cause:
        return f"{cause['kind']} {cause['session'][:8]} #{cause['number']}"
    said = [cause[name] for name in ("kind", "bundle", "reference") if cause.get(name)]
    return " ".join(said[:2]) + (": " if cause.get("bundle") else " ") + said[2] if len(said) > 2 else " ".join(said)


@click.command("usage", cls=Command)
@click.argument("msisdn")
@_LAST
@click.pass_obj
def usage(invocation: Invocation, /, msisdn: str, last: int | None) -> None:
    """What MSISDN used: one record for each session and service."""
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        found = subscribers.usage(desk.store, doc["account"])[-(last or 0) :]
        if invocation.as_json:
            print_json(found)
            return
        print_usage(desk, lifecycle.find_account(desk.store, doc), found, f"Usage of {doc['msisdn']}")
        end_s = archives.ends(desk.store)[subscribers.USAGE]
        if end_s and not last:
            click.echo(f"settled usage from before {desk.time(end_s)} is in the archive: mubss archive show {msisdn}")


def print_usage(desk: Desk, account: Account, found: list[Doc], title: str) -> None:
    """Usage records as a table; charges are in the account's currency."""
    numbers = {one["subscriber"]: one["msisdn"] for one in members(desk, account)}
    rows = [
        {
            "from": desk.time(one["from_s"]),
            "lasted": str(timedelta(seconds=one["until_s"] - one["from_s"])),
            "service": one["service"],
            "subscriber": numbers.get(one.get("member", ""), ""),
            "called": one.get("called", ""),
            "units": f"{one['units']:,}",
            "free": f"{one['free_units']:,}",
            "bundle": f"{one['bundle_units']:,}" if one.get("bundle_units") else "",
            "charge": money_of(desk, account, one["charge_micros"]),
            "note": "corrected by rerate" if "corrects" in one else "",
        }
        for one in found
    ]
    names = ["from", "lasted", "service", *(["subscriber"] if numbers else []), "called", "units", "free"]
    names += [name for name in ("bundle", "charge", "note") if name == "charge" or any(row[name] for row in rows)]
    columns = {name: name for name in names}
    print_table(rows, columns, title, right=("lasted", "units", "free", "bundle", "charge"), fold=("from",))
