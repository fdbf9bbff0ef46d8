"""A real store with a clock of its own, and engines on it."""

from __future__ import annotations

from core_builders import NOW_S, demo_tables
from mubss.charging.engine import Engine, Limits
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.model import Rules
from mubss.storage.database import Store, create_collections, open_database


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = NOW_S * 1000

    def __call__(self) -> int:
        return self.now_ms


class World:
    """The store, its clock, and engines made on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.tables = demo_tables()
        self.store: Store = open_database(url)
        create_collections(self.store)

    def engine(self, store: Store | None = None, rules: Rules | None = None, limits: Limits | None = None) -> Engine:
        return Engine(store or self.store, lambda: self.tables, rules or Rules(), limits, self.clock)

    def account(self, msisdn: str, balance: int = 10_000_000, imsi: str = "", plan: str = "demo-prepaid") -> str:
        """Opens an account; returns its id."""
        identities = (f"e164:{msisdn}", *((f"imsi:{imsi}",) if imsi else ()))
        credit = self.tables.plans[plan].credit_limit_micros
        new = NewAccount("prepaid", plan, "EUR", identities, balance, credit, {"msisdn": msisdn})
        return open_accounts(self.store, [new], self.clock.now_ms)[0]

    def get(self, collection: str, document_id: str) -> dict | None:
        return self.store.run(lambda session: session.collection(collection).get_one(document_id))

    def all(self, collection: str) -> list[dict]:
        return self.store.run(lambda session: session.collection(collection).scan(limit=100_000))
