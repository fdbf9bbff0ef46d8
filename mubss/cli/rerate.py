"""`mubss rerate`: prices stored usage again, by a tariff that was put right since."""

from __future__ import annotations

from datetime import datetime

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.account_view import money_of
from mubss.cli.command import Command, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_table
from mubss.core.identity import ordered_id
from mubss.runtime import ExitCode
from mubss.services.rerating import Rerated, Wanted, check
from mubss.services.rerating import rerate as rerate_all

_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
_COLUMNS = {
    "subscriber": "subscriber",
    "records": "records",
    "before": "before",
    "after": "after",
    "difference": "difference",
    "note": "note",
}


@click.command("rerate", cls=Command)
@click.option(
    "--from", "since", required=True, type=_DAY, help="Usage that begins then or later, by the operator's clock."
)
@click.option("--to", "until", required=True, type=_DAY, help="Usage that begins before that.")
@click.option("--plan", default="", metavar="CODE", help="Only usage of this plan.")
@click.option("--by", default="", metavar="CODE[@DAY]", help="Price it by this plan, or by its version of that day.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only this one's.")
@click.option("--dry-run", is_flag=True, help="Show the differences; change nothing.")
@click.pass_obj
def rerate(
    invocation: Invocation,
    /,
    since: datetime,
    until: datetime,
    plan: str,
    by: str,
    subscriber: str,
    dry_run: bool,
) -> ExitCode:
    """Prices stored usage again, by default by its own plan as it is now, and corrects what differs.

    Each correction is a usage record and a posting of its own, the records it is about stay; doing it again changes
    nothing. Usage on a bill is left alone. Exit code 1 if something can't be corrected.
    """
    with open_desk(invocation) as desk:
        zone = desk.tables.calendar.zone
        from_s, until_s = (int(at.replace(tzinfo=zone).timestamp()) for at in (since, until))
        wanted = Wanted(from_s, until_s, plan, by, subscriber)
        check(desk.tables, wanted)
        now_ms = wall_clock_ms()
        run = ordered_id(now_ms, now_ms)
        found = list(rerate_all(desk.store, desk.tables, wanted, None if dry_run else desk.engine, run))
        if invocation.as_json:
            print_json({"run": "" if dry_run else run, "subscribers": [_view(one) for one in found]})
        else:
            _print(desk, found, run, dry_run=dry_run)
    return ExitCode.FAILURE if any(one.fault for one in found) else ExitCode.OK


def _view(one: Rerated) -> dict[str, object]:
    repriced = one.repriced
    return {
        "account": one.account["_id"],
        "identities": one.account["identities"],
        "currency": one.account["currency"],
        "records": repriced.records,
        "without_price": repriced.kept,
        "before_micros": repriced.before_micros,
        "after_micros": repriced.after_micros,
        "corrections": len(repriced.corrections),
        "fault": one.fault,
    }


def _print(desk: Desk, found: list[Rerated], run: str, *, dry_run: bool) -> None:
    changed = [one for one in found if one.repriced.corrections or one.fault or one.repriced.kept]
    rows = []
    for one in changed:
        repriced, account = one.repriced, one.account
        kept = f"{counted(repriced.kept, 'record')} without a price now" if repriced.kept else ""
        rows.append(
            {
                "subscriber": next(iter(account["identities"]), account["_id"]).removeprefix("e164:"),
                "records": repriced.records,
                "before": money_of(desk, account, repriced.before_micros),
                "after": money_of(desk, account, repriced.after_micros),
                "difference": money_of(desk, account, repriced.after_micros - repriced.before_micros),
                "note": one.fault or kept,
            }
        )
    if rows:
        print_table(rows, _COLUMNS, right=("before", "after", "difference"), fold=("note",))
    records = sum(one.repriced.records for one in found)
    corrected = sum(len(one.repriced.corrections) for one in found if not one.fault)
    told = f"{counted(records, 'record')} of {counted(len(found), 'subscriber')} priced again"
    if dry_run:
        click.echo(f"{told}; nothing was written, {counted(corrected, 'record')} would be corrected")
    else:
        click.echo(f"{told}, {counted(corrected, 'record')} corrected" + (f"; run {run}" if corrected else ""))
