"""Accounts that this process has charged of late: as they were then they stand in for the stored ones in an outage."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.charging.order import Order
from mubss.charging.outage_waiting import Waiting
from mubss.core.model import Account, CreditControl, SessionRecord
from mubss.core.outage import available_micros


class Refused(Exception):
    """The request is answered as without the outage mode; the text says why."""


@dataclass(slots=True)
class StandIn:
    """An account while its requests are served from here."""

    account: Account
    before_micros: int  # what was available before the first of them
    ended: dict[str, SessionRecord]  # of sessions and events that ended here

    @property
    def risk_micros(self) -> int:
        """What was charged and is reserved more than before; below 0 where reservations of then were released."""
        return self.before_micros - available_micros(self.account)


class Known:
    """Who is known, up to `accounts` of them, for `seconds` after the last request that was charged."""

    def __init__(self, seconds: int, accounts: int, waiting: Waiting) -> None:
        self.stand_ins: dict[str, StandIn] = {}
        self._seconds, self._accounts = seconds, accounts
        self._waiting = waiting
        self._known: dict[str, tuple[int, Account]] = {}  # account id → when it was charged last, as it was then
        self._by_identity: dict[str, str] = {}  # of those known, while the store is away
        self._by_session: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, orders: list[Order], now_ms: int) -> bool:
        """These are in the store; whether any of them wrote to it."""
        known, wrote = self._known, False
        for order in orders:
            after = order.account_after
            if after is None:
                continue
            wrote = True
            if order.credit is not None and order.error is None:
                known.pop(after["_id"], None)
                known[after["_id"]] = now_ms, after
        while len(known) > self._accounts:
            del known[next(iter(known))]
        return wrote

    def index(self) -> None:
        """The store is away: they are found by numbers and sessions from now on."""
        self._by_identity.clear()
        self._by_session.clear()
        for account_id, (_, account) in self._known.items():
            self._by_identity.update(dict.fromkeys(account["identities"], account_id))
            self._by_session.update(dict.fromkeys(account["sessions"], account_id))

    def account_of(self, order: Order, command: CreditControl) -> str:
        """The account of a request, as far as it is known here; "" where it isn't."""
        waits = self._waiting.account_of(order.identities, command.session_hash)
        if waits or order.account:
            return waits or order.account
        if command.session_hash in self._by_session:
            return self._by_session[command.session_hash]
        return next((self._by_identity[one] for one in order.identities if one in self._by_identity), "")

    def stand_in(self, account_id: str, now_ms: int) -> StandIn:
        """An account as it stands in; Refused where it isn't known, or not well enough."""
        found = self.stand_ins.get(account_id)
        if found is not None:
            return found
        if account_id in self._waiting.accounts:
            raise Refused("what a process before this one granted isn't in the store yet")
        seen_ms, account = self._known.get(account_id, (0, None))
        if account is None or now_ms - seen_ms > self._seconds * 1000:
            raise Refused("nobody that is known")
        return StandIn(account, available_micros(account), {})
