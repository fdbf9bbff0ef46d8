"""`mubss subscriber`: who the operator's customers are, and what state they are in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from mubss.cli.account_view import money_of, view
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_rows, print_table, say
from mubss.cli.progress import progress_bar
from mubss.cli.subscriber_erase import erase_command
from mubss.core.model import ACTIVE, BARRED, POSTPAID, PREPAID, STATES, SUSPENDED, TERMINATED
from mubss.core.money import parse_amount
from mubss.core.next_plan import as_of
from mubss.services import importing, lifecycle
from mubss.services.licence_room import Room, limit_of
from mubss.storage import subscribers
from mubss.storage.database import Doc

MAX_LIST = 10_000
_COLUMNS = {
    "msisdn": "msisdn",
    "imsi": "imsi",
    "type": "type",
    "plan": "plan",
    "state": "state",
    "bill_cycle": "cycle",
    "language": "language",
}
_SPARE = ("type", "bill_cycle", "language")  # left out where the terminal is too narrow, the last first


@click.group("subscriber", cls=Group)
def subscriber() -> None:
    """Subscribers: who they are, what they have, and the state they are in.

    Suspended ones are served again once they are reactivated, barred ones too; terminated ones never.
    """


@subscriber.command("add")
@click.argument("msisdn")
@click.option("--imsi", default="", help="14 or 15 digits.")
@click.option("--plan", default="", help="Price plan; mubss ref show price_plans lists them.")
@click.option("--account", default="", metavar="MSISDN", help="Share the account of this subscriber, and its plan.")
@click.option("--type", "kind", type=click.Choice([PREPAID, POSTPAID]), help="The plan's type by default.")
@click.option("--balance", default="0", show_default=True, metavar="AMOUNT", help="Opening balance.")
@click.option("--bill-cycle", type=int, help="Bill cycle; postpaid needs one.")
@click.option("--language", default="en", show_default=True, help="Of bills and messages.")
@click.option("--name", default="", help="As it stands on bills.")
@click.option("--address", multiple=True, metavar="LINE", help="As it stands on bills; again for each line.")
@click.option("--email", default="", help="Where its mail goes.")
@click.pass_obj
def add(
    invocation: Invocation,
    /,
    msisdn: str,
    imsi: str,
    plan: str,
    account: str,
    kind: str | None,
    balance: str,
    bill_cycle: int | None,
    language: str,
    name: str,
    address: tuple[str, ...],
    email: str,
) -> None:
    """Adds the subscriber of MSISDN: with an account of its own, or on that of another (--account).

    Those that share an account have one balance, and its free units and bundles together.
    """
    if not plan and not account:
        raise click.UsageError("Missing option '--plan'.")
    micros = parse_amount(balance, "balance")
    number, lines = msisdn.removeprefix("+"), "\n".join(address)
    new = lifecycle.NewSubscriber(number, imsi, kind or "", plan, micros, bill_cycle, language, name, lines, email)
    with open_desk(invocation) as desk:
        now_ms = time.time_ns() // 1_000_000
        _room(invocation, desk).check()
        if account:
            lifecycle.share(desk.engine, desk.store, desk.tables, account, new, now_ms)
        else:
            lifecycle.create(desk.store, desk.tables, [new], now_ms)
        doc = lifecycle.find_subscriber(desk.store, new.msisdn)
        if invocation.as_json:
            print_json(view(desk, doc))
        elif account:
            shared = lifecycle.find_subscriber(desk.store, account)["msisdn"]
            click.echo(f"{doc['msisdn']} is a {doc['type']} subscriber of {doc['plan']} now, on {shared}'s account")
        else:
            amount = money_of(desk, lifecycle.find_account(desk.store, doc), micros)
            click.echo(f"{doc['msisdn']} is a {doc['type']} subscriber of {doc['plan']} now, balance {amount}")


def _room(invocation: Invocation, desk: Desk) -> Room:
    return Room(desk.store, lambda: limit_of(invocation.config), lambda: time.time_ns() // 1_000_000_000)


@subscriber.command("import")
@click.argument("file", metavar="FILE.csv")
@click.option("--skip-existing", is_flag=True, help="Pass over subscribers that are there: to go on after a break.")
@click.option("--check", is_flag=True, help="Say what is wrong, write nothing.")
@click.pass_obj
def import_command(invocation: Invocation, /, file: str, skip_existing: bool, check: bool) -> None:
    """Adds the subscribers of FILE.csv; nothing is written unless every line is right.

    Its first line names the columns: msisdn and plan, and of imsi, type, balance, bill_cycle, language, name, address
    (a | between its lines), email what is there.
    """
    with open_desk(invocation) as desk:
        began = time.perf_counter()
        with progress_bar(f"checking {file}", None) as progress:
            found = importing.read(desk.store, desk.tables, file, skip_existing=skip_existing, progress=progress)
        _room(invocation, desk).check(len(found.new))
        written = 0
        if not check:
            with progress_bar("adding", len(found.new)) as progress:
                written = importing.write(desk.store, desk.tables, found, progress)
        seconds = time.perf_counter() - began
    per_second = int(len(found.new) / seconds) if seconds else 0
    if invocation.as_json:
        summary = {"file": file, "added": written, "right": len(found.new), "skipped": found.skipped}
        print_json({**summary, "seconds": round(seconds, 3), "per_second": per_second})
        return
    if not found.new and not found.skipped:
        say(f"{file}: no rows below the first line; nothing was added")
        return
    skipped = f", {counted(found.skipped, 'was', 'were')} there already" if found.skipped else ""
    if check:
        right = counted(len(found.new), "line is", "lines are")
        click.echo(f"{right} right{skipped}; nothing was written")
    else:
        click.echo(f"{counted(written, 'subscriber')} added in {seconds:.1f} s ({per_second:,}/s){skipped}")


@subscriber.command("show")
@click.argument("msisdn")
@click.pass_obj
def show(invocation: Invocation, /, msisdn: str) -> None:
    """All that is known of one subscriber (MSISDN, or imsi:...)."""
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        found = view(desk, doc)
        if invocation.as_json:
            print_json(found)
            return
        _print_fields(desk, doc, found)


def _print_fields(desk: Desk, doc: Doc, found: dict[str, Any]) -> None:
    account = lifecycle.find_account(desk.store, doc)
    fields = [
        ("msisdn", doc["msisdn"]),
        ("imsi", doc["imsi"]),
        ("type", doc["type"]),
        ("plan", found["plan"]),
        ("next plan", _next_plan_text(desk, found)),
        ("state", doc["state"]),
        ("reason", doc.get("state_reason")),
        ("account's state", account["state"] if account["state"] != doc["state"] else ""),
        ("bill cycle", doc["bill_cycle"]),
        ("language", doc["language"]),
        ("name", doc.get("name")),
        ("address", ", ".join(doc.get("address", "").split("\n"))),
        ("email", doc.get("email")),
        ("discounts", ", ".join(account.get("discounts", []))),
        ("since", desk.time(doc["created_s"])),
        ("balance", money_of(desk, account, found["balance_micros"])),
        ("available", money_of(desk, account, found["available_micros"])),
        *((f"bundle {one['id']}", _bundle_text(desk, one)) for one in found["buckets"]),
        *((f"drawn by {one['msisdn']}", _drawn_text(one)) for one in found["members"]),
        ("open sessions", str(len(found["sessions"]))),
        ("account", doc["account"]),
    ]
    rows = [{"field": name, "value": str(value)} for name, value in fields if value not in (None, "")]
    print_table(rows, {"field": "field", "value": "value"}, fold=("value",))


def _next_plan_text(desk: Desk, doc: Doc) -> str:
    return f"{doc['next_plan']} from {desk.time(doc['next_plan_from_s'])}" if "next_plan" in doc else ""


def _drawn_text(member: dict[str, Any]) -> str:
    drawn = ", ".join(f"{units:,} {service}" for service, units in member["drawn_units"].items())
    return drawn or "nothing this month"


def _bundle_text(desk: Desk, bucket: dict[str, Any]) -> str:
    text = f"{bucket['left']} of {bucket['units']}, until {desk.time(bucket['until_s'])}"
    return text + ", then it renews" if bucket.get("renews") else text


@subscriber.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--plan", help="Only those of this price plan.")
@click.option("--type", "kind", type=click.Choice([PREPAID, POSTPAID]), help="Only these.")
@click.option("--bill-cycle", type=int, help="Only those of this bill cycle.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LIST), help="At most so many.")
@click.option("--after", metavar="MSISDN", help="Go on behind this one.")
@click.pass_obj
def list_command(
    invocation: Invocation,
    /,
    state: str | None,
    plan: str | None,
    kind: str | None,
    bill_cycle: int | None,
    limit: int,
    after: str | None,
) -> None:
    """Subscribers in the order they were added."""
    filters = {"state": state, "plan": plan, "type": kind, "bill_cycle": bill_cycle}
    given: dict[str, str | int] = {name: value for name, value in filters.items() if value is not None}
    with open_desk(invocation) as desk:
        start = lifecycle.find_subscriber(desk.store, after)["_id"] if after else ""
        now_s = time.time_ns() // 1_000_000_000
        stored = subscribers.find(desk.store, given, after=start, limit=limit + 1, now_s=now_s)
        found = [as_of(one, now_s) for one in stored]
    print_rows(invocation.as_json, found[:limit], _COLUMNS, spare=_SPARE)
    if len(found) > limit and not invocation.as_json:
        last = found[limit - 1]
        click.echo(
            f"more: --after {last['msisdn'] or 'id:' + last['_id']}", err=True
        )  # one that was erased has no number


@subscriber.command("number")
@click.argument("msisdn")
@click.option("--msisdn", "new_msisdn", metavar="MSISDN", help="The new number.")
@click.option("--imsi", metavar="IMSI", help='The IMSI of the new SIM; "" for none.')
@click.pass_obj
def number_command(invocation: Invocation, /, msisdn: str, new_msisdn: str | None, imsi: str | None) -> None:
    """Gives MSISDN another number, another SIM, or both; what was given up is free at once, open sessions go on."""
    if new_msisdn is None and imsi is None:
        raise click.UsageError("Give --msisdn, --imsi, or both")
    with open_desk(invocation) as desk:
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        new = new_msisdn.removeprefix("+") if new_msisdn is not None else None
        lifecycle.change_identity(desk.engine, desk.store, f"id:{doc['_id']}", doc["version"], new, imsi)
        after = lifecycle.find_subscriber(desk.store, f"id:{doc['_id']}")
        if invocation.as_json:
            print_json(after)
        else:
            sim = f", IMSI {after['imsi']}" if after.get("imsi") else ""
            click.echo(f"{doc['msisdn']} is {after['msisdn']} now{sim}")


@subscriber.command("plan")
@click.argument("msisdn")
@click.argument("plan", default="")
@click.option(
    "--at-next-cycle", is_flag=True, help="From the next bill period on; without a bill cycle the next month."
)
@click.option("--cancel-next", is_flag=True, help="Call off the plan that waits for the next bill period.")
@click.pass_obj
def change_plan(invocation: Invocation, /, msisdn: str, plan: str, at_next_cycle: bool, cancel_next: bool) -> None:
    """Gives MSISDN another price plan of its type and currency, at once or from its next bill period on.

    Open sessions go on: what their clients report from then on is priced by it, and they are asked to report. The last
    order counts: it takes the place of a plan that waits.
    """
    if cancel_next and (plan or at_next_cycle):
        raise click.UsageError("--cancel-next takes neither PLAN nor --at-next-cycle")
    if not plan and not cancel_next:
        raise click.UsageError("Missing argument 'PLAN'.")
    with open_desk(invocation) as desk:
        before = as_of(lifecycle.find_subscriber(desk.store, msisdn), time.time_ns() // 1_000_000_000)
        if cancel_next or at_next_cycle:
            lifecycle.set_next_plan(desk.engine, desk.store, msisdn, plan)
        elif before["plan"] != plan or "next_plan" in before:
            lifecycle.set_plan(desk.engine, desk.store, msisdn, plan)
            desk.nudge()
        found = view(desk, lifecycle.find_subscriber(desk.store, msisdn))
        if invocation.as_json:
            print_json({**found, "plan_before": before["plan"]})
        else:
            click.echo(_plan_text(desk, before, found, plan))


def _plan_text(desk: Desk, before: Doc, found: Doc, plan: str) -> str:
    """What came of a change: `plan` is what was asked for, "" that what waits is called off."""
    off = f"; {before['next_plan']} is called off" if "next_plan" in before else ""
    if "next_plan" in found:
        instead = (
            f", not {before['next_plan']}" if before.get("next_plan", found["next_plan"]) != found["next_plan"] else ""
        )
        return f"{found['msisdn']} has plan {found['plan']}, and {_next_plan_text(desk, found)}{instead}"
    if not plan:
        return f"{found['msisdn']} keeps plan {found['plan']}{off}"
    if before["plan"] == found["plan"]:
        return f"{found['msisdn']} has plan {plan} already{off}"
    return f"{found['msisdn']} has plan {plan} now; had {before['plan']}{off}"


@subscriber.command("bundle")
@click.argument("msisdn")
@click.argument("bundle")
@click.option("--reference", default="", help="A text that its postings keep.")
@click.option("--stop", is_flag=True, help="Buy it no more: one that renews ends with its time.")
@click.pass_obj
def bundle_command(invocation: Invocation, msisdn: str, bundle: str, reference: str, stop: bool) -> None:
    """Buys BUNDLE for a subscriber, paid from the balance; open sessions may use it at once.

    One that renews is bought again whenever its time is over, as long as the subscriber is active and can pay.
    """
    with open_desk(invocation) as desk:
        if stop:
            lifecycle.stop_bundle(desk.engine, desk.store, msisdn, bundle, reference)
            doc = lifecycle.find_subscriber(desk.store, msisdn)
            if invocation.as_json:
                print_json(view(desk, doc))
            else:
                click.echo(f"{doc['msisdn']}'s {bundle} doesn't renew any more")
            return
        account = lifecycle.buy_bundle(desk.engine, desk.store, msisdn, bundle, reference)
        desk.nudge()
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        if invocation.as_json:
            print_json(view(desk, doc))
            return
        bought = max(account["buckets"], key=lambda bucket: int(bucket["id"].rpartition(":")[2]))
        balance = money_of(desk, account, account["balance_micros"])
        click.echo(
            f"{doc['msisdn']} has {counted(bought['left'], 'unit')} of {bundle} until {desk.time(bought['until_s'])}"
            f"{', when it renews' if bought.get('renews') else ''}; the balance is {balance}"
        )


@subscriber.command("discount")
@click.argument("msisdn")
@click.argument("codes", nargs=-1, metavar="CODE...")
@click.option("--none", is_flag=True, help="No discounts but the plan's.")
@click.pass_obj
def discount(invocation: Invocation, /, msisdn: str, codes: tuple[str, ...], none: bool) -> None:
    """Gives the bills of MSISDN's account these discounts, beside the plan's and in place of those it had."""
    if bool(codes) == none:
        raise click.UsageError("expected codes (mubss ref show bill_discounts lists them), or --none")
    with open_desk(invocation) as desk:
        account = lifecycle.set_discounts(desk.engine, desk.store, msisdn, codes)
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        if invocation.as_json:
            print_json({**view(desk, doc), "discounts": account.get("discounts", [])})
        else:
            click.echo(f"{doc['msisdn']}'s discounts: {', '.join(account.get('discounts', [])) or 'none'}")


def _with_reason(command: Callable[..., None]) -> Callable[..., None]:
    """Whose state changes, and why."""
    reason = click.option("--reason", default="", help="Kept with the subscriber.")
    return click.argument("msisdn")(reason(click.pass_obj(command)))


@subscriber.command("suspend")
@_with_reason
def suspend(invocation: Invocation, /, msisdn: str, reason: str) -> None:
    """Refuses the subscriber's new requests (4010) until reactivated; open sessions' clients are asked to end them."""
    _set_state(invocation, msisdn, SUSPENDED, reason)


@subscriber.command("bar")
@_with_reason
def bar(invocation: Invocation, /, msisdn: str, reason: str) -> None:
    """Refuses new requests, as suspend does, whatever is paid: dunning neither suspends nor frees who is barred."""
    _set_state(invocation, msisdn, BARRED, reason)


@subscriber.command("reactivate")
@_with_reason
def reactivate(invocation: Invocation, /, msisdn: str, reason: str) -> None:
    """Serves a suspended or barred subscriber again."""
    _set_state(invocation, msisdn, ACTIVE, reason)


@subscriber.command("terminate")
@click.option("--yes", is_flag=True, help="Don't ask.")
@_with_reason
def terminate(invocation: Invocation, /, msisdn: str, reason: str, yes: bool) -> None:
    """Ends the subscriber for good: open sessions are charged until they end, as their clients are asked to."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Terminate {msisdn} for good?", abort=True, err=True)
    _set_state(invocation, msisdn, TERMINATED, reason)


def _set_state(invocation: Invocation, msisdn: str, state: str, reason: str) -> None:
    with open_desk(invocation) as desk:
        before = lifecycle.find_subscriber(desk.store, msisdn)["state"]
        if before != state:
            lifecycle.set_state(desk.engine, desk.store, msisdn, state, reason)
            desk.nudge()
        doc = lifecycle.find_subscriber(desk.store, msisdn)
        if invocation.as_json:
            print_json({**view(desk, doc), "state_before": before})
        elif before == state:
            click.echo(f"{doc['msisdn']} is {state} already")
        else:
            click.echo(f"{doc['msisdn']} is {state} now; was {before}")


subscriber.add_command(erase_command)
