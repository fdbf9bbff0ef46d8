"""`mubss cdr files` and `mubss cdr suspense`: what mubss-cdr has taken, and what it couldn't charge."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.account_view import money_of
from mubss.cli.command import Command, Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import print_json, print_table
from mubss.core.cdr import SUSPENSE_REASONS
from mubss.core.model import CHARGED, DISCARDED, OPEN, SUSPENSE_STATES
from mubss.runtime import ExitCode
from mubss.services import cdr_suspense as service
from mubss.services.cdr_suspense import MAX_IDS, Judged
from mubss.storage import cdr as storage
from mubss.storage import subscribers
from mubss.storage.database import Doc

_ALL = "all"
_REASON = click.Choice(SUSPENSE_REASONS)
_COLUMNS = {"at": "came", "reason": "reason", "text": "why", "subscriber": "subscriber", "record": "record"}
_FILES = {
    "name": "file",
    "source": "source",
    "sequence": "number",
    "state": "state",
    "records": "records",
    "counts": "of them",
    "started": "begun",
}


@click.command("files", cls=Command)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.pass_obj
def files(invocation: Invocation, /, limit: int) -> None:
    """The files that mubss-cdr took last, and which numbers of their sources are missing."""
    with open_desk(invocation) as desk:
        found, sources = storage.find_files(desk.store, limit), storage.find_sources(desk.store)
        gaps = {doc["source"]: missing(doc["seen"]) for doc in sources}
        if invocation.as_json:
            print_json({"files": found, "missing": gaps})
            return
        print_table([_file_row(desk, doc) for doc in found], _FILES, fold=("counts",))
    for source, ranges in gaps.items():
        if ranges:
            numbers = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in ranges)
            click.echo(f"missing of {source}: {numbers}")


def missing(seen: list[list[int]]) -> list[list[int]]:
    """The ranges between those that are there; what came before the first isn't missed."""
    return [[before[1] + 1, after[0] - 1] for before, after in pairwise(seen)]


def _file_row(desk: Desk, doc: Doc) -> dict[str, Any]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(doc["counts"].items()))
    return {**doc, "counts": counts or doc.get("text", ""), "started": desk.time(doc["started_ms"] // 1000)}


@click.group("suspense", cls=Group)
def suspense() -> None:
    """Records that couldn't be charged: list, reprocess, discard."""


@suspense.command("list")
@click.option("--state", type=click.Choice([*SUSPENSE_STATES, _ALL]), default=OPEN, show_default=True, help="Which.")
@click.option("--reason", type=_REASON, help="Only those with this reason.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only those that name this subscriber.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_IDS), help="At most so many.")
@click.option("--after", default="", metavar="ID", help="Go on behind this one.")
@click.pass_obj
def list_command(
    invocation: Invocation, /, state: str, reason: str | None, subscriber: str, limit: int, after: str
) -> None:
    """Records in suspense, in the order they came."""
    with open_desk(invocation) as desk:
        shown = "" if state == _ALL else state
        asked = {"state": shown, "reason": reason or "", "subscriber": subscriber, "after": after}
        found = service.find(desk.store, **asked, limit=limit + 1)
        if invocation.as_json:
            print_json(found[:limit])
            return
        columns = {"id": "id", **_COLUMNS} | ({} if shown else {"state": "state"})
        print_table([_row(desk, entry) for entry in found[:limit]], columns, fold=("at", "text"))
    if len(found) > limit:
        click.echo(f"more: --after {found[limit - 1]['_id']}", err=True)


def _row(desk: Desk, entry: Doc) -> dict[str, Any]:
    named = entry["identities"]
    return {
        "id": entry["_id"],
        "at": desk.time(entry["at_s"]),
        "reason": entry["reason"],
        "text": entry["text"],
        "subscriber": str(named[0]).removeprefix("e164:") if named else "",
        "record": f"{entry['source']} {entry['record_id']}",
        "state": entry["state"],
    }


@suspense.command("reprocess")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "take_all", is_flag=True, help="All that wait.")
@click.option("--reason", type=_REASON, help="All that wait for this reason.")
@click.option("--subscriber", default="", metavar="MSISDN", help="All that wait and name this subscriber.")
@click.pass_obj
def reprocess(
    invocation: Invocation, /, ids: tuple[str, ...], take_all: bool, reason: str | None, subscriber: str
) -> ExitCode:
    """Tries records again, by the tariff and subscribers there are now, each charged once however often it is told to.

    Exit code 1 if one still can't be charged, and stays.
    """
    if bool(ids) + take_all + bool(reason or subscriber) != 1:
        raise click.UsageError("name ids, --all, or --reason and --subscriber")
    with open_desk(invocation) as desk:
        if ids:
            entries = service.entries_of(desk.store, ids)
        else:
            entries = service.find(desk.store, state=OPEN, reason=reason or "", subscriber=subscriber, limit=MAX_IDS)
        charges_prepaid = invocation.config.cdr.charge_prepaid
        now_s = wall_clock_ms() // 1000
        judged = service.reprocess(desk.engine, desk.store, entries, now_s, charges_prepaid=charges_prepaid)
        _print(invocation, desk, judged)
    return ExitCode.FAILURE if any(one.fault for one in judged) else ExitCode.OK


@suspense.command("discard")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, metavar="TEXT", help="Kept with each.")
@click.pass_obj
def discard(invocation: Invocation, /, ids: tuple[str, ...], reason: str) -> ExitCode:
    """Closes records without charging them; they aren't taken again, whatever file they come in."""
    with open_desk(invocation) as desk:
        entries = service.entries_of(desk.store, ids)
        judged = service.discard(desk.store, entries, reason, wall_clock_ms() // 1000)
        _print(invocation, desk, judged)
    return ExitCode.FAILURE if any(one.fault for one in judged) else ExitCode.OK


def _print(invocation: Invocation, desk: Desk, judged: list[Judged]) -> None:
    if invocation.as_json:
        print_json([{**one.entry, "done": one.done, "fault": one.fault} for one in judged])
        return
    rows = [{**_row(desk, one.entry), "became": _became(desk, one)} for one in judged]
    columns = {**_COLUMNS, "became": "became"}
    del columns["text"], columns["reason"]
    print_table(rows, columns, fold=("at", "became"))
    done = sum(one.done for one in judged)
    stays = sum(bool(one.fault) for one in judged)
    before = len(judged) - done - stays
    parts = ((done, "settled"), (before, "settled before"), (stays, "can't be charged and stay"))
    click.echo(", ".join(f"{count:,} {what}" for count, what in parts if count) or "there is nothing to do")


def _became(desk: Desk, one: Judged) -> str:
    entry = one.entry
    if one.fault:
        return f"open: {one.fault}"
    if not one.done:
        return f"{entry['state']} before"
    if entry["state"] == CHARGED:
        account = subscribers.get_account(desk.store, entry["account"])
        free = f", {entry['free_units']:,} units free" if entry.get("free_units") else ""
        return f"{money_of(desk, account, entry.get('charge_micros', 0))}{free}"  # type: ignore[arg-type]
    return DISCARDED if entry["state"] == DISCARDED else f"{entry['state']}: {entry['became']}"
