"""An account as operators look at it: what is there, what is held back, what is left of the month."""

from __future__ import annotations

from typing import Any

from mubss.charging.engine import wall_clock_ms
from mubss.cli.desk import Desk
from mubss.cli.output import money
from mubss.core.model import Account, Session, state_of
from mubss.core.next_plan import as_of
from mubss.services.allowances import free_units
from mubss.services.lifecycle import find_account
from mubss.storage.database import Doc


def money_of(desk: Desk, account: Account, micros: int) -> str:
    """An amount in the account's currency, with its decimals at least."""
    currency = desk.tables.currencies.get(account["currency"])
    return money(micros, account["currency"], currency.decimals if currency else 2)


def view(desk: Desk, doc: Doc) -> dict[str, Any]:
    """A subscriber and the account behind it, as JSON has it; `next_plan` is there while one waits."""
    account = find_account(desk.store, doc)
    known = as_of(doc, wall_clock_ms() // 1000)
    person = {name: value for name, value in known.items() if name not in ("_id", "version")}
    return {**person, **balance_view(desk, account)}


def balance_view(desk: Desk, account: Account) -> dict[str, Any]:
    """Money, free units left this month by service, bundles, and open sessions."""
    balance, limit, reserved = account["balance_micros"], account["credit_limit_micros"], account["reserved_micros"]
    return {
        "currency": account["currency"],
        "balance_micros": balance,
        "credit_limit_micros": limit,
        "reserved_micros": reserved,
        "available_micros": balance + limit - reserved,
        "month": desk.month,
        "free_units": {
            code: one._asdict() for code, one in free_units(desk.tables, account, wall_clock_ms() // 1000).items()
        },
        "buckets": account.get("buckets", []),
        "members": members(desk, account),
        "sessions": [_session(session) for session in account["sessions"].values()],
    }


def members(desk: Desk, account: Account) -> list[dict[str, Any]]:
    """The subscribers that share an account, with what each drew this month of free units and bundles; [] for one."""
    found: dict[str, dict[str, Any]] = {}
    for identity, member in account.get("members", {}).items():
        if identity.startswith("e164:"):
            state = state_of(account, member)
            found[member] = {"subscriber": member, "msisdn": identity[5:], "state": state, "drawn_units": {}}
    for key, units in account.get("drawn", {}).get(desk.month, {}).items():
        member, _, service = key.partition("/")
        found[member]["drawn_units"][service] = units
    return [found[member] for member in sorted(found)]


def msisdn_of(account: Account, session: Session) -> str:
    """The number of a session's subscriber."""
    members = account.get("members", {})
    owner = session.get("member", account["_id"])
    numbers = (one for one in account["identities"] if one.startswith("e164:") and members.get(one, owner) == owner)
    return next(numbers, "").removeprefix("e164:")


def _session(session: Session) -> dict[str, Any]:
    services = {code: meter["part"]["units"] for code, meter in session["services"].items()}
    return {
        "session_id": session["id"],
        "peer": session["peer"],
        "opened_s": session["opened_s"],
        "expires_s": session["expires_s"],
        "reserved_micros": session["reserved_micros"],
        "services": services,
    }
