"""Credit-control sessions: first, intermediate and final interrogation (RFC 8506 §5.2 to §5.4).

The order within one request: reported grants are released, reported units are charged in full, what is still
granted is reserved again, and only then is new quota granted from what is available.
"""

from __future__ import annotations

from mubss.core.draft import Draft, new_part
from mubss.core.history import Repeat, find_repeat, with_key, with_outcome
from mubss.core.identity import charging_link
from mubss.core.members import member_of
from mubss.core.model import (
    ACTIVE,
    Account,
    Applied,
    CreditControl,
    Grant,
    Outcome,
    RequestType,
    Result,
    Rules,
    Session,
    SessionRecord,
    UnitAnswer,
    state_of,
)
from mubss.core.outage import keep_told
from mubss.core.quota import Held, grant
from mubss.core.rater import MAX_AHEAD_S
from mubss.core.reports import charge_reports, record_part, suspended_units
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
    member = member_of(account, command.identities, stored) if "members" in account else ""
    state = state_of(account, member) if member else account["state"]
    if stored is None:
        if not initial and (record is not None or not command.opens_unknown):
            return refuse(command, Result.UNKNOWN_SESSION_ID, now_ms)
        if state != ACTIVE or not (command.may_begin or command.type is RequestType.TERMINATION):
            return refuse(command, Result.END_USER_SERVICE_DENIED, now_ms)
        if len(account["sessions"]) >= MAX_OPEN_SESSIONS and command.type is not RequestType.TERMINATION:
            return refuse(command, Result.RESOURCES_EXCEEDED, now_ms)
    draft = Draft(account, command.tables, now_ms)
    draft.member = member
    session = _working_copy(draft, command, stored, record)
    results, held = charge_reports(draft, command, session)
    denied = state != ACTIVE and command.type is not RequestType.TERMINATION
    if denied:
        results = [Result.END_USER_SERVICE_DENIED] * len(results)
    told = command.told
    if told is not None and not denied:
        outcome = keep_told(draft, command, session, held, told)
    else:
        answers = _answers(draft, command, session, results, held)
        result = Result.END_USER_SERVICE_DENIED if denied else _command_result(answers)
        outcome = Outcome(command.key, command.end_to_end, result, answers)
    if command.tells_balance and told is None:
        cost_micros = sum(meter["charged_micros"] for meter in session["services"].values())
        outcome = with_balance(draft, outcome, cost_micros)
    _remember(session, outcome, rules)
    _close_or_keep(draft, command, session, outcome, rules, opened=stored is None)
    applied = draft.applied()
    applied.outcome = outcome
    return applied


def with_balance(draft: Draft, outcome: Outcome, cost_micros: int) -> Outcome:
    """The outcome with what the service has cost so far, and what the account holds after it."""
    account = draft.account
    plan = draft.tables.plans.get(account["plan"])
    balance_micros = account["balance_micros"]
    return outcome._replace(
        cost_micros=cost_micros,
        currency=account["currency"],
        balance_micros=balance_micros,
        low_balance=plan is not None and balance_micros < plan.low_balance_micros,
    )


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
            answer = answer._replace(granted_units=held[request.key], validity_s=service.quota.validity_s)
        answers.append(answer)
    return Applied(None, Outcome(command.key, command.end_to_end, Result.SUCCESS, answers))


def refuse(command: CreditControl, result: Result, now_ms: int) -> Applied:
    """An outcome that moves nothing; units that were reported all the same are kept in suspense."""
    suspense = [
        suspended_units(command, request, result.name, now_ms, taken=False)
        for request in command.requests
        if request.used_units or request.foreign_units
    ]
    return Applied(None, Outcome(command.key, command.end_to_end, result, []), suspense=suspense)


def _working_copy(
    draft: Draft, command: CreditControl, stored: Session | None, record: SessionRecord | None
) -> Session:
    """The session to change, put into the draft; a Session-Id that comes back after its end keeps its history."""
    if stored is None:
        session: Session = {
            "id": command.session_id,
            "peer": command.peer,
            "opened_s": _began_s(draft, command),
            "expires_s": 0,
            "reserved_micros": 0,
            "seen": record["seen"] if record else [],
            "outcomes": record["outcomes"] if record else [],
            "services": {},
            "grants": [],
        }
        if command.via:
            _set_way(session, command)
        if draft.member:
            session["member"] = draft.member
    else:
        session = stored.copy()
        session["services"] = stored["services"].copy()
        session["grants"] = stored["grants"].copy()
        session["peer"] = command.peer
        if command.via != session.get("via", "") or command.realm != session.get("realm", ""):
            _set_way(session, command)
    if command.state_id:
        session["state_id"] = command.state_id
    if command.facts:
        session["facts"] = {**session.get("facts", {}), **command.facts}
    draft.account["sessions"][command.session_hash] = session
    return session


def _set_way(session: Session, command: CreditControl) -> None:
    """Where requests to the client go; nothing is kept of one whose connection is its own."""
    for name, value in (("via", command.via), ("realm", command.realm)):
        session.pop(name, None)  # type: ignore[misc]
        if value:
            session[name] = value  # type: ignore[literal-required]


def _began_s(draft: Draft, command: CreditControl) -> int:
    """When a session began: now, or where its first request reports seconds, as long ago as the longest of them."""
    seconds = 0
    for request in command.requests:
        plan = draft.plan_service(request.service) if request.used_units else None
        if plan is not None and plan.service.unit is Unit.SECONDS:
            seconds = max(seconds, min(request.used_units or 0, MAX_AHEAD_S))
    return draft.now_s - seconds


def _answers(
    draft: Draft, command: CreditControl, session: Session, results: list[Result], held: Held
) -> list[UnitAnswer]:
    """The answer to each MSCC: a grant, or why there is none; `results` are what became of their reports."""
    answers = []
    claims = len(draft.account["sessions"]) - 1 + sum(request.wants_grant for request in command.requests)
    for request, result in zip(command.requests, results, strict=True):
        plan = draft.plan_service(request.service)
        if plan is None:
            answers.append(UnitAnswer.to(request, "", result))
        elif result != Result.SUCCESS or command.type is RequestType.TERMINATION or not request.wants_grant:
            answers.append(UnitAnswer.to(request, plan.service.unit.value, result))
        else:
            answers.append(grant(draft, command, session, request, plan, held, claims))
            claims -= 1
    return answers


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
            record_part(draft, key, session, service, meter)
            session["services"][service] = {**meter, "part": new_part(draft.now_s)}
    if opened:
        draft.records.append(session_record(draft, key, session, is_open=True, due_s=session["expires_s"]))


def end_session(draft: Draft, key: str, rules: Rules) -> None:
    """Takes a session out of its account: releases its grants, writes its usage, leaves its history behind."""
    session = draft.account["sessions"].pop(key)
    draft.account["reserved_micros"] -= session["reserved_micros"]
    for service, meter in sorted(session["services"].items()):
        record_part(draft, key, session, service, meter)
    record = session_record(draft, key, session, is_open=False, due_s=draft.now_s + rules.replay_s)
    draft.records.append(record)
    services = charged_services(session)
    if services:
        record["services"] = services
    charging_id = session.get("facts", {}).get("charging_id")
    if rules.match_s and charging_id and services:  # its CDRs may name that alone
        link: SessionRecord = {
            "_id": charging_link(draft.account["_id"], charging_id),
            "account": draft.account["_id"],
            "open": False,
            "due_s": draft.now_s + rules.match_s,
            "seen": [],
            "outcomes": [],
            "services": services,
        }
        draft.records.append(link)


def charged_services(session: Session) -> list[str]:
    """The services that a session has charged something of."""
    used = ((code, meter) for code, meter in session["services"].items())
    return sorted(code for code, meter in used if meter["rates"] or meter["part"]["units"] or meter["cursor_s"])


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
