"""Who pays for a record, and whether it can be rated at all: told from what the store holds, before anything moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from mubss.cdr.records import to_cdr
from mubss.core.cdr import NO_PRICE, UNKNOWN_SUBSCRIBER, Cdr, CdrFault
from mubss.core.model import PREPAID
from mubss.core.next_plan import plan_at
from mubss.core.tariff import Tables
from mubss.pb.cdr_pb2 import Record
from mubss.storage import cdr as storage
from mubss.storage.database import Store

MAX_KNOWN = 100_000  # identities that are remembered: 30 MB
_EACH = 1000  # looked up at once


class Payer(NamedTuple):
    """The account that an identity leads to, as it stood when it was looked up."""

    account: str
    plan: str
    type: str


class Payers:
    """Identity → payer at a time, looked up many at once."""

    def __init__(self, store: Store, now_s: int) -> None:
        self._store = store
        self._now_s = now_s
        self._known: dict[str, Payer | None] = {}

    def look_up(self, cdrs: Iterable[Cdr]) -> None:
        """Learns who pays for these; what is known already isn't asked for again."""
        wanted = list({one: None for cdr in cdrs for one in cdr.identities if one not in self._known})
        if len(self._known) + len(wanted) > MAX_KNOWN:
            self._known.clear()
            wanted = list({one: None for cdr in cdrs for one in cdr.identities})
        for start in range(0, len(wanted), _EACH):
            part = wanted[start : start + _EACH]
            found = storage.get_payers(self._store, part)
            for one in part:
                account = found.get(one)
                self._known[one] = (
                    Payer(account["_id"], plan_at(account, self._now_s), account["type"]) if account else None
                )

    def find(self, cdr: Cdr) -> tuple[str, Payer]:
        """The identity that leads to whoever pays, and who that is; CdrFault where nobody does."""
        for identity in cdr.identities:
            payer = self._known.get(identity)
            if payer is not None:
                return identity, payer
        named = " and ".join(one.partition(":")[0] for one in cdr.identities)
        raise CdrFault(UNKNOWN_SUBSCRIBER, f"{named}: nobody has it; expected a subscriber's")


def check_price(tables: Tables, cdr: Cdr, payer: Payer, *, charges_prepaid: bool) -> None:
    """CdrFault where the payer's plan has no price for what a record used, as it begins."""
    if payer.type == PREPAID and not charges_prepaid:
        return
    plan = tables.plan_at(payer.plan, cdr.start_s)
    service = plan.services.get(cdr.service) if plan is not None else None
    if service is None:
        text = f"service: {cdr.service}; expected one that the plan {payer.plan} sells at that time"
        raise CdrFault(NO_PRICE, text)
    zone = tables.usage_zone(cdr.called, cdr.network)
    quarter = tables.calendar.at(cdr.start_s)
    if zone in tables.blocked or service.rate_key(zone, tables.band(quarter)) is None:
        raise CdrFault(NO_PRICE, f"service: {cdr.service} has no price in zone {zone} then; expected a rate")


class Rejects:
    """Counts the records of a file that can't be rated, by reason; nothing moves."""

    def __init__(self, tables: Tables, payers: Payers, now_s: int, *, charges_prepaid: bool) -> None:
        self.reasons: Counter[str] = Counter()
        self.seen = 0
        self._tables = tables
        self._payers = payers
        self._now_s = now_s
        self._charges_prepaid = charges_prepaid
        self._waiting: list[Cdr] = []

    def take(self, record: Record) -> None:
        """One more record."""
        self.seen += 1
        try:
            self._waiting.append(to_cdr(record, self._now_s))
        except CdrFault as fault:
            self.reasons[fault.reason] += 1
        if len(self._waiting) >= _EACH:
            self.look()

    def look(self) -> None:
        """Judges those whose subscribers weren't looked up yet."""
        self._payers.look_up(self._waiting)
        for cdr in self._waiting:
            try:
                check_price(self._tables, cdr, self._payers.find(cdr)[1], charges_prepaid=self._charges_prepaid)
            except CdrFault as fault:
                self.reasons[fault.reason] += 1
        self._waiting.clear()
