"""DIAMETER messages: the header, frames out of a byte stream, the base messages as trees (RFC 6733 §3, §6.2, §7.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple

from mubss.gy.avp import DiameterError, Node, decode_tree, encode_avp, split_avp
from mubss.gy.dictionary import BY_NAME, COMMAND_BY_SHORT, command_name

REQUEST, PROXIABLE, ERROR, RETRANSMITTED = 0x80, 0x40, 0x20, 0x10
"""Command flags R, P, E and T."""

DEFAULT_MAX_BYTES = 65_536

_HEADER = Struct(">IIIII")
_DISCONNECT_PEER = COMMAND_BY_SHORT["DP"].code


class Header(NamedTuple):
    """The 20 bytes before the AVPs; `length` is of the whole message."""

    length: int
    flags: int
    command_code: int
    application_id: int
    hop_by_hop: int
    end_to_end: int
    version: int = 1

    @property
    def is_request(self) -> bool:
        return bool(self.flags & REQUEST)


def decode_header(data: bytes | bytearray | memoryview, pos: int = 0) -> Header:
    """The header at `pos`; struct.error where 20 bytes aren't there."""
    first, second, application_id, hop_by_hop, end_to_end = _HEADER.unpack_from(data, pos)
    return Header(
        first & 0xFFFFFF, second >> 24, second & 0xFFFFFF, application_id, hop_by_hop, end_to_end, first >> 24
    )


def whole_header(frame: bytes) -> Header:
    """The header of a message that is `frame`; DiameterError 5015 or 5011 where it isn't."""
    if len(frame) < 20:
        raise DiameterError(5015, f"a message of {len(frame)} bytes, expected 20 or more")
    header = decode_header(frame)
    if header.version != 1:
        raise DiameterError(5011, f"version {header.version}, expected 1")
    if header.length != len(frame) or header.length & 3:
        raise DiameterError(5015, f"length {header.length} in a message of {len(frame)} bytes")
    return header


def encode_header(header: Header) -> bytes:
    return _HEADER.pack(
        header.version << 24 | header.length,
        header.flags << 24 | header.command_code,
        header.application_id,
        header.hop_by_hop,
        header.end_to_end,
    )


class FrameError(DiameterError):
    """The stream can't be cut into messages any more: handle `frames`, answer `header` if it is a request, close."""

    def __init__(self, result_code: int, text: str, header: Header, frames: list[bytes]) -> None:
        super().__init__(result_code, text)
        self.header = header
        self.frames = frames
        """The messages that came whole before the fault, in the same call."""


class Framer:
    """Cuts what a peer sends into messages. After a FrameError it is done: behind a wrong length nothing is known."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._wanted = 20

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message whose end hasn't come."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order.

        FrameError 5011 for a version other than 1, 5015 for a length below 20, beyond the limit or not a multiple
        of 4 (RFC 6733 §3, §7.1.5), as soon as the header is there.
        """
        if self._rest:
            # A long message in small pieces is copied once, when it is whole.
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[bytes] = []
        pos, size = 0, len(data)
        wanted = 20
        while size - pos >= 20:
            wanted = int.from_bytes(data[pos : pos + 4], "big") ^ 0x01000000
            if not 20 <= wanted <= self._max_bytes or wanted & 3:
                raise self._fault(data, pos, frames)
            if size - pos < wanted:
                break
            frames.append(data[pos : pos + wanted])
            pos += wanted
            wanted = 20
        if pos < size:
            self._rest += data[pos:]
            self._wanted = wanted
        return frames

    def _fault(self, data: bytes, pos: int, frames: list[bytes]) -> FrameError:
        header = decode_header(data, pos)
        if header.version != 1:
            return FrameError(5011, f"version {header.version}, expected 1", header, frames)
        text = f"message length {header.length}, expected a multiple of 4 from 20 to {self._max_bytes}"
        return FrameError(5015, text, header, frames)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks: Origin-Host and Origin-Realm, and Origin-State-Id where it is wanted in each answer."""

    host: str
    realm: str
    origin_state_id: int | None = None
    encoded: bytes = field(init=False, repr=False, compare=False)
    """Origin-Host and Origin-Realm."""
    encoded_state: bytes = field(init=False, repr=False, compare=False)
    """Origin-State-Id, or nothing."""

    def __post_init__(self) -> None:
        names = encode_avp("Origin-Host", self.host) + encode_avp("Origin-Realm", self.realm)
        state = b"" if self.origin_state_id is None else encode_avp("Origin-State-Id", self.origin_state_id)
        object.__setattr__(self, "encoded", names)
        object.__setattr__(self, "encoded_state", state)


Part = bytes | tuple[str, Any]
"""What messages are built of: an encoded AVP, or (name, value) for `encode_avp`."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a tree, for everything but the hot path."""

    header: Header
    avps: list[Node]
    session_id_avp: bytes = b""
    proxy_infos: list[bytes] = field(default_factory=list)
    """Whole AVPs as they came, in order; an answer repeats them."""

    @property
    def name(self) -> str:
        """CER, CEA and so on."""
        return command_name(self.header.command_code, self.header.is_request)

    def find(self, name: str) -> Any:
        """The value of the first AVP of that name, None without one."""
        return next(iter(self.find_all(name)), None)

    def find_all(self, name: str) -> list[Any]:
        """The values of all AVPs of that name at the top level, in order."""
        return find_all(self.avps, name)

    def answer(
        self,
        result_code: int,
        identity: Identity,
        avps: Iterable[Part] = (),
        *,
        failed_avp: bytes = b"",
        error_message: str | None = None,
    ) -> bytes:
        """The answer to this request, with its Session-Id and Proxy-Infos."""
        return encode_answer(
            self.header,
            result_code,
            identity,
            avps,
            session_id_avp=self.session_id_avp,
            proxy_infos=self.proxy_infos,
            failed_avp=failed_avp,
            error_message=error_message,
        )


def find_all(nodes: Iterable[Node], name: str) -> list[Any]:
    """The values of those nodes, in order, whose AVP has that name; KeyError for a name the dictionary lacks."""
    definition = BY_NAME[name]
    return [node.value for node in nodes if node.definition is definition]


def decode_message(frame: bytes) -> Message:
    """Any message as a tree; DiameterError as of `decode_tree`, 3008 for R and E together, 5015 for a wrong length."""
    header = whole_header(frame)
    if header.flags & REQUEST and header.flags & ERROR:
        raise DiameterError(3008, f"command flags {header.flags:#04x}: E in a request")
    session_id_avp = b""
    proxy_infos: list[bytes] = []
    nodes = decode_tree(frame, 20)
    pos = 20
    while pos < len(frame):
        code, vendor_id, _, _, stop = split_avp(frame, pos, len(frame))
        after = stop + 3 & -4
        if code == 263 and not vendor_id and not session_id_avp:
            session_id_avp = frame[pos:after]
        elif code == 284 and not vendor_id:
            proxy_infos.append(frame[pos:after])
        pos = after
    return Message(header, nodes, session_id_avp, proxy_infos)


def encode_message(
    command_code: int, flags: int, application_id: int, hop_by_hop: int, end_to_end: int, avps: Iterable[Part]
) -> bytes:
    """A whole message of those AVPs, in their order."""
    body = b"".join(part if isinstance(part, bytes) else encode_avp(*part) for part in avps)
    return encode_header(Header(len(body) + 20, flags, command_code, application_id, hop_by_hop, end_to_end)) + body


def encode_request(
    name: str,
    hop_by_hop: int,
    end_to_end: int,
    avps: Iterable[Part],
    *,
    application_id: int = 0,
    retransmitted: bool = False,
) -> bytes:
    """A request by its name ("CER", "DWR", "DPR", "RAR", "ASR", "CCR"); the P flag as its command has it."""
    command = COMMAND_BY_SHORT[name.removesuffix("R")]
    flags = REQUEST | (PROXIABLE if command.proxiable else 0) | (RETRANSMITTED if retransmitted else 0)
    return encode_message(command.code, flags, application_id, hop_by_hop, end_to_end, avps)


def encode_answer(
    request: Header,
    result_code: int,
    identity: Identity,
    avps: Iterable[Part] = (),
    *,
    session_id_avp: bytes = b"",
    proxy_infos: Iterable[bytes] = (),
    failed_avp: bytes = b"",
    error_message: str | None = None,
) -> bytes:
    """The answer to the request of that header: command, application, both ids and the P flag are copied.

    A Result-Code of 3xxx sets the E flag (RFC 6733 §7.1.3, §7.2). `avps` stand behind Origin-Realm, then Error-Message,
    Failed-AVP with the AVPs `failed_avp`, the identity's Origin-State-Id (which RFC 6733 §10.1 wants in no DPA),
    Proxy-Infos.
    """
    parts: list[Part] = [session_id_avp, ("Result-Code", result_code), identity.encoded, *avps]
    if error_message is not None:
        parts.append(("Error-Message", error_message))
    if failed_avp:
        parts.append(("Failed-AVP", [failed_avp]))
    if request.command_code != _DISCONNECT_PEER:
        parts.append(identity.encoded_state)
    parts += proxy_infos
    flags = request.flags & PROXIABLE | (ERROR if 3000 <= result_code < 4000 else 0)
    return encode_message(
        request.command_code, flags, request.application_id, request.hop_by_hop, request.end_to_end, parts
    )
