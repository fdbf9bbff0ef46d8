"""Activities: work that is queued for mubss-billing, how one is taken, kept and ended. Pure; documents aren't changed.

    queued → NEW ──take──▶ RUNNING ──▶ DONE │ FAILED
              ▲  └─cancel─▶ CANCELLED ◀─┘ │
              └────── failed, later ──────┘

`due_s` is when somebody may take it: for a new one its turn, for a running one the end of its owner's lease, which each
heartbeat moves on. What has ended has none. So a killed owner's work becomes due by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, TypeGuard

from mubss.core.errors import InputError

SINGLE_BILLING, FULL_BILLRUN, MASS_PREPAID_RATING = "SINGLE_BILLING", "FULL_BILLRUN", "MASS_PREPAID_RATING"
NEW, RUNNING, DONE, FAILED, CANCELLED = "NEW", "RUNNING", "DONE", "FAILED", "CANCELLED"
ENDED = (DONE, FAILED, CANCELLED)
STATES = (NEW, RUNNING, *ENDED)
MAX_ATTEMPTS = 8
_FIRST_RETRY_S, _LAST_RETRY_S = 15, 900

Activity = dict[str, Any]


def make(kind: str, billcycle: int, made_s: int, by: str, **wanted: Any) -> Activity:
    """An activity; the same kind, cycle and `wanted` (period, subscriber, dry_run) are the same activity."""
    parts = [kind, str(billcycle), *(f"{name}={wanted[name]}" for name in sorted(wanted))]
    return {
        "_id": blake2b("\0".join(parts).encode(), digest_size=16).hexdigest(),
        "version": 1,
        "kind": kind,
        "billcycle": billcycle,
        **wanted,
        "by": by,
        "state": NEW,
        "made_s": made_s,
        "due_s": made_s,
        "attempts": 0,
    }


def queue(stored: Activity | None, new: Activity) -> Activity | None:
    """What to write so that `new` is done; None where it waits or runs already. One that has ended begins again."""
    if stored is None:
        return new
    return None if stored["state"] not in ENDED else {**new, "version": stored["version"] + 1}


def take(stored: Activity | None, owner: str, now_s: int, lease_s: int, owner_is_gone: bool = False) -> Activity | None:
    """The activity as its taker's; None where it isn't to be had. A running one's owner may be known to be gone."""
    if stored is None or stored["state"] in ENDED:
        return None
    if stored["due_s"] > now_s and not (stored["state"] == RUNNING and owner_is_gone):
        return None
    return {
        **stored,
        "version": stored["version"] + 1,
        "state": RUNNING,
        "owner": owner,
        "attempts": stored["attempts"] + 1,
        "started_s": now_s,
        "beat_s": now_s,
        "due_s": now_s + lease_s,
        "progress": {},
    }


def beat(stored: Activity | None, owner: str, progress: Mapping[str, Any], now_s: int, lease_s: int) -> Activity | None:
    """The activity with its owner's sign of life; None where it isn't the owner's any more: it must stop."""
    if not is_owned(stored, owner):
        return None
    kept = {"beat_s": now_s, "due_s": now_s + lease_s, "progress": dict(progress)}
    return {**stored, "version": stored["version"] + 1, **kept}


def finish(stored: Activity | None, owner: str, result: Mapping[str, Any], now_s: int) -> Activity | None:
    """The activity as done, with what came of it; None where it isn't the owner's any more."""
    if not is_owned(stored, owner):
        return None
    return {**_ended(stored, DONE, now_s), "error": "", **result}


def fail(stored: Activity | None, owner: str, error: str, now_s: int, for_good: bool = False) -> Activity | None:
    """The activity after a failed attempt: to be tried again later and later, MAX_ATTEMPTS times, or as FAILED."""
    if not is_owned(stored, owner):
        return None
    if for_good or stored["attempts"] >= MAX_ATTEMPTS:
        return {**_ended(stored, FAILED, now_s), "error": error}
    wait_s = min(_FIRST_RETRY_S << (stored["attempts"] - 1), _LAST_RETRY_S)
    return {**give_back(stored, now_s + wait_s), "error": error}


def give_back(stored: Activity, due_s: int) -> Activity:
    """The activity as a new one again, due at a time: what is done of it is done."""
    kept = {name: value for name, value in stored.items() if name != "owner"}
    return {**kept, "version": stored["version"] + 1, "state": NEW, "due_s": due_s}


def cancel(stored: Activity | None, now_s: int) -> Activity:
    """The activity as cancelled; what was done of it stays. InputError for one that has ended."""
    if stored is None:
        raise InputError("activity: there is none of that id; `mubss billing list` shows them")
    if stored["state"] in ENDED:
        raise InputError(f"activity: it is {stored['state']}; expected one that waits or runs")
    return _ended(stored, CANCELLED, now_s)


def is_owned(stored: Activity | None, owner: str) -> TypeGuard[Activity]:
    """Whether an activity runs, and is that owner's."""
    return stored is not None and stored["state"] == RUNNING and stored.get("owner") == owner


def _ended(stored: Activity, state: str, now_s: int) -> Activity:
    kept = {name: value for name, value in stored.items() if name != "due_s"}
    return {**kept, "version": stored["version"] + 1, "state": state, "ended_s": now_s}
