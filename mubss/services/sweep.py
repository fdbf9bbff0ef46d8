"""The sweep: ends sessions that their clients abandoned, and forgets ended ones when no repeat can come.

A session's record holds when to look next (`due_s`): it isn't moved with every update, so looking early is
normal, and the account itself says whether the session's supervision time ran out (RFC 8506 §13, Tcc).
"""

from __future__ import annotations

import logging

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.model import EndSession
from mubss.storage import sessions
from mubss.storage.database import Store

log = logging.getLogger(__name__)

PAGE = 200
LEAP_S = 300  # more than NTP steps the clock of a machine that is looked after
REST_S = (
    900  # so long a clock that leapt ahead isn't believed: its operator may set it right, and clients repeat till then
)


class Leaps:
    """Whether the wall clock just leapt ahead of the steady one.

    A leap of a day would end every session at once, and forget what was answered: a repeat would be charged again.
    """

    def __init__(self) -> None:
        self._ahead_s: int | None = None  # what is believed: how far the wall clock is ahead of the steady one
        self._until_s = 0

    def rests(self, now_s: int, steady_s: int) -> bool:
        """Whether the sweep is to wait; `steady_s` counts up evenly, whatever is done to the wall clock."""
        ahead_s = now_s - steady_s
        if self._ahead_s is None or ahead_s <= self._ahead_s + LEAP_S:
            self._until_s = 0
        elif not self._until_s:
            self._until_s = steady_s + REST_S
            leap_s = ahead_s - self._ahead_s
            log.warning("the clock leapt %d s ahead: for %d s no session ends or is forgotten by it", leap_s, REST_S)
        if steady_s < self._until_s:
            return True
        self._ahead_s, self._until_s = ahead_s, 0
        return False


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
