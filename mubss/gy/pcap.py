"""Messages as a capture file that wireshark opens: classic pcap, bare IP packets, TCP made up around them. Pure.

    file = header() + stream.opening(time_us) + stream.message(frame, time_us, is_ours=True) + …

Our port is written as 3868 whatever it really is, and plain TCP in place of TLS or SCTP: so every reader knows the
messages for DIAMETER.
"""

from __future__ import annotations

from ipaddress import ip_address
from struct import Struct, pack
from typing import NamedTuple

PORT = 3868
SEGMENT = 60_000  # octets of a message in one packet; an IP packet has up to 65,535
RAW_IP = 101  # LINKTYPE_RAW
SNAPPED = 262_144  # the longest packet that a reader must expect

_RECORD = Struct("<IIII")
_TCP = Struct(">HHIIBBHHH")
_SYN, _ACK, _SYN_ACK, _PSH_ACK = 0x02, 0x10, 0x12, 0x18
_WINDOW = 65_535
_TCP_PROTOCOL = 6


class Ends(NamedTuple):
    """The addresses of a connection, IPv4 or IPv6, and the peer's port."""

    local: str
    remote: str
    remote_port: int


def header() -> bytes:
    """What a file begins with; times are in microseconds."""
    return pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPPED, RAW_IP)


class Stream:
    """One connection in a file: its sequence numbers go on from packet to packet."""

    def __init__(self, ends: Ends) -> None:
        self._local, self._remote = ip_address(ends.local), ip_address(ends.remote)
        if self._local.version != self._remote.version:
            raise ValueError(f"{ends.local} and {ends.remote}: expected addresses of one family")
        self._port = ends.remote_port
        self._sent = self._received = 1  # octets of each side so far, and its SYN

    def opening(self, time_us: int) -> bytes:
        """The three packets that begin a TCP connection: the peer's SYN, ours, its ACK."""
        return (
            self._packet(time_us, _SYN, 0, 0, is_ours=False)
            + self._packet(time_us, _SYN_ACK, 0, 1, is_ours=True)
            + self._packet(time_us, _ACK, 1, 1, is_ours=False)
        )

    def message(self, frame: bytes, time_us: int, *, is_ours: bool) -> bytes:
        """The packets of one message."""
        found = []
        for at in range(0, len(frame), SEGMENT):
            part = frame[at : at + SEGMENT]
            sent, received = (self._sent, self._received) if is_ours else (self._received, self._sent)
            found.append(self._packet(time_us, _PSH_ACK, sent, received, part, is_ours=is_ours))
            if is_ours:
                self._sent = self._sent + len(part) & 0xFFFFFFFF
            else:
                self._received = self._received + len(part) & 0xFFFFFFFF
        return b"".join(found)

    def _packet(
        self, time_us: int, flags: int, sequence: int, acknowledged: int, data: bytes = b"", *, is_ours: bool
    ) -> bytes:
        source, target = (self._local, self._remote) if is_ours else (self._remote, self._local)
        source_port, target_port = (PORT, self._port) if is_ours else (self._port, PORT)
        length = _TCP.size + len(data)
        fields = source_port, target_port, sequence, acknowledged, _TCP.size // 4 << 4, flags, _WINDOW
        pseudo = source.packed + target.packed + pack(">II", length, _TCP_PROTOCOL)
        tcp = _TCP.pack(*fields, _checksum(pseudo + _TCP.pack(*fields, 0, 0) + data), 0) + data
        if source.version == 4:
            head = pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, _TCP_PROTOCOL, 0)
            checksum = _checksum(head + source.packed + target.packed)
            ip = head[:10] + checksum.to_bytes(2, "big")
        else:
            ip = pack(">IHBB", 6 << 28, length, _TCP_PROTOCOL, 64)
        packet = ip + source.packed + target.packed + tcp
        seconds, micros = divmod(time_us, 1_000_000)
        return _RECORD.pack(seconds & 0xFFFFFFFF, micros, len(packet), len(packet)) + packet


def _checksum(data: bytes) -> int:
    """The Internet's (RFC 1071): the sum of 16-bit words in ones' complement, which is a number modulo 65,535."""
    number = int.from_bytes(data + b"\0" * (len(data) & 1), "big")
    return 0xFFFF ^ (number % 0xFFFF or (0xFFFF if number else 0))
