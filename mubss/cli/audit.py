"""`mubss audit`: who did what by RPC and command, and the proof that nobody touched what is told of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_rows
from mubss.runtime import ExitCode
from mubss.services import audit_chain, lifecycle
from mubss.storage import audit as storage
from mubss.storage import subscribers
from mubss.storage.database import Doc

MAX_LIST = 10_000
_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
_COLUMNS = {
    "seq": "#",
    "at": "at",
    "who": "who",
    "role": "role",
    "what": "what",
    "subscriber": "subscriber",
    "change": "change",
    "from": "from",
}
_SPARE = ("from", "role", "change")


@click.group("audit", cls=Group)
def audit() -> None:
    """Who did what: list, verify, export, seal."""


@audit.command("list")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only what was done to this one (or imsi:…, id:…).")
@click.option("--who", default="", help="Only what this user, or token's subject, did.")
@click.option("--since", type=_DAY, help="Only from then on, by the operator's clock.")
@click.option("--until", type=_DAY, help="Only before that.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LIST), help="At most so many.")
@click.pass_obj
def list_command(
    invocation: Invocation,
    /,
    subscriber: str,
    who: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    """Writes by RPC and command, the last first."""
    with open_desk(invocation) as desk:
        person = lifecycle.find_subscriber(desk.store, subscriber) if subscriber else {"_id": "", "account": ""}
        since_ms, until_ms = (_ms(desk, at) if at else 0 for at in (since, until))
        wanted = storage.Wanted(person["_id"], person["account"], who, since_ms, until_ms)
        found = storage.find(desk.store, wanted, limit)
        if invocation.as_json:
            print_json(found)
            return
        numbers = {one: _number(desk, one) for one in {entry["subscriber"] for entry in found}}
        rows = [_row(desk, entry, numbers[entry["subscriber"]]) for entry in found]
        print_rows(False, rows, _COLUMNS, spare=_SPARE)


def _ms(desk: Desk, at: datetime) -> int:
    return int(at.replace(tzinfo=desk.tables.calendar.zone).timestamp()) * 1000


def _number(desk: Desk, subscriber_id: str) -> str:
    doc = subscribers.get(desk.store, subscriber_id) if subscriber_id else None
    return str(doc["msisdn"]) if doc and doc["msisdn"] else subscriber_id


def _row(desk: Desk, entry: Doc, number: str) -> dict[str, Any]:
    return {
        **entry,
        "seq": entry["seq"] or "",
        "at": desk.time(entry["at_ms"] // 1000),
        "subscriber": number,
        "change": _change(entry),
    }


def _change(entry: Doc) -> str:
    """`balance_micros 0 → 5000000, state …`, of the first document that changed."""
    for name in dict.fromkeys([*entry["before"], *entry["after"]]):
        before, after = entry["before"].get(name, {}), entry["after"].get(name, {})
        fields = dict.fromkeys([*before, *after])
        return ", ".join(f"{field} {_text(before, field)}→{_text(after, field)}" for field in fields)
    return ""


def _text(fields: Doc, name: str) -> str:
    return str(fields[name]) + " " if name in fields else ""


@audit.command("verify")
@click.pass_obj
def verify(invocation: Invocation, /) -> ExitCode:
    """Proves that no entry was changed, removed or put in; exit code 1 and the first that doesn't fit where one was.

    Note the head's number and hash elsewhere: who may write the store could make the whole chain anew, and only they
    would tell.
    """
    with open_desk(invocation) as desk:
        found = audit_chain.verify(desk.store)
    if invocation.as_json:
        fault = found.fault
        print_json(
            {
                "seq": found.seq,
                "hash": found.hash,
                "unsealed": found.unsealed,
                "fault": {"seq": fault.seq, "text": fault.text} if fault else None,
            }
        )
    elif found.fault:
        click.echo(found.fault.text)
        click.echo(f"the chain doesn't hold; its head says {found.seq} {found.hash}")
    else:
        click.echo(f"{counted(found.seq, 'entry', 'entries')}, the chain holds; head {found.seq} {found.hash}")
    return ExitCode.FAILURE if found.fault else ExitCode.OK


@audit.command("seal")
@click.pass_obj
def seal(invocation: Invocation, /) -> None:
    """Gives entries that wait for it their place in the chain, as commands and mubss-crm do by themselves."""
    with open_desk(invocation) as desk:
        count = audit_chain.seal(desk.store)
    if invocation.as_json:
        print_json({"sealed": count})
    else:
        click.echo(f"{counted(count, 'entry', 'entries')} sealed")


@audit.command("export")
@click.pass_obj
def export(invocation: Invocation, /) -> None:
    """The whole chain as JSON, an entry a line, the first one first."""
    with open_desk(invocation) as desk:
        audit_chain.seal_if_may(desk.store)
        for entry in storage.chain(desk.store, storage.count(desk.store).seq):
            click.echo(json.dumps(entry, ensure_ascii=False, sort_keys=True))
