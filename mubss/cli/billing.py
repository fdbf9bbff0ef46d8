"""`mubss billing`: what is queued for mubss-billing, which does it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.bill_view import amount
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_rows, print_table
from mubss.core.activity import ENDED, FAILED, STATES, Activity
from mubss.core.errors import InputError
from mubss.runtime import ExitCode
from mubss.services import activities as service
from mubss.services.activities import BillingWanted, MassRatingWanted, Queued
from mubss.services.control import FOLDER
from mubss.storage import activities as storage

_COLUMNS = {
    "_id": "id",
    "kind": "what",
    "billcycle": "cycle",
    "period": "period",
    "state": "state",
    "done": "done",
    "attempts": "attempts",
    "made": "queued",
    "error": "error",
}
_LOOK_SECONDS = 0.5


@click.group("billing", cls=Group)
def billing() -> None:
    """Bill runs: queue them, look at them, cancel them. mubss-billing does them."""


@billing.command("run")
@click.option("--cycle", required=True, type=int, help="The bill cycle.")
@click.option("--period", default="", metavar="YYYY-MM", help="The month that it closes in; else the last one.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only this one's bill.")
@click.option("--dry-run", is_flag=True, help="Only what the bills would be.")
@click.option("--wait", is_flag=True, help="Until it has ended; exit code 1 if an account couldn't be billed.")
@click.pass_obj
def run(
    invocation: Invocation, /, cycle: int, period: str, subscriber: str, dry_run: bool, wait: bool
) -> ExitCode | None:
    """Queues a bill run. The same cycle and period are the same run: what has its bill keeps it."""
    with open_desk(invocation) as desk:
        wanted = BillingWanted(cycle, period, subscriber, dry_run)
        queued = service.queue_billing(desk.store, desk.tables, wanted, getpass.getuser(), _now_s())
        return _tell(desk, invocation, queued, wait=wait)


@billing.command("play")
@click.option("--cycle", required=True, type=int, help="The cycle whose mubss-billing does it.")
@click.option("--charges", required=True, type=click.IntRange(1, 100_000_000), help="How many requests.")
@click.option("--from", "first", required=True, metavar="MSISDN", help="The first prepaid subscriber.")
@click.option("--to", "last", required=True, metavar="MSISDN", help="The last one.")
@click.option("--at-once", default=256, show_default=True, type=click.IntRange(1, 10_000), help="Requests under way.")
@click.option("--wait", is_flag=True, help="Until it has ended.")
@click.pass_obj
def play(
    invocation: Invocation, /, cycle: int, charges: int, first: str, last: str, at_once: int, wait: bool
) -> ExitCode | None:
    """Queues load: real prepaid charges, without a network. For developers: billing.developer_mode must be true."""
    with open_desk(invocation) as desk:
        allowed = desk.config.billing.developer_mode
        wanted = MassRatingWanted(cycle, charges, first, last, at_once)
        queued = service.queue_mass_rating(desk.store, wanted, allowed=allowed, by=getpass.getuser(), now_s=_now_s())
        return _tell(desk, invocation, queued, wait=wait)


def _tell(desk: Desk, invocation: Invocation, queued: Queued, *, wait: bool) -> ExitCode | None:
    doc = queued.activity
    if not service.nudge(desk.config.resolve(FOLDER), doc["billcycle"]):
        click.echo(f"no process of this machine does it yet: mubss-billing --cycle {doc['billcycle']}", err=True)
    if not invocation.as_json:
        how = "queued" if queued.is_new else f"{doc['state']} already"
        click.echo(f"{doc['kind']} of cycle {doc['billcycle']}: {how}, {doc['_id']}")
    if wait:
        doc = _ended(desk, doc["_id"], lambda now: _show_progress(now, quiet=invocation.as_json))
    if invocation.as_json:
        print_json(doc)
    elif wait:
        _print(desk, doc)
    if not wait:
        return None
    return ExitCode.OK if doc["state"] != FAILED and not doc.get("parked") else ExitCode.FAILURE


def _ended(desk: Desk, activity_id: str, show: Callable[[Activity], None]) -> Activity:
    while True:
        doc = storage.get(desk.store, activity_id)
        if doc is None:
            raise InputError("activity: it is gone; expected it to end")
        if doc["state"] in ENDED:
            return doc
        show(doc)
        time.sleep(_LOOK_SECONDS)


def _show_progress(doc: Activity, *, quiet: bool) -> None:
    if not quiet and doc.get("progress"):
        click.echo(f"{doc['state']}: {_done(doc)}", err=True)


@billing.command("list")
@click.option("--cycle", type=int, help="Only those of this bill cycle.")
@click.option("--state", default="", type=click.Choice(["", *STATES], case_sensitive=False), help="Only those in it.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.pass_obj
def list_command(invocation: Invocation, /, cycle: int | None, state: str, limit: int) -> None:
    """What is queued, runs, and has ended, the last first."""
    with open_desk(invocation) as desk:
        filters: dict[str, str | int] = {"billcycle": cycle} if cycle is not None else {}
        if state:
            filters["state"] = state.upper()
        found = storage.find(desk.store, filters, limit)
        rows = found if invocation.as_json else [_row(desk, doc) for doc in found]
        print_rows(invocation.as_json, rows, _COLUMNS, spare=("made", "attempts"))


@billing.command("show")
@click.argument("activity_id", metavar="ID")
@click.pass_obj
def show(invocation: Invocation, /, activity_id: str) -> None:
    """One of them, with what came of it."""
    with open_desk(invocation) as desk:
        doc = storage.get(desk.store, activity_id)
        if doc is None:
            raise InputError(f"activity: {activity_id[:40]!r}; expected the id of one; `mubss billing list` shows them")
        if invocation.as_json:
            print_json(doc)
        else:
            _print(desk, doc)


@billing.command("cancel")
@click.argument("activity_id", metavar="ID")
@click.pass_obj
def cancel(invocation: Invocation, /, activity_id: str) -> None:
    """Cancels one that waits or runs; bills that it issued stay."""
    with open_desk(invocation) as desk:
        doc = service.cancel(desk.store, activity_id, _now_s())
        if invocation.as_json:
            print_json(doc)
        else:
            click.echo(f"{doc['kind']} of cycle {doc['billcycle']}: {doc['state']}")


def _print(desk: Desk, doc: Activity) -> None:
    rows: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in _facts(desk, doc).items() if value]
    print_table(rows, {"name": "", "value": ""}, fold=("value",))
    if parked := doc.get("parked"):
        click.echo(f"\n{counted(len(parked), 'account')} can't be billed:")
        print_table(parked, {"account": "account", "reason": "reason"}, fold=("reason",))


def _facts(desk: Desk, doc: Activity) -> dict[str, Any]:
    ended, totals = doc.get("ended_s"), doc.get("totals", {})
    return {
        "what": doc["kind"] + (", dry run" if doc.get("dry_run") else ""),
        "cycle": doc["billcycle"],
        "period": doc.get("period", ""),
        "subscriber": doc.get("subscriber", ""),
        "state": doc["state"],
        "done": _done(doc),
        "bills": _bills(doc),
        "billed": ", ".join(amount({"currency": code, **sums}, sums["total"]) for code, sums in totals.items()),
        "rate": f"{doc['rate_per_s']:,}/s" if "rate_per_s" in doc else "",
        "latency": ", ".join(f"{name} {us:,} µs" for name, us in doc.get("latency_us", {}).items()),
        "findings": ", ".join(doc.get("findings", ())),
        "attempts": doc["attempts"],
        "queued": f"{desk.time(doc['made_s'])} by {doc['by']}",
        "owner": doc.get("owner", ""),
        "ended": desk.time(ended) if ended else "",
        "error": doc.get("error", ""),
    }


def _row(desk: Desk, doc: Activity) -> dict[str, Any]:
    return {**doc, "done": _done(doc), "made": desk.time(doc["made_s"])}


def _bills(doc: Activity) -> str:
    counts = doc.get("progress", {})
    text = "{issued} issued, {before} there before, {skipped} with nothing to bill, {parked} accounts can't be billed"
    return text.format(**counts) if "issued" in counts else ""


def _done(doc: Activity) -> str:
    progress = doc.get("progress", {})
    return f"{progress['done']:,} of {progress['of']:,}" if progress else ""


def _now_s() -> int:
    return wall_clock_ms() // 1000
