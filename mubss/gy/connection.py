"""One peer's connection: a greenlet reads and hands requests to charging, another writes what is ready.

Answers gather while a charging batch commits, so one send carries many of them.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from struct import pack
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from gevent.socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET

from mubss import metrics
from mubss.charging.engine import wall_clock_ms
from mubss.charging.order import Order
from mubss.core.errors import Busy
from mubss.core.model import RequestType, Result
from mubss.gy import credit
from mubss.gy.codec import CcaAnswer, Ccr, CcrError, DiameterError, decode_ccr, encode_cca
from mubss.gy.credit_answer import to_answer
from mubss.gy.grammar import check_request
from mubss.gy.message import FrameError, Framer
from mubss.gy.pcap import Ends
from mubss.gy.peer import Action, Answered, Charge, Claim, Peer, Send, State
from mubss.gy.profile import Profile
from mubss.gy.tls_socket import TlsError, TlsSocket
from mubss.gy.transport import Stream
from mubss.storage.database import StoreUnavailable

if TYPE_CHECKING:
    from mubss.gy.server import Server

log = logging.getLogger(__name__)

RECV_OCTETS = 256 * 1024
BRAKE = 4  # times the limits of requests under way: then we read no more, DWRs neither, until half are answered
MAX_PENDING_OCTETS = 6 << 20  # of one peer's requests under way and answers waiting; 16,384 usual requests have 6 MB
MAX_STATE_IDS = 1000  # nodes behind an agent whose Origin-State-Id is remembered
MAX_ROUTES = 64  # destinations that are remembered; more are looked up each time
MAX_ROUTE_FRAME = 8192  # octets of a message whose destination is: its names could be as long
TURN_NS = 2_000_000  # how long one peer is served before the others have their turn


class Connection:
    """A peer's socket, its state machine, and the requests it has under way."""

    def __init__(self, server: Server, number: int, sock: Stream, remote: str, peer: Peer) -> None:
        self.server = server
        self.number = number
        self.remote = remote
        self.ends = Ends(remote, remote, 0)  # as traces show it
        self.peer = peer
        self.pending = 0
        self.answered = 0
        self.label = ""  # of its metrics
        self.since_s = 0  # UTC seconds: when its capabilities were exchanged
        self._profile = server.peers.profile("", "")
        self.refused = 0  # CCRs that couldn't be taken
        self._pending_octets = 0
        self._limit = server.options.max_pending_per_peer
        self._brake = BRAKE * self._limit
        self._sock = sock
        self._out: list[bytes] = []
        self._out_octets = 0
        self._writable = Event()
        self._may_read = Event()
        self._may_read.set()
        self._sending = False  # the writer waits for the peer to read
        self._closing = ""  # why, once it is
        self._abandoned = False  # nothing more will be written
        self._last_word: gevent.Greenlet | None = None
        self._probed = False
        self._turn_ns = 0  # when its turn began
        self._state_ids: dict[str, int] = {}  # Origin-State-Id by Origin-Host, as heard here
        self._routes: set[tuple[str | None, str | None, str | None]] = set()  # known to lead here
        self.closed = Event()

    def __str__(self) -> str:
        is_secure = not isinstance(self._sock, TlsSocket) or self._sock.is_secure
        stranger = "a peer" if is_secure else "a peer in its TLS handshake"
        return f"{self.peer.origin_host or stranger} at {self.remote}"

    def _fields(self) -> dict[str, str]:
        """What a line in the log has beside its text."""
        return {"peer": self.peer.origin_host or self.remote}

    @property
    def profile_name(self) -> str:
        """How the peer is spoken to."""
        return self._profile.name

    # ── reading ────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Reads until the peer or the protocol ends it."""
        writer = gevent.spawn(self._write)
        framer = Framer(self.server.options.max_message_octets)
        is_silent = True
        try:
            if isinstance(self._sock, TlsSocket):
                self.peer.certificate_names = self._sock.handshake()
            while not self._closing:
                data = self._sock.recv(RECV_OCTETS)
                if not data:  # who says nothing and goes only looked whether somebody listens: `mubss status`, say
                    self.close("the peer closed the connection", logging.DEBUG if is_silent else logging.INFO)
                    break
                is_silent = False
                self._take(framer, data)
                octets = self._pending_octets + self._out_octets
                if self.pending >= self._brake or octets > MAX_PENDING_OCTETS or self.server.is_full:
                    self._wait_for_room()
                else:
                    self._give_way()
        except TlsError as error:
            self.close(str(error))
        except OSError as error:
            self.close(f"the connection broke: {error.strerror or error}")
        except Exception:
            log.exception("a fault of ours: what %s sent can't be handled", self)
            self.close("a fault of ours")
        finally:
            self._writable.set()
            writer.join()
            self._end()

    def _take(self, framer: Framer, data: bytes) -> None:
        now_s = int(time.monotonic())
        if self._probed:
            self._probed = False
            self.server.registry.alive(self.number)
        broken: FrameError | None = None
        try:
            frames = framer.feed(data)
        except FrameError as error:
            frames, broken = error.frames, error
        peer = self.peer
        for frame in frames:
            if self.server.tracer is not None:
                self.server.tracer.note(self, frame, is_ours=False)
            # An open peer's CCR of application 4: the state machine has nothing to say about it but "heard".
            if peer.is_open and frame[4:12] in _CCR_HEADS:
                peer.heard(now_s)
                self._charge(frame)
            else:
                self.perform(peer.receive(frame, now_s))
                if peer.is_open and peer.origin_state_id:
                    self._state_is(peer.origin_host, peer.origin_state_id, self._profile, "")
            self._give_way()
            if self._closing:
                return
        if broken is not None:
            self.perform(peer.broken(broken))

    def _give_way(self) -> None:
        """Lets the others have their turn: recv doesn't while there is data, so one peer could keep us to itself.

        sleep(0) wouldn't do: gevent runs up to 50 of them (3 s of large messages) before it looks at any socket.
        """
        if time.monotonic_ns() - self._turn_ns > TURN_NS:
            gevent.sleep(0.000_001)
            self._turn_ns = time.monotonic_ns()

    def _wait_for_room(self) -> None:
        """TCP's own back-pressure: what we don't read, the peer can't send.

        One that doesn't read what it asked for is left to its watchdog, unless it has passed its measure.
        """
        self._may_read.clear()
        while not self._may_read.wait(1) and not self._closing and not self._has_room:
            if not self._sending:
                self.peer.heard(int(time.monotonic()))  # the silence is ours
            else:
                self._close_if_unread()

    def _read_on(self) -> None:
        if not self._may_read.is_set() and self._has_room:
            self._may_read.set()

    @property
    def _has_room(self) -> bool:
        return (
            self.pending <= self._brake // 2
            and self._pending_octets + self._out_octets <= MAX_PENDING_OCTETS // 2
            and not self.server.is_full
        )

    # ── the state machine's wishes ─────────────────────────────────────────────────────────────────

    def perform(self, actions: list[Action]) -> None:
        """Does what the state machine decided."""
        for action in actions:
            if isinstance(action, Send):
                self.send(action.data)
            elif isinstance(action, Charge):
                self._charge(action.frame)
            elif isinstance(action, Answered):
                self.server.outbox.heard(*action)
            elif isinstance(action, Claim):
                self._claim(action)
            else:
                self.close(action.reason)

    def _claim(self, claim: Claim) -> None:
        admitted = self.server.registry.claim(self.number, claim.origin_host, claim.origin_state_id)
        if not self._closing:
            if admitted:
                peer = self.peer
                self._profile = self.server.peers.profile(peer.origin_host, peer.origin_realm)
                self.label = metrics.peer_label(peer.origin_host)
                self.since_s = wall_clock_ms() // 1000
                log.info("%s is open, profile %s", self, self._profile.name, extra=self._fields())
            self.perform(self.peer.admit(admitted))
            if admitted:
                self.server.presence.changed.set()

    def probe(self) -> None:
        """Asks the peer for a sign of life, for the registry."""
        self._probed = True
        self.perform(self.peer.probe(int(time.monotonic())))

    # ── charging ───────────────────────────────────────────────────────────────────────────────────

    def _charge(self, frame: bytes) -> None:
        server = self.server
        received_ns = time.monotonic_ns()
        try:
            ccr = decode_ccr(frame)
        except CcrError as error:
            self._refuse(error.ccr, error)
            return
        profile = self._profile
        is_behind = ccr.origin_host != self.peer.origin_host  # an agent
        if is_behind:
            profile = server.peers.profile(ccr.origin_host or "", ccr.origin_realm or "", profile)
        route = ccr.destination_host, ccr.destination_realm, ccr.origin_realm
        try:
            if profile.strict:
                check_request(frame, server.identity.host)
                server.routing.check(*route, strict=True)
            elif route not in self._routes:
                server.routing.check(*route)
                if len(self._routes) < MAX_ROUTES and len(frame) < MAX_ROUTE_FRAME:
                    self._routes.add(route)
            command = credit.to_command(ccr, profile, server.refdata.tables)
            if is_behind:
                command.via = self.peer.origin_host
                if ccr.origin_realm != self.peer.origin_realm:
                    command.realm = (ccr.origin_realm or "")[: credit.MAX_PEER_LETTERS]
        except DiameterError as error:
            self._refuse(ccr, error)
            return
        if ccr.origin_state_id:
            command.state_id = ccr.origin_state_id
            self._state_is(command.peer, ccr.origin_state_id, profile, command.via)
        elif not is_behind:
            command.state_id = self.peer.origin_state_id
        command.may_begin = server.gate.is_open
        is_busy = self.pending >= self._limit or server.pending >= server.options.max_pending_requests
        if is_busy and self._sheds(command.type):
            self._answer(ccr, CcaAnswer(Result.TOO_BUSY))
            return
        order = Order(
            command, identities=command.identities, done=partial(self._done, ccr, profile, len(frame), received_ns)
        )
        try:
            self._submit(order, len(frame))
        except Busy:
            self._answer(ccr, CcaAnswer(Result.TOO_BUSY))

    def _submit(self, order: Order, octets: int) -> None:
        server = self.server
        server.engine.submit(order)
        self.pending += 1
        self._pending_octets += octets
        server.pending += 1
        server.pending_octets += octets

    def _state_is(self, host: str, state_id: int, profile: Profile, via: str) -> None:
        """A node's Origin-State-Id, told by itself or `via` an agent: a higher one than before means a reboot."""
        if state_id > self._state_ids.get(host, 0) and profile.ends_sessions_at_reboot:
            if len(self._state_ids) >= MAX_STATE_IDS:
                self._state_ids.clear()
            if self.server.reboots.heard(host, state_id, via):
                self._state_ids[host] = state_id

    def _sheds(self, kind: RequestType) -> bool:
        """What overload refuses: whatever opens something first, then updates, what ends something never.

        An open session that can't go on is worse than a new one that can't begin, and what a session reports last
        must be charged.
        """
        if kind is not RequestType.UPDATE:
            return kind is not RequestType.TERMINATION
        server = self.server
        return 2 * self.pending >= 3 * self._limit or 2 * server.pending >= 3 * server.options.max_pending_requests

    def _refuse(self, ccr: Ccr, error: DiameterError) -> None:
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a peer can't fill the log with them
            fields = self._fields() | {"session_id": ccr.session_id, "msisdn": _msisdn(ccr)}
            log.info("%s sent a CCR that can't be taken: %s (%d so far)", self, error, self.refused, extra=fields)
        answer = CcaAnswer(error.result_code, failed_avp=error.failed_avp, error_message=error.text)
        self._answer(ccr, answer)

    def _done(self, ccr: Ccr, profile: Profile, octets: int, received_ns: int, order: Order) -> None:
        server = self.server
        self.pending -= 1
        self._pending_octets -= octets
        server.pending -= 1
        server.pending_octets -= octets
        server.answered += 1
        self.answered += 1
        self._read_on()
        if self._closing and self.closed.is_set():
            return
        if order.outcome is not None:
            answer = to_answer(order.outcome, profile, server.currency_numbers)
            if answer.result_code == credit.INVALID_AVP_VALUE:
                answer.failed_avp = credit.offending_units(ccr)
        else:
            answer = CcaAnswer(_result_of(order.error))
        # Past the deadline the client has given up: its repeat will find the stored outcome.
        took_s = (time.monotonic_ns() - received_ns) * 1e-9
        metrics.GY_ANSWER_SECONDS.observe(took_s)
        if took_s * 1000 > profile.deadline_ms:
            metrics.GY_LATE_ANSWERS.inc(self.label)
        else:
            self._answer(ccr, answer)
        if self._closing:
            self._writable.set()

    def _answer(self, ccr: Ccr, answer: CcaAnswer) -> None:
        kind = ccr.cc_request_type
        name = str(kind) if kind in (1, 2, 3, 4) else "none"  # what a peer sends must not make a metric of its own
        metrics.GY_ANSWERS.inc(self.label, name, str(int(answer.result_code)))
        self.send(encode_cca(ccr, answer, self.server.identity))

    # ── writing ────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        """Queues a message."""
        if self._abandoned:
            return
        if self.server.tracer is not None:
            self.server.tracer.note(self, data, is_ours=True)
        self._out.append(data)
        self._out_octets += len(data)
        if not self._writable.is_set():
            self._writable.set()
        self._close_if_unread()

    def _close_if_unread(self) -> None:
        """Closes a peer that doesn't read what it asked for."""
        if self._sending and self._out_octets > self.server.options.send_buffer_octets and not self._abandoned:
            self.close(f"the peer doesn't read: {self._out_octets} octets wait for it")
            self.abandon()

    def close(self, reason: str, level: int = logging.INFO) -> None:
        """Ends the connection once what is queued and under way is written, within the deadline of an answer.

        `level` is that of the line in the log.
        """
        if not self._closing:
            self._closing = reason
            log.log(level, "closing %s: %s", self, reason, extra=self._fields())
            self._last_word = gevent.spawn_later(self.server.options.deadline_ms / 1000, self.abandon)
            self._writable.set()
            self._may_read.set()

    def close_if_silent(self, reason: str) -> bool:
        """Closes a connection that hasn't sent its CER yet."""
        if self._closing or self.peer.state is not State.WAIT_CER:
            return False
        self.close(reason)
        return True

    def _write(self) -> None:
        try:
            while True:
                self._writable.wait()
                self._writable.clear()
                while self._out:
                    data = b"".join(self._out)
                    self._out.clear()
                    self._sending = True
                    self._sock.sendall(data)
                    self._sending = False
                    self._out_octets -= len(data)
                    self._read_on()
                if self._abandoned or (self._closing and not self.pending):
                    break
        except OSError as error:
            self.close(f"the connection broke: {error.strerror or error}")
        finally:
            self._shut()

    def abandon(self) -> None:
        """Ends a connection whose time is over; what its peer doesn't take goes, from the kernel's buffers too."""
        self._abandoned = True
        self._out.clear()
        if self._sending:
            self._sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self._shut()
        self._writable.set()

    def _shut(self) -> None:
        """Ends both directions, so that the reader and the writer wake."""
        try:
            self._sock.shutdown(SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def _end(self) -> None:
        self.closed.set()
        if self._last_word is not None:
            self._last_word.kill(block=False)
        self._sock.close()
        self.server.forget(self)


END_USER_E164 = 0  # RFC 8506 §8.47
_RESET = pack("ii", 1, 0)  # linger for no time: close sends a reset
_CCR_HEADS = {bytes((flags, 0, 1, 16, 0, 0, 0, 4)) for flags in (0x80, 0x90, 0xC0, 0xD0)}


def _msisdn(ccr: Ccr) -> str | None:
    """Whom a request is for, as its Subscription-Id of type END_USER_E164 says."""
    return next((number for kind, number in ccr.subscription_ids or () if kind == END_USER_E164), None)


def _result_of(error: Exception | None) -> int:
    return Result.TOO_BUSY if isinstance(error, Busy | StoreUnavailable) else Result.UNABLE_TO_COMPLY
