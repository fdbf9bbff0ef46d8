"""X Protocol frames, without IO: bytes in, messages out.

A frame is a little-endian length of 4 octets (of what follows), a type of 1 octet, and a protobuf message. A frame of
type 19 holds several compressed ones (`compression`).
"""

from __future__ import annotations

from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.mysql.compression import Compression

HEADER_OCTETS = 5
MAX_FRAME_OCTETS = 1 << 30  # the most that mysqlx_max_allowed_packet can be
_HIGHEST_TYPE = 19
_COMPRESSED = 19
_CLASSIC_GREETING = 10  # where the type stands, a classic protocol server sends the version of its protocol


class BrokenStream(StoreUnavailable):
    """What came is not the X Protocol."""


class FrameReader:
    """Cuts a stream into messages; remembers what isn't complete yet."""

    def __init__(self) -> None:
        self.compression: Compression | None = None
        self._pending = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that `data` completes, as (type, payload); BrokenStream where it can't be the X Protocol."""
        if self._pending:
            data = self._pending + data
        messages: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= HEADER_OCTETS:
            length = int.from_bytes(data[at : at + 4], "little")
            kind = data[at + 4]
            if kind > _HIGHEST_TYPE or not 0 < length <= MAX_FRAME_OCTETS or kind == _CLASSIC_GREETING:
                raise BrokenStream(_what_it_is(data[at : at + 64]))
            after = at + 4 + length
            if after > end:
                break
            if kind == _COMPRESSED:
                messages += self._unpack(data[at + HEADER_OCTETS : after])
            else:
                messages.append((kind, data[at + HEADER_OCTETS : after]))
            at = after
        self._pending = data[at:] if at else data
        return messages

    def missing(self) -> int:
        """Octets that the message under way still lacks, as far as is known: how much to ask the socket for."""
        if len(self._pending) < HEADER_OCTETS:
            return 0
        return max(0, 4 + int.from_bytes(self._pending[:4], "little") - len(self._pending))

    def _unpack(self, payload: bytes) -> list[tuple[int, bytes]]:
        if self.compression is None:
            raise BrokenStream("the server compresses, and nobody asked it to")
        data = self.compression.unpack(payload)
        messages = []
        at, end = 0, len(data)
        while at < end:
            length = int.from_bytes(data[at : at + 4], "little")
            after = at + 4 + length
            if end - at < HEADER_OCTETS or not length or after > end or data[at + 4] >= _COMPRESSED:
                raise BrokenStream("a compressed message is cut off")
            messages.append((data[at + 4], data[at + HEADER_OCTETS : after]))
            at = after
        return messages


def frame(kind: int, payload: bytes) -> bytes:
    """One message as it goes out."""
    return (len(payload) + 1).to_bytes(4, "little") + bytes((kind,)) + payload


def _what_it_is(start: bytes) -> str:
    """What a stream that isn't the X Protocol may be instead, for whoever set the port."""
    if start[4] == _CLASSIC_GREETING and start[3] == 0:
        version = _shown(start[5:].split(b"\0")[0]) or "unknown"
        return f"this is MySQL's classic protocol (server {version}): name its X Protocol port, 33060 by default"
    return f"this is no MySQL X Protocol server: it sent {_shown(start[:24])!r}"


def _shown(octets: bytes) -> str:
    """Printable ASCII as it is, a dot for anything else: it may come from anywhere and goes to a terminal."""
    return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in octets)
