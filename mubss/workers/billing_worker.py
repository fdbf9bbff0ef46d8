"""Does the activities of one cycle: a timer looks at the queue, and a nudge makes it look at once.

One that was cancelled meanwhile, or that another process took since we gave no sign of life, is left. When the process
is told to stop what is begun is finished, and the rest is left to whoever comes next.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from mubss import metrics
from mubss.charging.engine import wall_clock_ms
from mubss.config import Config
from mubss.core import activity
from mubss.core.activity import DONE, FULL_BILLRUN, Activity
from mubss.core.errors import InputError, MubssError
from mubss.runtime import ExitCode
from mubss.services.activities import BillingWanted, queue_billing
from mubss.services.billing import period_for
from mubss.services.control import BILLING
from mubss.services.depths import of_billing
from mubss.services.licensing import Gate
from mubss.services.process import Process
from mubss.services.spans import open_spans
from mubss.services.watch import Watch
from mubss.storage import activities as storage
from mubss.storage.database import Store, StoreError, open_database
from mubss.workers.billing_runs import Runs
from mubss.workers.claims import Claim, Claims
from mubss.workers.passes import repeat
from mubss.workers.pools import offloader
from mubss.workers.progress import Progress

log = logging.getLogger("mubss.billing")

ONCE_LOOK_SECONDS = 0.5
BEATS = 5  # signs of life within a lease


class Worker:
    """One process at the queue."""

    def __init__(
        self,
        config: Config,
        store: Store,
        runs: Runs,
        stopping: Event,
        progress: Progress,
        gate: Gate,
        *,
        is_lasting: bool = True,
    ) -> None:
        """`is_lasting` False: it does one period, and leaves the port of metrics to who stays."""
        self._gate = gate
        self._store = store
        self._runs = runs
        self._cycle = runs.cycle
        self._stopping = stopping
        self._show = progress
        self._options = config.billing
        self._claims = Claims(store, config.billing.lease_seconds)
        self._current: Claim | None = None
        self._queued = ""  # the last period that was
        self._woken = Event()
        self._dunned_s = -math.inf  # when it was last looked for overdue bills
        watch = Watch(
            store,
            config,
            lambda counting: of_billing(counting, self._cycle, _now_s),
            partial(open_database, offload=offloader(1)),
            accounts=lambda: metrics.BILLING_ACCOUNTS.total,
        )
        self._process = Process(BILLING, config, self._facts, stopping.is_set, watch=watch, has_port=is_lasting)
        self._spans = open_spans(BILLING, config)
        runs.members = self._process.inside.members
        self._process.control.handlers["nudge"] = self._nudge

    def once(self, label: str) -> int:
        """The bills of one period, by whomever; the exit code tells whether all accounts could be billed."""
        self._runs.refdata.load()
        wanted = BillingWanted(self._cycle, label)
        queued = queue_billing(self._store, self._runs.refdata.tables, wanted, self._claims.owner, _now_s())
        waits = False
        with self._alive():
            while not self._stopping.is_set():
                doc = storage.get(self._store, queued.activity["_id"])
                if doc is None or doc["state"] in activity.ENDED:
                    self._dun()
                    is_fine = doc is not None and doc["state"] == DONE and not doc["progress"]["parked"]
                    return ExitCode.OK if is_fine else ExitCode.FAILURE
                claim = self._claims.take(doc, _now_s())
                if claim is not None:
                    self._do(claim, retries=False)
                else:
                    if not waits:
                        log.info("another process is at it: %s; waiting for it", doc.get("owner", "none yet"))
                    waits = True
                    progress = doc.get("progress", {})
                    self._show("another process is at it", progress.get("done", 0), progress.get("of", 0))
                    self._stopping.wait(ONCE_LOOK_SECONDS)
        return ExitCode.TRY_AGAIN

    def serve(self) -> int:
        """Does what is queued, and queues each period as it closes, until told to stop."""
        log.info("bill cycle %d, looking every %d s", self._cycle, self._options.poll_seconds)
        self._runs.refdata.load()
        with self._alive():
            repeat(self._look, self._wait, self._stopping.is_set, log, "bills")
        return ExitCode.OK

    def _wait(self) -> None:
        self._woken.wait(self._options.poll_seconds)
        self._woken.clear()

    def _look(self) -> None:
        self._runs.refdata.poll()
        if not self._gate.is_open:
            return
        self._queue_closed_period()
        found = True
        while found:
            found = False
            due = storage.find_due(self._store, self._cycle, _now_s())
            for doc in due + storage.find_running(self._store, self._cycle):
                if self._stopping.is_set():
                    return
                claim = self._claims.take(doc, _now_s())
                if claim is not None:
                    found = True
                    self._do(claim, retries=True)
        self._dun()

    def _queue_closed_period(self) -> None:
        """A period that has closed is billed by itself, once; only people begin it again."""
        now_s = _now_s()
        label = period_for(self._runs.refdata.tables, self._cycle, "", now_s).label
        if label != self._queued:
            new = activity.make(FULL_BILLRUN, self._cycle, now_s, "timer", period=label, subscriber="", dry_run=False)
            storage.change(self._store, new["_id"], lambda stored: new if stored is None else None)
            self._queued = label

    def _dun(self) -> None:
        """Now and then overdue bills go up the ladder of dunning."""
        minutes, now_s = self._options.dunning_minutes, time.monotonic()
        if not minutes or now_s < self._dunned_s + minutes * 60:
            return
        done = self._runs.dun(_now_s(), self._stopping.is_set)
        for one in done:
            if one.fault:
                log.error("bill %s can't be dunned: %s", one.number, one.fault)
            else:
                metrics.BILLING_DUNNED.inc()
                log.info("bill %s is overdue: %s, step %d", one.number, one.action, one.step)
        self._dunned_s = now_s

    # ── one activity ───────────────────────────────────────────────────────────────────────────────

    def _do(self, claim: Claim, *, retries: bool) -> None:
        fields = {"activity": claim.doc["_id"]}
        log.info("%s begins, attempt %d", claim, claim.doc["attempts"], extra=fields)
        self._current = claim
        started_s = time.perf_counter()
        result, error = None, ""
        try:
            result = self._runs.do(claim.doc, _now_s(), partial(self._report, claim), self._stopper(claim))
        except InputError as fault:
            error, retries = str(fault), False
        except MubssError as fault:
            error = str(fault)
        except Exception as fault:
            log.exception("%s failed", claim, extra=fields)
            error = f"{type(fault).__name__}: {fault}"
        finally:
            self._current = None
        metrics.BILLING_JOB_SECONDS.observe(time.perf_counter() - started_s)
        ended = None if claim.is_lost else self._end(claim, result, error, retries=retries)
        if self._spans is not None:
            about = {"mubss.activity": claim.doc["_id"], "mubss.kind": claim.doc["kind"], "mubss.cycle": self._cycle}
            self._spans.record("billing.job", started_s, time.perf_counter(), about, error=error)
        metrics.BILLING_JOBS.inc(claim.doc["kind"], "LOST" if ended is None else ended["state"])
        if ended is None:
            log.warning(
                "%s was cancelled, or is another's by now: it is left; what was issued stays", claim, extra=fields
            )
        elif result is None:
            log.error("%s: %s; it is %s", claim, error, ended["state"], extra=fields)
        else:
            _tell(claim, ended["state"], result)

    def _report(self, claim: Claim, progress: dict[str, Any]) -> None:
        claim.progress = progress
        self._show(str(claim), progress.get("done", 0), progress.get("of", 0))

    def _stopper(self, claim: Claim) -> Callable[[], bool]:
        return lambda: self._stopping.is_set() or claim.is_lost

    def _end(self, claim: Claim, result: dict[str, Any] | None, error: str, *, retries: bool) -> Activity | None:
        if result is None:
            return self._claims.fail(claim, error, _now_s(), for_good=not retries)
        if self._stopping.is_set():
            return self._claims.give_back(claim, _now_s())
        return self._claims.finish(claim, result, _now_s())

    # ── signs of life ──────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _alive(self) -> Generator[None, None, None]:
        """The heartbeat and the control socket, meanwhile."""
        heart = gevent.spawn(self._beat)
        try:
            with self._process:
                self._process.is_ready = True
                yield
        finally:
            heart.kill()
            if self._spans is not None:
                self._spans.close()

    def _beat(self) -> None:
        """Each second, so that a signal is seen; the store is told a few times within a lease."""
        last_s = 0.0
        while True:
            if self._stopping.wait(1):
                self._woken.set()
                gevent.sleep(1)
            claim = self._current
            if claim is not None and time.monotonic() >= last_s + self._options.lease_seconds / BEATS:
                last_s = time.monotonic()
                try:
                    self._claims.beat(claim, _now_s())
                except StoreError as error:
                    log.warning("no sign of life: %s", error)

    def _facts(self) -> Mapping[str, Any]:
        claim = self._current
        return {
            **self._gate.facts(),
            "cycle": self._cycle,
            "activity": str(claim) if claim else "",
            "progress": claim.progress if claim else {},
        }

    def _nudge(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        self._woken.set()
        yield {"cycle": self._cycle}


def _now_s() -> int:
    return wall_clock_ms() // 1000


def _tell(claim: Claim, state: str, result: dict[str, Any]) -> None:
    for parked in result.get("parked", ()):
        log.error("account %s can't be billed: %s", parked["account"], parked["reason"])
    counts = result["progress"]
    text = "{issued} bills issued, {before} there before, {skipped} accounts with none, {parked} can't be billed"
    log.info("%s is %s: %s", claim, state, text.format(**counts) if "issued" in counts else counts)
