"""One store with everything at work on it: Gy, the CRM, CDR files, a bill cycle and its PDFs, all as real processes."""

from __future__ import annotations

import argparse
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bill_accounts import OTHER_CYCLE, leave_cycle, make_cycle
from breaking.clerk import Clerk
from breaking.desks import Cycle, Mediation
from breaking.disk import Disk
from breaking.element import Element
from breaking.programs import Program
from breaking.proxy import Network, Way
from breaking.shim import Shim
from cdr_files import FIRST, PLAN
from gy_reckoning import OPENING_MICROS
from mubss.config import load
from mubss.core.roles import ADMIN
from mubss.refdata.live import Refdata
from mubss.services import outage, private_ca
from mubss.services.lifecycle import NewSubscriber, create
from mubss.services.tokens import Keys, issue, make_key, terms_of
from mubss.storage.database import Store, StoreError
from mysqld.group import Group
from mysqld.server import Server as MySQL
from mysqld.server import ServerFailed
from ports import free_port

PREPAID, POSTPAID = FIRST + 1_000_000, FIRST + 2_000_000  # who is charged by Gy, and who by CDRs
RECORDS = 6  # a month's, of each account that is billed
PART = 8  # accounts that come into the bill cycle together
LOOK_S = 0.05
TOKEN_S = 30 * 86_400
SETTLE_S = 90  # all that was begun must end within it
OUTAGE = {  # with caps that nobody comes to: what is refused for one is served again only when the store is
    "MUBSS_OUTAGE__ENABLED": "true",
    "MUBSS_OUTAGE__ACCOUNT_CAP_MICROS": str(10**12),
    "MUBSS_OUTAGE__TOTAL_CAP_MICROS": str(10**15),
}


class Stuck(Exception):
    """What must go on doesn't."""


class Scene:
    """A phase's store, programs and clients."""

    def __init__(
        self,
        options: argparse.Namespace,
        seed: int,
        folder: Path,
        disk: Disk,
        mysql: MySQL | Group | None,
        library: Path | None,
        mysql_shim: Shim | None,
    ) -> None:
        self._limit_s = options.limit
        self.waited_s = 0.0  # the longest that clients had to wait since this was set to 0
        self.disk, self.mysql, self.place = disk, mysql, disk.folder / f"phase-{seed:x}"
        self.place.mkdir()
        self.log = folder / f"programs-{seed:x}.log"
        self.clients, self.store_way = Network(), Network()
        self._schema = f"mubss_{seed:x}"
        self.url, programs_url = self._urls()
        parts = max(2, options.per_phase // 4)
        self.store = self._make_store(parts * PART, options.accounts, seed)
        gy_port, crm_port = free_port(), free_port()
        self._gy_way, self._crm_way = self.clients.lead_to(gy_port), self.clients.lead_to(crm_port)
        settings = {
            "MUBSS_STORE__URL": programs_url,
            "MUBSS_GENERAL__DATA_DIR": str(self.place),
            "MUBSS_GY__WORKERS": str(options.workers),
            "MUBSS_CHARGING__SWEEP_SECONDS": "1",
            "MUBSS_CDR__POLL_SECONDS": "1",
            "MUBSS_CDR__WINDOW": "20",
            "MUBSS_BILLING__LEASE_SECONDS": "2",
            "MUBSS_BILLFMT__LEASE_SECONDS": "4",
            **(OUTAGE if options.outage else {}),
        }
        self._config = load(None, settings)

        def program(name: str, *command: str) -> Program:
            shim = Shim(library, folder / f"{name}.shim") if library is not None else None
            return Program(name, list(command), settings, self.log, shim)

        self.gy = program("mubss-gy", "mubss.gy.main", "--port", str(gy_port))
        self.crm = program("mubss-crm", "mubss.crm.main", "--port", str(crm_port))
        self.cdr = program("mubss-cdr", "mubss.workers.cdr_loader")
        self.billing = program("mubss-billing", "mubss.workers.billing", "--once", "--cycle", "3")
        self.billfmt = program("mubss-billfmt", "mubss.workers.billfmt", "--once")
        self.lasting = (self.gy, self.crm, self.cdr)
        self.programs = (*self.lasting, self.billing, self.billfmt)
        self.shims = [one for one in (mysql_shim, *(program.shim for program in self.programs)) if one is not None]
        self.elements = [
            Element(self._gy_way, f"element{n}.example", seed * 10 + n, f"{seed:x}", PREPAID, options.accounts, 24, 15)
            for n in range(2)
        ]
        self.clerks = self._make_clerks(seed, options.accounts)
        self.mediation = Mediation(self.place / "var" / "cdr", seed, POSTPAID, options.accounts, 60, 2)
        people = self._billed()
        self.cycle = Cycle(
            self.store, [people[n * PART : (n + 1) * PART] for n in range(parts)], self.billing, self.billfmt
        )

    def _urls(self) -> tuple[str, str]:
        """The store's, and the one by which programs reach it."""
        if self.mysql is None:
            url = f"sqlite:///{self.place}/mubss.db"
            return url, url
        url = self.mysql.url(schema=self._schema)
        if isinstance(self.mysql, Group):  # its members are killed, not cut off
            return url, url
        port = self.mysql.port()
        return url, url.replace(f":{port}/", f":{self.store_way.lead_to(port)}/")

    def _make_store(self, billed: int, accounts: int, seed: int) -> Store:
        store = make_cycle(self.url, billed, RECORDS, self.place, seed)
        tables = Refdata(store, "UTC").load()
        people = []
        for n in range(accounts):
            prepaid, postpaid = PREPAID + n, POSTPAID + n
            people.append(NewSubscriber(str(prepaid), f"{prepaid * 1000}", "prepaid", "demo-prepaid", OPENING_MICROS))
            people.append(NewSubscriber(str(postpaid), f"{postpaid * 1000}", "postpaid", PLAN, 0, OTHER_CYCLE))
        create(store, tables, people, int(time.time() * 1000))
        leave_cycle(store)
        return store

    def _billed(self) -> list[str]:
        docs = self.store.run(lambda session: session.collection("subscribers").scan(limit=100_000))
        return sorted(doc["_id"] for doc in docs if int(doc["msisdn"]) < PREPAID)

    def _make_clerks(self, seed: int, accounts: int) -> list[Clerk]:
        config = self._config
        ca = private_ca.make_server(self.place / "var/tls", ["localhost"], int(time.time())).ca.read_bytes()
        keys = config.resolve(config.crm.keys_folder)
        make_key(keys, "k1")
        token = issue(Keys(keys), terms_of(config.crm), "torture", ADMIN, TOKEN_S, int(time.time()))[0]
        address = f"localhost:{self._crm_way}"
        return [Clerk(f"clerk{n}", address, token, ca, seed * 10 + n, PREPAID, accounts) for n in range(2)]

    # ── at work ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Starts all of it, and waits until it works."""
        self.clients.start()
        self.store_way.start()
        for program in self.lasting:
            program.start()
        for thread in (*self.elements, *self.clerks, self.mediation, self.cycle):
            thread.start()
        self.go_on("the start")

    @property
    def charges(self) -> int:
        """Requests and top-ups that were answered."""
        return sum(one.answered for one in (*self.elements, *self.clerks))

    def mend(self) -> None:
        """What ended by itself is started again."""
        for program in self.lasting:
            program.mend()
        if isinstance(self.mysql, MySQL) and not self.mysql.is_running:  # it ends where it can't write its binary log
            self.mysql.start()

    def hold(self, seconds: float) -> None:
        """Lets it go on for so long."""
        time.sleep(seconds)

    def go_on(self, after: str) -> None:
        """Waits until each client was served again. Stuck where it takes too long."""
        everyone = (*self.elements, *self.clerks)
        enough = {one: one.answered + 3 for one in everyone}
        started_s = time.monotonic()
        for one in everyone:
            self.until(lambda one=one: one.answered >= enough[one], f"{one.name} after {after}", self._limit_s)
        self.waited_s = max(self.waited_s, time.monotonic() - started_s)

    def until(self, is_so: Callable[[], bool], what: str, seconds: float) -> None:
        """Waits; Stuck where it takes too long."""
        end_s = time.monotonic() + seconds
        while not is_so():
            self.mend()
            if time.monotonic() > end_s:
                raise Stuck(f"{what}: not served or done within {seconds:g} s")
            time.sleep(LOOK_S)

    def heal(self) -> None:
        """Takes every fault back that lasts."""
        self.disk.free()
        for network in (self.clients, self.store_way):
            network.set(Way.OPEN)
        for shim in self.shims:
            shim.set()
        for program in self.programs:
            program.signal(signal.SIGCONT)

    def settle(self) -> None:
        """Ends all that was begun, and then the programs."""
        self.mediation.stop()
        self.cycle.is_stopping = True
        for one in (*self.elements, *self.clerks):
            one.is_stopping = True
        self.until(lambda: not self.mediation.waiting(), "CDR files", SETTLE_S)
        for thread in (*self.elements, *self.clerks, self.cycle):
            self.until(lambda thread=thread: not thread.is_alive(), thread.name, SETTLE_S)
        self.until(lambda: not outage.waiting(self._config), "journals of an outage", SETTLE_S)

    def stop_programs(self) -> list[str]:
        """Ends the programs in order; those that don't end well, or left somebody behind."""
        ended = [f"{program.name} ended with {code}" for program in self.lasting if (code := program.stop())]
        left = [f"{program.name}: workers outlived their parent" for program in self.lasting if program.orphans()]
        return ended + left

    def end(self) -> None:
        """Ends whatever is still there, and removes the store."""
        self.heal()
        for one in (*self.elements, *self.clerks, self.cycle):
            one.give_up()
        for program in self.programs:
            program.kill()
            program.orphans()
        for network in (self.clients, self.store_way):
            if network.is_running:
                network.stop()
        with suppress(StoreError, ServerFailed):
            self.store.close()
            if self.mysql is not None:
                server = self.mysql.primary() if isinstance(self.mysql, Group) else self.mysql
                server.sql(f"DROP SCHEMA IF EXISTS {self._schema}", user="mubss")
        shutil.rmtree(self.place, ignore_errors=True)
