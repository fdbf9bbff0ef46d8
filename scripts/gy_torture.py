"""What the torture scripts share: mubss-gy as a process, and a network element that loses nothing.

The client plays data sessions, calls and short messages. When its connection dies it connects again and re-sends what
was not answered with the T flag (RFC 6733 §3), as a real network element does; what got 3004 it sends again a little
later. scripts/gy_reckoning.py compares what it knows with what was charged.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gy_play import Play
from gy_reckoning import FIRST
from mubss.core.history import find_range
from mubss.core.identity import session_hash
from mubss.gy.cca_decode import decode_cca
from mubss.gy.message import Framer, encode_request

DEADLINE_S = 60  # without an answer: the server is lost
TOO_BUSY = 3004
PAUSE_S = 0.2  # before what was refused with 3004 is sent again


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
        self.answered = self.resent = self.busy = 0
        self.hunts = 0
        self.last_good_s = 0.0  # when the last answer came that wasn't 3004
        self._refused: list[tuple[float, Play]] = []  # with 3004, and when they are to be sent again
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
        self._refused.clear()
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
        self._send_refused()
        self._flush()
        data = b""
        if self._socket is not None:
            try:
                self._socket.settimeout(PAUSE_S if self._refused else DEADLINE_S)
                data = self._socket.recv(65_536)
            except TimeoutError:
                if self._refused:
                    return
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

    def _send_refused(self) -> None:
        """What was refused a while ago, once more; the T flag says that it may be a repeat."""
        now_s = time.monotonic()
        while self._refused and self._refused[0][0] <= now_s:
            _, play = self._refused.pop(0)
            self._send(play.frame[:4] + bytes([play.frame[4] | 0x10]) + play.frame[5:], play)

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
        if cca.answer.result_code == TOO_BUSY:
            self.busy += 1
            self._refused.append((time.monotonic() + PAUSE_S, play))
            return
        self.last_good_s = time.monotonic()
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
