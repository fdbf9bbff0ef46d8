"""What a soak's programs are given to do: Gy sessions, CDR files, bill runs with their PDFs, calls of a CRM."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bill_accounts import CYCLE, backdate, leave_cycle
from cdr_files import FIRST, PLAN, make_store, mixed
from mubss.cdr.writer import writing
from mubss.core.activity import DONE, ENDED
from mubss.core.settling import NEW
from mubss.refdata.live import Refdata
from mubss.services.activities import BillingWanted, nudge, queue_billing
from mubss.services.billing import period_for
from mubss.services.control import FOLDER
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage import activities, bill_documents, cdr
from mubss.storage.database import Store
from mubss.storage.subscribers import identities_between
from soaking.samples import MINUTE_S, Times
from soaking.verdict import Minute

SCRIPTS = Path(__file__).parents[1]
FIRST_PREPAID = 1_000_000  # above FIRST: behind all that bill runs will be of
PREFIXES = 200
OPENING_MICROS = 10_000_000_000
PATIENCE_S = 180
GENERATOR_S = 15  # it begins a little later than the clock of the soak
LOOK_S = 0.2
TOP_UP_MICROS = 1_000_000


class Amounts(NamedTuple):
    """How much of each kind of work."""

    prepaid: int
    postpaid: int
    ccr_per_s: int
    file_records: int
    file_seconds: float
    bills: int  # of each run
    bill_seconds: float  # at least, from one run to the next
    calls_per_s: float


class Players:
    """Threads that keep the programs at work until they are stopped; what went wrong is in `faults`."""

    def __init__(self, store: Store, folder: Path, amounts: Amounts) -> None:
        self._store = store
        self._folder = folder
        self._amounts = amounts
        self._refdata = Refdata(store, "UTC")
        self._drop = folder / "var" / "cdr"
        self._drop.mkdir(parents=True, exist_ok=True)
        self._began = time.perf_counter()
        self._times = {work: Times(work, self._began) for work in ("CDR files", "bill runs", "PDFs", "CRM calls")}
        self._gy: list[Minute] = []
        self._generator: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self.stopping = threading.Event()
        self.faults: list[str] = []

    def start(self, gy_port: int, seconds: float, client: Callable[[], Any]) -> None:
        """All kinds of work at once; `client` makes a connected client of the CRM."""
        self._refdata.load()
        works: list[Callable[[], None]] = [
            lambda: self._play_gy(gy_port, seconds),
            self._drop_files,
            self._bill,
            lambda: self._call(client),
        ]
        self._threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self, *, at_once: bool) -> None:
        """Everything ends what it has under way; the load generator tells its last figures, or ends at once."""
        self.stopping.set()
        if self._generator is not None and not at_once:
            self._threads[0].join(GENERATOR_S)
        if self._generator is not None and self._generator.poll() is None:
            self._generator.terminate()
        for thread in self._threads:
            thread.join()

    def minutes(self) -> list[Minute]:
        """What was measured so far."""
        return [*self._gy, *(one for times in self._times.values() for one in times.minutes())]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    @contextmanager
    def _timed(self, work: str) -> Iterator[None]:
        """Notes how long the block took; an exception is an error, told once."""
        started = time.perf_counter()
        try:
            yield
        except Stopped:
            raise
        except Exception as error:
            self._times[work].note(started, is_error=True)
            if len(self.faults) < 20:
                self.faults.append(f"{work}: {type(error).__name__}: {str(error)[:300]}")
        else:
            self._times[work].note(started)

    def _until(self, what: str, found: Callable[[], bool]) -> None:
        """Waits; Stopped when the soak ends first."""
        deadline = time.monotonic() + PATIENCE_S
        while not found():
            if self.stopping.wait(LOOK_S):
                raise Stopped
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {PATIENCE_S} s")

    # ── Gy ─────────────────────────────────────────────────────────────────────────────────────────

    def _play_gy(self, port: int, seconds: float) -> None:
        command = [sys.executable, str(SCRIPTS / "gy_load.py"), "--port", str(port), "--warm-up", "0"]
        command += ["--offered", str(self._amounts.ccr_per_s), "--seconds", str(seconds), "--every", str(MINUTE_S)]
        command += ["--accounts", str(self._amounts.prepaid), "--first", str(FIRST_PREPAID)]
        environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        ) as self._generator:
            assert self._generator.stdout is not None
            for line in self._generator.stdout:
                told = json.loads(line)
                if told.get("requests"):
                    errors = sum(count for code, count in told["results"].items() if code != "2001")
                    figures = told["p50_ms"], told["p99_ms"], errors
                    self._gy.append(Minute(len(self._gy), "Gy requests", told["requests"], *figures))
        if self._generator.returncode and not self.stopping.is_set():
            self.faults.append(f"the load generator ended with {self._generator.returncode}")

    # ── CDR files ──────────────────────────────────────────────────────────────────────────────────

    def _drop_files(self) -> None:
        sequence = 0
        accounts = range(self._amounts.postpaid)
        with quiet_end():
            while True:
                sequence += 1
                started = time.perf_counter()
                with self._timed("CDR files"):
                    self._load("soak", sequence, self._amounts.file_records, accounts, int(time.time()))
                self._pause(started, self._amounts.file_seconds)

    def _load(self, source: str, sequence: int, records: int, accounts: range, now_s: int) -> None:
        """Drops a file and waits until all its records are charged."""
        rng = random.Random(sequence)
        with writing(str(self._drop / f"{source}-{sequence}.cdr"), source, sequence, now_s) as writer:
            for number in range(records):
                record = mixed(rng, sequence * 1_000_000 + number, 1, PREFIXES, now_s)
                record.calling = record.served_msisdn = str(FIRST + rng.choice(accounts))
                writer.write(record)
        found: list[dict[str, Any]] = []

        def is_done() -> bool:
            found[:] = [
                doc for doc in cdr.find_files(self._store, 20) if (doc["source"], doc["sequence"]) == (source, sequence)
            ]
            return bool(found) and found[0]["state"] in (cdr.DONE, cdr.REFUSED)

        self._until(f"file {sequence} of {source}", is_done)
        if found[0]["counts"] != {"charged": records}:
            raise ValueError(f"file {sequence} of {source}: {found[0]['counts']}; expected {records} charged")

    # ── bills and their PDFs ───────────────────────────────────────────────────────────────────────

    def _bill(self) -> None:
        run = 0
        with quiet_end():
            while True:
                first = self._amounts.postpaid + run * self._amounts.bills
                run += 1
                started = time.perf_counter()
                self._add_postpaid(run, range(first, first + self._amounts.bills))
                with self._timed("bill runs"):
                    self._run_bills()
                with self._timed("PDFs"):
                    self._until("PDFs", lambda: not bill_documents.count(self._store, NEW))
                    if failed := bill_documents.failed(self._store):
                        raise ValueError(f"bills that can't be rendered: {failed[:3]}")
                    files, bills = len(list(self._folder.glob("invoices/**/*.pdf"))), run * self._amounts.bills
                    if files != bills:
                        raise ValueError(f"{files} PDFs; expected {bills}, one for each bill")
                leave_cycle(self._store)  # each run is of the same size: what grows is the fault of a program
                self._pause(started, self._amounts.bill_seconds)

    def _add_postpaid(self, run: int, numbers: range) -> None:
        """Subscribers who had their plan before the period that is over, and used something within it."""
        now_s = int(time.time())
        end_s = period_for(self._refdata.tables, CYCLE, "", now_s).end_s - 4 * 3_600
        people = [NewSubscriber(str(FIRST + n), f"{FIRST * 1000 + n}", "postpaid", PLAN, 0, CYCLE) for n in numbers]
        create(self._store, self._refdata.tables, people, now_s * 1000)
        ends = (f"e164:{FIRST + numbers[0]}", f"e164:{FIRST + numbers[-1]}")
        identities = identities_between(self._store, *ends, len(numbers))
        backdate(self._store, [one["account"] for one in identities], end_s)
        self._load("soak-bills", run, len(numbers) * 5, numbers, end_s)

    def _run_bills(self) -> None:
        tables, now_s = self._refdata.tables, int(time.time())
        queued = queue_billing(self._store, tables, BillingWanted(CYCLE), "soak", now_s).activity
        nudge(self._folder / FOLDER, CYCLE)
        found: dict[str, Any] = {}

        def is_done() -> bool:
            found.update(activities.get(self._store, queued["_id"]) or {})
            return found.get("state") in ENDED

        self._until("a bill run", is_done)
        if found["state"] != DONE or found.get("parked"):
            raise ValueError(f"a bill run: {found['state']}, {found.get('error')}, parked {found.get('parked')}")

    # ── the CRM ────────────────────────────────────────────────────────────────────────────────────

    def _call(self, client: Callable[[], Any]) -> None:
        crm = client()
        rng = random.Random(1)
        number = 0
        with quiet_end():
            while True:
                number += 1
                started = time.perf_counter()
                who = str(FIRST + FIRST_PREPAID + rng.randrange(self._amounts.prepaid))
                with self._timed("CRM calls"):
                    if number % 2:
                        crm.call("Subscribers/GetSubscriber", subscriber=who)
                    else:
                        key = f"soak-{os.getpid()}-{number}"
                        crm.call("Balances/TopUp", subscriber=who, amount_micros=TOP_UP_MICROS, idempotency_key=key)
                self._pause(started, 1 / self._amounts.calls_per_s)

    def _pause(self, started: float, seconds: float) -> None:
        """Until so long after `started`; Stopped when the soak ends."""
        if self.stopping.wait(max(0.0, started + seconds - time.perf_counter())):
            raise Stopped


class Stopped(Exception):
    """The soak ends: what waits is no error."""


@contextmanager
def quiet_end() -> Iterator[None]:
    """Ends a player's loop."""
    try:
        yield
    except Stopped:
        pass


def make(url: str, folder: Path, amounts: Amounts) -> Store:
    """A store with prepaid subscribers for Gy and the CRM, and postpaid ones for CDR files."""
    store = make_store(url, amounts.postpaid, PREFIXES, folder)
    tables = Refdata(store, "UTC").load()
    numbers = range(FIRST_PREPAID, FIRST_PREPAID + amounts.prepaid)
    people = [
        NewSubscriber(str(FIRST + n), f"{FIRST * 1000 + n}", "prepaid", "demo-prepaid", OPENING_MICROS) for n in numbers
    ]
    create(store, tables, people, int(time.time() * 1000))
    return store
