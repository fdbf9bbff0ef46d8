"""`mubss gy suspense`: units that clients reported and that couldn't be charged; list, charge, discard them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.account_view import money_of
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_table
from mubss.core.errors import InputError
from mubss.core.model import ALREADY, CHARGED, DISCARDED, OPEN, SUSPENSE_STATES, Account
from mubss.runtime import ExitCode
from mubss.services import suspense as service
from mubss.services.suspense import MAX_IDS, Judged
from mubss.storage import subscribers
from mubss.storage.database import Doc
from mubss.storage.suspense import state_of

_ALL = "all"
_COLUMNS = {
    "at": "reported",
    "reason": "reason",
    "subscriber": "subscriber",
    "session": "session",
    "service": "service",
    "units": "units",
}
_SUBSCRIBER = click.option("--subscriber", default="", metavar="MSISDN", help="Who is charged, instead of the entry's.")
_SERVICE = click.option("--service", "code", default="", metavar="CODE", help="What is charged, instead of its own.")


@click.group("suspense", cls=Group)
def suspense() -> None:
    """Units that were reported and couldn't be charged: list, charge, discard."""


@suspense.command("list")
@click.option("--state", type=click.Choice([*SUSPENSE_STATES, _ALL]), default=OPEN, show_default=True, help="Which.")
@click.option("--reason", default="", help="Only those with this reason, as it is printed.")
@click.option("--session", default="", metavar="ID", help="Only those of this Session-Id.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only those that name this subscriber.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only those from then on.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_IDS), help="At most so many.")
@click.option("--after", default="", metavar="ID", help="Go on behind this one.")
@click.pass_obj
def list_command(
    invocation: Invocation,
    /,
    state: str,
    reason: str,
    session: str,
    subscriber: str,
    since: datetime | None,
    limit: int,
    after: str,
) -> None:
    """Reports in the order they came in."""
    with open_desk(invocation) as desk:
        since_s = int(since.replace(tzinfo=desk.tables.calendar.zone).timestamp()) if since else 0
        shown = "" if state == _ALL else state
        asked = service.wanted(
            desk.store, state=shown, reason=reason, session=session, subscriber=subscriber, since_s=since_s
        )
        found = service.find(desk.store, asked, after=after, limit=limit + 1)
        if invocation.as_json:
            print_json([_view(entry) for entry in found[:limit]])
            return
        columns = {"id": "id", **_COLUMNS} | ({} if shown else {"state": "state"})
        print_table([_row(desk, entry) for entry in found[:limit]], columns, right=("units",), fold=("at", "reason"))
    if len(found) > limit:
        click.echo(f"more: --after {found[limit - 1]['_id']}", err=True)


def _view(entry: Doc) -> dict[str, Any]:
    """An entry as JSON has it: without what only the store needs."""
    kept = {name: value for name, value in entry.items() if name not in ("_id", "version", "kind")}
    return {"id": entry["_id"], **kept, "state": state_of(entry)}


def _row(desk: Desk, entry: Doc) -> dict[str, Any]:
    group = entry["rating_group"]
    return {
        "id": entry["_id"],
        "at": desk.time(entry["at_s"]),
        "reason": entry["reason"],
        "subscriber": _subscriber(desk, entry),
        "session": f"{entry['session_id']} #{entry['number']}",
        "service": entry["service"] or ("unknown" if group is None else f"rating group {group}"),
        "units": f"{entry['units']:,} {entry.get('unit', '')}".rstrip(),
        "state": state_of(entry),
    }


def _subscriber(desk: Desk, entry: Doc) -> str:
    """Who was charged, or else whom the request named first."""
    doc = subscribers.get(desk.store, entry["account"]) if "account" in entry else None
    if doc is not None:
        return str(doc["msisdn"])
    return str(entry["identities"][0]).removeprefix("e164:") if entry["identities"] else ""


@suspense.command("charge")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--session", default="", metavar="ID", help="All that wait of this Session-Id.")
@click.option("--all-of", default="", metavar="MSISDN", help="All that wait and name this subscriber.")
@_SUBSCRIBER
@_SERVICE
@click.option("--dry-run", is_flag=True, help="Say what it would cost; charge nothing.")
@click.pass_obj
def charge(
    invocation: Invocation,
    /,
    ids: tuple[str, ...],
    session: str,
    all_of: str,
    subscriber: str,
    code: str,
    dry_run: bool,
) -> ExitCode:
    """Charges reports, each once however often it is told to; exit code 1 if one can't be charged and stays.

    One whose request is in the session's history by now, since its client sent it again, moves nothing.
    """
    if bool(ids) + bool(session) + bool(all_of) != 1:
        raise click.UsageError("name ids, --session or --all-of")
    with open_desk(invocation) as desk:
        if code and code not in desk.tables.services:
            known = ", ".join(sorted(desk.tables.services))
            raise InputError(f"service: {code[:40]!r}; expected one of {known}")
        if ids:
            entries = service.entries_of(desk.store, ids)
        else:
            asked = service.wanted(desk.store, state=OPEN, session=session, subscriber=all_of)
            entries = service.find(desk.store, asked, limit=MAX_IDS)
        if dry_run:
            now_ms = wall_clock_ms()
            judged = service.preview(desk.tables, desk.store, entries, now_ms, subscriber=subscriber, service=code)
        else:
            judged = service.charge(desk.engine, desk.store, entries, subscriber=subscriber, service=code)
        _print(invocation, desk, judged, dry_run=dry_run)
    return ExitCode.FAILURE if any(one.fault for one in judged) else ExitCode.OK


@suspense.command("discard")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, metavar="TEXT", help="Kept with each.")
@click.pass_obj
def discard(invocation: Invocation, /, ids: tuple[str, ...], reason: str) -> ExitCode:
    """Closes reports without charging them."""
    with open_desk(invocation) as desk:
        entries = service.entries_of(desk.store, ids)
        judged = service.discard(desk.store, entries, reason, wall_clock_ms() // 1000)
        _print(invocation, desk, judged, dry_run=False)
    return ExitCode.FAILURE if any(one.fault for one in judged) else ExitCode.OK


def _print(invocation: Invocation, desk: Desk, judged: list[Judged], *, dry_run: bool) -> None:
    if invocation.as_json:
        print_json([{**_view(one.entry), "done": one.done, "fault": one.fault} for one in judged])
        return
    rows = [{**_row(desk, one.entry), "became": _became(desk, one)} for one in judged]
    columns = {**_COLUMNS, "became": "would become" if dry_run else "became"}
    del columns["reason"]
    print_table(rows, columns, right=("units",), fold=("at", "became"))
    done = [one for one in judged if one.done]
    parts = [
        f"{sum(state_of(one.entry) == state for one in done):,} {state}" for state in (CHARGED, ALREADY, DISCARDED)
    ]
    parts = [part for part in parts if not part.startswith("0 ")]
    stays = sum(bool(one.fault) for one in judged)
    before = len(judged) - len(done) - stays
    parts += ([f"{before:,} settled before"] if before else []) + ([f"{stays:,} can't be charged"] if stays else [])
    summary = ", ".join(parts) or "there is nothing to do"
    click.echo(f"nothing was written; it would be: {summary}" if dry_run else summary)


def _became(desk: Desk, one: Judged) -> str:
    state = state_of(one.entry)
    if one.fault:
        return f"open: {one.fault}"
    if not one.done:
        return f"{state} before"
    if state == ALREADY:
        return "already charged in its session"
    if state == CHARGED:
        account = cast(Account, subscribers.get_account(desk.store, one.entry["account"]))
        free = f", {counted(one.entry['free_units'], 'unit')} free" if one.entry["free_units"] else ""
        return f"{money_of(desk, account, one.entry['charge_micros'])}{free}"
    return state
