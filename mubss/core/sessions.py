"""Credit-control sessions: first, intermediate and final interrogation (RFC 8506 §5.2 to §5.4).

The order within one request: reported grants are released, reported units are charged in full, what is still
granted is reserved again, and only then is new quota granted from what is available.
"""

from __future__ import annotations

from typing import Any

from mubss.core.draft import Draft
from mubss.core.history import Repeat, find_repeat, with_key, with_outcome
from mubss.core.identity import session_hash
from mubss.core.model import (
    ACTIVE,
    Account,
    Applied,
    CreditControl,
    Grant,
    Meter,
    Outcome,
    RequestType,
    Result,
    Rules,
    Session,
    SessionRecord,
    UnitAnswer,
    UnitRequest,
    UsagePart,
)
from mubss.core.quota import Held, grant, reserve, session_meter
from mubss.core.rater import MAX_UNITS, Usage, absurd, rate_usage
from mubss.core.tariff import Unit

MAX_OPEN_SESSIONS = 100  # per account: its document stays small whatever a peer opens


def apply_session(
    account: Account, command: CreditControl, record: SessionRecord | None, now_ms: int, rules: Rules
) -> Applied:
    """Does one CCR of type I, U or T (ledger.apply says what the arguments are)."""
    stored = account["sessions"].get(command.session_hash)
    known = stored or record
    if known is not None:
        repeat = find_repeat(command, known["seen"], known["outcomes"])
        if repeat is not None:
            return answer_repeat(command, repeat, stored["grants"] if stored else [], now_ms)
    initial = command.type is RequestType.INITIAL
    if stored is None:
        if not initial:
            return refuse(command, Result.UNKNOWN_SESSION_ID, now_ms)
        if account["state"] != ACTIVE:
            return refuse(command, Result.END_USER_SERVICE_DENIED, now_ms)
        if len(account["sessions"]) >= MAX_OPEN_SESSIONS:
            return refuse(command, Result.RESOURCES_EXCEEDED, now_ms)
    draft = Draft(account, command.tables, now_ms)
    session = _working_copy(draft, command, stored, record)
    results, held = _charge_reports(draft, command, session)
    denied = account["state"] != ACTIVE and command.type is not RequestType.TERMINATION
    if denied:
        results = [Result.END_USER_SERVICE_DENIED] * len(results)
    answers = [
        _answer(draft, command, session, request, result, held)
        for request, result in zip(command.requests, results, strict=True)
    ]
    result = Result.END_USER_SERVICE_DENIED if denied else _command_result(answers)
    outcome = Outcome(command.key, command.end_to_end, result, answers)
    _remember(session, outcome, rules)
    _close_or_keep(draft, command, session, outcome, rules, opened=stored is None)
    applied = draft.applied()
    applied.outcome = outcome
    return applied


def answer_repeat(command: CreditControl, repeat: Repeat, grants: list[Grant], now_ms: int) -> Applied:
    """Says again what was said; where that is no longer kept, that the request was done, and what is granted now.

    A request that perhaps was never taken is refused, and what it reports is kept for the operator to judge.
    """
    if repeat.outcome is not None:
        return Applied(None, repeat.outcome)
    if not repeat.certain:
        return refuse(command, Result.UNABLE_TO_COMPLY, now_ms)
    held = {grant["key"]: grant["units"] for grant in grants}
    answers = []
    for request in command.requests:
        service = command.tables.services.get(request.service or "")
        answer = UnitAnswer.to(request, service.unit.value if service else "", Result.SUCCESS)
        if service is not None and request.key in held:
            answer = answer._replace(granted_units=held[request.key], validity_s=service.validity_s)
        answers.append(answer)
    return Applied(None, Outcome(command.key, command.end_to_end, Result.SUCCESS, answers))


def refuse(command: CreditControl, result: Result, now_ms: int) -> Applied:
    """An outcome that moves nothing; units that were reported all the same are kept in suspense."""
    suspense = [
        suspended_units(command, request, result.name, now_ms) for request in command.requests if request.used_units
    ]
    return Applied(None, Outcome(command.key, command.end_to_end, result, []), suspense=suspense)


def suspended_units(command: CreditControl, request: UnitRequest, reason: str, now_ms: int) -> dict[str, Any]:
    """The suspense document of units that can't be charged; its `_id` makes a repeat fall on the same one."""
    return {
        "_id": session_hash(f"{command.session_id}\0{command.key}\0{request.key}"),
        "kind": "gy",
        "reason": reason,
        "at_s": now_ms // 1000,
        "session": command.session_hash,
        "session_id": command.session_id,
        "peer": command.peer,
        "type": int(command.type),
        "number": command.number,
        "identities": command.identities,
        "service": request.service,
        "rating_group": request.rating_group,
        "service_identifiers": request.service_identifiers,
        "units": min(request.used_units or 0, (1 << 63) - 1),
    }


def _working_copy(
    draft: Draft, command: CreditControl, stored: Session | None, record: SessionRecord | None
) -> Session:
    """The session to change, put into the draft; a Session-Id that comes back after its end keeps its history."""
    if stored is None:
        session: Session = {
            "id": command.session_id,
            "peer": command.peer,
            "opened_s": draft.now_s,
            "expires_s": 0,
            "reserved_micros": 0,
            "seen": record["seen"] if record else [],
            "outcomes": record["outcomes"] if record else [],
            "services": {},
            "grants": [],
        }
    else:
        session = stored.copy()
        session["services"] = stored["services"].copy()
        session["grants"] = stored["grants"].copy()
        session["peer"] = command.peer
    if command.facts:
        session["facts"] = {**session.get("facts", {}), **command.facts}
    draft.account["sessions"][command.session_hash] = session
    return session


def _charge_reports(draft: Draft, command: CreditControl, session: Session) -> tuple[list[Result], Held]:
    """Releases what this request reports on, and charges the units it reports.

    Returns what became of each MSCC's report, and what grants hold after that.
    """
    if command.type is RequestType.TERMINATION:
        session["grants"] = []
    elif session["grants"]:
        answered = {request.key for request in command.requests}
        session["grants"] = [grant for grant in session["grants"] if grant["key"] not in answered]
    charged: dict[str, tuple[int, dict[str, int]]] = {}
    results = [_use(draft, command, session, request, charged) for request in command.requests]
    held = reserve(draft, session)
    cause = {"kind": "session", "session": command.session_hash, "number": command.number}
    for service, (micros, free_units) in charged.items():
        draft.post_usage(cause, service, micros, free_units)
    return results, held


def _use(
    draft: Draft,
    command: CreditControl,
    session: Session,
    request: UnitRequest,
    charged: dict[str, tuple[int, dict[str, int]]],
) -> Result:
    """Charges one MSCC's report to the session's meter; what can't be charged is kept in suspense."""
    plan, units = draft.plan_service(request.service), request.used_units
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
    rated = None
    if not absurd(plan, units, at_s, draft.now_s):
        used = dict(meter["rates"])
        rated = rate_usage(draft.tables, plan, meter["zone"], units, at_s, used, draft.free_used(service))
    if rated is None or not _bearable(draft, rated, charged):
        draft.suspense.append(suspended_units(command, request, "more units than there can be", draft.now_ms))
        return Result.INVALID_AVP_VALUE
    session["services"][service] = meter
    if rated.unpriced_units:
        entry = suspended_units(command, request, "no price in this zone and band", draft.now_ms)
        draft.suspense.append({**entry, "units": rated.unpriced_units})
    meter["rates"] = [list(item) for item in rated.rates.items()]
    meter["charged_micros"] += rated.charge_micros
    part = meter["part"]
    meter["part"] = {
        "since_s": part["since_s"],
        "units": part["units"] + units - rated.unpriced_units,
        "free_units": part["free_units"] + sum(rated.free_units.values()),
        "charge_micros": part["charge_micros"] + rated.charge_micros,
    }
    micros, free_units = charged.get(service, (0, {}))
    for month, drawn in rated.free_units.items():
        draft.draw_free(service, drawn, month)
        free_units = {**free_units, month: free_units.get(month, 0) + drawn}
    charged[service] = micros + rated.charge_micros, free_units
    return Result.SUCCESS


def _bearable(draft: Draft, rated: Usage, charged: dict[str, tuple[int, dict[str, int]]]) -> bool:
    """Whether the session and the balance can bear this usage with what the request charged before it."""
    charge_micros = rated.charge_micros
    for micros, _ in charged.values():
        charge_micros += micros
    return sum(rated.rates.values()) <= MAX_UNITS and draft.can_hold(-charge_micros)


def _answer(
    draft: Draft, command: CreditControl, session: Session, request: UnitRequest, result: Result, held: Held
) -> UnitAnswer:
    """The answer to one MSCC: a grant, or why there is none; `result` is what became of its report."""
    plan = draft.plan_service(request.service)
    if plan is None:
        return UnitAnswer.to(request, "", result)
    if result != Result.SUCCESS or command.type is RequestType.TERMINATION or not request.wants_grant:
        return UnitAnswer.to(request, plan.service.unit.value, result)
    return grant(draft, command, session, request, plan, held)


def _command_result(answers: list[UnitAnswer]) -> int:
    """Units at command level are answered at command level; an MSCC carries its own result under a 2001."""
    for answer in answers:
        if answer.command_level:
            return answer.result
    return Result.SUCCESS


def _remember(session: Session, outcome: Outcome, rules: Rules) -> None:
    session["seen"] = with_key(session["seen"], outcome.key)
    session["outcomes"] = with_outcome(session["outcomes"], outcome, rules.outcome_history)


def _close_or_keep(
    draft: Draft, command: CreditControl, session: Session, outcome: Outcome, rules: Rules, *, opened: bool
) -> None:
    key = command.session_hash
    if command.type is RequestType.TERMINATION or (opened and outcome.result != Result.SUCCESS):
        end_session(draft, key, rules)
        return
    supervision_s = rules.supervision_s
    for answer in outcome.answers:
        if answer.validity_s and 2 * answer.validity_s > supervision_s:
            supervision_s = 2 * answer.validity_s
    session["expires_s"] = draft.now_s + supervision_s
    calendar = draft.tables.calendar
    for service, meter in sorted(session["services"].items()):
        since_s = meter["part"]["since_s"]
        if draft.now_s - since_s > 3600 and calendar.at(since_s).day != calendar.at(draft.now_s).day:
            _record_part(draft, key, session, service, meter)
            part: UsagePart = {"since_s": draft.now_s, "units": 0, "free_units": 0, "charge_micros": 0}
            session["services"][service] = {**meter, "part": part}
    if opened:
        draft.records.append(session_record(draft, key, session, is_open=True, due_s=session["expires_s"]))


def end_session(draft: Draft, key: str, rules: Rules) -> None:
    """Takes a session out of its account: releases its grants, writes its usage, leaves its history behind."""
    session = draft.account["sessions"].pop(key)
    draft.account["reserved_micros"] -= session["reserved_micros"]
    for service, meter in sorted(session["services"].items()):
        _record_part(draft, key, session, service, meter)
    draft.records.append(session_record(draft, key, session, is_open=False, due_s=draft.now_s + rules.replay_s))


def _record_part(draft: Draft, key: str, session: Session, service: str, meter: Meter) -> None:
    part = meter["part"]
    if part["units"]:
        source = gy_source(key, session["id"], session["peer"], session.get("facts", {}))
        draft.record_usage(source, service, meter["zone"], dict(meter["rates"]), part)


def gy_source(key: str, session_id: str, peer: str, facts: dict[str, Any]) -> dict[str, Any]:
    """What a usage record says of the session it came from."""
    return {"source": "gy", "session": key, "session_id": session_id, "peer": peer, **facts}


def session_record(draft: Draft, key: str, session: Session, *, is_open: bool, due_s: int) -> SessionRecord:
    """The `gy_sessions` document; an open session's history stays in the account."""
    return {
        "_id": key,
        "account": draft.account["_id"],
        "open": is_open,
        "due_s": due_s,
        "seen": [] if is_open else session["seen"],
        "outcomes": [] if is_open else session["outcomes"],
    }
