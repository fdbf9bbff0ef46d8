"""Quota: what is granted from a balance, and what stays reserved for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from mubss.core.allowance import edges, left, promise
from mubss.core.draft import Draft, new_part
from mubss.core.members import member_of
from mubss.core.meter import Cover, charge, cover
from mubss.core.model import CreditControl, Grant, Meter, Result, Session, UnitAnswer, UnitRequest
from mubss.core.rater import next_change, wanted
from mubss.core.rates import parse_rate
from mubss.core.tariff import TERMINATE, PlanService, Quota, Unit

LEAST_SHARE = 8  # a grant that shares the balance with others is at least this part of what was asked
POOL_DECIMALS = 9  # of a unit's worth in a credit pool
MAX_GRANTS = 100  # outstanding in a session: its document stays small whatever a peer asks for


class Held(NamedTuple):
    """What grants hold at this moment, by service; grant() adds what it grants."""

    rates: dict[str, dict[str, int]]  # the session's charged units by rate, its grants' with them
    promised: dict[str, int]  # units promised to the grants of all sessions, by their source (draft.sources)


def session_meter(draft: Draft, command: CreditControl, session: Session, service: str) -> Meter:
    """The session's meter of a service; its zone is that of its first request."""
    meter = session["services"].get(service)
    if meter is None:
        meter = {
            "rates": [],
            "charged_micros": 0,
            "cursor_s": 0,
            "zone": draft.tables.usage_zone(command.called, command.network),
            "part": new_part(draft.now_s),
        }
        session["services"][service] = meter
    return meter


def reserve(draft: Draft, own: Session | None = None) -> Held:
    """Reserves again for every grant outstanding: price(used + granted) − price(used), session by session.

    Usage beyond its own grant may have drawn free units that were promised to another grant; that one is then
    priced. So every session is looked at (in an order that no store changes); there is one nearly always. `own`
    is the one that may change in place, and whose rates are returned; the others then hold what they held, unless
    they were promised free units.
    """
    account = draft.account
    sessions = account["sessions"]
    held = Held({}, {})
    total = 0
    for key in sorted(sessions) if len(sessions) > 1 else list(sessions):
        session = sessions[key]
        if own is not None and session is not own and not any(grant["free_units"] for grant in session["grants"]):
            total += session["reserved_micros"]
            continue
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
    member = member_of(draft.account, (), session)
    for grant in session["grants"]:
        service, free = grant["service"], grant["free_units"]
        if free:
            meter = session["services"][service]
            at_s = meter["cursor_s"] or draft.now_s  # seconds lie where those before them ended: maybe last month
            cap = draft.cap(member, service, at_s) if member else None
            free = promise(draft.sources(service, meter["zone"], at_s), promised, free, cap)
        rates = held.rates.get(service)
        if rates is None:
            rates = held.rates[service] = dict(session["services"][service]["rates"])
        if grant["units"] > free:
            rates[grant["rate"]] = rates.get(grant["rate"], 0) + grant["units"] - free
    services = session["services"]
    return sum(
        charge(rates, services[code]["rates"]) - services[code]["charged_micros"] for code, rates in held.rates.items()
    )


def grant(
    draft: Draft,
    command: CreditControl,
    session: Session,
    request: UnitRequest,
    plan: PlanService,
    held: Held,
    claims: int,
) -> UnitAnswer:
    """Grants as much of what is asked as the month's free units and this claim's share of the balance cover.

    `claims` counts who wants some of it: this request, those behind it in the command, the account's other sessions.
    """
    unit, service, quota = plan.service.unit, plan.service.code, plan.quota
    meter = session_meter(draft, command, session, service)
    at_s = meter["cursor_s"] or draft.now_s if unit is Unit.SECONDS else draft.now_s
    zone = meter["zone"]
    if zone in draft.tables.blocked:
        return UnitAnswer.to(request, unit.value, Result.END_USER_SERVICE_DENIED)
    now = plan.at(at_s)
    rate = None if now is None else rate_of(draft, now, zone, at_s)
    if rate is None:
        return UnitAnswer.to(request, unit.value, Result.RATING_FAILED)
    if len(session["grants"]) >= MAX_GRANTS:
        return UnitAnswer.to(request, unit.value, Result.RESOURCES_EXCEEDED)
    rates = held.rates.get(service)
    if rates is None:
        rates = dict(meter["rates"])
    sources = draft.sources(service, zone, at_s)
    cap = draft.cap(draft.member, service, at_s) if draft.member else None
    free_left = left(sources, held.promised, cap) if sources else 0
    wanted_units = wanted(plan, request.requested_units)
    covered, is_last = _share(rate, wanted_units, rates, free_left, draft.available_micros, claims, meter["rates"])
    if covered.units <= 0:
        return _exhausted(request, unit, quota)
    held.rates[service] = covered.rates
    if covered.free_units:
        promise(sources, held.promised, covered.free_units, cap)
    session["reserved_micros"] += covered.micros
    draft.account["reserved_micros"] += covered.micros
    made: Grant = {
        "key": request.key,
        "service": service,
        "units": covered.units,
        "free_units": covered.free_units,
        "rate": rate,
    }
    session["grants"].append(made)
    validity_s, change_s = _until(draft, command, plan, zone)
    if change_s is not None:
        made["change_s"] = change_s
    return UnitAnswer(
        request.command_level,
        request.rating_group,
        request.service_identifiers,
        Result.SUCCESS,
        unit.value,
        covered.units,
        validity_s,
        quota.final if is_last else "",
        (covered.units * quota.threshold_percent // 100 or None) if quota.threshold_percent and not is_last else None,
        quota.holding_time_s or None,
        change_s,
        _pool(quota.pool, rate) if command.knows_pools and quota.pool is not None else None,
    )


def rate_of(draft: Draft, plan: PlanService, zone: str, at_s: int) -> str | None:
    """The rate that prices units from now on: where it depends on the month's units, the dearest still to come."""
    quarter = draft.tables.calendar.at(at_s)
    rate = plan.rate_key(zone, draft.tables.band(quarter))
    steps = plan.steps.get(rate) if rate is not None else None
    if steps is None:
        return rate
    paid = draft.account.get("paid", {}).get(quarter.month, {}).get(plan.service.code, 0)
    ends = [step.after_units for step in steps[1:]] + [paid + 1]
    ahead = [step.rate for step, end in zip(steps, ends, strict=True) if end > paid]
    return max(ahead, key=lambda key: parse_rate(key).cost_micros(parse_rate(key).block_units))


def _share(
    rate: str,
    wanted_units: int,
    rates: dict[str, int],
    free_left: int,
    available_micros: int,
    claims: int,
    used: list[list[Any]],
) -> tuple[Cover, bool]:
    """What one of several claims gets, and whether that is the last there is.

    What is wanted, while it costs no more than the claim's part of what is available. Else that part; but not less
    than LEAST_SHARE of what is wanted, while there is so much: the smaller grants get, the more signalling they cost.
    """
    covered = cover(rate, wanted_units, rates, free_left, available_micros, used)
    if claims > 1 and covered.micros * claims > max(0, available_micros):
        least_units = wanted_units // LEAST_SHARE + 1
        covered = cover(rate, wanted_units, rates, free_left, max(0, available_micros) // claims, used)
        if covered.units < least_units:
            least = cover(rate, least_units, rates, free_left, available_micros, used)
            covered = cover(rate, wanted_units, rates, free_left, least.micros, used)  # all that its blocks pay for
    if covered.units >= wanted_units:
        return covered, False
    more = cover(rate, 1, covered.rates, free_left - covered.free_units, available_micros - covered.micros, used)
    return covered, not more.units


def _exhausted(request: UnitRequest, unit: Unit, quota: Quota) -> UnitAnswer:
    """No credit is left: 4012, or at once the action that lets the subscriber do something about it.

    RFC 8506 §5.6: a Final-Unit-Indication to redirect or restrict, without a grant, is acted on immediately; when
    Validity-Time is over the client asks again.
    """
    if quota.final == TERMINATE:
        return UnitAnswer.to(request, unit.value, Result.CREDIT_LIMIT_REACHED)
    answer = UnitAnswer.to(request, unit.value, Result.SUCCESS)
    return answer._replace(validity_s=quota.validity_s, final=quota.final)


def _until(draft: Draft, command: CreditControl, plan: PlanService, zone: str) -> tuple[int, int | None]:
    """How long a grant is good for, and when the tariff changes meanwhile.

    A client that doesn't know Tariff-Time-Change reports at the change, since its grant ends there. Seconds need
    neither: they are split by where they lie.
    """
    validity_s = plan.quota.validity_s
    if plan.service.unit is Unit.SECONDS:
        return validity_s, None
    change_s = next_change(draft.tables, draft.account["plan"], plan, zone, draft.now_s)
    if buckets := draft.account.get("buckets"):
        of_service = [bucket for bucket in buckets if bucket["left"] and plan.service.code in bucket["services"]]
        change_s = min((edge for edge in [change_s, *edges(of_service)] if edge > draft.now_s), default=0)
    if not change_s or change_s >= draft.now_s + validity_s:
        return validity_s, None
    if command.knows_tariff_change:
        return validity_s, change_s
    return change_s - draft.now_s, None


def _pool(pool: int, rate_key: str) -> list[int] | None:
    """The pool, and what a unit is worth in it: micros, as Value-Digits and Exponent; None where units cost nothing."""
    rate = parse_rate(rate_key)
    if not rate.price_micros:
        return None
    for decimals in range(POOL_DECIMALS):
        digits, rest = divmod(rate.price_micros * 10**decimals, rate.block_units)
        if not rest:
            return [pool, digits, -decimals]
    return [pool, -(-rate.price_micros * 10**POOL_DECIMALS // rate.block_units), -POOL_DECIMALS]
