"""Store outage mode: while the store is away, subscribers that are known are granted what may be risked.

An account is known if this process has charged it of late. As it was then it stands in for the stored one: the ledger
does the request on it, with no more available than its own risk and everybody's leave. What was answered is in a
journal (journal.py) first, one write to the disk for all that a lane has. When the store is back, replay.py does the
same requests there. Until an account's are done it is served from here; so its sessions' requests stay in their order.

Whatever can't be granted is answered as without this: with Busy, for a repeat.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mubss import metrics
from mubss.charging.journal import Offload, call
from mubss.charging.order import Order
from mubss.charging.outage_journals import Journals
from mubss.charging.outage_known import Known, Refused, StandIn
from mubss.charging.outage_record import Entry, decode, encode
from mubss.charging.outage_waiting import Waiting
from mubss.core import ledger
from mubss.core.errors import Busy, LedgerError
from mubss.core.history import with_last
from mubss.core.model import Account, Action, Applied, CreditControl, Outcome, RequestType, Result, Rules
from mubss.core.outage import answered, available_micros, is_granted, with_available
from mubss.core.rater import wanted
from mubss.core.tariff import Tables
from mubss.storage.database import StoreError

log = logging.getLogger(__name__)

PROBE_MS = 1000  # how often a store that is away is tried


@dataclass(frozen=True, slots=True)
class Risk:
    """What may be granted while the store is away; money in micros."""

    folder: Path
    account_micros: int  # of one account
    all_micros: int  # of all accounts, granted by this process
    currency: str = ""  # the only one that is granted; "": any, each counted as it is
    known_s: int = 3600  # how long after its last request an account is known
    known_accounts: int = 20_000  # at most; some 5 KB each
    units: Mapping[str, int] = field(default_factory=dict)  # by service, else by unit: the most that is granted at once
    records: int = 100_000  # that may wait


class Outage:
    """The outage mode of one process."""

    def __init__(
        self,
        risk: Risk,
        rules: Rules,
        tables: Callable[[], Tables],
        clock_ms: Callable[[], int],
        offload: Offload = call,
    ) -> None:
        self.risk = risk
        self.is_on = False  # requests may have to be served from here
        self.is_away = False  # the store, as the last that was tried found
        self.waiting = Waiting()
        self.tables, self.clock_ms = tables, clock_ms
        self.lock = threading.Lock()  # of the journals, of what waits and of those who stand in
        self.journals = Journals(risk.folder, offload)
        self.others = self.journals.others
        self._rules = rules
        self._known = Known(risk.known_s, risk.known_accounts, self.waiting)
        self._probe_ms = 0

    # ── what the engine says ───────────────────────────────────────────────────────────────────────

    def remember(self, orders: list[Order]) -> None:
        """These are in the store."""
        wrote = self._known.remember(orders, self.clock_ms())
        if self.is_away and wrote:
            self.is_away = False
            self.look()

    def instead(self, orders: list[Order]) -> list[Order]:
        """Those of the orders that are not for the store now; each is done or has failed."""
        mine = [order for order in orders if order.credit is not None]
        if not self.is_away or self._may_probe():
            mine = [order for order in mine if order.credit is not None and self._waits(order, order.credit)]
        for order in self._serve(mine):
            order.fail(Busy("the store is away; a repeat is welcome"))
        return mine

    def _may_probe(self) -> bool:
        """Whether a store that is away is to be tried with what comes; while records wait it is tried with them."""
        now_ms = self.clock_ms()
        if self.waiting.records or now_ms < self._probe_ms:
            return False
        self._probe_ms = now_ms + PROBE_MS
        return True

    def _waits(self, order: Order, command: CreditControl) -> bool:
        held = self.others.hold(order.identities, command.session_hash)
        return held or self._known.account_of(order, command) in self.waiting.accounts

    def after(self, orders: list[Order], error: StoreError) -> list[Order]:
        """The store couldn't be had for these: those that can't be done here, either."""
        mine = [order for order in orders if order.credit is not None and order.credit.told is None]
        if not self.is_away:
            self.is_away = self.is_on = True
            self._probe_ms = self.clock_ms() + PROBE_MS
            self._known.index()
            log.warning("outage mode: known accounts: %d; the store: %s", len(self._known), error)
        left = self._serve(mine) if mine else []
        return [order for order in orders if order not in mine or order in left]

    def look(self) -> None:
        """Sees whether there is anything to do here, and says so to monitoring."""
        self.is_on = self.is_away or bool(self.waiting.records) or bool(self.others.names)
        metrics.GY_OUTAGE_WAITING.set(len(self.waiting))
        metrics.GY_OUTAGE_RISK.set(self.waiting.risk_micros)

    # ── serving ────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, orders: list[Order]) -> list[Order]:
        """Does what may be done, in order; returns the others, of which nothing happened."""
        with self.lock:
            now_ms = self.clock_ms()
            changed: dict[str, StandIn] = {}
            entries: list[Entry] = []
            outcomes: list[tuple[Order, Outcome]] = []
            left: list[Order] = []
            risk_micros = self.waiting.risk_micros
            behind: set[str] = set()  # sessions that had a request refused: their later ones may not overtake it
            for order in orders:
                credit = order.credit
                assert credit is not None
                try:
                    if credit.session_hash in behind:
                        raise Refused("an earlier request of its session was refused")
                    entry, outcome = self._grant(order, credit, changed, risk_micros, len(entries), now_ms)
                except (Refused, LedgerError) as why:
                    log.debug("not granted while the store is away: %s", why)
                    behind.add(credit.session_hash)
                    left.append(order)
                    continue
                outcomes.append((order, outcome))
                if entry is not None:
                    risk_micros += max(0, entry.risk_micros) - max(0, entry.risk_micros - entry.granted_micros)
                    entries.append(entry)
            if entries and not self._keep(entries):
                return orders
            self._known.stand_ins |= changed
            for order, outcome in outcomes:
                order.outcome, order.error = outcome, None
            metrics.GY_OUTAGE_ANSWERS.inc(by=len(outcomes))
            self.look()
            return left

    def _grant(
        self,
        order: Order,
        command: CreditControl,
        changed: dict[str, StandIn],
        risk_micros: int,
        beside: int,
        now_ms: int,
    ) -> tuple[Entry | None, Outcome]:
        """What to keep of a request (None: it was taken before) and to answer; `changed` has its account after it.

        `risk_micros` is that of all accounts; `beside` entries are about to be kept.
        """
        if self.others.hold(order.identities, command.session_hash):
            raise Refused("another process has served it, and it isn't in the store yet")
        account_id = self._known.account_of(order, command)
        stand_in = changed.get(account_id) or self._known.stand_in(account_id, now_ms)
        if command.type is RequestType.EVENT and command.action != Action.DIRECT_DEBITING:
            raise Refused("only debits can be done later")
        account = stand_in.account
        if self.risk.currency and account["currency"] != self.risk.currency:
            raise Refused(f"its currency is {account['currency']}")
        if len(self.waiting) + beside >= self.risk.records:
            raise Refused(f"as many records wait as may: {len(self.waiting)}")
        own = stand_in.risk_micros
        room = min(self.risk.account_micros - own, self.risk.all_micros - (risk_micros - max(0, own)) - own)
        limited = with_available(account, min(available_micros(account), room))
        asked = self._within_limits(command, account, now_ms)
        record = stand_in.ended.get(command.session_hash)
        applied = ledger.apply(limited, asked, record, now_ms, self._rules, command.tables)
        outcome = applied.outcome
        if outcome is None or outcome.result != Result.SUCCESS:
            raise Refused("it can't be done on the account as it is known")
        if applied.account is None:
            return None, outcome  # a repeat of what was taken here, or before
        if not is_granted(asked, outcome):
            raise Refused("the risk, or the balance as it is known, doesn't leave that much")
        outcome = answered(outcome)
        after = _kept(applied, account, command.session_hash, outcome)
        ended = stand_in.ended | {one["_id"]: one for one in applied.records if not one["open"]}
        made = StandIn(after, stand_in.before_micros, ended)
        risk = made.risk_micros
        if command.type is RequestType.EVENT and risk > max(own, own + room):  # what is reported as used is charged
            raise Refused("the risk doesn't leave that much")
        changed[account_id] = made
        return Entry(now_ms, account_id, account["currency"], risk, risk - own, outcome, command), outcome

    def _within_limits(self, command: CreditControl, account: Account, now_ms: int) -> CreditControl:
        """The command, asking for no more than is granted at once."""
        plan = command.tables.plan_at(account["plan"], now_ms // 1000)
        requests = []
        for request in command.requests:
            service = None if plan is None or request.service is None else plan.services.get(request.service)
            if service is not None:
                unit = service.service.unit.value
                limit = self.risk.units.get(service.service.code, self.risk.units.get(unit, 0))
                if command.type is not RequestType.EVENT and request.wants_grant and limit:
                    request = replace(request, requested_units=min(limit, wanted(service, request.requested_units)))
            requests.append(request)
        return replace(command, requests=requests, tells_balance=False)

    # ── the journal ────────────────────────────────────────────────────────────────────────────────

    def _keep(self, entries: list[Entry]) -> bool:
        """Whether they are on the disk."""
        payloads = [encode(entry) for entry in entries]
        kept = self.journals.append(payloads)
        if kept is None:
            return False
        journal, places = kept
        for place, entry, payload in zip(places, entries, payloads, strict=True):
            self.waiting.add(journal, place, entry, payload)
        return True

    def adopt(self) -> None:
        """Takes over the journals of processes that ended without having done all that is in them.

        Those of others that live are looked at, and one of ours that nothing waits in goes.
        """
        with self.lock:
            for journal, found in self.journals.adopt():
                for place, payload in zip(found.places, found.payloads, strict=True):
                    try:
                        self.waiting.add(journal, place, decode(payload), payload)
                    except ValueError as error:
                        journal.keeps = True
                        log.error("%s at %d: %s; it is kept", journal.path, place, error)
            for journal in self.journals.all():
                if not self.waiting.has(journal) and not (self.is_away and self.journals.takes_more(journal)):
                    self.journals.finish(journal)
            self.look()

    def finished(self, count: int) -> None:
        """The first records are in the store; with the lock."""
        accounts, journals = self.waiting.done(count)
        for account_id in accounts:
            self._known.stand_ins.pop(account_id, None)
        for journal in journals:
            self.journals.finish(journal)
        self.look()

    def close(self) -> None:
        """Leaves what waits to the next process."""
        with self.lock:
            self.journals.close()


def _kept(applied: Applied, account: Account, session_hash: str, outcome: Outcome) -> Account:
    """The account after a request, with its own credit limit, and what is answered as what came of it."""
    assert applied.account is not None
    after = applied.account.copy()
    after["credit_limit_micros"] = account["credit_limit_micros"]
    for record in applied.records:
        if record["_id"] == session_hash and record["outcomes"] and record["outcomes"][-1][0] == outcome.key:
            record["outcomes"] = with_last(record["outcomes"], outcome)
    session = after["sessions"].get(session_hash)
    if session is not None and session["outcomes"][-1][0] == outcome.key:
        session = session.copy()
        session["outcomes"] = with_last(session["outcomes"], outcome)
        after["sessions"] = {**after["sessions"], session_hash: session}
    return after
