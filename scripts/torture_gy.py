#!/usr/bin/env python3
"""Kills mubss-gy with SIGKILL at random moments under load, restarts it, and proves that no charge was lost or doubled.

A client plays data sessions, calls and short messages; when the server dies it connects again and re-sends what
was not answered with the T flag (RFC 6733 §3), as a real network element does. At the end every session's charge
must be what its units cost, every balance the sum of its postings, and no reservation may be left.
The seed decides sessions, amounts and moments (counted in answers). Every other kill is aimed: it falls when requests
are committed and not answered yet.

    scripts/torture gy --kills 20 --seed 7 [--workers 2] [--store URL]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mubss.config import data_path
from mubss.core.history import find_range
from mubss.core.identity import session_hash
from mubss.gy.cca_decode import decode_cca
from mubss.gy.ccr_encode import encode_ccr
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits
from mubss.gy.message import Framer, encode_request
from mubss.refdata.form import read_files
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.services.audit_ledger import check
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage.database import Store, create_collections, open_database

FIRST = 999_700_000_001
OPENING_MICROS = 1_000_000_000
PRICES = {"data": (20_000, 1_000_000), "voice": (90_000, 60), "sms": (80_000, 1)}  # micros per block of units
CONTEXTS = {"data": "32251@3gpp.org", "voice": "32260@3gpp.org", "sms": "32274@3gpp.org"}
DEADLINE_S = 60  # without an answer: the server is lost


@dataclass
class Play:
    """One session: what it has used, and what it does next."""

    slot: int
    session_id: str
    kind: str
    msisdn: int
    updates_left: int
    number: int = -1
    used: int = 0
    done: bool = False
    frame: bytes = b""  # under way
    sent: int = 0
    request_type: int = 0
    answered: int = 0  # requests
    results: list[int] = field(default_factory=list)

    def next_request(self, rng: random.Random) -> bytes:
        """The next CCR; its units count as used from now on, since it will be re-sent until it is answered."""
        self.number += 1
        service = {"data": "total_octets", "voice": "time_s", "sms": "service_specific_units"}[self.kind]
        used = rng.randrange(1, 3_000_000 if self.kind == "data" else 200)
        asked: Units | None = Units()
        reported: list[UsedUnits] = []
        if self.kind == "sms":
            request_type, asked, self.done = 4, Units(service_specific_units=1 + used % 3), True
            self.used = 1 + used % 3
        elif self.number == 0:
            request_type = 1
        else:
            self.done = self.updates_left == 0
            request_type, asked = (3, None) if self.done else (2, asked)
            self.updates_left -= 1
            self.used += used
            reported = [UsedUnits(**{service: used})]
        group = 1 if self.kind == "data" else None
        self.request_type = request_type
        ccr = Ccr(
            hop_by_hop=self.slot,
            end_to_end=rng.getrandbits(32),
            session_id=self.session_id,
            origin_host="torture.example",
            origin_realm="example",
            destination_realm="mubss.example",
            auth_application_id=4,
            service_context_id=CONTEXTS[self.kind],
            cc_request_type=request_type,
            cc_request_number=self.number,
            requested_action=0 if request_type == 4 else None,
            subscription_ids=[(0, str(self.msisdn))],
            msccs=[Mscc(group, [], asked, reported)],
        )
        self.frame, self.sent = encode_ccr(ccr), 0
        return self.frame

    @property
    def cost_micros(self) -> int:
        """What all the units cost together."""
        price, block = PRICES[self.kind]
        return -(-self.used // block) * price


class Server:
    """mubss-gy as a real process on one port."""

    def __init__(self, url: str, workers: int, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._url, self._workers, self._log = url, workers, log
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Starts it; it listens when it is ready."""
        command = [sys.executable, "-m", "mubss.gy.main", "--port", str(self.port), "--workers", str(self._workers)]
        with self._log.open("ab") as log:
            environment = {**os.environ, "MUBSS_STORE__URL": self._url, "MUBSS_CHARGING__SWEEP_SECONDS": "1"}
            self.process = subprocess.Popen(command, stderr=log, env=environment, start_new_session=True)

    def kill(self) -> None:
        """kill -9 of the process and its workers, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        """A signal to the process and its workers."""
        os.killpg(self.process.pid, number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


class Client:
    """A network element: keeps sessions going over a connection that may die at any moment."""

    def __init__(self, server: Server, rng: random.Random, accounts: int, in_flight: int, run: str) -> None:
        self._server, self._rng, self._accounts, self._run = server, rng, accounts, run
        self.plays: list[Play] = []
        self.under_way: dict[int, Play] = {}
        self._out: list[bytes] = []
        self.waiting: list[Play] = []  # answered while the server stood still, their next request not sent yet
        self.answered = self.resent = 0
        self.hunts = 0
        self.stopping = False
        self._in_flight = in_flight
        self._socket: socket.socket | None = None
        self._framer = Framer()

    def fill(self) -> None:
        """Begins sessions until enough are under way."""
        while len(self.under_way) < self._in_flight and not self.stopping:
            slot = len(self.plays) + 1
            kind = self._rng.choice(["data", "data", "voice", "sms"])
            msisdn = FIRST + self._rng.randrange(self._accounts)
            play = Play(slot, f"torture.example;{self._run};{slot}", kind, msisdn, self._rng.randrange(4))
            self.plays.append(play)
            self.under_way[slot] = play
            self._send(play.next_request(self._rng), play)
        self._flush()

    def connect(self) -> None:
        """Connects, however long the server takes to come up, and re-sends what was under way."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._server.port), timeout=DEADLINE_S)
                self._framer = Framer()
                avps = [
                    ("Origin-Host", "torture.example"),
                    ("Origin-Realm", "example"),
                    ("Host-IP-Address", "127.0.0.1"),
                    ("Vendor-Id", 0),
                    ("Product-Name", "torture"),
                    ("Auth-Application-Id", 4),
                ]
                self._socket.sendall(encode_request("CER", 0, 0, avps))
                if not self._socket.recv(65_536):
                    raise ConnectionError("no CEA")
                break
            except OSError:
                if time.monotonic() > end:
                    sys.exit("the server doesn't come back")
                time.sleep(0.02)
        waiting, self.waiting = self.waiting, []
        for play in waiting:
            self._go_on(play)
        self._out.clear()  # all of it is under way, and so is sent here
        for play in self.under_way.values():
            frame = play.frame
            if play.sent:  # the T flag: it may have been done
                frame = frame[:4] + bytes([frame[4] | 0x10]) + frame[5:]
                self.resent += 1
            self._send(frame, play)
        self._flush()

    def _send(self, frame: bytes, play: Play) -> None:
        play.sent += 1
        self._out.append(frame)

    def _flush(self) -> None:
        """One write for what was queued, so that the server's batches are large; a broken link shows in `step`."""
        data = b"".join(self._out)
        self._out.clear()
        if self._socket is not None and data:
            try:
                self._socket.sendall(data)
            except OSError:
                self._socket = None

    def step(self) -> None:
        """Reads what is there; each answer is followed by the session's next request."""
        waiting, self.waiting = self.waiting, []
        for play in waiting:
            self._go_on(play)
        self._flush()
        data = b""
        if self._socket is not None:
            try:
                data = self._socket.recv(65_536)
            except OSError:
                data = b""
        if not data:
            self._socket = None
            self.connect()
            return
        for frame in self._framer.feed(data):
            if not frame[4] & 0x80:
                self._take(frame)
        self.fill()

    def take_what_is_there(self) -> None:
        """Reads the answers that were sent, while the server stands still."""
        if self._socket is None:
            return
        self._socket.settimeout(0.05)
        try:
            while data := self._socket.recv(65_536):
                for frame in self._framer.feed(data):
                    if not frame[4] & 0x80:
                        self._take(frame, go_on=False)
        except OSError:
            pass  # nothing more
        self._socket.settimeout(DEADLINE_S)

    def committed(self, session: Any) -> int:
        """How many requests under way the store holds as done."""
        count = 0
        for play in self.under_way.values():
            key = session_hash(play.session_id)
            record = session.collection("gy_sessions").get_one(key)
            if record is not None and record["open"]:
                record = session.collection("accounts").get_one(record["account"])["sessions"].get(key)
            if record is not None and find_range(record["seen"], play.request_type << 32 | play.number):
                count += play.answered < play.number + 1
        return count

    def _take(self, frame: bytes, *, go_on: bool = True) -> None:
        cca = decode_cca(frame)
        play = self.under_way.get(cca.hop_by_hop)
        if play is None or cca.cc_request_number != play.number:
            return  # the second answer to a request that was sent twice
        self.answered += 1
        play.answered = play.number + 1
        play.results.append(cca.answer.result_code)
        if not go_on:
            self.waiting.append(play)
        else:
            self._go_on(play)

    def _go_on(self, play: Play) -> None:
        """The session's next request, if it has one."""
        if play.done:
            del self.under_way[play.slot]
        else:
            self._send(play.next_request(self._rng), play)

    def finish(self) -> None:
        """Plays what is under way to its end."""
        self.stopping = True
        while self.under_way:
            self.step()


def make_store(url: str, accounts: int) -> Store:
    """A store with so many prepaid subscribers of the demo plan."""
    store = open_database(url)
    create_collections(store)
    calendar = operator_calendar("UTC")
    load(store, read_files([data_path("conf/refdata/demo.toml")]), calendar, int(time.time()), replace=False)
    tables = Refdata(store, "UTC").load()
    people = [NewSubscriber(str(FIRST + n), "", "prepaid", "demo-prepaid", OPENING_MICROS) for n in range(accounts)]
    create(store, tables, people, int(time.time() * 1000))
    return store


def compare(store: Store, plays: list[Play], accounts: int) -> dict[str, Any]:
    """Holds the store against what the client knows it used."""

    def everything(name: str) -> list[dict[str, Any]]:
        return store.run(lambda session: session.collection(name).scan(limit=10_000_000))

    usage: dict[str, list[dict[str, Any]]] = {}
    for record in everything("usage"):
        usage.setdefault(record["session_id"], []).append(record)
    lost = doubled = 0
    owed = dict.fromkeys(range(FIRST, FIRST + accounts), OPENING_MICROS)
    for play in plays:
        owed[play.msisdn] -= play.cost_micros
        records = usage.pop(play.session_id, [])
        charged = sum(record["charge_micros"] for record in records)
        units = sum(record["units"] for record in records)
        lost += charged < play.cost_micros or units < play.used
        doubled += charged > play.cost_micros or units > play.used or len(records) > 1
    wrong = 0
    for account in everything("accounts"):
        msisdn = int(account["identities"][0].removeprefix("e164:"))
        left_over = account["reserved_micros"] or account["sessions"]
        wrong += bool(account["balance_micros"] != owed[msisdn] or left_over)
    refused = sum(result != 2001 for play in plays for result in play.results)
    checked, findings = check(store)
    return {
        "sessions": len(plays),
        "lost": lost,
        "doubled": doubled,
        "unknown_usage": len(usage),
        "wrong_accounts": wrong,
        "refused": refused,
        "suspense": len(everything("suspense")),
        "accounts_checked": checked,
        "ledger_findings": [finding._asdict() for finding in findings[:10]],
    }


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    url = options.store or f"sqlite:///{folder}/torture.db"
    store = make_store(url, options.accounts)
    rng = random.Random(options.seed)
    server = Server(url, options.workers, folder / "mubss-gy.log")
    server.start()
    client = Client(server, rng, options.accounts, options.in_flight, f"{options.seed:x}.{time.time_ns():x}")
    unheard = 0
    try:
        client.connect()
        client.fill()
        for _ in range(options.kills):
            goal = client.answered + rng.randrange(options.least_answers, 4 * options.least_answers)
            while client.answered < goal:
                client.step()
            unheard += hunt(server, client, store)
            server.kill()
            server.start()
        client.finish()
    finally:
        code = server.stop()
    log = (folder / "mubss-gy.log").read_text()
    figures = {
        "seed": options.seed,
        "kills": options.kills,
        "answers": client.answered,
        "resent": client.resent,
        "committed_unanswered": unheard,
        **compare(store, client.plays, options.accounts),
        "exit_code": code,
        "tracebacks": log.count("Traceback"),
    }
    store.close()
    if figures["tracebacks"]:
        print(log[-4000:], file=sys.stderr)
    return figures


def hunt(server: Server, client: Client, store: Store) -> int:
    """Stops the server (SIGSTOP) again and again until requests are committed whose answers it hasn't sent.

    There a kill hurts most: only the recognition of their repeats keeps them from being charged twice. Returns how
    many there are; every other kill, and where none is found, the moment is as good as any.
    """
    client.hunts += 1
    for _ in range(40 if client.hunts % 2 else 0):
        server.signal(signal.SIGSTOP)
        client.take_what_is_there()
        found = store.run(client.committed)
        if found:
            return found
        server.signal(signal.SIGCONT)
        for _ in range(3):
            client.step()
    return 0


def is_clean(figures: dict[str, Any]) -> bool:
    """Nothing lost, nothing doubled, nothing else wrong."""
    names = ("lost", "doubled", "unknown_usage", "wrong_accounts", "refused", "suspense", "exit_code", "tracebacks")
    return not any(figures[name] for name in names) and not figures["ledger_findings"]


def main() -> None:
    """The command line; exit code 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--least-answers", type=int, default=200, help="answers before a kill, up to four times that")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--store", default="", help="an empty store; a temporary embedded one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        figures = torture(options, Path(folder))
    print(json.dumps(figures, indent=1))
    sys.exit(0 if is_clean(figures) else 1)


if __name__ == "__main__":
    main()
