"""`mubss sessions`: the credit-control sessions that are open, and what their clients are told."""

from __future__ import annotations

from typing import Any

import click

from mubss.cli.account_view import money_of, msisdn_of
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_rows, print_table
from mubss.core.errors import InputError
from mubss.core.model import Account, RequestType, Session
from mubss.core.outbox import ABORT, REAUTH
from mubss.services import lifecycle
from mubss.services import sessions as services
from mubss.services.sessions import Ended
from mubss.storage.database import Doc

MAX_LIST = 10_000
_COLUMNS = {
    "session_id": "session",
    "msisdn": "msisdn",
    "peer": "peer",
    "since": "since",
    "used": "used",
    "reserved": "reserved",
    "told": "told",
}
_SPARE = ("since", "peer", "told")  # left out where the terminal is too narrow, the last first
_NAMES = {REAUTH: "RAR", ABORT: "ASR"}


@click.group("sessions", cls=Group)
def sessions() -> None:
    """Credit-control sessions: list, show, reauth, abort."""


@sessions.command("list")
@click.option("--msisdn", help="Only those of this subscriber's account (MSISDN, or imsi:...).")
@click.option("--peer", help="Only those of this Origin-Host, the client's or its agent's.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LIST), help="At most so many.")
@click.option("--after", default="", metavar="SESSION", help="Go on behind this one.")
@click.pass_obj
def list_command(invocation: Invocation, /, msisdn: str | None, peer: str | None, limit: int, after: str) -> None:
    """Open sessions, and whether their clients were told of changes (RAR, ASR)."""
    with open_desk(invocation) as desk:
        account = lifecycle.find_account(desk.store, lifecycle.find_subscriber(desk.store, msisdn)) if msisdn else None
        found = services.page(desk.store, account, peer or "", after, limit + 1)
        told = services.told(desk.store, [(key, one["sessions"][key]) for key, one in found[:limit]])
        rows = [_view(key, one, told.get(key, [])) for key, one in found[:limit]]
        if not invocation.as_json:
            for (key, one), row in zip(found, rows, strict=False):
                row |= _texts(desk, one, one["sessions"][key], told.get(key, []))
    if not rows and not invocation.as_json:
        click.echo("no session is open" + (" that fits" if msisdn or peer else ""))
        return
    print_rows(invocation.as_json, rows, _COLUMNS, spare=_SPARE)
    if len(found) > limit and not invocation.as_json:
        click.echo(f"more: --after '{rows[-1]['session_id']}'", err=True)


@sessions.command("show")
@click.argument("session")
@click.pass_obj
def show(invocation: Invocation, /, session: str) -> None:
    """All that is known of one session, by its Session-Id or the hash of it that records bear.

    Of one that has ended: how, what it used, and what its client was told, for a day.
    """
    with open_desk(invocation) as desk:
        found = services.find_open(desk.store, session)
        if found is not None:
            shown, fields = _open(desk, *found)
        elif (ended := services.find_ended(desk.store, session)) is not None:
            shown, fields = _ended_view(ended), _ended_fields(desk, ended)
        else:
            text = "expected the Session-Id of a session that is open, or ended within the last day"
            raise InputError(f"session: {session[:80]!r}; {text}")
    if invocation.as_json:
        print_json(shown)
        return
    rows = [{"field": name, "value": str(value)} for name, value in fields.items() if value not in (None, "")]
    print_table(rows, {"field": "field", "value": "value"}, fold=("value",))


def _open(desk: Desk, key: str, account: Account) -> tuple[dict[str, Any], dict[str, Any]]:
    """An open session as JSON has it, and as people read it."""
    one = account["sessions"][key]
    told = services.told(desk.store, [(key, one)]).get(key, [])
    found, texts = _view(key, account, told), _texts(desk, account, one, told)
    fields = {
        "session": one["id"],
        "subscriber": found["msisdn"],
        "peer": one["peer"],
        "via": found["via"],
        "since": texts["since"],
        "until": f"{desk.time(one['expires_s'])}, unless its client is heard of",
        "used": texts["used"],
        "granted": ", ".join(f"{grant['units']:,} {grant['service']}" for grant in one["grants"]),
        "reserved": texts["reserved"],
        "told": texts["told"],
        **one.get("facts", {}),
        "hash": key,
    }
    return found, fields


def _ended_view(ended: Ended) -> dict[str, Any]:
    """One that has ended, as JSON has it."""
    services_used: dict[str, int] = {}
    for record in ended.usage:
        services_used[record["service"]] = services_used.get(record["service"], 0) + record["units"]
    return {
        "session_id": ended.session_id or None,
        "hash": ended.key,
        "state": _ended_state(ended)[0],
        "account": ended.account["_id"] if ended.account else None,
        "msisdn": _msisdn(ended.account) if ended.account else "",
        "kept_until_s": ended.kept_s or None,
        "services": services_used,
        "charge_micros": sum(record["charge_micros"] for record in ended.usage),
        "told": _entries(ended.told),
    }


def _ended_state(ended: Ended) -> tuple[str, str]:
    """What became of it, as JSON and as people have it."""
    if ended.types == {RequestType.EVENT}:
        return "event", "no session: an event, charged at once (CCR-E)"
    if RequestType.TERMINATION in ended.types:
        return "terminated", "ended by its client (CCR-T)"
    if not ended.types:
        return "ended", "ended"
    return "ended", "ended here: by an operator, or since its client was silent for too long or rebooted"


def _ended_fields(desk: Desk, ended: Ended) -> dict[str, Any]:
    """The same as people read it."""
    found = _ended_view(ended)
    charge = found["charge_micros"]
    return {
        "session": ended.session_id,
        "subscriber": found["msisdn"],
        "state": _ended_state(ended)[1],
        "used": ", ".join(f"{units:,} {code}" for code, units in found["services"].items()),
        "used until": desk.time(max(one["until_s"] for one in ended.usage)) if ended.usage else "",
        "charged": money_of(desk, ended.account, charge) if ended.account and ended.usage else "",
        "told": ", ".join(map(_told, ended.told)),
        "kept until": desk.time(ended.kept_s) if ended.kept_s else "",
        "hash": ended.key,
    }


@sessions.command("reauth")
@click.argument("session")
@click.option("--rating-group", type=click.IntRange(0, 2**32 - 1), help="Of this Rating-Group alone.")
@click.pass_obj
def reauth(invocation: Invocation, /, session: str, rating_group: int | None) -> None:
    """Has the client of SESSION asked to report and to ask for new quota (RAR)."""
    _tell(invocation, session, REAUTH, rating_group)


@sessions.command("abort")
@click.argument("session")
@click.option("--here", is_flag=True, help="End it here at once: its client is gone. What it didn't report is free.")
@click.pass_obj
def abort(invocation: Invocation, /, session: str, here: bool) -> None:
    """Has the client of SESSION asked to end it (ASR); what it used is charged by its last report."""
    if not here:
        _tell(invocation, session, ABORT, None)
        return
    with open_desk(invocation) as desk:
        key = services.end(desk.engine, desk.store, session)
    if invocation.as_json:
        print_json({"session": key, "state": "ended"})
    else:
        click.echo(f"{session} is ended; its reservation is released")


def _tell(invocation: Invocation, session: str, kind: str, rating_group: int | None) -> None:
    with open_desk(invocation) as desk:
        key = services.tell(desk.engine, desk.store, session, kind, rating_group)
        desk.nudge()
    if invocation.as_json:
        print_json({"session": key, "command": _NAMES[kind], "state": "waiting"})
    else:
        click.echo(f"the {_NAMES[kind]} waits for its peer; `mubss sessions show` says what comes of it")


def _view(key: str, account: Account, told: list[Doc]) -> dict[str, Any]:
    """A session as JSON has it."""
    session = account["sessions"][key]
    known = {name: session.get(name) for name in ("peer", "via", "realm", "opened_s", "expires_s", "reserved_micros")}
    msisdn = msisdn_of(account, session)
    return {
        "session_id": session["id"],
        "hash": key,
        "state": "open",
        "account": account["_id"],
        "msisdn": msisdn,
        **known,
        "services": {code: meter["part"]["units"] for code, meter in session["services"].items()},
        "grants": session["grants"],
        "facts": session.get("facts", {}),
        "told": _entries(told),
    }


def _msisdn(account: Account) -> str:
    return next((one[5:] for one in account["identities"] if one.startswith("e164:")), "")


def _entries(told: list[Doc]) -> list[Doc]:
    return [{name: value for name, value in entry.items() if name != "_id"} for entry in told]


def _texts(desk: Desk, account: Account, session: Session, told: list[Doc]) -> dict[str, str]:
    """The fields that people read in other words."""
    used = {code: meter["part"]["units"] for code, meter in session["services"].items()}
    return {
        "since": desk.time(session["opened_s"]),
        "used": ", ".join(f"{units:,} {code}" for code, units in used.items() if units),
        "reserved": money_of(desk, account, session["reserved_micros"]),
        "told": ", ".join(_told(entry) for entry in told),
    }


def _told(entry: Doc) -> str:
    """`RAR done` or `ASR waiting, 2 tries`."""
    group = f" of {entry['group']}" if "group" in entry else ""
    tries = f", {counted(entry['tries'], 'try', 'tries')}" if entry["state"] == "waiting" and entry["tries"] else ""
    why = f" ({entry['why']})" if entry.get("why") else ""
    return f"{_NAMES[entry['kind']]}{group} {entry['state']}{tries}{why}"
