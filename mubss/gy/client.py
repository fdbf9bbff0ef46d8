"""A Gy client on one plain blocking socket: for `mubss ccr`, the demo and tests. Neither threads nor gevent.

    with GyClient("127.0.0.1", 3868, Identity("pgw.example", "example")) as client:
        exchange = client.ask(Ccr(session_id=client.new_session_id(), cc_request_type=INITIAL, …))
        exchange.cca.answer.result_code

While it waits it answers what the server asks: DWR, DPR, RAR, ASR. A watchdog of its own it doesn't keep.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections import deque
from itertools import count
from typing import NamedTuple, Self

from mubss.core.errors import InputError, MubssError
from mubss.gy.avp import DiameterError
from mubss.gy.certificate_names import covers, names_in, shown
from mubss.gy.codec import Cca, Ccr, decode_cca, encode_ccr
from mubss.gy.dictionary import COMMAND_BY_SHORT, CREDIT_CONTROL_APPLICATION, VENDOR_3GPP, value_name
from mubss.gy.message import Framer, Identity, Message, Part, decode_header, decode_message, encode_request
from mubss.gy.tls import why

PRODUCT_NAME = "mubss-ccr"
SUCCESS, COMMAND_UNSUPPORTED = 2001, 3001
DO_NOT_WANT_TO_TALK = 2  # Disconnect-Cause: this connection isn't needed any more (RFC 6733 §5.4.3)
RECV_OCTETS = 65_536
MAX_OCTETS = 1 << 20  # of one message
_CODES = {short: command.code for short, command in COMMAND_BY_SHORT.items()}


class ClientError(MubssError):
    """The server can't be reached, refused us, went away, or answered in time nothing that can be read."""


class Exchange(NamedTuple):
    """One request and its answer, decoded and as they were on the wire."""

    request: bytes
    answer: bytes
    cca: Cca
    took_us: int


def result_text(code: int) -> str:
    """`2001 DIAMETER_SUCCESS`; the bare number where it has no name."""
    return f"{code} {value_name('Result-Code', code)}".rstrip()


class GyClient:
    """A connection with its capabilities exchanged; ClientError says what kept it from being one.

    `timeout_s` bounds each wait: for the connection, for the CEA, for each answer. With `tls` (tls.client_context) the
    server's certificate must name the Origin-Host of its CEA.
    """

    def __init__(
        self, host: str, port: int, identity: Identity, *, timeout_s: float = 5, tls: ssl.SSLContext | None = None
    ) -> None:
        self.identity = identity
        self.where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.cea: Message  # what the server said of itself
        self._timeout_s = timeout_s
        self._framer = Framer(MAX_OCTETS)
        self._frames: deque[bytes] = deque()
        self._hop_by_hop = count(secrets.randbits(31))
        # RFC 6733 §3: 12 bits of the time, 20 random ones, so that a restart doesn't repeat an identifier.
        self._end_to_end = count((int(time.time()) & 0xFFF) << 20 | secrets.randbits(20))
        self._sessions = count(1)
        self._is_open = False
        self._sock = self._connect(host, port)
        try:
            if tls is not None:
                self._sock = self._secure(tls)
            self._exchange_capabilities()
        except BaseException:
            self._sock.close()
            raise
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def new_session_id(self) -> str:
        """A Session-Id that nobody had before: `<Origin-Host>;<seconds>;<random and a count>` (RFC 6733 §8.8)."""
        low = secrets.randbits(16) << 16 | next(self._sessions) & 0xFFFF
        return f"{self.identity.host};{int(time.time())};{low}"

    def ask(self, ccr: Ccr) -> Exchange:
        """Sends a request and waits for its own answer; answers to others, which came too late, are passed over."""
        began_ns = time.perf_counter_ns()
        request = self.send(ccr)
        deadline = time.monotonic() + self._timeout_s
        while True:
            answer = self._next_answer("CC", deadline, "the CCR")
            if decode_header(answer).hop_by_hop == ccr.hop_by_hop:
                took_us = (time.perf_counter_ns() - began_ns) // 1000
                return Exchange(request, answer, self._decoded(answer), took_us)

    def send(self, ccr: Ccr) -> bytes:
        """Sends a request without waiting, and returns it as sent.

        Hop-by-Hop is set, and where they are missing End-to-End (0), Origin-Host and Origin-Realm.
        """
        ccr.hop_by_hop = next(self._hop_by_hop) & 0xFFFFFFFF
        ccr.end_to_end = ccr.end_to_end or next(self._end_to_end) & 0xFFFFFFFF
        if ccr.origin_host is None:
            ccr.origin_host = self.identity.host
        if ccr.origin_realm is None:
            ccr.origin_realm = self.identity.realm
        frame = encode_ccr(ccr)
        self._write(frame)
        return frame

    def receive(self) -> Cca:
        """The next answer to any request sent."""
        return self._decoded(self._next_answer("CC", time.monotonic() + self._timeout_s, "a CCR"))

    def close(self) -> None:
        """Says goodbye (DPR) and closes; never raises, whatever the server does."""
        try:
            if self._is_open:
                self._is_open = False
                self._request("DPR", [("Disconnect-Cause", DO_NOT_WANT_TO_TALK)])
                self._next_answer("DP", time.monotonic() + self._timeout_s, "the DPR")
        except ClientError:
            pass  # it is gone already: that is all a goodbye is for
        finally:
            self._sock.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        try:
            sock = socket.create_connection((host, port), self._timeout_s)
        except ConnectionRefusedError:
            raise ClientError(f"{self.where}: nothing listens there; is mubss-gy running, and on that port?") from None
        except TimeoutError:
            raise ClientError(f"{self.where}: no connection within {self._timeout_s:g} s") from None
        except UnicodeError:  # a label of the name is empty or too long
            raise InputError(f"host: {host[:80]!r}; expected a host's name or address") from None
        except OSError as error:
            raise ClientError(f"{self.where}: can't be reached: {error.strerror or error}") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _secure(self, tls: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            return tls.wrap_socket(self._sock)
        except TimeoutError:
            raise ClientError(f"{self.where}: no TLS within {self._timeout_s:g} s; is it the port for TLS?") from None
        except OSError as error:
            raise ClientError(f"{self.where}: TLS can't be had: {why(error)}; is it the port for TLS?") from None

    def _check_certificate(self) -> None:
        if isinstance(self._sock, ssl.SSLSocket):
            names, host = names_in(self._sock.getpeercert() or {}), str(self.cea.find("Origin-Host"))
            if not covers(names, host):
                raise ClientError(f"{self.where}: it says it is {host}; its certificate names {shown(names)}")

    def _exchange_capabilities(self) -> None:
        local = str(self._sock.getsockname()[0]).partition("%")[0]
        vendor_specific = [("Vendor-Id", VENDOR_3GPP), ("Auth-Application-Id", CREDIT_CONTROL_APPLICATION)]
        self._request(
            "CER",
            [
                ("Host-IP-Address", local),
                ("Vendor-Id", 0),
                ("Product-Name", PRODUCT_NAME),
                ("Supported-Vendor-Id", VENDOR_3GPP),
                ("Auth-Application-Id", CREDIT_CONTROL_APPLICATION),
                ("Vendor-Specific-Application-Id", vendor_specific),
            ],
        )
        answer = self._next_answer("CE", time.monotonic() + self._timeout_s, "the CER")
        try:
            self.cea = decode_message(answer)
        except DiameterError as error:
            raise ClientError(f"{self.where}: its CEA can't be read: {error}") from None
        result_code = self.cea.find("Result-Code")
        if result_code is None:
            raise ClientError(f"{self.where}: its CEA has no Result-Code")
        if result_code != SUCCESS:
            reason = self.cea.find("Error-Message")
            text = f"{self.where} refused the connection of {self.identity.host[:255]}: {result_text(result_code)}"
            raise ClientError(f"{text} ({reason})" if reason else text)
        self._check_certificate()

    def _decoded(self, answer: bytes) -> Cca:
        try:
            return decode_cca(answer)
        except DiameterError as error:
            raise ClientError(f"{self.where}: its CCA can't be read: {error}") from None

    def _request(self, name: str, avps: list[Part]) -> None:
        hop_by_hop, end_to_end = next(self._hop_by_hop) & 0xFFFFFFFF, next(self._end_to_end) & 0xFFFFFFFF
        self._write(encode_request(name, hop_by_hop, end_to_end, [self.identity.encoded, *avps]))

    def _next_answer(self, short: str, deadline: float, to: str) -> bytes:
        """The next answer of that command; the server's own requests are answered on the way."""
        while True:
            frame = self._read(deadline, to)
            header = decode_header(frame)
            if header.is_request:
                self._serve(frame)
            elif header.command_code == _CODES[short]:
                return frame

    def _serve(self, frame: bytes) -> None:
        """Answers a request of the server's; after its DPR there is nothing more to come."""
        try:
            message = decode_message(frame)
        except DiameterError as error:
            raise ClientError(f"{self.where}: its request can't be read: {error}") from None
        known = message.name in ("DWR", "DPR", "RAR", "ASR")
        self._write(message.answer(SUCCESS if known else COMMAND_UNSUPPORTED, self.identity))
        if message.name == "DPR":
            self._is_open = False
            cause = value_name("Disconnect-Cause", message.find("Disconnect-Cause") or 0)
            raise ClientError(f"{self.where} ended the connection (DPR, {cause})")

    def _write(self, data: bytes) -> None:
        try:
            self._sock.settimeout(self._timeout_s)
            self._sock.sendall(data)
        except TimeoutError:
            raise ClientError(f"{self.where} takes nothing for {self._timeout_s:g} s") from None
        except OSError as error:
            raise self._lost(error) from None

    def _read(self, deadline: float, awaited: str) -> bytes:
        """The next message, whatever it is."""
        while not self._frames:
            left_s = deadline - time.monotonic()
            try:
                if left_s <= 0:
                    raise TimeoutError
                self._sock.settimeout(left_s)
                data = self._sock.recv(RECV_OCTETS)
            except TimeoutError:
                text = f"{self.where}: no answer to {awaited} within {self._timeout_s:g} s"
                raise ClientError(f"{text}; does it speak DIAMETER?" if awaited == "the CER" else text) from None
            except OSError as error:
                raise self._lost(error) from None
            if not data:
                raise ClientError(f"{self.where} closed the connection without an answer to {awaited}")
            try:
                self._frames += self._framer.feed(data)
            except DiameterError as error:
                raise ClientError(f"{self.where}: what it sends is no DIAMETER: {error}") from None
        return self._frames.popleft()

    def _lost(self, error: OSError) -> ClientError:
        self._is_open = False
        return ClientError(f"{self.where}: the connection broke: {why(error)}")
