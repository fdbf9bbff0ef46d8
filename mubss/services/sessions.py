"""Open credit-control sessions as operators see them, and what they may do to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.history import answers_in
from mubss.core.identity import session_hash
from mubss.core.model import Account, EndSession, RequestType, Session, SessionRecord, Tell
from mubss.core.outbox import ABORT, REAUTH, entry_id
from mubss.services.lifecycle import run
from mubss.storage import outbox, subscribers
from mubss.storage import sessions as storage
from mubss.storage.database import Doc, Store

PAGE = 500
MAX_GROUPS = 20  # of a session, that are looked for in the outbox


class Ended(NamedTuple):
    """What is still known of a session that isn't open any more."""

    key: str  # its hash
    session_id: str  # "" where only its hash is known
    account: Account | None
    types: set[RequestType]  # of the requests that were taken; empty where its record is gone
    kept_s: int  # until when its record is kept; 0: it is gone
    usage: list[Doc]
    told: list[Doc]


def find(store: Store, session_id: str) -> tuple[str, Account]:
    """Hash and account of an open session, by its Session-Id or its hash; InputError if there is none."""
    found = find_open(store, session_id)
    if found is None:
        gone = " has ended" if find_ended(store, session_id) else ""
        raise InputError(f"session: {session_id[:80]!r}{gone}; expected the Session-Id of an open session")
    return found


def find_open(store: Store, session_id: str) -> tuple[str, Account] | None:
    """The same; None if there is none."""
    for key in _keys(session_id):
        record = storage.get(store, key)
        if record is not None and record["open"]:
            account = storage.account_of(store, record)
            if account is not None and key in account["sessions"]:
                return key, cast(Account, account)
    return None


def find_ended(store: Store, session_id: str) -> Ended | None:
    """A session that has ended, or an event, as long as its record or what its client was told is kept."""
    for key in _keys(session_id):
        record = cast("SessionRecord | None", storage.get(store, key))
        answers = answers_in(record["outcomes"]) if record else []
        groups = {answer.rating_group for answer in answers} - {None}
        told = outbox.get(store, _outbox_ids(key, sorted(cast("set[int]", groups))))
        if record is None and not told:
            continue
        account_id = record["account"] if record else told[0]["account"]
        usage = [one for one in subscribers.usage(store, account_id) if one.get("session") == key]
        names = [one["session_id"] for one in [*told, *usage] if one.get("session_id")]
        seen = record["seen"] if record else []
        types = {kind for kind in RequestType if any(one[0] >> 32 <= kind <= one[1] >> 32 for one in seen)}
        name = names[0] if names else session_id if key != session_id else ""
        account = cast("Account | None", subscribers.get_account(store, account_id))
        return Ended(key, name, account, types, record["due_s"] if record else 0, usage, told)
    return None


def _keys(session_id: str) -> list[str]:
    """What the session's hash may be: the text itself, or the hash of it."""
    return [key for key in (session_id, session_hash(session_id)) if 0 < len(key.encode()) <= storage.MAX_ID]


def page(store: Store, account: Account | None, peer: str, after: str, limit: int) -> list[tuple[str, Account]]:
    """Up to `limit` open sessions as (hash, account), in the order of their hashes behind that of Session-Id `after`.

    Those of one account, or all; of one peer (Origin-Host of the client or of its agent), or all.
    """
    start = session_hash(after) if after else ""
    if account is not None:
        keys = sorted(key for key in account["sessions"] if key > start)
        return [(key, account) for key in keys if _is_of(account["sessions"][key], peer)][:limit]
    found: list[tuple[str, Account]] = []
    while len(found) < limit:
        some, start = scan(store, start, PAGE)
        found += [(key, one) for key, one in some if _is_of(one["sessions"][key], peer)]
        if not start:
            break
    return found[:limit]


def scan(store: Store, after: str, limit: int) -> tuple[list[tuple[str, Account]], str]:
    """Open sessions as (hash, account) among the next `limit` records, and where to go on; "" at the end."""
    records = storage.page_open(store, after, limit)
    found = [
        (record["_id"], cast(Account, account))
        for record, account in records
        if account is not None and record["_id"] in account["sessions"]
    ]
    return found, records[-1][0]["_id"] if len(records) == limit else ""


def is_open(order: Order) -> bool:
    """Whether the session of an EndSession that was done is open all the same."""
    account, command = order.account_after, order.command
    return isinstance(command, EndSession) and account is not None and command.session_hash in account["sessions"]


def _is_of(session: Session, peer: str) -> bool:
    return not peer or peer.lower() in (session["peer"].lower(), session.get("via", "").lower())


def tell(engine: Engine, store: Store, session_id: str, kind: str, rating_group: int | None = None) -> str:
    """Has a session's client asked to report (REAUTH) or to end it (ABORT); the session's hash."""
    key, account = find(store, session_id)
    run(engine, Order(Tell(key, kind, rating_group), account=account["_id"]))
    return key


def end(engine: Engine, store: Store, session_id: str) -> str:
    """Ends a session here, whatever its client does: what it didn't report isn't charged. The session's hash."""
    key, account = find(store, session_id)
    run(engine, Order(EndSession(key, only_if_expired=False), account=account["_id"]))
    return key


def told(store: Store, sessions: Sequence[tuple[str, Session]]) -> dict[str, list[Doc]]:
    """Session hash → what its client must be told or was told of late."""
    ids = []
    for key, session in sessions:
        groups = sorted({int(group) for one in session["grants"] if (group := one["key"].split("/")[0]).isdigit()})
        ids += _outbox_ids(key, groups)
    found: dict[str, list[Doc]] = {}
    for entry in outbox.get(store, ids):
        found.setdefault(entry["session"], []).append(entry)
    return found


def _outbox_ids(key: str, groups: Sequence[int]) -> list[str]:
    ids = [entry_id(key, ABORT), entry_id(key, REAUTH)]
    return ids + [entry_id(key, REAUTH, group) for group in groups[:MAX_GROUPS]]
