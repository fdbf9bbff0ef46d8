"""Usage that a session's requests report: charged to its meters, or kept in suspense where it can't be.

A session's charge for a service is a function of its cumulative usage, so each report posts the difference.
"""

from __future__ import annotations

from typing import Any

from mubss.core.allowance import Usage, sums
from mubss.core.draft import Draft, Drawn, new_part
from mubss.core.identity import session_hash
from mubss.core.model import OPEN, CreditControl, Meter, RequestType, Result, Session, UnitRequest, UsagePart
from mubss.core.quota import Held, reserve, session_meter
from mubss.core.rater import MAX_UNITS, absurd, rate_usage
from mubss.core.tariff import PlanService, Unit

OTHER_UNIT = "in a unit that the service isn't sold by"
MAX_STORED = (1 << 63) - 1  # of an integer, in either store
Charged = dict[str, Drawn]  # by service, of one request so far


def charge_reports(draft: Draft, command: CreditControl, session: Session) -> tuple[list[Result], Held]:
    """Releases what this request reports on, and charges the units it reports.

    Returns what became of each MSCC's report, and what grants hold after that.
    """
    reported = session["grants"]
    if command.type is RequestType.TERMINATION:
        session["grants"] = []
    elif reported:
        answered = {request.key for request in command.requests}
        session["grants"] = [grant for grant in reported if grant["key"] not in answered]
    changes = {grant["key"]: grant["change_s"] for grant in reported if "change_s" in grant}
    charged: Charged = {}
    results = [
        _use(draft, command, session, request, changes.get(request.key, 0), charged) for request in command.requests
    ]
    if command.network and draft.tables.networks:
        _roam(draft, command, session)
    held = reserve(draft, session)
    cause = {"kind": "session", "session": command.session_hash, "number": command.number}
    for service, drawn in charged.items():
        draft.post_usage(cause, service, drawn)
    return results, held


def _use(
    draft: Draft, command: CreditControl, session: Session, request: UnitRequest, change_s: int, charged: Charged
) -> Result:
    """Charges one MSCC's report to the session's meter; what can't be charged is kept in suspense.

    `change_s` is the Tariff-Time-Change that its grant was sent with, 0 without one.
    """
    plan, units = draft.plan_service(request.service), request.used_units
    if request.foreign_units and plan is not None:
        draft.suspense.append(suspended_units(command, request, OTHER_UNIT, draft.now_ms))
    if plan is None:
        if units:
            draft.suspense.append(suspended_units(command, request, "no price for these units", draft.now_ms))
        return Result.RATING_FAILED
    if not units:
        return Result.SUCCESS
    service = plan.service.code
    meter = session_meter(draft, command, session, service).copy()
    at_s = draft.now_s
    if plan.service.unit is Unit.SECONDS:  # usage lies end to end from where the first report's began
        at_s = meter["cursor_s"] or max(session["opened_s"], draft.now_s - units)
        meter["cursor_s"] = at_s + units
        plan = draft.plan_service(service, at_s) or plan
    rated = None
    if not absurd(plan, units, at_s, draft.now_s):
        rated = _rate(draft, plan, meter, request, units, at_s, change_s)
    if rated is None or not _bearable(draft, rated, charged):
        draft.suspense.append(suspended_units(command, request, "more units than there can be", draft.now_ms))
        return Result.INVALID_AVP_VALUE
    session["services"][service] = meter
    if rated.unpriced_units:
        entry = suspended_units(command, request, "no price in this zone and band", draft.now_ms)
        draft.suspense.append({**entry, "units": rated.unpriced_units})
    _count(meter, units, rated, at_s)
    draft.draw(service, rated)
    charged[service] = charged.get(service, Drawn()).plus(rated)
    return Result.SUCCESS


def _rate(
    draft: Draft, plan: PlanService, meter: Meter, request: UnitRequest, units: int, at_s: int, change_s: int
) -> Usage:
    """Prices what was used before the tariff changed by the tariff before, the rest by that of `at_s` (RFC 8506 §8.27).

    Units that say they are from before a change that nobody announced, or of seconds, which lie in time by themselves,
    are priced as all others.
    """
    service, zone, rates = plan.service.code, meter["zone"], dict(meter["rates"])
    allowance = draft.allowance(service)
    before = min(request.before_units, units) if change_s and plan.service.unit is not Unit.SECONDS else 0
    if not before:
        return rate_usage(draft.tables, plan, zone, units, at_s, rates, allowance)
    earlier = draft.plan_service(service, change_s - 1) or plan
    first = rate_usage(draft.tables, earlier, zone, before, min(at_s, change_s - 1), rates, allowance)
    rest = rate_usage(
        draft.tables, plan, zone, units - before, max(at_s, change_s), first.rates, allowance.after(first)
    )
    return Usage(
        rest.rates,
        first.charge_micros + rest.charge_micros,
        sums(first.free_units, rest.free_units),
        first.unpriced_units + rest.unpriced_units,
        sums(first.bundle_units, rest.bundle_units),
        sums(first.paid_units, rest.paid_units),
        sums(first.member_units, rest.member_units),
    )


def _count(meter: Meter, units: int, rated: Usage, at_s: int) -> None:
    meter["rates"] = [list(item) for item in rated.rates.items()]
    meter["charged_micros"] += rated.charge_micros
    part = meter["part"]
    counted: UsagePart = {
        "since_s": part["since_s"],
        "units": part["units"] + units - rated.unpriced_units,
        "free_units": part["free_units"] + sum(rated.free_units.values()),
        "charge_micros": part["charge_micros"] + rated.charge_micros,
    }
    if rated.bundle_units or "bundle_units" in part:
        counted["bundle_units"] = part.get("bundle_units", 0) + sum(rated.bundle_units.values())
    if (first_s := part.get("at_s", part["since_s"]) if part["units"] else at_s) != part["since_s"]:
        counted["at_s"] = first_s
    if rated.paid_units or "paid_units" in part:
        counted["paid_units"] = part.get("paid_units", 0) + sum(rated.paid_units.values())
    meter["part"] = counted


def _bearable(draft: Draft, rated: Usage, charged: Charged) -> bool:
    """Whether the session and the balance can bear this usage with what the request charged before it."""
    charge_micros = rated.charge_micros
    for drawn in charged.values():
        charge_micros += drawn.micros
    return sum(rated.rates.values()) <= MAX_UNITS and draft.can_hold(-charge_micros)


def _roam(draft: Draft, command: CreditControl, session: Session) -> None:
    """The subscriber moved to another network: what comes is priced by its zone, what was used has a record of its own.

    Where somebody is called, the zone is the called party's and stays.
    """
    facts = session.get("facts", {})
    if facts.get("called") or facts.get("sgsn_mcc_mnc") == command.network:
        return
    zone = draft.tables.network_zone(command.network)
    for service, meter in sorted(session["services"].items()):
        if meter["zone"] != zone:
            record_part(draft, command.session_hash, session, service, meter)
            session["services"][service] = {**meter, "zone": zone, "part": new_part(draft.now_s)}
    session["facts"] = {**facts, "sgsn_mcc_mnc": command.network}


def record_part(
    draft: Draft, key: str, session: Session, service: str, meter: Meter, until_s: int | None = None
) -> None:
    """Writes the usage record of what a meter counted since the last one, if that is anything; until now by default."""
    part = meter["part"]
    if part["units"]:
        source = gy_source(key, session["id"], session["peer"], session.get("facts", {}), session.get("member", ""))
        draft.record_usage(source, service, meter["zone"], dict(meter["rates"]), part, until_s)


def gy_source(key: str, session_id: str, peer: str, facts: dict[str, Any], member: str = "") -> dict[str, Any]:
    """What a usage record says of the session it came from."""
    source = {"source": "gy", "session": key, "session_id": session_id, "peer": peer, **facts}
    return {**source, "member": member} if member else source


def suspended_units(
    command: CreditControl, request: UnitRequest, reason: str, now_ms: int, *, taken: bool = True
) -> dict[str, Any]:
    """The suspense document of units that can't be charged; its `_id` makes a repeat fall on the same one.

    `taken` says whether their request is in the session's history, with what else it reported charged (suspense.py).
    """
    unit, units = request.foreign_units or ("", request.used_units or 0)
    entry = {
        "_id": session_hash(f"{command.session_id}\0{command.key}\0{request.key}"),
        "version": 1,
        "kind": "gy",
        "state": OPEN,
        "reason": reason,
        "taken": taken,
        "at_s": now_ms // 1000,
        "at_ms": now_ms,
        "session": command.session_hash,
        "session_id": command.session_id,
        "peer": command.peer,
        "type": int(command.type),
        "number": command.number,
        "identities": command.identities,
        "service": request.service,
        "rating_group": request.rating_group,
        "service_identifiers": request.service_identifiers,
        "units": min(units, MAX_STORED),
    }
    if unit:
        entry["unit"] = unit
    if units > MAX_STORED:
        entry["reported"] = str(units)
    if command.type is RequestType.EVENT and command.action:
        entry["action"] = int(command.action)
    for name, value in (("called", command.called), ("network", command.network), ("facts", command.facts)):
        if value:
            entry[name] = value
    return entry
