"""What tests of the Gy server write and read on the wire: requests of any shape, answers as trees, a raw peer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, Self

from mubss.gy.avp import DiameterError, decode_value, split_avp
from mubss.gy.codec import Cca, Ccr, decode_cca, encode_ccr
from mubss.gy.dictionary import BY_CODE, COMMANDS, Type
from mubss.gy.grammar import check_answer
from mubss.gy.message import Framer, Identity, Part, decode_header, decode_message, encode_message

CODES = {f"{command.short}R": command.code for command in COMMANDS}
REQUEST, PROXIABLE, ERROR, RETRANSMITTED = 0x80, 0x40, 0x20, 0x10
VENDOR_3GPP = 10415
VSAI = ("Vendor-Specific-Application-Id", [("Vendor-Id", VENDOR_3GPP), ("Auth-Application-Id", 4)])
GY = ("Auth-Application-Id", 4)
ANY = bytes(range(256))
WAIT_SECONDS = 10  # the most a test waits for what must come
START_SECONDS = 30  # and for a process with its workers, on a machine that has other things to do
_HOSTS = count(1)


def request(
    name: str | int,
    *avps: Part,
    application_id: int = 0,
    flags: int = REQUEST,
    hop_by_hop: int = 0x11,
    end_to_end: int = 0x22,
) -> bytes:
    """A request of any command, with any flags."""
    code = CODES[name] if isinstance(name, str) else name
    return encode_message(code, flags, application_id, hop_by_hop, end_to_end, avps)


def origin(host: str, realm: str = "example") -> list[Part]:
    """Origin-Host and Origin-Realm."""
    return [("Origin-Host", host), ("Origin-Realm", realm)]


def cer(host: str = "pgw.example", *applications: Part, realm: str = "example", state_id: int = 0) -> bytes:
    """A Capabilities-Exchange-Request with Auth-Application-Id 4 unless told which applications."""
    parts: list[Part] = [
        *origin(host, realm),
        ("Host-IP-Address", "127.0.0.1"),
        ("Vendor-Id", VENDOR_3GPP),
        ("Product-Name", "test"),
        *([("Origin-State-Id", state_id)] if state_id else []),
        *(applications or [GY]),
    ]
    return request("CER", *parts)


def dwr(host: str = "pgw.example", hop_by_hop: int = 0x33) -> bytes:
    """A Device-Watchdog-Request."""
    return request("DWR", *origin(host), hop_by_hop=hop_by_hop, end_to_end=hop_by_hop)


class Avp(NamedTuple):
    """One AVP as it lies on the wire."""

    name: str
    code: int
    vendor_id: int
    flags: int
    data: bytes

    @property
    def value(self) -> Any:
        """Its data by type: a group's are Avps (those of a Failed-AVP may be of any shape, and aren't read on)."""
        definition = BY_CODE[self.vendor_id, self.code]
        return split(self.data) if definition.type is Type.GROUPED else decode_value(definition.type, self.data)


def split(data: bytes, pos: int = 0, padding: bytes = b"\0") -> list[Avp]:
    """The AVPs of a message (from byte 20) or a group, one level; their lengths fit, and padding is of these bytes."""
    found = []
    while pos < len(data):
        code, vendor_id, flags, begin, stop = split_avp(data, pos, len(data))
        definition = BY_CODE.get((vendor_id, code))
        found.append(Avp(definition.name if definition else str(code), code, vendor_id, flags, data[begin:stop]))
        pos = stop + 3 & -4
        assert not data[stop:pos].strip(padding), "padding is zeros"
    assert pos == len(data)
    return found


def names(frame: bytes) -> list[str]:
    """The names of a message's AVPs, in order."""
    return [avp.name for avp in split(frame, 20)]


def find_all(frame: bytes, name: str) -> list[Any]:
    """The values of all AVPs of that name at the top level, however the others are padded."""
    return [avp.value for avp in split(frame, 20, ANY) if avp.name == name]


def find(frame: bytes, name: str) -> Any:
    """The value of the first AVP of that name at the top level."""
    return next(iter(find_all(frame, name)), None)


def failed(frame: bytes) -> list[str]:
    """The names of the AVPs inside Failed-AVP."""
    return [avp.name for avp in find(frame, "Failed-AVP") or []]


def cut(data: bytes) -> list[bytes]:
    """Bytes as whole messages."""
    return Framer(1 << 24).feed(data)


ECHOED = ("Session-Id", "CC-Request-Type", "CC-Request-Number", "Proxy-Info", "Proxy-Host", "Proxy-State")


def keeps_to_the_letter(answer: bytes) -> None:
    """Whatever was asked, its answer keeps to the RFCs; but what it echoes of a request is no better than it came."""
    try:
        check_answer(answer)
    except DiameterError as error:
        if error.result_code != 5012:  # as many service identifiers as were asked for
            assert error.text.startswith(ECHOED), error
            proxied = error.result_code == 5008 and error.text.startswith("Proxy-Info")  # in a DWR, which has none
            assert proxied or (error.result_code in (5004, 5005) and find(answer, "Result-Code") >= 3000), error


class Raw:
    """A connection that sends what it is told and nothing else; DWRs are answered while it waits, unless `mute`."""

    def __init__(
        self, port: int, *, receive_octets: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_octets:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_octets)
        self.sock.settimeout(WAIT_SECONDS)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, suppress_ragged_eofs=False)
        self.host = "pgw.example"
        self.mute = False
        self.watchdogs = 0
        self._framer = Framer(1 << 24)
        self._frames: deque[bytes] = deque()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.sock.sendall(data)

    def receive(self) -> bytes:
        """The next message that isn't a DWR; TimeoutError without one, EOFError where the connection ended."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                header = decode_header(frame)
                if header.is_request and header.command_code == CODES["DWR"] and not self.mute:
                    self.watchdogs += 1
                    self.send(decode_message(frame).answer(2001, Identity(self.host, "example")))
                    continue
                if not header.is_request:
                    keeps_to_the_letter(frame)
                return frame
            self._frames += self._framer.feed(self._read())

    def _read(self) -> bytes:
        try:
            data = self.sock.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("the server closed the connection")
        return data

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answers DWRs meanwhile, as a peer that lives does; what else comes is dropped."""
        stop = threading.Event()

        def work() -> None:
            self.sock.settimeout(0.02)
            while not stop.is_set():
                try:
                    self.receive()
                except TimeoutError:
                    continue
                except EOFError:
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.sock.settimeout(WAIT_SECONDS)

    def closed(self) -> bool:
        """Reads to the end: whether the server closed without a further word."""
        try:
            self.receive()
        except EOFError:
            return True
        return False

    def open(self, host: str = "", state_id: int = 0) -> Self:
        """Exchanges capabilities, under a name of its own unless told which."""
        self.host = host or f"pgw{next(_HOSTS)}.example"
        self.send(cer(self.host, state_id=state_id))
        answer = self.receive()
        assert find(answer, "Result-Code") == 2001, decode_message(answer)
        return self

    def ask(self, frame: bytes) -> bytes:
        """Sends a request and gives its answer."""
        self.send(frame)
        return self.receive()

    def charge(self, ccr: Ccr) -> Cca:
        """Sends a CCR and gives its answer, decoded."""
        number = next(self._numbers)
        ccr.hop_by_hop = number
        ccr.end_to_end = ccr.end_to_end or 0x7000_0000 + number
        ccr.origin_host = ccr.origin_host or self.host
        ccr.origin_realm = ccr.origin_realm or "example"
        return decode_cca(self.ask(encode_ccr(ccr)))
