"""Quota: what is granted from a balance, and what stays reserved for it."""

from __future__ import annotations

from mubss.core.draft import Draft
from mubss.core.model import CreditControl, Meter, Result, Session, UnitAnswer, UnitRequest
from mubss.core.rater import charge, cover, wanted
from mubss.core.tariff import PlanService, Unit


def session_meter(draft: Draft, command: CreditControl, session: Session, service: str) -> Meter:
    """The session's meter of a service; its zone is that of the party called when it began."""
    meter = session["services"].get(service)
    if meter is None:
        meter = {
            "rates": {},
            "charged_micros": 0,
            "cursor_s": 0,
            "zone": draft.tables.zone(command.called),
            "part": {"since_s": draft.now_s, "units": 0, "free_units": 0, "charge_micros": 0},
        }
        session["services"][service] = meter
    return meter


def reserve(draft: Draft, own: Session) -> None:
    """Reserves again for every grant outstanding: price(used + granted) − price(used), session by session.

    Usage beyond its own grant may have drawn free units that were promised to another grant; that one is then
    priced. So every session is looked at; there is one nearly always. `own` is the one that may change in place.
    """
    account = draft.account
    promised: dict[str, int] = {}
    total = 0
    for key, session in account["sessions"].items():
        micros = 0
        if session["grants"]:
            micros = _reservation(draft, session, promised)
        if micros != session["reserved_micros"]:
            if session is not own:
                session = account["sessions"][key] = session.copy()
            session["reserved_micros"] = micros
        total += micros
    account["reserved_micros"] = total


def _reservation(draft: Draft, session: Session, promised: dict[str, int]) -> int:
    rates_with_grants: dict[str, dict[str, int]] = {}
    for grant in session["grants"].values():
        service, free = grant["service"], grant["free_units"]
        if free:
            free = min(free, max(0, _free_left(draft, service) - promised.get(service, 0)))
            promised[service] = promised.get(service, 0) + free
        rates = rates_with_grants.get(service)
        if rates is None:
            rates = rates_with_grants[service] = session["services"][service]["rates"].copy()
        if grant["units"] > free:
            rates[grant["rate"]] = rates.get(grant["rate"], 0) + grant["units"] - free
    return sum(
        charge(rates) - session["services"][service]["charged_micros"] for service, rates in rates_with_grants.items()
    )


def _free_left(draft: Draft, service: str) -> int:
    """The month's free units not used yet; those promised to grants count as left."""
    plan = draft.plan_service(service)
    if plan is None or not plan.free_units:
        return 0
    month = draft.tables.calendar.at(draft.now_s).month
    return plan.free_units - draft.account["counters"].get(month, {}).get(service, 0)


def grant(
    draft: Draft,
    command: CreditControl,
    session: Session,
    request: UnitRequest,
    plan: PlanService,
) -> UnitAnswer:
    """Grants as much of what is asked as the month's free units and the available balance cover."""
    unit = plan.service.unit.value
    service = plan.service.code
    meter = session_meter(draft, command, session, service)
    at_s = meter["cursor_s"] or draft.now_s if plan.service.unit is Unit.SECONDS else draft.now_s
    rate = plan.rate_key(meter["zone"], draft.tables.band(draft.tables.calendar.at(at_s)))
    if rate is None:
        return UnitAnswer.to(request, unit, Result.RATING_FAILED)
    rates, free_left = meter["rates"].copy(), 0
    if plan.free_units:
        free_left = _free_left(draft, service) - sum(
            held["free_units"]
            for other in draft.account["sessions"].values()
            for held in other["grants"].values()
            if held["service"] == service
        )
    for held in session["grants"].values():
        if held["service"] == service and held["units"] > held["free_units"]:
            rates[held["rate"]] = rates.get(held["rate"], 0) + held["units"] - held["free_units"]
    wanted_units = wanted(plan, request.requested_units)
    covered = cover(plan, rate, wanted_units, rates, free_left, draft.available_micros)
    if covered.units <= 0:
        return UnitAnswer.to(request, unit, Result.CREDIT_LIMIT_REACHED)
    paid = covered.units - covered.free_units
    if paid:
        micros = charge({**rates, rate: rates.get(rate, 0) + paid}) - charge(rates)
        session["reserved_micros"] += micros
        draft.account["reserved_micros"] += micros
    session["grants"][request.key] = {
        "service": service,
        "units": covered.units,
        "free_units": covered.free_units,
        "rate": rate,
    }
    return UnitAnswer(
        request.command_level,
        request.rating_group,
        request.service_identifiers,
        Result.SUCCESS,
        unit,
        covered.units,
        plan.service.validity_s,
        covered.units < wanted_units,
    )
