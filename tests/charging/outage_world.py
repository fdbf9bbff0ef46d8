"""A store that goes away at a test's word, an engine with the outage mode on it, and a crash of its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charging_world import World
from core_builders import MB, ccr
from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.charging.outage import PROBE_MS, Outage, Risk
from mubss.charging.replay import Replay
from mubss.core.model import Rules
from mubss.services.outage import report
from mubss.storage.database import Store, StoreUnavailable, UnknownCommit


class Switch:
    """The real store while it is there; `loses` lets a COMMIT happen that nobody hears of, and is away from then on."""

    side_by_side = False

    def __init__(self, store: Store) -> None:
        self.url, self._store = store.url, store
        self.is_away = self.loses = False
        self.runs = 0  # how often anybody asked it
        self.misses = 0  # how often it isn't there next

    def run(self, work: Any) -> Any:
        self.runs += 1
        self.misses -= (missed := self.misses > 0)
        if self.is_away or missed:
            raise StoreUnavailable("it is away")
        if self.loses:
            self._store.run(work)
            self.is_away, self.loses = True, False
            raise UnknownCommit("the link is lost")
        return self._store.run(work)

    def close(self) -> None: ...


class OutageWorld:
    """One process with the outage mode, on one store and one folder of journals."""

    def __init__(self, world: World, folder: Path, **risk: Any) -> None:
        self.world, self.store = world, Switch(world.store)
        given = {"account_micros": 1_000_000, "all_micros": 10_000_000, "units": {"octets": MB}} | risk
        self.risk = Risk(folder, **given)
        self.begin()

    def begin(self) -> None:
        """A process as it starts; what waits is adopted, and nothing of it done yet."""
        store: Any = self.store
        rules = Rules()
        self.engine: Engine = self.world.engine(store, rules)
        self.outage = Outage(self.risk, rules, lambda: self.world.tables, self.world.clock)
        self.engine.outage = self.outage
        self.replay = Replay(self.outage, self.engine, store)
        self.outage.adopt()

    def crash(self) -> None:
        """kill -9 and a new start: the system gives the locks of the journals back, no more happens."""
        self.outage.close()
        self.begin()

    def ask(self, *orders: Order) -> list[Any]:
        """What each is answered with, as a lane does them together: an outcome or an error."""
        for order in orders:
            order.queued_ms, order.outcome, order.error = self.world.clock(), None, None
        self.engine._do(list(orders))
        assert not self.engine._lanes.queue
        return [order.outcome or order.error for order in orders]

    def request(self, msisdn: str, type: Any, number: int, *requests: Any, **more: Any) -> Order:
        command = ccr(self.world.tables, type, number, *requests, **more)
        command.identities = [f"e164:{msisdn}"]
        return Order(command, identities=command.identities)

    def back(self) -> None:
        """The store is there again, and all that waits is done."""
        self.store.is_away = False
        self.replay.run()
        assert not len(self.outage.waiting) and self.outage.waiting.risk_micros == 0
        self.world.clock.now_ms += PROBE_MS  # where nothing waited, the next request finds that it is back

    def journals(self) -> list[Path]:
        return sorted(self.risk.folder.glob("*.journal"))

    def report(self) -> dict[str, Any]:
        """The sums over all journals, which are in one currency."""
        rows = report(self.world.store)
        names = [name for name, value in (rows[0] if rows else {}).items() if isinstance(value, int)]
        return {name: sum(row[name] for row in rows) for name in names}
