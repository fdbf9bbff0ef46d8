"""A price step by step: what is free, what a bundle gives, which rate prices the rest, and what that comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mubss.core.allowance import Allowance, Draws, edges
from mubss.core.errors import InputError
from mubss.core.meter import charge
from mubss.core.rater import Piece, absurd, pieces
from mubss.core.rates import parse_rate
from mubss.core.tariff import PlanService, Tables


class Step(NamedTuple):
    """One thing that became of some units: "free", "bundle", "rate", "unpriced"; then "setup", "minimum", "maximum"."""

    kind: str
    start_s: int  # UTC seconds; 0 for what is the whole session's
    units: int
    name: str  # the month, the bucket, or the rate's key
    micros: int


class Explanation(NamedTuple):
    """The steps sum to the charge; `zone` is where the usage lies, `plan` the version that was in force as it began."""

    plan: str
    service: str
    unit: str
    zone: str
    steps: list[Step]
    charge_micros: int
    unpriced_units: int


def explain(
    tables: Tables, plan_code: str, service: str, zone: str, units: int, at_s: int, allowance: Allowance
) -> Explanation:
    """What so many units of a session cost that begins at a time (UTC seconds); InputError for what can't be priced."""
    plan = _sold(tables, plan_code, service, at_s)
    if units <= 0 or absurd(plan, units, at_s, at_s):
        raise InputError(f"units: {units}; expected 1 to what one session can use")
    draws, rates, steps = Draws(allowance, tables.calendar), dict[str, int](), list[Step]()
    unpriced = 0
    for piece in pieces(tables, plan, zone, units, at_s, edges(allowance.buckets)):
        if piece.rate is None or piece.plan is None:
            unpriced += piece.units
            steps.append(Step("unpriced", piece.start_s, piece.units, "", 0))
            continue
        left = _drawn(draws, piece, piece.plan, zone, steps)
        if left:
            for key, paid in draws.climb(piece.plan, piece.month, piece.rate, left):
                before = _units_micros(rates)
                rates[key] = rates.get(key, 0) + paid
                steps.append(Step("rate", piece.start_s, paid, key, _units_micros(rates) - before))
    total = charge(rates)
    return Explanation(
        plan_code, service, plan.service.unit.value, zone, steps + _of_session(rates, total), total, unpriced
    )


def _sold(tables: Tables, plan_code: str, service: str, at_s: int) -> PlanService:
    if plan_code not in tables.plans:
        raise InputError(f"plan: {plan_code[:40]!r}; expected one of {', '.join(sorted(tables.plans)) or 'none'}")
    plan = tables.plan_at(plan_code, at_s)
    if plan is None:
        raise InputError(f"plan: {plan_code} isn't in force at that time; expected a later one")
    if service not in plan.services:
        raise InputError(f"service: {service[:40]!r}; expected one of {', '.join(sorted(plan.services)) or 'none'}")
    return plan.services[service]


def _drawn(draws: Draws, piece: Piece, plan: PlanService, zone: str, steps: list[Step]) -> int:
    """Notes what of a piece costs nothing; returns how many units are left to pay."""
    free, bundles = dict(draws.free), dict(draws.bundles)
    left = draws.draw(plan, piece.month, piece.units, zone, piece.start_s)
    for kind, before, after in (("free", free, draws.free), ("bundle", bundles, draws.bundles)):
        for name, units in after.items():
            if units > before.get(name, 0):
                steps.append(Step(kind, piece.start_s, units - before.get(name, 0), name, 0))
    return left


def _units_micros(rates: Mapping[str, int]) -> int:
    return sum(parse_rate(key).cost_micros(units) for key, units in rates.items())


def _of_session(rates: Mapping[str, int], total_micros: int) -> list[Step]:
    """Setup fee, and what minimum or maximum change: those of the first rate."""
    if not rates:
        return []
    first = parse_rate(next(iter(rates)))
    steps = [Step("setup", 0, 0, first.key, first.setup_micros)] if first.setup_micros else []
    rest = total_micros - _units_micros(rates) - first.setup_micros
    if rest:
        steps.append(Step("minimum" if rest > 0 else "maximum", 0, 0, first.key, rest))
    return steps
