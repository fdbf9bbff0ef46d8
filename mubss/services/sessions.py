"""Open credit-control sessions as operators see them, and what they may do to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.identity import session_hash
from mubss.core.model import Account, EndSession, Tell
from mubss.core.outbox import ABORT, REAUTH, entry_id
from mubss.services.lifecycle import run
from mubss.storage import outbox
from mubss.storage import sessions as storage
from mubss.storage.database import Doc, Store

MAX_GROUPS = 20  # of a session, that are looked for in the outbox


def find(store: Store, session_id: str) -> tuple[str, Account]:
    """Hash and account of an open session, by its Session-Id or its hash; InputError if there is none."""
    for key in (session_id, session_hash(session_id)):
        record = storage.get(store, key) if len(key) <= storage.MAX_ID else None
        if record is not None and record["open"]:
            account = storage.account_of(store, record)
            if account is not None and key in account["sessions"]:
                return key, cast(Account, account)
    raise InputError(f"session: {session_id[:80]!r}; expected the Session-Id of an open session")


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


def told(store: Store, sessions: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, list[Doc]]:
    """Session hash → what its client must be told or was told of late."""
    ids = []
    for key, session in sessions:
        groups = sorted({int(group) for one in session["grants"] if (group := one["key"].split("/")[0]).isdigit()})
        ids += [entry_id(key, ABORT), entry_id(key, REAUTH)]
        ids += [entry_id(key, REAUTH, group) for group in groups[:MAX_GROUPS]]
    found: dict[str, list[Doc]] = {}
    for entry in outbox.get(store, ids):
        found.setdefault(entry["session"], []).append(entry)
    return found
