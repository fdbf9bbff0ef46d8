"""A node that rebooted has lost its sessions: a higher Origin-State-Id says so, and ends them (RFC 6733 §8.16).

Each session bears the Origin-State-Id that it was last heard of with. So those that began after the reboot are told
from those before it by their numbers, whatever comes first; and a node that kept its sessions keeps its number.

What an agent tells of a node counts for the sessions that came by that agent alone: else any peer could end those of
any other by its name.
"""

from __future__ import annotations

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.model import EndSession, Session
from mubss.services import sessions
from mubss.storage import origins
from mubss.storage.database import Store, StoreUnavailable

PAGE = 200


def heard(engine: Engine, store: Store, host: str, state_id: int, via: str) -> int:
    """A node told its Origin-State-Id: if that is higher than ever, the sessions from before are ended; how many.

    `host`, and `via`, the agent that told it ("": none), are in small letters.

    It is noted after that, so that a process that dies amid it leaves the rest to whoever hears of the node next.
    """
    before = origins.known(store, host, via)
    if state_id <= before:
        return 0
    ended = _end_sessions(engine, store, host, state_id, via) if before else 0
    origins.note(store, host, state_id, via)
    return ended


def _end_sessions(engine: Engine, store: Store, host: str, state_id: int, via: str) -> int:
    """Looks through all open sessions, by pages: reboots are rare, and an index would cost each session."""
    ended, after = 0, ""
    while True:
        found, after = sessions.scan(store, after, PAGE)
        orders = [
            Order(EndSession(key, only_if_expired=False, before_state_id=state_id), account=account["_id"])
            for key, account in found
            if _is_from_before(account["sessions"][key], host, state_id, via)
        ]
        engine.execute(orders)
        for order in orders:
            if isinstance(order.error, StoreUnavailable):
                raise order.error
            # An account that can't be changed keeps its session until the sweep: it mustn't hold the others up.
            ended += order.error is None and not sessions.is_open(order)
        if not after:
            return ended


def _is_from_before(session: Session, host: str, state_id: int, via: str) -> bool:
    is_theirs = session["peer"].lower() == host and (not via or session.get("via", "").lower() == via)
    return is_theirs and 0 < session.get("state_id", 0) < state_id
