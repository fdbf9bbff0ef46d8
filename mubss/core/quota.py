"""Quota: what is granted from a balance, and what stays reserved for it."""

from __future__ import annotations

from typing import NamedTuple

from mubss.core.draft import Draft
from mubss.core.model import CreditControl, Meter, Result, Session, UnitAnswer, UnitRequest
from mubss.core.rater import charge, cover, wanted
from mubss.core.tariff import PlanService, Unit

MAX_GRANTS = 100  # outstanding in a session: its document stays small whatever a peer asks for


class Held(NamedTuple):
    """What grants hold at this moment, by service; grant() adds what it grants."""

    rates: dict[str, dict[str, int]]  # the session's charged units by rate, its grants' with them
    promised: dict[str, int]  # free units promised to the grants of all sessions


def session_meter(draft: Draft, command: CreditControl, session: Session, service: str) -> Meter:
    """The session's meter of a service; its zone is that of the party called when it began."""
    meter = session["services"].get(service)
    if meter is None:
        meter = {
            "rates": [],
            "charged_micros": 0,
            "cursor_s": 0,
            "zone": draft.tables.zone(command.called),
            "part": {"since_s": draft.now_s, "units": 0, "free_units": 0, "charge_micros": 0},
        }
        session["services"][service] = meter
    return meter


def reserve(draft: Draft, own: Session | None = None) -> Held:
    """Reserves again for every grant outstanding: price(used + granted) − price(used), session by session.

    Usage beyond its own grant may have drawn free units that were promised to another grant; that one is then
    priced. So every session is looked at (in an order that no store changes); there is one nearly always. `own`
    is the one that may change in place, and whose rates are returned.
    """
    account = draft.account
    sessions = account["sessions"]
    held = Held({}, {})
    total = 0
    for key in sorted(sessions) if len(sessions) > 1 else list(sessions):
        session = sessions[key]
        micros = 0
        if session["grants"]:
            micros = _reservation(draft, session, held if session is own else Held({}, held.promised))
        if micros != session["reserved_micros"]:
            if session is not own:
                session = sessions[key] = session.copy()
            session["reserved_micros"] = micros
        total += micros
    account["reserved_micros"] = total
    return held


def _reservation(draft: Draft, session: Session, held: Held) -> int:
    promised = held.promised
    for grant in session["grants"]:
        service, free = grant["service"], grant["free_units"]
        if free:
            free = min(free, max(0, _free_left(draft, service) - promised.get(service, 0)))
            promised[service] = promised.get(service, 0) + free
        rates = held.rates.get(service)
        if rates is None:
            rates = held.rates[service] = dict(session["services"][service]["rates"])
        if grant["units"] > free:
            rates[grant["rate"]] = rates.get(grant["rate"], 0) + grant["units"] - free
    return sum(charge(rates) - session["services"][service]["charged_micros"] for service, rates in held.rates.items())


def _free_left(draft: Draft, service: str) -> int:
    """The month's free units not used yet; those promised to grants count as left."""
    plan = draft.plan_service(service)
    if plan is None or not plan.free_units:
        return 0
    month = draft.tables.calendar.at(draft.now_s).month
    return plan.free_units - draft.account["counters"].get(month, {}).get(service, 0)


def grant(
    draft: Draft, command: CreditControl, session: Session, request: UnitRequest, plan: PlanService, held: Held
) -> UnitAnswer:
    """Grants as much of what is asked as the month's free units and the available balance cover."""
    unit, service = plan.service.unit, plan.service.code
    meter = session_meter(draft, command, session, service)
    at_s = meter["cursor_s"] or draft.now_s if unit is Unit.SECONDS else draft.now_s
    rate = plan.rate_key(meter["zone"], draft.tables.band(draft.tables.calendar.at(at_s)))
    if rate is None:
        return UnitAnswer.to(request, unit.value, Result.RATING_FAILED)
    if len(session["grants"]) >= MAX_GRANTS:
        return UnitAnswer.to(request, unit.value, Result.RESOURCES_EXCEEDED)
    rates = held.rates.get(service)
    if rates is None:
        rates = dict(meter["rates"])
    free_left = _free_left(draft, service) - held.promised.get(service, 0) if plan.free_units else 0
    wanted_units = wanted(plan, request.requested_units)
    covered = cover(rate, wanted_units, rates, free_left, draft.available_micros)
    if covered.units <= 0:
        return UnitAnswer.to(request, unit.value, Result.CREDIT_LIMIT_REACHED)
    held.rates[service] = covered.rates
    if covered.free_units:
        held.promised[service] = held.promised.get(service, 0) + covered.free_units
    session["reserved_micros"] += covered.micros
    draft.account["reserved_micros"] += covered.micros
    session["grants"].append(
        {
            "key": request.key,
            "service": service,
            "units": covered.units,
            "free_units": covered.free_units,
            "rate": rate,
        }
    )
    return UnitAnswer(
        request.command_level,
        request.rating_group,
        request.service_identifiers,
        Result.SUCCESS,
        unit.value,
        covered.units,
        plan.service.validity_s,
        covered.units < wanted_units,
    )
