"""Fees on a bill: by the day, in arrears or in advance; once at the start; and the least that a bill comes to. Pure.

Each day is settled on one bill: by the plan in force at its end, if the subscriber is active then. In advance the next
period's fee is charged as the period before closes; when it is over itself, its days are settled like any others, less
what was charged in advance. So over the same days both come to the same. `days` in an account's billing are those that
are settled, as ordinals of dates in closed ranges: whatever bills are made in whatever order, no day is on two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from mubss.core.bill_lines import Line, joined, minor_of
from mubss.core.bill_period import Period, following, start_of
from mubss.core.history import find_range
from mubss.core.model import ACTIVE, Account, Billing
from mubss.core.money import Rounding, divide
from mubss.core.next_plan import history_until
from mubss.core.tariff import Plan, Tables

ADVANCE = "advance"


class Fees(NamedTuple):
    """Monthly fees of a bill."""

    lines: list[Line]  # as they stand on it
    own: list[Line]  # what the period's own days cost, whenever that is charged
    days: list[list[int]]  # settled days, these among them
    advance: dict[str, Any]  # what is charged for the next period; {}: nothing


def monthly_fees(account: Account, billing: Billing, tables: Tables, period: Period, scale: int) -> Fees:
    """A period's fees, less what was charged for it in advance, and the next one's where that is the plan's way."""
    days = billing.get("days", [])
    advance = billing.get("advance", {})
    lines: list[Line] = []
    own: list[Line] = []
    if advance and date.fromisoformat(advance["until_day"]) <= period.last:
        first, last = date.fromisoformat(advance["from_day"]), date.fromisoformat(advance["until_day"])
        found = _of_days(account, tables, first, last, days, scale)
        lines += _corrections(advance, found)
        days = _with_days(days, first, last)
        own += found if first >= period.first else []
        advance = {}
    arrears = _of_days(account, tables, period.first, period.last, days, scale)
    days = _with_days(days, period.first, period.last)
    if not advance:
        line = _next_fee(account, tables, period, scale)
        if line and not any(low <= ordinal <= high for ordinal in _ordinals(line) for low, high in days):
            advance = {name: line[name] for name in ("code", "from_day", "until_day", "days", "tax", "amount")}
            return Fees([*lines, *arrears, line], [*own, *arrears], days, advance)
    return Fees([*lines, *arrears], [*own, *arrears], days, advance)


def activation_fee(account: Account, billing: Billing, tables: Tables, period: Period, scale: int) -> list[Line]:
    """What the plan that the account was opened with costs once, on the first bill."""
    since_s = account.get("since_s", 0)
    if billing.get("activated") or since_s >= period.end_s:
        return []
    history = account.get("history")
    code = str(history[0][1]) if history else account["plan"]
    plan = tables.plan_at(code, since_s) or tables.plans.get(code)
    if plan is None or not plan.activation_fee_micros:
        return []
    amount = minor_of(plan.activation_fee_micros, scale)
    return [{"kind": "one_off", "code": code, "tax": plan.tax, "amount": amount}]


def least_bill(
    account: Account, billing: Billing, tables: Tables, period: Period, scale: int
) -> tuple[int, Plan | None]:
    """The least that a period costs, in minor units, by the days that the subscriber was active; and the last plan."""
    micros, last = 0, None
    for code, first, until in _runs(account, tables, period.first, period.last, billing.get("days", [])):
        plan = _plan(tables, code, period.last)
        if plan is not None:
            last = plan
            micros += divide(plan.minimum_bill_micros * _count(first, until), period.days, Rounding.HALF_UP)
    return minor_of(micros, scale), last


def plan_and_state(account: Account, at_s: int) -> tuple[str, str]:
    """The plan and state of an account at a time; ("", "") before it was opened."""
    if at_s < account.get("since_s", 0):
        return "", ""
    history = history_until(account, at_s)
    past = [entry for entry in history if entry[0] <= at_s]
    _, plan, state = past[-1] if past else history[0]
    return str(plan), str(state)


def _next_fee(account: Account, tables: Tables, period: Period, scale: int) -> Line:
    """The next period's fee, where the plan that it begins with is paid in advance; else {}."""
    code, state = plan_and_state(account, period.end_s)
    plan = tables.plan_at(code, period.end_s) or tables.plans.get(code)
    if state != ACTIVE or plan is None or plan.fee_timing != ADVANCE or not plan.monthly_fee_micros:
        return {}
    ahead = following(period, tables.calendar.zone)
    amount = minor_of(plan.monthly_fee_micros, scale)
    line = _fee(code, ahead.first, ahead.last)
    return {**line, "of_days": ahead.days, "advance": True, "tax": plan.tax, "amount": amount}


def _of_days(
    account: Account, tables: Tables, first: date, last: date, settled: Sequence[Sequence[int]], scale: int
) -> list[Line]:
    """A line for each run of days of a plan, of those that aren't settled yet."""
    found = []
    for code, since, until in _runs(account, tables, first, last, settled):
        plan = _plan(tables, code, last)
        if plan is not None and plan.monthly_fee_micros:
            line, of_days = _fee(code, since, until), _count(first, last)
            micros = divide(plan.monthly_fee_micros * line["days"], of_days, Rounding.HALF_UP)
            found.append({**line, "of_days": of_days, "tax": plan.tax, "amount": minor_of(micros, scale)})
    return found


def _corrections(advance: dict[str, Any], found: Sequence[Line]) -> list[Line]:
    """What days that are over cost more, or less, than was charged for them in advance, by plan and tax."""
    of_days = advance["days"]
    sums: dict[tuple[str, str], list[int]] = {(advance["code"], advance["tax"]): [-of_days, -advance["amount"]]}
    for line in found:
        days_amount = sums.setdefault((line["code"], line["tax"]), [0, 0])
        days_amount[0] += line["days"]
        days_amount[1] += line["amount"]
    return [
        {
            "kind": "fee_correction",
            "code": code,
            "from_day": advance["from_day"],
            "until_day": advance["until_day"],
            "days": days,
            "of_days": of_days,
            "tax": tax,
            "amount": amount,
        }
        for (code, tax), (days, amount) in sorted(sums.items())
        if amount
    ]


def _runs(
    account: Account, tables: Tables, first: date, last: date, settled: Sequence[Sequence[int]]
) -> Iterator[tuple[str, date, date]]:
    """Plan, first and last day of each run of days that the subscriber was active, without those that are settled."""
    zone = tables.calendar.zone
    first_end_s, last_end_s = start_of(first + timedelta(1), zone) - 1, start_of(last + timedelta(1), zone) - 1
    changes = any(first_end_s < entry[0] <= last_end_s for entry in history_until(account, last_end_s))
    touched = any(low <= last.toordinal() and high >= first.toordinal() for low, high in settled)
    if not changes and not touched and account.get("since_s", 0) <= first_end_s:  # nearly all: no day need be looked at
        code, state = plan_and_state(account, first_end_s)
        if state == ACTIVE and code:
            yield code, first, last
        return
    run: tuple[str, date, date] | None = None
    day = first
    while day <= last:
        code, state = plan_and_state(account, start_of(day + timedelta(1), zone) - 1)
        counts = state == ACTIVE and code and find_range(settled, day.toordinal()) is None
        if run is not None and (not counts or code != run[0]):
            yield run
            run = None
        if counts:
            run = (code, run[1] if run is not None else day, day)
        day += timedelta(1)
    if run is not None:
        yield run


def _plan(tables: Tables, code: str, last: date) -> Plan | None:
    """The version of a plan that prices a stretch of days: the one in force at its end."""
    end_s = start_of(last + timedelta(1), tables.calendar.zone) - 1
    return tables.plan_at(code, end_s) or tables.plans.get(code)


def _fee(code: str, first: date, last: date) -> Line:
    days = _count(first, last)
    return {"kind": "fee", "code": code, "from_day": first.isoformat(), "until_day": last.isoformat(), "days": days}


def _count(first: date, last: date) -> int:
    return (last - first).days + 1


def _ordinals(line: Line) -> range:
    first, last = date.fromisoformat(line["from_day"]), date.fromisoformat(line["until_day"])
    return range(first.toordinal(), last.toordinal() + 1)


def _with_days(days: Sequence[Sequence[int]], first: date, last: date) -> list[list[int]]:
    return joined([*days, [first.toordinal(), last.toordinal()]])
