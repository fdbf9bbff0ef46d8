"""Subscribers that share an account: its balance, free units and bundles are theirs together. Pure.

The first subscriber's id is the account's, and its state is that of all. Each further one has an id of its own, and may
be suspended or terminated alone. What each draws of free units and bundles is counted by month, from when there are
several, and a plan may limit it (PlanService.member_limit). An account of one subscriber has nothing of all this.
"""

from __future__ import annotations

from collections.abc import Iterable

from mubss.core.draft import Draft
from mubss.core.errors import LedgerError
from mubss.core.model import (
    ACTIVE,
    STATES,
    TERMINATED,
    Account,
    AddMember,
    ChangeIdentities,
    ForgetPerson,
    Session,
    SetState,
    state_of,
)
from mubss.core.outbox import ABORT, tell_sessions

MAX_MEMBERS = 50  # of an account: its document stays small


def member_of(account: Account, identities: Iterable[str], session: Session | None = None) -> str:
    """Whose request it is: the session's subscriber, or that of the first identity known; "" on an account of one."""
    members = account.get("members")
    if members is None:
        return ""
    if session is not None:
        return session.get("member", account["_id"])
    return next((members[identity] for identity in identities if identity in members), account["_id"])


def add_member(draft: Draft, command: AddMember) -> None:
    """One more subscriber; LedgerError where the account takes none."""
    account = draft.account
    if account["state"] == TERMINATED:
        raise LedgerError("state: terminated; expected an account that lives")
    members = account.get("members") or dict.fromkeys(account["identities"], account["_id"])
    if len(set(members.values())) >= MAX_MEMBERS:
        raise LedgerError(f"account: {MAX_MEMBERS} subscribers already; expected fewer")
    account["members"] = {**members, **dict.fromkeys(command.identities, command.member)}
    account["identities"] = [*account["identities"], *command.identities]


def forget_person(draft: Draft, command: ForgetPerson) -> None:
    """A subscriber's identities go; LedgerError where it isn't terminated, or a session of it is open."""
    account = draft.account
    if state_of(account, command.member) != TERMINATED:
        raise LedgerError("state: expected a terminated subscriber; `mubss subscriber terminate` first")
    if any(session.get("member", account["_id"]) == command.member for session in account["sessions"].values()):
        raise LedgerError("sessions: one is open; expected none: its client ends it, or `mubss sessions abort --here`")
    gone = set(command.identities)
    account["identities"] = [one for one in account["identities"] if one not in gone]
    if "members" in account:
        account["members"] = {one: whose for one, whose in account["members"].items() if one not in gone}


def change_identities(draft: Draft, command: ChangeIdentities) -> None:
    """Other numbers of one subscriber, in the places of the old ones; LedgerError for one that isn't its own."""
    account = draft.account
    if account["state"] == TERMINATED or account.get("member_states", {}).get(command.member) == TERMINATED:
        raise LedgerError("state: terminated; expected a subscriber that lives")
    identities = list(account["identities"])
    members = dict(account.get("members") or dict.fromkeys(identities, account["_id"]))
    for old, new in command.changes:
        if new in members:
            raise LedgerError(f"identity: {new}; expected one that no subscriber has yet")
        if not old:
            identities.append(new)
        elif members.pop(old, "") != command.member:
            raise LedgerError(f"identity: {old}; expected one of the subscriber")
        else:
            place = identities.index(old)
            identities[place : place + 1] = [new] if new else []
        if new:
            members[new] = command.member
    account["identities"] = identities
    if "members" in account:
        account["members"] = members


def set_member_state(draft: Draft, command: SetState) -> bool:
    """The state of one subscriber of several; whether that changes it."""
    account = draft.account
    if command.member not in set(account.get("members", {}).values()) - {account["_id"]}:
        raise LedgerError(f"member: {command.member[:40]!r}; expected a further subscriber of the account")
    if command.state not in STATES:
        raise LedgerError(f"state: {command.state[:20]!r}; expected one of {', '.join(STATES)}")
    states = account.get("member_states", {})
    state = states.get(command.member, ACTIVE)
    if TERMINATED in (state, account["state"]) and command.state != TERMINATED:
        raise LedgerError("state: terminated; a terminated subscriber doesn't come back")
    if command.state == state:
        return False
    account["member_states"] = {**states, command.member: command.state}
    if command.state == ACTIVE:
        del account["member_states"][command.member]
    else:
        tell_sessions(draft, ABORT, command.state, command.member)
    return True
