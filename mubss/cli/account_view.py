"""An account as operators look at it: what is there, what is held back, what is left of the month."""

from __future__ import annotations

from typing import Any

from mubss.charging.engine import wall_clock_ms
from mubss.cli.desk import Desk
from mubss.cli.output import money
from mubss.core.allowance import rolled_units
from mubss.core.model import Account, Session, state_of
from mubss.services.lifecycle import find_account
from mubss.storage.database import Doc


def money_of(desk: Desk, account: Account, micros: int) -> str:
    """An amount in the account's currency, with its decimals at least."""
    currency = desk.tables.currencies.get(account["currency"])
    return money(micros, account["currency"], currency.decimals if currency else 2)


def view(desk: Desk, doc: Doc) -> dict[str, Any]:
    """A subscriber and the account behind it, as JSON has it."""
    account = find_account(desk.store, doc)
    person = {name: value for name, value in doc.items() if name not in ("_id", "version")}
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
        "free_units": free_units(desk, account),
        "buckets": account.get("buckets", []),
        "members": members(desk, account),
        "sessions": [_session(session) for session in account["sessions"].values()],
    }


def free_units(desk: Desk, account: Account) -> dict[str, dict[str, Any]]:
    """Service → free units of this month, with those that rolled over, and those left; of services that have some."""
    now_s = wall_clock_ms() // 1000
    plan = desk.tables.plan_at(account["plan"], now_s)
    month = desk.tables.calendar.at(now_s).month
    since_month = desk.tables.calendar.at(account.get("since_s", 0)).month
    found = {}
    for code, one in plan.services.items() if plan else ():
        if one.free_units:
            of_service = {known: counters.get(code, 0) for known, counters in account["counters"].items()}
            units = one.free_units + rolled_units(one, month, of_service, since_month)
            left = max(0, units - of_service.get(month, 0))
            found[code] = {"unit": one.service.unit.value, "units": units, "left_units": left}
    return found


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
