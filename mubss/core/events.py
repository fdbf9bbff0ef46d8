"""One-time events: direct debit, refund, balance check and price enquiry (RFC 8506 §6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mubss.core.allowance import Allowance, Usage
from mubss.core.draft import Draft, Drawn, member_key, new_part, whole_part
from mubss.core.history import find_repeat, with_key, with_outcome
from mubss.core.members import member_of
from mubss.core.model import (
    ACTIVE,
    Account,
    Action,
    Applied,
    CreditControl,
    Outcome,
    Result,
    Rules,
    SessionRecord,
    UnitAnswer,
    UnitRequest,
    UsagePart,
    state_of,
)
from mubss.core.money import MAX_MICROS
from mubss.core.quota import reserve
from mubss.core.rater import absurd, rate_usage
from mubss.core.reports import gy_source, suspended_units
from mubss.core.sessions import answer_repeat, refuse, with_balance
from mubss.core.tariff import PlanService

ENOUGH_CREDIT, NO_CREDIT = 0, 1
MONEY = "money"  # the unit of an answer that grants an amount


def apply_event(
    account: Account, command: CreditControl, record: SessionRecord | None, now_ms: int, rules: Rules
) -> Applied:
    """Does one CCR of type EVENT."""
    if command.session_hash in account["sessions"]:  # its record can't hold an event's outcome, too
        return refuse(command, Result.UNABLE_TO_COMPLY, now_ms)
    if record is not None:
        repeat = find_repeat(command, record["seen"], record["outcomes"])
        if repeat is not None:
            return answer_repeat(command, repeat, [], now_ms)
    member = member_of(account, command.identities) if "members" in account else ""
    begins = command.action == Action.DIRECT_DEBITING
    if state_of(account, member) != ACTIVE or (begins and not command.may_begin):
        return refuse(command, Result.END_USER_SERVICE_DENIED, now_ms)
    draft = Draft(account, command.tables, now_ms)
    draft.member = member
    if command.action in (Action.CHECK_BALANCE, Action.PRICE_ENQUIRY):
        return Applied(None, _enquire(draft, command))
    answers = [_debit_or_refund(draft, command, request, rules) for request in command.requests]
    failed = [answer.result for answer in answers if answer.result != Result.SUCCESS]
    result = failed[0] if len(failed) == len(answers) and failed else Result.SUCCESS
    currency = account["currency"] if any(answer.unit == MONEY for answer in answers) else ""
    outcome = Outcome(command.key, command.end_to_end, result, answers, None, currency)
    if command.tells_balance and result == Result.SUCCESS:
        outcome = with_balance(draft, outcome, -sum(posting["amount_micros"] for posting in draft.postings))
    if not draft.postings and not draft.usage:
        suspense = [{**entry, "taken": False} for entry in draft.suspense]
        return Applied(None, outcome, suspense=suspense)  # nothing moved, so a repeat may try again
    made = _record(account, command, record, outcome, draft.now_s, rules)
    before = record.get("services", []) if record else []
    made["services"] = sorted({*before, *(one["service"] for one in draft.usage)})
    draft.records.append(made)
    applied = draft.applied()
    applied.outcome = outcome
    return applied


def _record(
    account: Account, command: CreditControl, record: SessionRecord | None, outcome: Outcome, now_s: int, rules: Rules
) -> SessionRecord:
    seen = record["seen"] if record else []
    outcomes = record["outcomes"] if record else []
    return {
        "_id": command.session_hash,
        "account": account["_id"],
        "open": False,
        "due_s": now_s + rules.replay_s,
        "seen": with_key(seen, command.key),
        "outcomes": with_outcome(outcomes, outcome, rules.outcome_history),
    }


def _price(draft: Draft, command: CreditControl, plan: PlanService, units: int) -> Usage:
    service = plan.service.code
    zone = draft.tables.usage_zone(command.called, command.network)
    return rate_usage(draft.tables, plan, zone, units, draft.now_s, {}, draft.allowance(service))


def _units(request: UnitRequest) -> int:
    """How many an event is about: what it reports, else what it asks for, else one. 0 where it says so itself."""
    if request.used_units is not None:
        return request.used_units
    return 1 if request.requested_units is None else request.requested_units


def _absurd(draft: Draft, request: UnitRequest, plan: PlanService) -> bool:
    units = _units(request)
    return bool(units <= 0 or request.foreign_units or absurd(plan, units, draft.now_s, draft.now_s))


def _enquire(draft: Draft, command: CreditControl) -> Outcome:
    """The cost of what is asked for, or whether the balance covers it; nothing moves."""
    cost_micros = 0
    for request in command.requests:
        result, micros = _cost(draft, command, request)
        if result != Result.SUCCESS:
            return Outcome(command.key, command.end_to_end, result, [])
        cost_micros += micros
    currency = draft.account["currency"]
    if command.action == Action.PRICE_ENQUIRY:
        return Outcome(command.key, command.end_to_end, Result.SUCCESS, [], cost_micros, currency)
    enough = ENOUGH_CREDIT if cost_micros <= max(0, draft.available_micros) else NO_CREDIT
    return Outcome(command.key, command.end_to_end, Result.SUCCESS, [], None, currency, enough)


def _cost(draft: Draft, command: CreditControl, request: UnitRequest) -> tuple[Result, int]:
    """What one request would cost, in micros; the draft (which nobody keeps) counts the free units it would draw."""
    plan, units = draft.plan_service(request.service), _units(request)
    if plan is None:
        return Result.RATING_FAILED, 0
    if request.money_micros is not None:
        return _check_money(draft, request), request.money_micros
    if _absurd(draft, request, plan):
        return Result.INVALID_AVP_VALUE, 0
    priced = _price(draft, command, plan, units)
    if priced.unpriced_units:
        return Result.RATING_FAILED, 0
    draft.draw(plan.service.code, priced)
    return (Result.SUCCESS if priced.charge_micros <= MAX_MICROS else Result.INVALID_AVP_VALUE), priced.charge_micros


def _debit_or_refund(draft: Draft, command: CreditControl, request: UnitRequest, rules: Rules) -> UnitAnswer:
    """Does one request; units reported as used that can't be charged are kept in suspense."""
    answer = _move(draft, command, request, rules)
    if answer.result != Result.SUCCESS and (request.used_units or request.foreign_units):
        entry = suspended_units(command, request, Result(answer.result).name, draft.now_ms)
        draft.suspense.append(entry)
    return answer


def _move(draft: Draft, command: CreditControl, request: UnitRequest, rules: Rules) -> UnitAnswer:
    plan = draft.plan_service(request.service)
    if plan is None:
        return UnitAnswer.to(request, "", Result.RATING_FAILED)
    unit = plan.service.unit.value
    if request.money_micros is not None:
        result = _money(draft, command, request, plan, rules)
    elif _absurd(draft, request, plan):
        result = Result.INVALID_AVP_VALUE
    elif command.action == Action.REFUND_ACCOUNT:
        result = _refund(draft, command, request, plan, rules)
    else:
        result = _debit(draft, command, request, plan)
    if result != Result.SUCCESS or command.action == Action.REFUND_ACCOUNT:
        return UnitAnswer.to(request, unit, result)
    if request.money_micros is not None:
        return UnitAnswer.to(request, MONEY, result, request.money_micros)
    return UnitAnswer.to(request, unit, result, _units(request))


def _cause(command: CreditControl, kind: str) -> dict[str, Any]:
    return {"kind": kind, "session": command.session_hash, "number": command.number}


def _debit(draft: Draft, command: CreditControl, request: UnitRequest, plan: PlanService) -> Result:
    """Charges the units at once; units that are reported as used are charged whatever the balance."""
    service, units = plan.service.code, _units(request)
    priced = _price(draft, command, plan, units)
    if priced.unpriced_units:
        return Result.RATING_FAILED
    beyond_micros = priced.charge_micros - max(0, draft.available_micros)
    if beyond_micros > 0 and not request.used_units:
        return Result.CREDIT_LIMIT_REACHED
    if not draft.can_hold(-priced.charge_micros):
        return Result.INVALID_AVP_VALUE
    draft.draw(service, priced)
    if priced.free_units or priced.bundle_units:
        reserve(draft)  # those that were promised to an open session are reserved as money
    draft.post_usage(_cause(command, "event"), service, Drawn().plus(priced))
    _record_usage(draft, command, service, whole_part(draft.now_s, units, priced), priced.rates)
    return Result.SUCCESS


def _refund(draft: Draft, command: CreditControl, request: UnitRequest, plan: PlanService, rules: Rules) -> Result:
    """Gives units back: as free units while the month has used ones, the rest as money.

    Free units are drawn first, so giving them back first is worth the same to the subscriber, and never turns
    a free unit into money.
    """
    service, units = plan.service.code, _units(request)
    month = draft.tables.calendar.at(draft.now_s).month
    returned = min(units, draft.account["counters"].get(month, {}).get(service, 0))
    if draft.member:  # nobody gives back what another drew
        drawn = draft.account.get("drawn", {}).get(month, {})
        returned = min(returned, drawn.get(member_key(draft.member, service), 0))
    zone = draft.tables.usage_zone(command.called, command.network)
    paid = replace(plan, free_units=0, steps={})
    priced = rate_usage(draft.tables, paid, zone, units - returned, draft.now_s, {}, Allowance())
    if priced.unpriced_units:
        return Result.RATING_FAILED
    if priced.charge_micros > rules.refund_limit_micros:
        return Result.UNABLE_TO_COMPLY
    if not draft.can_hold(priced.charge_micros):
        return Result.INVALID_AVP_VALUE
    more: dict[str, Any] = {"service": service}
    if returned:
        draft.draw_free(service, -returned, month)
        more |= {"month": month, "free_units": -returned}
        if draft.member:
            draft.draw_member(service, -returned, month)
            more |= {"member": draft.member, "member_units": -returned}
        reserve(draft)
    if priced.charge_micros or returned:
        draft.post(priced.charge_micros, _cause(command, "refund"), **more)
    part = new_part(draft.now_s)
    part |= {"units": -units, "free_units": -returned, "charge_micros": -priced.charge_micros}
    _record_usage(draft, command, service, part, priced.rates)
    return Result.SUCCESS


def _money(draft: Draft, command: CreditControl, request: UnitRequest, plan: PlanService, rules: Rules) -> Result:
    """A debit or refund of an amount that the client names (CC-Money)."""
    result, micros = _check_money(draft, request), request.money_micros or 0
    if result != Result.SUCCESS:
        return result
    refund = command.action == Action.REFUND_ACCOUNT
    if not refund and micros > draft.available_micros:
        return Result.CREDIT_LIMIT_REACHED
    if refund and micros > rules.refund_limit_micros:
        return Result.UNABLE_TO_COMPLY
    amount_micros = micros if refund else -micros
    if not draft.can_hold(amount_micros):
        return Result.INVALID_AVP_VALUE
    draft.post(amount_micros, _cause(command, "refund" if refund else "event"), service=plan.service.code)
    _record_usage(draft, command, plan.service.code, new_part(draft.now_s) | {"charge_micros": -amount_micros}, {})
    return Result.SUCCESS


def _check_money(draft: Draft, request: UnitRequest) -> Result:
    """Whether CC-Money is an amount, and in the account's currency if it names one."""
    currency = draft.tables.currencies.get(draft.account["currency"])
    if request.currency is not None and (currency is None or currency.numeric != request.currency):
        return Result.INVALID_AVP_VALUE
    return Result.SUCCESS if 0 < (request.money_micros or 0) <= MAX_MICROS else Result.INVALID_AVP_VALUE


def _record_usage(draft: Draft, command: CreditControl, service: str, part: UsagePart, rates: dict[str, int]) -> None:
    source = gy_source(command.session_hash, command.session_id, command.peer, command.facts, draft.member)
    draft.record_usage(source, service, draft.tables.usage_zone(command.called, command.network), rates, part)
