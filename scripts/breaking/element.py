"""A network element in a thread: it keeps sessions going whatever happens, and knows what each has used.

What isn't answered within Tx, or was under way when the connection ended, is sent again with the T flag; what got 3004
a little later. Messages meet the mischief that is set; the connection flaps, or has a twin, where that is asked for.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from breaking.link import Link
from breaking.requests import RETRANSMITTED, SUCCESS, TOO_BUSY, Mischief, Request, Session, with_hop
from gy_play import Play
from mubss.gy.cca_decode import decode_cca

TX_S = 4.0  # more than gy.deadline_ms
BUSY_S = 0.3
CONNECT_S = 0.1
FLAP_S = 0.25
LOOK_S = 0.02
THINKING_S = (0.0, 0.0, 0.3, 2.0)  # at most, between an answer and the session's next request: short and long ones


class Echo(NamedTuple):
    """An answered request that comes again."""

    due_s: float
    hop_by_hop: int
    request: Request


class Element(threading.Thread):
    """One Origin-Host with its sessions, on subscribers from `first` on."""

    def __init__(
        self, port: int, name: str, seed: int, run: str, first: int, accounts: int, in_flight: int, rate: int
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._port, self._run, self._first, self._accounts = port, run, first, accounts
        self._rng = random.Random(seed)
        self._in_flight, self._gap_s = in_flight, 1 / rate
        self.mischief, self.is_flapping, self.is_stopping = Mischief.NONE, False, False
        self.wants_twin = ""  # "heard" or "deaf": whether the first connection says that it lives
        self.kinds: set[str] = set()  # the faults of now: they are noted on every session that lives
        self.sessions: list[Session] = []
        self.findings: list[str] = []
        self.answered = self.repeated = self.refused_twins = self.echoes = 0
        self._open: set[int] = set()
        self._by_hop: dict[int, Request] = {}
        self._echo_by_hop: dict[int, Request] = {}
        self._waiting_echoes: list[Echo] = []
        self._hop = 0
        self._link: Link | None = None
        self._next_s = self._flap_s = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Until it is told to stop and everything is answered."""
        try:
            while not self._ended.is_set() and not (self.is_stopping and not self._open and not self._by_hop):
                self._turn()
        except Exception as error:
            self.findings.append(f"{self.name}: {type(error).__name__}: {error}")
            raise
        finally:
            if self._link is not None:
                self._link.end()

    def give_up(self) -> None:
        """Ends it though not everything is answered."""
        self._ended.set()

    @property
    def left(self) -> int:
        """Requests without an answer."""
        return len(self._by_hop)

    def note(self, kinds: set[str]) -> None:
        """Faults begin: every session that is open has them in its life."""
        self.kinds = kinds
        for number in list(self._open):
            self.sessions[number].kinds |= kinds

    def _turn(self) -> None:
        now_s = time.monotonic()
        try:
            if self._link is None:
                self._connect()
            assert self._link is not None
            self._send_due(now_s)
            for frame in self._link.answers(LOOK_S):
                self._take(frame)
            if self.wants_twin:
                self._try_twin(deaf=self.wants_twin == "deaf")
            if self.is_flapping and now_s > self._flap_s:
                self._flap_s = now_s + FLAP_S
                self._link.end(reset=self._rng.random() < 0.5)
                self._link = None
        except OSError:  # TimeoutError and ConnectionError are such
            if self._link is not None:
                self._link.end()
                self._link = None
            self._ended.wait(CONNECT_S)

    def _connect(self) -> None:
        self._link = Link(self._port, self.name)
        for request in self._by_hop.values():
            request.again_s = 0.0

    def _try_twin(self, *, deaf: bool) -> None:
        """A second connection of the same Origin-Host: refused while the first lives, else it takes its place."""
        assert self._link is not None
        self.wants_twin, first = "", self._link
        made: list[Link] = []
        first.is_deaf = deaf

        def connect() -> None:
            with suppress(OSError):
                made.append(Link(self._port, self.name, seconds=8))

        other = threading.Thread(target=connect)
        other.start()
        while other.is_alive() and not self._ended.is_set():
            with suppress(OSError):
                for frame in first.answers(LOOK_S):
                    self._take(frame)
            other.join(LOOK_S)
        if made:
            first.end()
            self._link = made[0]
            for request in self._by_hop.values():
                request.again_s = 0.0
        else:
            first.is_deaf = False
            self.refused_twins += 1

    def _send_due(self, now_s: float) -> None:
        """What is new, what is due again, and echoes, in one write."""
        out: list[bytes] = []
        while len(self._open) < self._in_flight and now_s >= self._next_s and not self.is_stopping:
            self._next_s = max(self._next_s + self._gap_s, now_s - 1)
            self._begin()
        for number in list(self._open):
            session = self.sessions[number]
            if not session.under_way and (session.next_s <= now_s or self.is_stopping):
                self._go_on(number, session)
        for request in self._by_hop.values():
            if request.again_s <= now_s:
                out.append(request.bytes())
                if not request.sent and self.mischief is Mischief.TWICE and self._rng.random() < 0.5:
                    out.append(request.bytes())
                self.repeated += request.sent > 0
                request.sent += 1
                request.again_s = now_s + TX_S
        while self._waiting_echoes and self._waiting_echoes[0].due_s <= now_s:
            _, hop, request = heapq.heappop(self._waiting_echoes)
            self._echo_by_hop[hop] = request
            out.append(with_hop(request.frame, hop, self._rng.choice([0, RETRANSMITTED])))
            self.echoes += 1
        if out:
            assert self._link is not None
            self._link.send(b"".join(out))

    def _begin(self) -> None:
        number = len(self.sessions)
        kind = self._rng.choice(["data", "data", "voice", "sms"])
        msisdn = self._first + self._rng.randrange(self._accounts)
        play = Play(number, f"{self.name};{self._run};{number}", kind, msisdn, self._rng.randrange(5))
        self.sessions.append(Session(play, set(self.kinds), self._rng.choice(THINKING_S)))
        self._open.add(number)

    def _go_on(self, number: int, session: Session) -> None:
        """A session's next requests; one that has none is over."""
        if session.is_over:
            self._open.discard(number)
            return
        for request in session.next_requests(self._rng, self.mischief):
            self._hop += 1
            request.hop_by_hop = self._hop
            self._by_hop[self._hop] = request

    def _take(self, frame: bytes) -> None:
        cca = decode_cca(frame)
        result, request = int(cca.answer.result_code), self._by_hop.get(cca.hop_by_hop)
        if request is None:
            self._take_echo(cca.hop_by_hop, result)
            return
        if cca.cc_request_number != request.number:
            self.findings.append(f"{self.name}: {cca.cc_request_number} answered; expected {request.number}")
        if result == TOO_BUSY:
            request.again_s = time.monotonic() + BUSY_S
            return
        del self._by_hop[cca.hop_by_hop]
        self.answered += result == SUCCESS
        session = request.session
        session.answered(request, result)
        session.next_s = time.monotonic() + self._rng.uniform(0, session.thinking_s)
        if self.mischief is Mischief.ECHOED and self._rng.random() < 0.3 and not self.is_stopping:
            self._hop += 1
            due_s = time.monotonic() + self._rng.uniform(0.2, 1.5 * TX_S)
            heapq.heappush(self._waiting_echoes, Echo(due_s, self._hop, request))

    def _take_echo(self, hop_by_hop: int, result: int) -> None:
        """The answer to a request that was answered before must say the same."""
        request = self._echo_by_hop.pop(hop_by_hop, None)
        if request is not None and result not in (request.result, TOO_BUSY):
            self.findings.append(
                f"{request.session.play.session_id} request {request.number}: first {request.result}, then {result}"
            )
