"""`mubss token`: what opens the management interface."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import open_desk
from mubss.cli.output import print_json, print_rows, say
from mubss.config import Config
from mubss.core.errors import InputError
from mubss.core.roles import ROLES
from mubss.services import tokens as service
from mubss.services.tokens import Keys, terms_of
from mubss.storage import tokens as storage
from mubss.storage.database import Doc

_COLUMNS = {
    "jti": "id",
    "subject": "subject",
    "role": "role",
    "kid": "key",
    "issued": "issued",
    "expires": "expires",
    "state": "state",
}
_LASTS = re.compile(r"([1-9][0-9]{0,6})([dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@click.group("token", cls=Group)
def token() -> None:
    """Tokens of the management interface: issue, revoke, list; and the keys that sign them."""


@token.command("key")
@click.option("--kid", default="", metavar="ID", help="Its id; by default today's date. The last by name signs.")
@click.pass_obj
def key(invocation: Invocation, /, kid: str) -> None:
    """Makes a key. Tokens of older keys are taken until their files are removed."""
    now_s = wall_clock_ms() // 1000
    kid = kid or datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%d")
    file = service.make_key(_folder(invocation.config), kid)
    if invocation.as_json:
        print_json({"kid": kid, "file": str(file)})
    else:
        say(f"key {kid}: {file}")


@token.command("issue")
@click.option("--subject", required=True, help="Whom it is for; it stands in the audit of what they do.")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What it allows.")
@click.option("--lasts", default="30d", show_default=True, metavar="TIME", help="How long: 90d, 12h, 30m.")
@click.pass_obj
def issue(invocation: Invocation, /, subject: str, role: str, lasts: str) -> None:
    """Prints a token. It is nowhere else: whoever has it may do what its role allows."""
    with open_desk(invocation) as desk:
        keys = Keys(_folder(desk.config))
        now_s = wall_clock_ms() // 1000
        made, principal = service.issue(keys, terms_of(desk.config.crm), subject, role, _seconds(lasts), now_s)
        storage.note(desk.store, principal, keys.signing_id, now_s)
        if invocation.as_json:
            print_json({"token": made, "jti": principal.token_id, "expires_s": principal.expires_s})
        else:
            click.echo(made)


@token.command("revoke")
@click.argument("jti")
@click.pass_obj
def revoke(invocation: Invocation, /, jti: str) -> None:
    """The token of that id isn't taken any more; mubss-crm knows within seconds. It needn't have been issued here."""
    with open_desk(invocation) as desk:
        service.check_id(jti)
        now_s = wall_clock_ms() // 1000
        doc = storage.revoke(desk.store, jti, now_s, now_s + terms_of(desk.config.crm).max_s)
        if invocation.as_json:
            print_json(_row(doc, now_s))
        else:
            whose = f", {doc['role']} {doc['subject']}" if doc["subject"] else ", which wasn't issued here"
            click.echo(f"{jti}{whose}: revoked")


@token.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.pass_obj
def list_command(invocation: Invocation, /, limit: int) -> None:
    """Tokens that were issued or revoked here, those that last longest first."""
    with open_desk(invocation) as desk:
        now_s = wall_clock_ms() // 1000
        rows = [_row(doc, now_s) for doc in storage.find(desk.store, limit)]
        if not invocation.as_json:
            for row in rows:
                row["issued"] = desk.time(row["issued_s"]) if row["issued_s"] else ""
                row["expires"] = desk.time(row["expires_s"])
        print_rows(invocation.as_json, rows, _COLUMNS, spare=("issued",))


def _row(doc: Doc, now_s: int) -> dict[str, Any]:
    state = "revoked" if doc["revoked_s"] else "expired" if doc["expires_s"] <= now_s else "good"
    return {**{name: value for name, value in doc.items() if name != "_id"}, "state": state}


def _folder(config: Config) -> Path:
    return config.resolve(config.crm.keys_folder)


def _seconds(text: str) -> int:
    found = _LASTS.fullmatch(text)
    if found is None:
        raise InputError(f"lasts: {text[:20]!r}; expected a number of days, hours, minutes or seconds like 90d or 12h")
    return int(found[1]) * _SECONDS[found[2]]
