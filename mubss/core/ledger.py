"""The ledger: what one command does to one account. Pure; an account is never changed in place.

    apply(account, command, record, now_ms, rules) → Applied(account, outcome, postings, usage, …)

Invariants (tests/core/test_ledger_properties.py): postings sum to balances; a repeat moves nothing; a grant
never takes `available` below zero; usage that is reported is charged in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mubss.core import wording
from mubss.core.allowance import KEPT_MONTHS
from mubss.core.archive import counted, nothing, units_of
from mubss.core.bill_ledger import (
    credit_bill,
    dun_bill,
    issue_bill,
    pay_bill,
    set_discounts,
    settle_bills,
    void_bill,
)
from mubss.core.bundles import buy_bundle, next_renewal, renew_bundles, stop_bundle
from mubss.core.cdr import ChargeCdrs
from mubss.core.cdr_charging import charge_cdrs
from mubss.core.corrections import Rerate
from mubss.core.draft import Draft
from mubss.core.errors import LedgerError
from mubss.core.events import apply_event
from mubss.core.issuing import CreditBill, DunBill, IssueBill, PayBill, SetDiscounts, SettleBills, VoidBill
from mubss.core.members import add_member, change_identities, forget_person, set_member_state
from mubss.core.model import (
    ACTIVE,
    STATES,
    TERMINATED,
    TOP_UPS,
    Account,
    AddMember,
    Applied,
    Beside,
    BuyBundle,
    ChangeIdentities,
    ChargeSuspense,
    Command,
    CreditControl,
    EndSession,
    ForgetPerson,
    Movement,
    RequestType,
    Rules,
    SessionRecord,
    SetNextPlan,
    SetPlan,
    SetState,
    StopBundle,
    Tell,
)
from mubss.core.money import MAX_MICROS
from mubss.core.next_plan import is_due
from mubss.core.outage import lifted, settled
from mubss.core.outbox import ABORT, REAUTH, make_entry, tell_sessions
from mubss.core.plan_change import call_off, set_next_plan, set_plan, take_next_plan
from mubss.core.quota import reserve
from mubss.core.rerating import apply_rerate
from mubss.core.sessions import apply_session, end_session
from mubss.core.suspense import charge_suspense
from mubss.core.tariff import Tables


def apply(
    account: Account,
    command: Command,
    record: SessionRecord | None,
    now_ms: int,
    rules: Rules,
    tables: Tables,
    beside: Beside | None = None,
) -> Applied:
    """Does `command`; raises LedgerError, with nothing moved, if the rules refuse it.

    `record` is the `gy_sessions` document of the command's session, None if there is none; `beside` is what CDRs need.
    A request brings the tables it was read with; every other command takes `tables`.
    """
    told = command.told if isinstance(command, CreditControl) else None
    at_ms = now_ms if told is None else told.at_ms  # as of when it was answered
    at_s = at_ms // 1000
    if ("renews_s" in account and account["renews_s"] <= at_s) or is_due(account, at_s):
        applied = _catch_up_first(account, command, record, at_ms, rules, tables, beside)
    else:
        applied = _apply(account, command, record, at_ms, rules, tables, beside)
    if isinstance(command, CreditControl) and command.told is not None:
        return settled(account, command, record, applied, now_ms)
    return applied


def _catch_up_first(
    account: Account,
    command: Command,
    record: SessionRecord | None,
    now_ms: int,
    rules: Rules,
    tables: Tables,
    beside: Beside | None,
) -> Applied:
    """Before anything else happens a plan that waited comes into force, and bundles that are over are bought again.

    It is as if both had been done in time.
    """
    draft = Draft(account, command.tables if isinstance(command, CreditControl) else tables, now_ms)
    if is_due(account, draft.now_s):
        take_next_plan(draft)
    if "renews_s" in account and account["renews_s"] <= draft.now_s:
        renew_bundles(draft)
    applied = _apply(draft.account, command, record, now_ms, rules, tables, beside)
    applied.postings = draft.postings + applied.postings
    applied.usage = draft.usage + applied.usage
    applied.outbox = [*draft.outbox, *applied.outbox]
    if applied.account is None:
        applied.account = draft.applied().account
    return applied


def _apply(
    account: Account,
    command: Command,
    record: SessionRecord | None,
    now_ms: int,
    rules: Rules,
    tables: Tables,
    beside: Beside | None,
) -> Applied:
    if isinstance(command, CreditControl):
        if command.type is RequestType.EVENT:
            if command.told is not None:
                account = lifted(account)
            return apply_event(account, command, record, now_ms, rules)
        return apply_session(account, command, record, now_ms, rules)
    draft = Draft(account, tables, now_ms)
    if isinstance(command, ChargeSuspense):
        return charge_suspense(draft, command, record, rules)
    if isinstance(command, ChargeCdrs):
        return charge_cdrs(draft, command, beside or Beside())
    if isinstance(command, Rerate):
        return apply_rerate(draft, command)
    if isinstance(command, Tell):
        return Applied(None, outbox=_tell(draft, command))
    if isinstance(command, EndSession):
        return draft.applied() if _end(draft, command, rules) else Applied(None)
    changed = _DOERS[type(command)](draft, command)
    return Applied(None) if changed is False else draft.applied()


def _move(draft: Draft, movement: Movement) -> None:
    amount, kind = movement.amount_micros, movement.kind
    if amount == 0 or abs(amount) > MAX_MICROS:
        raise LedgerError(f"amount_micros: {amount}; expected 1 to {MAX_MICROS} either way")
    if kind in TOP_UPS and amount < 0:
        raise LedgerError(f"amount_micros: {amount}; a top-up is positive")
    if draft.account["state"] == TERMINATED and kind in TOP_UPS:
        raise LedgerError("state: terminated; a top-up needs an account that lives")
    if not draft.can_hold(amount):
        raise LedgerError(f"amount_micros: {amount}; the balance would leave ±{MAX_MICROS}")
    draft.post(amount, {"kind": kind, "reference": movement.reference})
    if amount > 0:  # a session that got little or nothing may ask again
        tell_sessions(draft, REAUTH, kind)


def _set_state(draft: Draft, command: SetState) -> bool:
    if command.member:
        return set_member_state(draft, command)
    state = draft.account["state"]
    if command.state not in STATES:
        raise LedgerError(f"state: {command.state[:20]!r}; expected one of {', '.join(STATES)}")
    if state == TERMINATED and command.state != TERMINATED:
        raise LedgerError("state: terminated; a terminated subscriber doesn't come back")
    if command.state == state:
        return False
    draft.account["state"] = command.state
    if command.state == TERMINATED:
        call_off(draft)
    draft.note_history(draft.now_s)
    if command.state != ACTIVE:
        tell_sessions(draft, ABORT, command.state)
    return True


def _tell(draft: Draft, command: Tell) -> list[dict[str, Any]]:
    session = draft.account["sessions"].get(command.session_hash)
    if session is None:
        raise LedgerError(f"session: {command.session_hash} isn't open; expected an open session")
    key, kind, group = command.session_hash, command.kind, command.rating_group
    return [make_entry(draft.account["_id"], key, session, kind, "operator", draft.now_ms, group)]


def _end(draft: Draft, command: EndSession, rules: Rules) -> bool:
    session = draft.account["sessions"].get(command.session_hash)
    if session is None or (command.only_if_expired and session["expires_s"] > draft.now_s):
        return False
    if command.before_state_id and not 0 < session.get("state_id", 0) < command.before_state_id:
        return False
    end_session(draft, command.session_hash, rules)
    reserve(draft)  # free units promised to it are the other sessions' now
    return True


# What each other command does; False: the account stays as it is.
_DOERS: dict[type, Callable[[Draft, Any], bool | None]] = {
    Movement: _move,
    SetState: _set_state,
    AddMember: add_member,
    ChangeIdentities: change_identities,
    ForgetPerson: forget_person,
    SetPlan: set_plan,
    SetNextPlan: set_next_plan,
    BuyBundle: buy_bundle,
    StopBundle: stop_bundle,
    IssueBill: issue_bill,
    SetDiscounts: set_discounts,
    VoidBill: void_bill,
    PayBill: pay_bill,
    SettleBills: settle_bills,
    CreditBill: credit_bill,
    DunBill: dun_bill,
}


def check_account(
    account: Account, postings: list[dict[str, Any]], carried: Mapping[str, Any] | None = None
) -> list[str]:
    """What is wrong between an account and all its postings in order; empty if nothing is.

    `carried` are the sums of those that went to the archive before them (archive.py).
    """
    faults: list[str] = []
    before = carried or nothing(account["_id"])
    balance, first = before["balance_micros"], before["sequence"]
    sums = {name: units_of(before, name) for name in ("drawn", "paid", "shared")}
    bought: dict[str, int] = dict(before["bought"])  # units by bucket
    for expected, posting in enumerate(postings, first + 1):
        balance += posting["amount_micros"]
        if posting["account"] != account["_id"]:
            faults.append(f"posting {expected}: account {posting['account']!r}; expected {account['_id']!r}")
        if posting["sequence"] != expected:
            faults.append(f"sequence: {posting['sequence']}; expected {expected}")
        if posting["balance_micros"] != balance:
            faults.append(f"posting {expected}: balance_micros {posting['balance_micros']}; the sum is {balance}")
        for name, field, at in counted(posting):
            sums[name][at] = sums[name].get(at, 0) + posting[field]
        if "units" in posting:
            bought[posting["bucket"]] = bought.get(posting["bucket"], 0) + posting["units"]
    if account["sequence"] != first + len(postings):
        there = wording.counted(len(postings), "posting is", "postings are")
        behind = f" behind {first} in the archive" if first else ""
        faults.append(f"sequence: {account['sequence']}; {there} there{behind}")
    if account["balance_micros"] != balance:
        faults.append(f"balance_micros: {account['balance_micros']}; the postings sum to {balance}")
    reserved = sum(session["reserved_micros"] for session in account["sessions"].values())
    if account["reserved_micros"] != reserved:
        faults.append(f"reserved_micros: {account['reserved_micros']}; the sessions reserve {reserved}")
    faults += _check_counters("counters", account["counters"], sums["drawn"])
    faults += _check_counters("paid", account.get("paid", {}), sums["paid"])
    faults += _check_counters("drawn", account.get("drawn", {}), sums["shared"])
    left = {bucket["id"]: bucket["left"] for bucket in account.get("buckets", ())}
    for bucket in sorted(left.keys() | bought.keys()):
        if left.get(bucket, 0) != bought.get(bucket, 0):
            faults.append(f"buckets[{bucket}]: {left.get(bucket, 0)} left; the postings sum to {bought.get(bucket, 0)}")
    renews_s = next_renewal(account.get("buckets", ()))
    if account.get("renews_s") != renews_s:
        faults.append(f"renews_s: {account.get('renews_s')}; the first bucket that renews ends at {renews_s}")
    return faults


def _check_counters(name: str, counters: dict[str, dict[str, int]], drawn: dict[tuple[str, str], int]) -> list[str]:
    """Where units counted as used aren't those drawn by (month, service); only old months may be gone."""
    used = {(month, service): units for month, services in counters.items() for service, units in services.items()}
    first = min(counters) if len(counters) >= KEPT_MONTHS else ""
    faults = []
    for at in sorted(used.keys() | drawn.keys()):
        counted, posted = used.get(at, 0), drawn.get(at, 0)
        if counted != posted and at[0] >= first:
            faults.append(f"{name}.{'.'.join(at)}: {counted}; the postings drew {posted}")
    return faults
