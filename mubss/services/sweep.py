"""The sweep: ends sessions that their clients abandoned, and forgets ended ones when no repeat can come.

A session's record holds when to look next (`due_s`): it isn't moved with every update, so looking early is
normal, and the account itself says whether the session's supervision time ran out (RFC 8506 §13, Tcc).
"""

from __future__ import annotations

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.model import EndSession
from mubss.storage import sessions
from mubss.storage.database import Store

PAGE = 200


def sweep(engine: Engine, store: Store, now_s: int, match_s: int = 0) -> tuple[int, int]:
    """One pass over what is due: (sessions ended, ended ones forgotten).

    `match_s` is how long it stays known after its end that there was a session, so that its CDRs are matched with it.
    """
    ended = forgotten = 0
    while True:
        due = sessions.due(store, now_s, PAGE)
        if not due:
            return ended, forgotten
        gone = [record["_id"] for record in due if not record["open"]]
        if gone:
            sessions.forget(store, gone, now_s, match_s)
            forgotten += len(gone)
        orders = [Order(EndSession(record["_id"]), account=record["account"]) for record in due if record["open"]]
        engine.execute(orders)
        ended += sum(_ended(order) for order in orders)
        postponed = {key: due_s for order in orders if (entry := _still_open(order)) for key, due_s in [entry]}
        if postponed:
            sessions.postpone(store, postponed)
        if any(order.error for order in orders):
            return ended, forgotten  # the store is away, or an account can't be changed: not again in this pass


def _still_open(order: Order) -> tuple[str, int] | None:
    account, command = order.account_after, order.command
    if account is None or not isinstance(command, EndSession):
        return None
    session = account["sessions"].get(command.session_hash)
    return None if session is None else (command.session_hash, session["expires_s"])


def _ended(order: Order) -> bool:
    return order.error is None and _still_open(order) is None
