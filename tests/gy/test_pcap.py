"""Capture files octet by octet: packets, checksums, sequence numbers."""

from __future__ import annotations

from struct import unpack
from typing import NamedTuple

import pytest

from gy_wire import cer
from mubss.gy.pcap import SEGMENT, Ends, Stream, header

FOUR = Ends("192.0.2.1", "198.51.100.7", 40_000)
SIX = Ends("2001:db8::1", "2001:db8::7", 40_000)


class Packet(NamedTuple):
    """One of a file; numbers as they stand in it."""

    time_us: int
    source: bytes
    target: bytes
    ports: tuple[int, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes


def ones_complement_sum(data: bytes) -> int:
    """RFC 1071 as it is written: 0xFFFF over octets that contain their right checksum."""
    total = sum(unpack(f">{len(data + bytes(len(data) & 1)) // 2}H", data + bytes(len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packets(octets: bytes) -> list[Packet]:
    """Records without the file's header; lengths and checksums fit."""
    found, pos = [], 0
    while pos < len(octets):
        seconds, micros, length, whole = unpack("<IIII", octets[pos : pos + 16])
        ip = octets[pos + 16 : pos + 16 + length]
        assert len(ip) == length == whole
        pos += 16 + length
        if ip[0] >> 4 == 4:
            assert (ip[0], ip[9], int.from_bytes(ip[2:4], "big")) == (0x45, 6, length)
            assert ones_complement_sum(ip[:20]) == 0xFFFF
            source, target, tcp = ip[12:16], ip[16:20], ip[20:]
        else:
            assert (ip[:4], ip[6], int.from_bytes(ip[4:6], "big")) == (b"\x60\0\0\0", 6, length - 40)
            source, target, tcp = ip[8:24], ip[24:40], ip[40:]
        assert ones_complement_sum(source + target + len(tcp).to_bytes(4, "big") + b"\0\0\0\6" + tcp) == 0xFFFF
        from_port, to_port, sequence, acknowledged, offset, flags = unpack(">HHIIBB", tcp[:14])
        assert offset == 5 << 4
        time_us = seconds * 1_000_000 + micros
        found.append(Packet(time_us, source, target, (from_port, to_port), sequence, acknowledged, flags, tcp[20:]))
    return found


def test_the_header() -> None:
    assert header().hex() == "d4c3b2a10200040000000000000000000000040065000000"


def test_the_octets_of_a_message() -> None:
    record = Stream(FOUR).message(bytes.fromhex("0100001480000118"), 1_700_000_000_000_007, is_ours=False)
    assert record.hex() == (
        "00f15365" "07000000" "30000000" "30000000"
        "4500003000004000" "40064e8c" "c6336407" "c0000201"
        "9c400f1c" "00000001" "00000001" "5018ffff" "95fd0000"
        "0100001480000118"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "local", "remote"),
    [(FOUR, "c0000201", "c6336407"), (SIX, "20010db8" + "0" * 23 + "1", "20010db8" + "0" * 23 + "7")],
)
def test_a_conversation(ends: Ends, local: str, remote: str) -> None:
    stream = Stream(ends)
    octets = stream.opening(5)
    octets += stream.message(b"a" * 20, 6, is_ours=False)
    octets += stream.message(b"b" * 33, 7, is_ours=True)
    octets += stream.message(b"c" * 20, 4_000_000_008, is_ours=False)
    ours, theirs = bytes.fromhex(local), bytes.fromhex(remote)
    inward, outward = (theirs, ours, (40_000, 3868)), (ours, theirs, (3868, 40_000))
    assert packets(octets) == [
        Packet(5, *inward, 0, 0, 0x02, b""),
        Packet(5, *outward, 0, 1, 0x12, b""),
        Packet(5, *inward, 1, 1, 0x10, b""),
        Packet(6, *inward, 1, 1, 0x18, b"a" * 20),
        Packet(7, *outward, 1, 21, 0x18, b"b" * 33),
        Packet(4_000_000_008, *inward, 21, 34, 0x18, b"c" * 20),
    ]


def test_a_long_message_goes_over_several_packets() -> None:
    frame = bytes(range(256)) * 600
    found = packets(Stream(SIX).message(frame, 0, is_ours=True))
    assert [len(one.data) for one in found] == [SEGMENT, SEGMENT, len(frame) - 2 * SEGMENT]
    assert [one.sequence for one in found] == [1, 1 + SEGMENT, 1 + 2 * SEGMENT]
    assert b"".join(one.data for one in found) == frame


def test_sequence_numbers_begin_again_after_4_gib() -> None:
    stream = Stream(FOUR)
    stream._sent = 0xFFFFFFF0
    assert [one.sequence for one in packets(stream.message(cer(), 0, is_ours=True))] == [0xFFFFFFF0]
    assert [one.sequence for one in packets(stream.message(cer(), 0, is_ours=True))] == [len(cer()) - 0x10]


def test_addresses_of_two_families_are_no_connection() -> None:
    with pytest.raises(ValueError, match=r"192.0.2.1 and 2001:db8::7: expected addresses of one family"):
        Stream(Ends("192.0.2.1", "2001:db8::7", 1))
