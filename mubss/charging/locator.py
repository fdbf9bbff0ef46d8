"""Finds the account of an order: by its identities, else by its session. Remembers what can be checked again.

An identity's account is remembered until there is no room, since the batch checks it again under the account's lock. A
batch that needs no look-up is a question to the store shorter: 5 to 9 % more CCR/s on MySQL. So `learn` takes them
beforehand, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from mubss.charging.order import Order
from mubss.core.model import Account
from mubss.storage import accounts as storage
from mubss.storage.database import Session

# Identities that are remembered, in 36 MB; and in 12 MB on the embedded store, where a look-up is no question over a
# wire: as many as on MySQL would bring 2 % more CCR/s there.
MEMO_LIMIT, NEAR_MEMO_LIMIT = 150_000, 50_000


class Locator:
    """Identity → account id; one per engine, shared by its lanes (dict operations are atomic)."""

    def __init__(self, limit: int = MEMO_LIMIT) -> None:
        self._limit = limit
        self._accounts: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        """Whether what is remembered next makes it forget."""
        return len(self._accounts) >= self._limit

    def learn(self, found: Mapping[str, str]) -> None:
        """Remembers identity → account id, as far as there is room without forgetting others."""
        self._accounts.update(islice(found.items(), max(0, self._limit - len(self._accounts))))

    def resolve(self, session: Session, orders: Iterable[Order]) -> None:
        """Fills in `order.account` where it can be found; reads the store only for what isn't remembered."""
        memo = self._accounts
        strangers: list[Order] = []
        for order in orders:
            if order.account:
                continue
            for identity in order.identities:
                found = memo.get(identity)
                if found is not None:
                    order.account = found
                    break
            else:
                strangers.append(order)
        if strangers:
            self._look_up(session, strangers)

    def _look_up(self, session: Session, orders: list[Order]) -> None:
        # Nearly always the preferred identity is the account's: the others are read only where it is not.
        wanted = list({order.identities[0]: None for order in orders if order.identities})
        found = storage.find_accounts(session, wanted) if wanted else {}
        others = {i: None for o in orders if o.identities and o.identities[0] not in found for i in o.identities[1:]}
        if others:
            found |= storage.find_accounts(session, list(others))
        if len(self._accounts) + len(found) > self._limit:
            for identity in list(islice(self._accounts, self._limit // 8)):  # the oldest; maybe another lane does, too
                self._accounts.pop(identity, None)
        self._accounts.update(found)
        lost: list[Order] = []
        for order in orders:
            order.account = next((found[identity] for identity in order.identities if identity in found), "")
            if not order.account and order.credit is not None:
                lost.append(order)
        if lost:  # a request may name nobody, or somebody renamed, in a session that is known
            records = storage.find_records(session, list({o.credit.session_hash: None for o in lost if o.credit}))
            for order in lost:
                record = records.get(order.credit.session_hash) if order.credit else None
                order.account = record["account"] if record else ""

    def confirm(self, order: Order, account: Account) -> bool:
        """Whether the account, now locked, still has an identity of the order; forgets what was wrong."""
        if not order.identities:
            return True
        held = account["identities"]
        stale = [i for i in order.identities if self._accounts.get(i) == account["_id"] and i not in held]
        for identity in stale:
            self._accounts.pop(identity, None)
        return not stale
