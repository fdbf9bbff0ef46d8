"""A node that rebooted has lost its sessions: a higher Origin-State-Id says so, and ends them (RFC 6733 §8.16).

Each session bears the Origin-State-Id that it was last heard of with. So those that began after the reboot are told
from those before it by their numbers, whatever comes first; and a node that kept its sessions keeps its number.
"""

from __future__ import annotations

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.model import EndSession
from mubss.services import sessions
from mubss.storage import origins
from mubss.storage.database import Store

PAGE = 200


def heard(engine: Engine, store: Store, host: str, state_id: int) -> int:
    """A node told its Origin-State-Id: if that is higher than ever, the sessions from before are ended; how many.

    It is noted after that, so that a process that dies amid it leaves the rest to whoever hears of the node next.
    """
    before = origins.known(store, host)
    if state_id <= before:
        return 0
    ended = _end_sessions(engine, store, host, state_id) if before else 0
    origins.note(store, host, state_id)
    return ended


def _end_sessions(engine: Engine, store: Store, host: str, state_id: int) -> int:
    """Looks through all open sessions, by pages: reboots are rare, and an index would cost each session."""
    ended, after = 0, ""
    while True:
        found, after = sessions.scan(store, after, PAGE)
        orders = [
            Order(EndSession(key, only_if_expired=False, before_state_id=state_id), account=account["_id"])
            for key, account in found
            if account["sessions"][key]["peer"].lower() == host
            and 0 < account["sessions"][key].get("state_id", 0) < state_id
        ]
        engine.execute(orders)
        for order in orders:
            if order.error is not None:
                raise order.error
            ended += not sessions.is_open(order)
        if not after:
            return ended
