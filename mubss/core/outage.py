"""Requests that were answered while the store was away: at what risk, and what the ledger makes of them afterwards.

Then the account as it was last seen stands in for the stored one, with no more available than may be risked, and the
ledger does what it always does. Afterwards the same request is done again on the stored account, `told` what its client
has heard: at the price of then, whatever the balance is by now, since the units are the client's already. What can't be
done any more (who it was for is gone, or was suspended before the session began) is refused as ever, its units kept in
suspense.
"""

from __future__ import annotations

from typing import Any

from mubss.core.allowance import promise
from mubss.core.draft import Draft
from mubss.core.history import find_repeat
from mubss.core.model import (
    Account,
    Applied,
    CreditControl,
    Grant,
    Outcome,
    RequestType,
    Result,
    Session,
    SessionRecord,
    Told,
)
from mubss.core.quota import Held, rate_of, reserve, session_meter
from mubss.core.tariff import Unit

CHARGED, REFUSED, REPEAT, FAILED = "charged", "refused", "repeat", "failed"  # what became of one
_UNLIMITED_MICROS = 1 << 62


def available_micros(account: Account) -> int:
    """What new grants may draw on."""
    return account["balance_micros"] + account["credit_limit_micros"] - account["reserved_micros"]


def with_available(account: Account, micros: int) -> Account:
    """The account with exactly so much available, by its credit limit."""
    limited = account.copy()
    limited["credit_limit_micros"] = micros - account["balance_micros"] + account["reserved_micros"]
    return limited


def answered(outcome: Outcome) -> Outcome:
    """What an outcome is answered with in an outage: no grant is called the last, since more may be there."""
    if not any(answer.final and answer.granted_units for answer in outcome.answers):
        return outcome
    return outcome._replace(answers=[answer._replace(final="") for answer in outcome.answers])


def is_granted(command: CreditControl, outcome: Outcome) -> bool:
    """Whether that may be answered: all that was asked for is granted, as far as credit decides about it."""
    if outcome.result != Result.SUCCESS:
        return False
    if command.type is RequestType.TERMINATION:
        return True
    if command.type is RequestType.EVENT:
        return all(answer.result != Result.CREDIT_LIMIT_REACHED for answer in outcome.answers)
    for request, answer in zip(command.requests, outcome.answers, strict=True):
        short = answer.result == Result.CREDIT_LIMIT_REACHED
        if request.wants_grant and (short or (answer.result == Result.SUCCESS and not answer.granted_units)):
            return False
    return True


def keep_told(draft: Draft, command: CreditControl, session: Session, held: Held, told: Told) -> Outcome:
    """Reserves what the client was granted, whether it is available or not; the outcome is what it was told."""
    for request, answer in zip(command.requests, told.outcome.answers, strict=False):
        plan = draft.plan_service(request.service)
        if not answer.granted_units or plan is None or not request.wants_grant:
            continue
        service, units = plan.service.code, answer.granted_units
        meter = session_meter(draft, command, session, service)
        at_s = meter["cursor_s"] or draft.now_s if plan.service.unit is Unit.SECONDS else draft.now_s
        now, zone = plan.at(at_s), meter["zone"]
        rate = None if now is None else rate_of(draft, now, zone, at_s)
        if rate is None:
            continue
        cap = draft.cap(draft.member, service, at_s) if draft.member else None
        free = promise(draft.sources(service, zone, at_s), held.promised, units, cap)
        made: Grant = {"key": request.key, "service": service, "units": units, "free_units": free, "rate": rate}
        if answer.change_s is not None:
            made["change_s"] = answer.change_s
        session["grants"].append(made)
    reserve(draft, session)
    return told.outcome


def lifted(account: Account) -> Account:
    """The account that an event is done on which its client was told is done: it can be paid whatever is there."""
    return with_available(account, _UNLIMITED_MICROS)


def settled(
    account: Account, command: CreditControl, record: SessionRecord | None, applied: Applied, now_ms: int
) -> Applied:
    """What came of a request that was answered before, put right, with what is told of it in the reconciliation."""
    told = command.told
    assert told is not None
    key = command.session_hash
    known = account["sessions"].get(key) or record
    repeat = known is not None and find_repeat(command, known["seen"], known["outcomes"]) is not None
    after = applied.account
    if after is not None:
        if command.type is RequestType.EVENT:
            after["credit_limit_micros"] = account["credit_limit_micros"]
            _note_overruns(account, applied.postings)
        session = after["sessions"].get(key)
        if session is not None and not repeat:  # its supervision begins when the ledger hears of it
            late_s = max(0, now_ms - told.at_ms) // 1000
            after["sessions"][key] = {**session, "expires_s": session["expires_s"] + late_s}
    result = applied.outcome.result if applied.outcome is not None else Result.SUCCESS
    charged = -sum(one["amount_micros"] for one in applied.postings if one["cause"].get("session") == key)
    applied.settled[told.record] = {
        "state": REPEAT if repeat else CHARGED if result == Result.SUCCESS else REFUSED,
        "result": int(result),
        "charged_micros": charged,
        "short_micros": max(0, _short(after or account) - _short(account)),
        "suspended": len(applied.suspense),
    }
    return applied


def _short(account: Account) -> int:
    """How far it is beyond its limit."""
    return max(0, -available_micros(account))


def _note_overruns(account: Account, postings: list[dict[str, Any]]) -> None:
    available = available_micros(account)
    for posting in postings:
        micros = -posting["amount_micros"]
        if (over := micros - max(0, available)) > 0:
            posting["overrun_micros"] = over
        available -= micros
