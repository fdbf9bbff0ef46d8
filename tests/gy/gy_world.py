"""What tests of the running server stand on: a store with the demo's tariff, subscribers, real mubss-gy processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self
from weakref import WeakSet

from gy_wire import START_SECONDS, WAIT_SECONDS
from licensed import without_options
from mubss.charging.engine import Engine
from mubss.core.identity import session_hash
from mubss.core.ledger import check_account
from mubss.core.model import Rules
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits
from mubss.refdata.form import parse
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.services import lifecycle, sessions
from mubss.storage import subscribers
from mubss.storage.database import Lock, Read, Session, Store, create_collections, open_database

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "conf/refdata/demo.toml"
# erGW's rating group is one more that is sold.
TARIFF = DEMO.read_bytes().replace(b'rating_groups = ["none", "1-99"]', b'rating_groups = ["none", "1-99", "3000"]')
# And there is a plan to change to.
TARIFF += b"""
[[price_plans]]
code = "demo-weekend"
name = "Demo weekend"
type = "prepaid"
currency = "EUR"

[[price_plans.rates]]
service = "DATA"
price = "0.01"
per_units = 1_000_000
"""

DATA, VOICE, SMS = "32251@3gpp.org", "32260@3gpp.org", "32274@3gpp.org"
INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4
EURO = 1_000_000


class Person(NamedTuple):
    """A subscriber of the test's own."""

    msisdn: str
    imsi: str
    account: str

    def in_place_of_the_vectors(self, frame: bytes, session: str = "") -> bytes:
        """A vector's request as this subscriber's, in a session of its own where the last letters are given."""
        frame = frame.replace(b"999700000000001", self.imsi.encode()).replace(b"999700000001", self.msisdn.encode())
        if session:
            at = frame.index(b"\0\0\x01\x07", 20)
            stop = at + int.from_bytes(frame[at + 5 : at + 8], "big")
            frame = frame[: stop - len(session)] + session.encode() + frame[stop:]
        return frame


class World:
    """The store, seen from beside the server."""

    _numbers = count(1)
    _sessions = count(1)

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder = Path(tempfile.mkdtemp(prefix="mubss-"))  # the data folder of its servers
        self.store: Store = open_database(self.url)
        create_collections(self.store)
        load(self.store, [parse("demo.toml", TARIFF)], operator_calendar("UTC"), int(time.time()))
        self.tables = Refdata(self.store, "UTC").load()
        self._engine = Engine(self.store, lambda: self.tables, Rules())

    def person(self, euros: int = 10, *, micros: int = 0, plan: str = "demo-prepaid") -> Person:
        """A new subscriber with that balance."""
        number = next(self._numbers)
        msisdn, imsi = f"9998{number:08}", f"9998{number:011}"
        postpaid = plan == "demo-postpaid"
        new = lifecycle.NewSubscriber(
            msisdn, imsi, plan=plan, balance_micros=euros * EURO + micros, bill_cycle=3 if postpaid else None
        )
        [account] = lifecycle.create(self.store, self.tables, [new], int(time.time() * 1000))
        return Person(msisdn, imsi, account)

    def session_id(self) -> str:
        """A Session-Id that no test had before."""
        return f"pgw.example;{os.getpid()};{next(self._sessions)}"

    def top_up(self, person: Person, micros: int) -> None:
        """Adds to a balance, as a clerk does."""
        lifecycle.move(self._engine, self.store, person.msisdn, "topup", micros)

    def set_state(self, person: Person, state: str) -> None:
        """Suspends, reactivates or terminates."""
        lifecycle.set_state(self._engine, self.store, person.msisdn, state)

    def set_plan(self, person: Person, plan: str) -> None:
        """Gives a subscriber another price plan."""
        lifecycle.set_plan(self._engine, self.store, person.msisdn, plan)

    def tell(self, session_id: str, kind: str, rating_group: int | None = None) -> None:
        """Has an open session's client told, as an operator does."""
        sessions.tell(self._engine, self.store, session_id, kind, rating_group)

    def account(self, person: Person) -> dict[str, Any]:
        """The account's document; the ledger holds."""
        account = subscribers.get_account(self.store, person.account)
        assert account is not None
        assert check_account(account, subscribers.postings(self.store, person.account)) == []  # type: ignore[arg-type]
        return account

    def balance(self, person: Person) -> int:
        """In micros."""
        return int(self.account(person)["balance_micros"])

    def spent(self, person: Person, euros: int = 10) -> int:
        """What is gone of the balance that it began with, in micros."""
        return euros * EURO - self.balance(person)

    def usage(self, person: Person) -> list[dict[str, Any]]:
        """Usage records of an account."""
        return subscribers.usage(self.store, person.account)

    def postings(self, person: Person) -> list[dict[str, Any]]:
        """Postings of an account after the first, which opens it."""
        return subscribers.postings(self.store, person.account)[1:]

    def suspense(self, session_id: str) -> list[dict[str, Any]]:
        """What is kept of a session that couldn't be charged."""
        wanted = session_hash(session_id)

        def work(session: Session) -> list[dict[str, Any]]:
            return session.collection("suspense").find("session = :session").bind("session", wanted).execute()

        return sorted(self.store.run(work), key=lambda doc: (doc["number"], doc["_id"]))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can change an account meanwhile, or in SQLite anything at all."""
        begun, done = threading.Event(), threading.Event()
        everybody = self.store.run(lambda session: session.collection("accounts").scan(limit=100_000))

        def work(session: Session) -> None:
            session.begin([Read("accounts", [doc["_id"] for doc in everybody], Lock.UPDATE)])
            begun.set()
            for _ in range(12):  # a minute: what is started meanwhile may take its time
                if done.wait(5):
                    break
                session.collection("accounts").get_one("nobody")  # else MySQL closes the session
            session.rollback()

        thread = threading.Thread(target=self.store.run, args=(work,))
        thread.start()
        assert begun.wait(WAIT_SECONDS)
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


def octets(total: int) -> list[UsedUnits]:
    """Octets used."""
    return [UsedUnits(total_octets=total)]


def data(kind: int, number: int, session_id: str, person: Person | None, *msccs: Mscc, **more: Any) -> Ccr:
    """A CCR of a data session; without MSCCs it asks for quota of no Rating-Group, but in its last request."""
    asked = [] if kind == TERMINATION else [Mscc(requested=Units())]
    named = [] if person is None else [(0, person.msisdn)]
    base = Ccr(
        session_id=session_id,
        auth_application_id=4,
        service_context_id=DATA,
        cc_request_type=kind,
        cc_request_number=number,
        subscription_ids=named,
        msccs=list(msccs) or asked,
    )
    return replace(base, **more)


STARTED: WeakSet[GyServer] = WeakSet()  # for tests that leave it to others to stop what they started


class GyServer:
    """A mubss-gy process; `options` are those of [gy] in the configuration."""

    def __init__(
        self,
        world: World,
        *arguments: str,
        port: int = 0,
        wait: bool = True,
        entry: tuple[str, ...] = ("-m", "mubss.gy.main"),
        **options: Any,
    ) -> None:
        environment = without_options()
        environment |= {
            "MUBSS_STORE__URL": world.url,
            "MUBSS_GENERAL__DATA_DIR": str(world.folder),
            "PYTHONPATH": str(ROOT),
        }
        for name, value in options.items():
            environment[f"MUBSS_{name.upper()}" if "__" in name else f"MUBSS_GY__{name.upper()}"] = str(value)
        command = [sys.executable, *entry, "--port", str(port), *arguments]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        self.lines: list[str] = []
        self.ended = False  # nobody holds the log any more: the process and its workers are gone
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        STARTED.add(self)
        if wait:
            try:
                self.port = int(self.wait_for(r"listening on [^\s\"]+:(\d+)", seconds=START_SECONDS)[1])
            except BaseException:
                self.kill()  # nobody else can
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    @property
    def log(self) -> str:
        """All that was logged so far."""
        return "\n".join(self.lines)

    def find(self, pattern: str) -> list[str]:
        """The lines in which the pattern is found."""
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_for(self, pattern: str, times: int = 1, seconds: float = WAIT_SECONDS) -> re.Match[str]:
        """Waits until that many lines hold the pattern; gives the last one's match."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(found := self.find(pattern)) < times:
                left_s = deadline - time.monotonic()
                assert left_s > 0 and not self.ended, f"{pattern!r} isn't in the log {times} times:\n{self.log}"
                self._changed.wait(left_s)
        match = re.search(pattern, found[times - 1])
        assert match is not None
        return match

    def wait_until_ended(self) -> None:
        """Waits until the process and all that it started are gone."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, START_SECONDS), self.log
        self.process.wait(WAIT_SECONDS)

    def terminate(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_until_ended()
        return self.process.returncode

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def stop(self) -> None:
        """Ends it, however it stands; nothing in the log is a bug of ours, or a subscriber's number."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.wait_until_ended()
        assert "Traceback" not in self.log, self.log
        assert not self.find(r"9998\d{8}"), self.log
