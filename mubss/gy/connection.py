"""One peer's connection: a greenlet reads and hands requests to charging, another writes what is ready.

Answers gather while a charging batch commits, so one send carries many of them.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from gevent.socket import socket

from mubss import metrics
from mubss.charging.order import Order
from mubss.core.errors import Busy
from mubss.core.model import RequestType, Result
from mubss.gy import credit
from mubss.gy.codec import CcaAnswer, Ccr, CcrError, DiameterError, decode_ccr, encode_cca
from mubss.gy.message import FrameError, Framer
from mubss.gy.peer import Action, Charge, Claim, Peer, Send
from mubss.storage.database import StoreUnavailable

if TYPE_CHECKING:
    from mubss.gy.server import Server

log = logging.getLogger(__name__)

RECV_OCTETS = 256 * 1024
MAX_PENDING = 4096  # requests of one peer under way; past it we read no more until half are answered


class Connection:
    """A peer's socket, its state machine, and the requests it has under way."""

    def __init__(self, server: Server, number: int, sock: socket, remote: str, peer: Peer) -> None:
        self.server = server
        self.number = number
        self.remote = remote
        self.peer = peer
        self.pending = 0
        self._sock = sock
        self._out: list[bytes] = []
        self._out_octets = 0
        self._writable = Event()
        self._may_read = Event()
        self._may_read.set()
        self._closing = ""  # why, once it is
        self._probed = False
        self.closed = Event()

    def __str__(self) -> str:
        return f"{self.peer.origin_host or 'a peer'} at {self.remote}"

    # ── reading ────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Reads until the peer or the protocol ends it."""
        writer = gevent.spawn(self._write)
        framer = Framer(self.server.options.max_message_octets)
        try:
            while not self._closing:
                data = self._sock.recv(RECV_OCTETS)
                if not data:
                    self.close("the peer closed the connection")
                    break
                self._take(framer, data)
                if self.pending > MAX_PENDING or self.server.is_full:
                    self._wait_for_room()
        except OSError as error:
            self.close(f"the connection broke: {error.strerror or error}")
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
            # An open peer's CCR of application 4: the state machine has nothing to say about it but "heard".
            if peer.is_open and frame[4:12] in _CCR_HEADS:
                peer.heard(now_s)
                self._charge(frame)
            else:
                self.perform(peer.receive(frame, now_s))
            if self._closing:
                return
        if broken is not None:
            self.perform(peer.broken(broken))

    def _wait_for_room(self) -> None:
        """TCP's own back-pressure: what we don't read, the peer can't send."""
        self._may_read.clear()
        while not self._may_read.wait(1) and not self._closing:
            if self.pending <= MAX_PENDING // 2 and not self.server.is_full:
                return

    # ── the state machine's wishes ─────────────────────────────────────────────────────────────────

    def perform(self, actions: list[Action]) -> None:
        """Does what the state machine decided."""
        for action in actions:
            if isinstance(action, Send):
                self.send(action.data)
            elif isinstance(action, Charge):
                self._charge(action.frame)
            elif isinstance(action, Claim):
                self._claim(action)
            else:
                self.close(action.reason)

    def _claim(self, claim: Claim) -> None:
        admitted = self.server.registry.claim(self.number, claim.origin_host, claim.origin_state_id)
        if not self._closing:
            if admitted:
                log.info("%s is open", self)
            self.perform(self.peer.admit(admitted))

    def probe(self) -> None:
        """Asks the peer for a sign of life, for the registry."""
        self._probed = True
        self.perform(self.peer.probe(int(time.monotonic())))

    # ── charging ───────────────────────────────────────────────────────────────────────────────────

    def _charge(self, frame: bytes) -> None:
        server = self.server
        received_ms = time.monotonic_ns() // 1_000_000
        try:
            ccr = decode_ccr(frame)
        except CcrError as error:
            self._refuse(error.ccr, error)
            return
        try:
            command = credit.to_command(ccr, server.profile, server.refdata.tables)
        except DiameterError as error:
            self._refuse(ccr, error)
            return
        if server.is_busy and command.type in (RequestType.INITIAL, RequestType.EVENT):
            self._answer(ccr, CcaAnswer(Result.TOO_BUSY))
            return
        order = Order(command, identities=command.identities, done=partial(self._done, ccr, received_ms))
        try:
            server.engine.submit(order)
        except Busy:
            self._answer(ccr, CcaAnswer(Result.TOO_BUSY))
            return
        self.pending += 1
        server.pending += 1

    def _refuse(self, ccr: Ccr, error: DiameterError) -> None:
        log.info("%s sent a CCR that can't be taken: %s", self, error)
        answer = CcaAnswer(error.result_code, failed_avp=error.failed_avp, error_message=error.text)
        self._answer(ccr, answer)

    def _done(self, ccr: Ccr, received_ms: int, order: Order) -> None:
        server = self.server
        self.pending -= 1
        server.pending -= 1
        server.answered += 1
        if not self._may_read.is_set() and self.pending <= MAX_PENDING // 2 and not server.is_full:
            self._may_read.set()
        if self._closing and self.closed.is_set():
            return
        if order.outcome is not None:
            answer = credit.to_answer(order.outcome, server.profile, server.currency_numbers)
        else:
            answer = CcaAnswer(_result_of(order.error))
        # Past the deadline the client has given up: its repeat will find the stored outcome.
        if time.monotonic_ns() // 1_000_000 - received_ms > server.options.deadline_ms:
            metrics.GY_LATE_ANSWERS.inc()
        else:
            self._answer(ccr, answer)
        if self._closing:
            self._writable.set()

    def _answer(self, ccr: Ccr, answer: CcaAnswer) -> None:
        metrics.GY_ANSWERS.inc(str(ccr.cc_request_type), str(int(answer.result_code)))
        self.send(encode_cca(ccr, answer, self.server.identity))

    # ── writing ────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        """Queues bytes; a peer that doesn't read what it asked for is closed."""
        self._out.append(data)
        self._out_octets += len(data)
        if self._out_octets > self.server.options.send_buffer_octets:
            self._out.clear()
            self.close(f"the peer doesn't read: {self._out_octets} octets wait for it")
            self._sock.close()
        elif not self._writable.is_set():
            self._writable.set()

    def close(self, reason: str) -> None:
        """Ends the connection once what is queued and under way is written."""
        if not self._closing:
            self._closing = reason
            log.info("closing %s: %s", self, reason)
            self._writable.set()
            self._may_read.set()

    def _write(self) -> None:
        try:
            while True:
                self._writable.wait()
                self._writable.clear()
                while self._out:
                    data = b"".join(self._out)
                    self._out.clear()
                    self._sock.sendall(data)
                    self._out_octets -= len(data)
                if self._closing and not self.pending:
                    break
                if self._closing and not self._writable.wait(self.server.options.deadline_ms / 1000):
                    break
        except OSError as error:
            self.close(f"the connection broke: {error.strerror or error}")
        finally:
            self._shut()

    def _shut(self) -> None:
        """Ends both directions, so that the reader wakes too."""
        try:
            self._sock.shutdown(2)
        except OSError:
            pass  # it is closed already

    def _end(self) -> None:
        self.closed.set()
        self._sock.close()
        self.server.forget(self)


_CCR_HEADS = {bytes((flags, 0, 1, 16, 0, 0, 0, 4)) for flags in (0x80, 0x90, 0xC0, 0xD0)}


def _result_of(error: Exception | None) -> int:
    return Result.TOO_BUSY if isinstance(error, Busy | StoreUnavailable) else Result.UNABLE_TO_COMPLY
