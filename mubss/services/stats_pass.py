"""One pass of statistics: documents that nobody has counted are added to figures by hour, day and month.

Deltas, each counted once, rather than periods that are reckoned anew: an account numbers its postings and usage records
without a gap, under its lock, and its document says the last number. So "all up to number N of this account" is an
exact cursor, whatever commits in what order and however late; it moves in the transaction that adds the figures, so a
kill leaves both or neither. A document counts in the period of its own time, so one that is late corrects the right
period by being added. Reckoning dirty periods anew would need an index by time on postings and usage, which each charge
would pay for, and would read a month again for one late record. What deltas take is a look at every account in a pass.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

from mubss.config_stats import StatsOptions
from mubss.core import stats, wording
from mubss.core.errors import InputError
from mubss.core.periods import DAY, HOUR, MONTH, PERIODS, Periods
from mubss.core.settling import PARTLY_PAID, UNPAID
from mubss.core.stats import Horizon, Levels, Tally
from mubss.storage import stats as storage
from mubss.storage import stats_sources as sources
from mubss.storage.database import Doc, Store
from mubss.storage.stats import Lease
from mubss.storage.stats_sources import POSTINGS, USAGE

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
BATCH = 200  # accounts whose cursors move in one transaction: 10 ms on SQLite
DOCUMENTS = 2_000  # that are counted in one transaction
MINUTES = 100
COUNTED_DAYS = 2  # how long a minute is kept once it is counted: longer than a process may try to write it again
_DAY_S = 86_400


@dataclass(slots=True)
class Passed:
    """What a pass did."""

    documents: int = 0  # counted
    missing: int = 0  # numbers whose documents are gone
    faults: int = 0  # documents that can't be read as what they should be; the others go on
    finished: bool = False


class _Change(NamedTuple):
    """What of an account is to be counted now, and its cursor after that."""

    account: Doc
    cursor: Doc
    after: Doc
    postings: range
    usage: range

    @property
    def documents(self) -> int:
        return len(self.postings) + len(self.usage)


class Counter:
    """Counts for one process; `clock_s` gives UTC seconds."""

    def __init__(
        self,
        store: Store,
        periods: Periods,
        timezone: str,
        options: StatsOptions,
        clock_s: Callable[[], int],
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._periods = periods
        self._timezone = timezone
        self._options = options
        self._clock_s = clock_s
        self._is_stopping = is_stopping
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease = Lease()

    def run(self, now_s: int) -> Passed:
        """One pass; Busy while another process makes one, InputError where figures are by another clock."""
        passed = Passed()
        self._lease = storage.take(self._store, self._owner, self._clock_s(), self._clock_s() + LEASE_SECONDS)
        try:
            self._prepare()
            horizon = self._horizon(now_s)
            levels = Levels()
            if self._accounts(levels, horizon, passed) and self._bills(horizon, passed):
                self._minutes(horizon, passed)
                self._look_at_bills(levels, now_s)
                starts = {period: self._periods.start(period, now_s) for period in PERIODS}
                storage.replace_levels(self._store, self._lease, starts, list(levels.rows(starts)), now_s)
                self._forget(horizon, now_s)
                passed.finished = True
        finally:
            self._leave(now_s if passed.finished else 0)
        if passed.missing:
            log.warning("gone, and to be counted: %s", wording.counted(passed.missing, "document"))
        return passed

    def _leave(self, passed_s: int) -> None:
        changes = {"owner": "", "until_s": 0}
        storage.change_lease(self._store, self._lease, **changes, **({"passed_s": passed_s} if passed_s else {}))

    def _prepare(self) -> None:
        """Figures of documents are made anew where that was asked for; they are all by one clock."""
        lease = self._lease
        if lease.is_rebuilding:
            while storage.forget_counted(self._store):
                self._beat()
            self._lease = storage.change_lease(self._store, self._lease, timezone=self._timezone, is_rebuilding=False)
        elif not lease.timezone:
            self._lease = storage.change_lease(self._store, lease, timezone=self._timezone)
        elif lease.timezone != self._timezone:
            raise InputError(
                f"general.timezone: {self._timezone}; expected {lease.timezone}, by which statistics were counted so "
                f"far; `mubss stats rebuild` counts them again"
            )

    def _horizon(self, now_s: int) -> Horizon:
        options, periods = self._options, self._periods
        hours, days = options.keep_hours_days, options.keep_days_months
        return Horizon(
            periods.back(DAY, now_s, hours) if hours else stats.FOR_EVER_S,
            periods.back(MONTH, now_s, days) if days else stats.FOR_EVER_S,
        )

    def _beat(self) -> None:
        """The lease is ours for a while more; where it isn't, Busy."""
        now_s = self._clock_s()
        if self._lease.until_s - now_s < LEASE_SECONDS * 2 // 3:
            self._lease = storage.change_lease(self._store, self._lease, until_s=now_s + LEASE_SECONDS)

    # ── accounts ───────────────────────────────────────────────────────────────────────────────────

    def _accounts(self, levels: Levels, horizon: Horizon, passed: Passed) -> bool:
        """All accounts, page by page; whether they were all seen."""
        after = ""
        while page := sources.accounts_behind(self._store, after):
            if self._is_stopping():
                return False
            self._beat()
            waiting: list[_Change] = []
            for account, cursor in page:
                if not _counted(passed, account, partial(stats.level_account, levels, account)):
                    continue
                for change in _changes(account, cursor):
                    waiting.append(change)
                    if len(waiting) == BATCH or sum(one.documents for one in waiting) >= DOCUMENTS:
                        self._count(waiting, horizon, passed)
                        waiting = []
            if waiting:
                self._count(waiting, horizon, passed)
            after = page[-1][0]["_id"]
        return True

    def _count(self, changes: list[_Change], horizon: Horizon, passed: Passed) -> None:
        """Some accounts' documents, in one transaction."""
        self._beat()
        tally = Tally(self._periods)
        postings = sources.numbered(self._store, POSTINGS, [(one.account["_id"], one.postings) for one in changes])
        usage = sources.numbered(self._store, USAGE, [(one.account["_id"], one.usage) for one in changes])
        for change in changes:
            account = change.account
            own, used = postings.get(account["_id"], ()), usage.get(account["_id"], ())
            for posting in own:
                _counted(passed, posting, partial(stats.count_posting, tally, account, posting))
            for record in used:
                _counted(passed, record, partial(stats.count_usage, tally, account, record))
            if change.cursor["last"] != change.after["last"]:
                _counted(passed, account, partial(stats.count_changes, tally, account, change.cursor["last"]))
            passed.documents += len(own) + len(used)
            passed.missing += change.documents - len(own) - len(used)
        storage.count(self._store, self._lease, tally.rows(horizon), [change.after for change in changes])

    # ── bills and answers ──────────────────────────────────────────────────────────────────────────

    def _bills(self, horizon: Horizon, passed: Passed) -> bool:
        """Bills by the counters that number them; whether all were seen."""
        for counter, last, counted in sources.bill_counters(self._store):
            for first in range(counted + 1, last + 1, DOCUMENTS):
                if self._is_stopping():
                    return False
                self._beat()
                numbers = range(first, min(first + DOCUMENTS, last + 1))
                found = sources.bills_numbered(self._store, counter, numbers)
                tally = Tally(self._periods)
                for bill in found:
                    _counted(passed, bill, partial(stats.count_bill, tally, bill))
                passed.documents += len(found)
                passed.missing += len(numbers) - len(found)
                cursor = {"_id": counter, "bills": numbers[-1]}
                storage.count(self._store, self._lease, tally.rows(horizon), [cursor])
        return True

    def _minutes(self, horizon: Horizon, passed: Passed) -> None:
        while minutes := sources.uncounted_minutes(self._store, MINUTES):
            self._beat()
            tally = Tally(self._periods)
            for minute in minutes:
                _counted(passed, minute, partial(stats.count_answers, tally, minute))
            passed.documents += len(minutes)
            counted = [{**minute, "counted": self._clock_s()} for minute in minutes]
            storage.count(self._store, self._lease, tally.rows(horizon), [], counted)

    def _look_at_bills(self, levels: Levels, now_s: int) -> None:
        today = datetime.fromtimestamp(now_s, self._periods.zone).date().toordinal()
        for bill in sources.open_bills(self._store, (UNPAID, PARTLY_PAID)):
            due = date.fromisoformat(bill["due_day"]).toordinal()
            stats.level_bill(levels, {**bill, "due": due}, today)

    def _forget(self, horizon: Horizon, now_s: int) -> None:
        for period, before_s in ((HOUR, horizon.hour_s), (DAY, horizon.day_s)):
            while storage.forget_period(self._store, period, before_s):
                self._beat()
        while sources.forget_counted_minutes(self._store, now_s - COUNTED_DAYS * _DAY_S):
            self._beat()


def _counted(passed: Passed, doc: Doc, count: Callable[[], None]) -> bool:
    """Counts one document; one that isn't what it should be keeps none of the others from being counted."""
    try:
        count()
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as fault:
        passed.faults += 1
        log.error("document %s can't be counted: %s: %s", doc["_id"], type(fault).__name__, fault)
        return False
    return True


def _changes(account: Doc, cursor: Doc | None) -> list[_Change]:
    """What of an account isn't counted yet, in parts; each but the last fills a transaction."""
    key = account["_id"]
    at = cursor or {"_id": key, "postings": 0, "usage": 0, "last": None}
    wanted = {
        "_id": key,
        "postings": account["sequence"],
        "usage": account["usage_sequence"],
        "last": stats.history_of(account)[-1],
    }
    found: list[_Change] = []
    while at != wanted:
        postings = range(at["postings"] + 1, min(wanted["postings"], at["postings"] + DOCUMENTS) + 1)
        usage = range(at["usage"] + 1, min(wanted["usage"], at["usage"] + DOCUMENTS - len(postings)) + 1)
        after = {
            **wanted,
            "postings": at["postings"] + len(postings),
            "usage": at["usage"] + len(usage),
        }
        found.append(_Change(account, at, after, postings, usage))
        at = after
    return found
