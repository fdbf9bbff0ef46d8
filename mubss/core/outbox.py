"""What a session's client must be told: ask again (RAR) or stop (ASR). Pure.

An entry of the `outbox` commits with the change that it tells of. Any process that has a connection to the entry's
`peer` takes it once `due_ms` has come, moves `due_ms` on, sends the request, and writes down what the client answered.
So a crash, silence and a lost answer are all one case: the entry becomes due again. Finished entries have neither
`peer` nor `due_ms`, so that no index leads to them; they stay a while for the operator to look at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mubss.core.draft import Draft
from mubss.core.identity import session_hash
from mubss.core.model import ACTIVE, STATES, Account, Session, state_of

REAUTH, ABORT = "reauth", "abort"
WAITING, DONE, GIVEN_UP, DROPPED = "waiting", "done", "given up", "dropped"
MAX_TRIES = 3
_UNKNOWN_SESSION_ID = 5002  # the client has no such session: nothing is left to tell it
_LATER = (3002, 3004, 3005)  # UNABLE_TO_DELIVER, TOO_BUSY, LOOP_DETECTED: an agent's, or of the moment

Entry = dict[str, Any]


def tell_sessions(draft: Draft, kind: str, cause: str, member: str = "") -> None:
    """An entry for every open session of the account being changed, or of one of several subscribers that share it."""
    for key, session in sorted(draft.account["sessions"].items()):
        if member and session.get("member") != member:
            continue
        draft.outbox.append(make_entry(draft.account["_id"], key, session, kind, cause, draft.now_ms))


def make_entry(
    account_id: str, key: str, session: Session, kind: str, cause: str, now_ms: int, group: int | None = None
) -> Entry:
    """One entry, due at once; `group` is the Rating-Group that a RAR is for, None for the whole session.

    Its `_id` makes a second cause fall on the first, which then begins anew.
    """
    entry: Entry = {
        "_id": entry_id(key, kind, group),
        "kind": kind,
        "cause": cause,
        "account": account_id,
        "session": key,
        "session_id": session["id"],
        "made_s": now_ms // 1000,
        "state": WAITING,
        "tries": 0,
        "due_ms": now_ms,
        **_way(session),
    }
    if group is not None:
        entry["group"] = group
    return entry


def entry_id(key: str, kind: str, group: int | None = None) -> str:
    """The `_id` of a session's entry."""
    return session_hash(f"{key}\0{kind}\0{'' if group is None else group}")


def _way(session: Session) -> dict[str, str]:
    """Whose connection leads to the client, and the names that a request to it bears."""
    way = {"peer": session.get("via", session["peer"]).lower(), "host": session["peer"] or session.get("via", "")}
    return way | {"realm": session["realm"]} if "realm" in session else way


def take(entry: Entry, account: Account | None, now_ms: int, answer_ms: int, end_to_end: int) -> tuple[Entry, bool]:
    """What becomes of a due entry, and whether it is to be sent now.

    `account` is the session's as it stands, `answer_ms` how long the first try waits for its answer; the next wait
    three times as long each. `end_to_end` is used unless an earlier try bears one that has no answer yet.
    """
    session = account["sessions"].get(entry["session"]) if account is not None else None
    if account is None or session is None:
        return _finished(entry, DROPPED, "the session has ended"), False
    if entry["kind"] == ABORT and entry["cause"] in STATES and state_of(account, session.get("member", "")) == ACTIVE:
        return _finished(entry, DROPPED, "the subscriber is active again"), False
    way = _way(session)
    if way["peer"] != entry["peer"]:
        return {**entry, **way, "due_ms": now_ms}, False  # it came by another connection since
    if entry["tries"] >= MAX_TRIES:
        return _finished(entry, GIVEN_UP, entry.get("why") or "no answer"), False
    wait_ms = answer_ms * 3 ** entry["tries"]
    taken = {**entry, **way, "tries": entry["tries"] + 1, "due_ms": now_ms + wait_ms}
    taken.setdefault("end_to_end", end_to_end)
    return taken, True


def is_repeat(taken: Entry, end_to_end: int) -> bool:
    """Whether an entry goes out again under the identifier of an earlier try, not the new one offered: the T flag."""
    return bool(taken["end_to_end"] != end_to_end)


def answered(entry: Entry, end_to_end: int, result_code: int) -> Entry:
    """The entry once its client has answered; as it was where that is the answer to something else."""
    if entry["state"] != WAITING or entry.get("end_to_end") != end_to_end:
        return entry
    if result_code // 1000 == 2 or result_code == _UNKNOWN_SESSION_ID:
        return {**_finished(entry, DONE, ""), "result": result_code}
    if result_code in _LATER or result_code // 1000 == 4:
        again = {**entry, "result": result_code, "why": f"Result-Code {result_code}"}
        del again["end_to_end"]  # this one has its answer: the next try is a request of its own
        return again
    return {**_finished(entry, GIVEN_UP, f"Result-Code {result_code}"), "result": result_code}


def _finished(entry: Entry, state: str, why: str) -> Entry:
    done = {name: value for name, value in entry.items() if name not in ("peer", "due_ms", "why")}
    return {**done, "state": state, "why": why} if why else {**done, "state": state}


def last_of_each(entries: Iterable[Entry]) -> list[Entry]:
    """Without those that a later one of the same `_id` takes the place of."""
    return list({entry["_id"]: entry for entry in entries}.values())
