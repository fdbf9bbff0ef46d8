"""What was granted while the store was away is done there, once, as soon as it is back.

A record's request goes through the engine like any other, with a guard: the document that says what became of it
commits with what it moves, so a second time finds it and does nothing. The request's own number in its session says
so, too, where a COMMIT before the outage had happened though nobody heard of it.
"""

from __future__ import annotations

import logging
import threading
from base64 import b64encode
from typing import Any

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.charging.outage import Outage
from mubss.charging.outage_record import again, decode
from mubss.charging.outage_waiting import Record
from mubss.core.errors import Busy
from mubss.core.outage import FAILED, REFUSED
from mubss.storage import outage as storage
from mubss.storage.database import Store, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
TOGETHER = 256  # records in a transaction


class Replay:
    """Does what waits, from a thread of its own (a greenlet in a gevent process)."""

    def __init__(self, outage: Outage, engine: Engine, store: Store) -> None:
        self._outage, self._engine, self._store = outage, engine, store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="outage-replay", daemon=True)

    def start(self) -> None:
        """Takes over what earlier processes left, and begins."""
        self._outage.adopt()
        self._thread.start()

    def stop(self) -> None:
        """Does what can be done yet, and leaves the rest to the next process."""
        self._stopping.set()
        self._thread.join()
        if not self._outage.is_away:
            self.run()
        self._outage.close()

    def _loop(self) -> None:
        while True:
            try:
                self.run()
            except Exception:
                log.exception("what was granted in an outage can't be done just now")
            if self._stopping.wait(LOOK_SECONDS):
                return
            try:
                self._outage.adopt()
            except Exception:
                log.exception("journals of outages can't be looked for just now")

    def run(self) -> int:
        """Does what waits, until nothing does or the store is away; how many records."""
        total = 0
        while records := self._outage.waiting.first(TOGETHER):
            try:
                is_done = self._do(records)
            except StoreError as error:
                log.info("what was granted in the outage waits: %s", error)
                break
            if not is_done:
                break
            with self._outage.lock:
                self._outage.finished(len(records))
            total += len(records)
        if total:
            log.info("outage mode: done in the store now: %d, waiting: %d", total, len(self._outage.waiting))
        return total

    def _do(self, records: list[Record]) -> bool:
        """Whether all of them are done, now or before; StoreError where it can't be known."""
        orders = [self._order(record) for record in records]
        self._engine.execute(orders)
        if any(isinstance(order.error, StoreUnavailable | Busy) for order in orders):
            return False
        unsaid = [order for order in orders if order.account_after is None]
        missing = storage.missing(self._store, [_id(order) for order in unsaid]) if unsaid else set()
        docs = [
            _without_account(order, record.payload)
            for order, record in zip(orders, records, strict=True)
            if _id(order) in missing
        ]
        if docs:
            storage.put(self._store, docs)
        return True

    def _order(self, record: Record) -> Order:
        entry = decode(record.payload)
        command = again(entry, self._outage.tables(), record.id)
        doc = {
            "_id": record.id,
            "journal": record.journal.name,
            "at_s": entry.at_ms // 1000,
            "replayed_s": self._outage.clock_ms() // 1000,
            "account": entry.account,
            "session": command.session_hash,
            "type": int(command.type),
            "number": command.number,
            "peer": command.peer,
            "currency": entry.currency,
            "granted_micros": entry.granted_micros,
        }
        return Order(command, identities=command.identities, guards=[Guard(storage.COLLECTION, doc)])


def _id(order: Order) -> str:
    return str(order.guards[0].doc["_id"])


def _without_account(order: Order, payload: bytes) -> dict[str, Any]:
    """What is kept of one whose account is gone; of one that can't be done at all, whatever the reason, all of it."""
    result = int(order.outcome.result) if order.outcome is not None else 0
    doc = order.guards[0].doc | {"charged_micros": 0, "short_micros": 0, "result": result}
    if order.error is None or isinstance(order.error, GuardConflict):
        reported = any(one.used_units or one.foreign_units for one in order.credit.requests) if order.credit else False
        return {**doc, "state": REFUSED, "suspended": int(reported)}
    log.error("a request that was granted in an outage can't be done: %s", order.error)
    request = b64encode(payload).decode()
    return {**doc, "state": FAILED, "error": str(order.error)[:200], "request": request, "suspended": 0}
