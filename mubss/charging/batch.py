"""One transaction for many commands: lock and read, apply, write and commit, and only then answer.

begin: accounts (locked), session records, guarded documents     one round trip
apply: ledger.apply for each command, in order                    pure
finish: accounts, postings, usage, records, guards, COMMIT        one round trip
"""

from __future__ import annotations

import time

from mubss import metrics
from mubss.charging.cdr_docs import CdrDocs
from mubss.charging.locator import Locator
from mubss.charging.order import Change, Guard, GuardConflict, Order
from mubss.core import ledger
from mubss.core.cdr import ChargeCdrs
from mubss.core.errors import UnknownAccount
from mubss.core.model import (
    OPEN,
    Account,
    Applied,
    ChargeSuspense,
    CreditControl,
    RequestType,
    Result,
    Rules,
    SessionRecord,
)
from mubss.core.notices import note
from mubss.core.outbox import last_of_each
from mubss.core.sessions import refuse
from mubss.core.suspense import request_was_taken
from mubss.core.tariff import Tables
from mubss.storage import accounts as storage
from mubss.storage import notifications
from mubss.storage.database import Doc, How, Lock, Session, Write

MAX_REDIRECTS = 3


class Batch:
    """The orders of one transaction, and what they add up to."""

    def __init__(
        self,
        orders: list[Order],
        locator: Locator,
        rules: Rules,
        tables: Tables,
        now_ms: int,
    ) -> None:
        self._orders = orders
        self._locator = locator
        self._rules = rules
        self._tables = tables
        self._now_ms = now_ms
        self._accounts: dict[str, Account] = {}
        self._records: dict[str, SessionRecord] = {}
        self._guarded: dict[tuple[str, str], Doc] = {}
        self._changed_accounts: dict[str, Account] = {}
        self._changed_records: dict[str, SessionRecord] = {}
        self._unseen: set[str] = set()  # sessions that were looked for and not found: their record is a new one
        self._applied: list[Applied] = []
        self._guards: list[Guard] = []
        self._cdrs = CdrDocs()
        self.settling = False  # the same orders may have been committed already, by a try that nobody heard of
        self.skips_locked = False  # rather than wait for accounts that another batch holds
        self.begun_s = self.applied_s = 0.0  # perf_counter: all is read, all is reckoned
        self.again: list[Order] = []  # their session turned out to belong to another account
        self.skipped: list[Order] = []  # their account is locked

    def run(self, session: Session) -> None:
        """Does all orders; a StoreError leaves nothing done. An order that fails for itself holds its error."""
        self._locator.resolve(session, self._orders)
        account_ids = {order.account for order in self._orders if order.account}
        guards: dict[str, list[str]] = {}
        for order in self._orders:
            for guard in order.guards:
                guards.setdefault(guard.collection, []).append(guard.doc["_id"])
            if isinstance(order.command, ChargeCdrs):
                self._cdrs.want(order.account, order.command)
        if not account_ids and not guards:
            for order in self._orders:
                self._unknown(order)
            if not any(applied.suspense for applied in self._applied):
                return
        try:
            hashes = self._hashes()
            lock = Lock.SKIP_LOCKED if self.skips_locked else Lock.UPDATE
            started_s = time.perf_counter()
            self._accounts, self._records, self._guarded = storage.begin(
                session, account_ids, hashes, guards, lock, self._cdrs.wanted
            )
            self.begun_s = time.perf_counter()
            metrics.STORE_SECONDS.observe(self.begun_s - started_s, "begin")
            self._cdrs.found(self._guarded)
            if self.skips_locked and len(self._accounts) < len(account_ids):
                self._skip(storage.existing(session, account_ids - self._accounts.keys()))
            hashes += self._read_ended_sessions(session, hashes)
            self._unseen = set(hashes) - self._records.keys()
            if account_ids or guards:
                for order in self._orders:
                    self._apply(order)
            writes = self._writes(self._suspended(session))
            self.applied_s = time.perf_counter()
            session.finish(writes)
            metrics.STORE_SECONDS.observe(time.perf_counter() - self.applied_s, "commit")
        except BaseException:
            session.rollback()
            raise

    def _hashes(self) -> list[str]:
        """Sessions that may begin here: whether they were seen before must be known. Those of suspense, too."""
        wanted: dict[str, None] = {}
        for order in self._orders:
            credit = order.credit
            if credit is not None and credit.type in (RequestType.INITIAL, RequestType.EVENT):
                wanted[credit.session_hash] = None
            elif isinstance(order.command, ChargeSuspense):
                wanted[order.command.session_hash] = None
        return list(wanted)

    def _skip(self, locked: set[str]) -> None:
        """Leaves out the orders of accounts that exist and are locked."""
        for order in self._orders:
            if order.account in locked:
                order.skipped_ms = order.skipped_ms or self._now_ms
                self.skipped.append(order)
        self._orders = [order for order in self._orders if order.account not in locked]

    def _read_ended_sessions(self, session: Session, seen: list[str]) -> list[str]:
        """Sessions that should be open in their account and aren't: they ended, or are another account's."""
        looked_for = set(seen)
        wanted: dict[str, None] = {}
        for order in self._orders:
            credit = order.credit
            account = self._accounts.get(order.account)
            if credit is None or account is None or credit.session_hash in looked_for:
                continue
            if credit.session_hash not in account["sessions"]:
                wanted[credit.session_hash] = None
        if wanted:
            self._records.update(storage.find_records(session, list(wanted)))
        return list(wanted)

    def _apply(self, order: Order) -> None:
        account = self._accounts.get(order.account)
        if account is None:
            self._unknown(order)
            return
        record = None
        credit = order.credit
        if credit is not None:
            record = self._records.get(credit.session_hash)
            elsewhere = record is not None and record["open"] and record["account"] != account["_id"]
            known_here = credit.session_hash in account["sessions"]
            if elsewhere or not (known_here or self._locator.confirm(order, account)):
                self._redirect(order, record["account"] if elsewhere and record else "")
                return
        elif isinstance(order.command, ChargeSuspense):
            record = self._records.get(order.command.session_hash)
        elif order.identities and not any(identity in account["identities"] for identity in order.identities):
            self._redirect(order, "")  # whom the number belonged to when its account was looked up
            return
        try:
            if self.settling and self._guards_are_written(order):
                self._take(order, Applied(None))
                return
            self._check_guards(order)
            applied = ledger.apply(
                account, order.command, record, self._now_ms, self._rules, self._tables, self._cdrs.beside
            )
            if self._rules.notices is not None:
                applied.notices = note(account, order.command, applied, self._rules.notices, self._tables, self._now_ms)
        except Exception as error:  # this one alone; whatever it was, the others go on
            order.fail(error)
            return
        if order.guards:
            self._fill_guards(order, account, applied)
        self._take(order, applied)

    def _fill_guards(self, order: Order, account: Account, applied: Applied) -> None:
        keys = [(guard.collection, guard.doc["_id"]) for guard in order.guards]
        found = {key: self._guarded[key] for key in keys if key in self._guarded}
        written: dict[tuple[str, str], Doc] = {}
        change = Change(account, applied.account or account, found, written)
        for key, guard in zip(keys, order.guards, strict=True):
            if guard.removes:
                self._guards.append(guard)
                self._guarded.pop(key, None)
                continue
            doc = {**guard.doc, **applied.settled.get(guard.doc["_id"], {})}
            if guard.fill is not None:
                doc |= guard.fill(order, change)
            self._guards.append(guard._replace(doc=doc))
            self._guarded[key] = written[key] = doc

    def _take(self, order: Order, applied: Applied) -> None:
        order.outcome, order.error, order.verdicts = applied.outcome, None, applied.verdicts
        if applied.noted:
            self._cdrs.take(applied.noted)
        after = applied.account
        if after is not None:
            self._accounts[after["_id"]] = self._changed_accounts[after["_id"]] = after
        order.account_after = after or self._accounts[order.account]
        for record in applied.records:
            self._records[record["_id"]] = self._changed_records[record["_id"]] = record
        self._applied.append(applied)

    def _guards_are_written(self, order: Order) -> bool:
        """Whether this very order committed: what it would write is there, to the letter but for what was filled in."""
        return bool(order.guards) and all(
            _is_written(guard, self._guarded.get((guard.collection, guard.doc["_id"]))) for guard in order.guards
        )

    def _check_guards(self, order: Order) -> None:
        for guard in order.guards:
            stored = self._guarded.get((guard.collection, guard.doc["_id"]))
            if guard.version is None:
                if stored is not None:
                    raise GuardConflict(guard, stored)
            elif stored is None or stored.get("version", 0) != guard.version:
                raise GuardConflict(guard, stored)

    def _unknown(self, order: Order) -> None:
        """No account: a request is answered, what it reports is kept; any other command is an error."""
        command = order.command
        if not isinstance(command, CreditControl):
            named = order.account or ", ".join(order.identities) or "nobody"
            order.fail(UnknownAccount(f"account: {named[:80]}; expected an account that exists"))
            return
        applied = refuse(command, Result.USER_UNKNOWN, self._now_ms)
        order.outcome, order.error = applied.outcome, None
        self._applied.append(applied)

    def _redirect(self, order: Order, account_id: str) -> None:
        if order.redirects >= MAX_REDIRECTS:
            self._unknown(order)
            return
        order.redirects += 1
        order.account = account_id
        self.again.append(order)

    def _suspended(self, session: Session) -> list[Doc]:
        """The reports that go into suspense: one that lies there settled, or of a request that was taken, stays so."""
        docs = {doc["_id"]: doc for applied in self._applied for doc in applied.suspense}
        if docs:
            for stored in storage.lock_suspense(session, sorted(docs)):
                if stored.get("state", OPEN) != OPEN or request_was_taken(stored):
                    del docs[stored["_id"]]
                else:
                    docs[stored["_id"]] = {**docs[stored["_id"]], "version": stored.get("version", 0) + 1}
        return list(docs.values())

    def _writes(self, suspense: list[Doc]) -> list[Write]:
        new = [record for key, record in self._changed_records.items() if key in self._unseen]
        old = [record for key, record in self._changed_records.items() if key not in self._unseen]
        writes = storage.writes(
            list(self._changed_accounts.values()),
            new,
            old,
            [posting for applied in self._applied for posting in applied.postings],
            [record for applied in self._applied for record in applied.usage],
            suspense,
            last_of_each(entry for applied in self._applied for entry in applied.outbox),
        )
        notices = [notice for applied in self._applied for notice in applied.notices]
        if notices:
            docs = [notifications.of_notice(notice, self._now_ms // 1000) for notice in notices]
            writes.append(Write(notifications.NOTIFICATIONS, docs, How.PUT))
        return writes + _guard_writes(self._guards) + self._cdrs.writes()


def _is_written(guard: Guard, stored: Doc | None) -> bool:
    if guard.removes:
        return stored is None
    if guard.fill is None or stored is None:
        return stored == guard.doc
    return guard.doc.items() <= stored.items()


def _guard_writes(guards: list[Guard]) -> list[Write]:
    """Guarded documents as sets; of one that several orders change (a counter) the last, new if its first is.

    What is taken away goes first: another order of the batch may have added it anew.
    """
    removed: dict[str, dict[str, Doc]] = {}
    new: dict[str, dict[str, Doc]] = {}
    changed: dict[str, dict[str, Doc]] = {}
    for guard in guards:
        added = new.setdefault(guard.collection, {})
        key = guard.doc["_id"]
        if guard.removes:
            changed.get(guard.collection, {}).pop(key, None)
            if added.pop(key, None) is None:
                removed.setdefault(guard.collection, {})[key] = guard.doc
        elif guard.version is None or key in added:
            added[key] = guard.doc
        else:
            changed.setdefault(guard.collection, {})[key] = guard.doc
    gone = [Write(name, list(docs), How.REMOVE) for name, docs in removed.items()]
    return gone + [
        Write(name, list(docs.values()), how)
        for sets, how in ((new, How.ADD), (changed, How.PUT))
        for name, docs in sets.items()
        if docs
    ]
