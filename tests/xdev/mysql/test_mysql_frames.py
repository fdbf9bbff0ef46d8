"""Frames of the X Protocol: cut anywhere, damaged anyhow, and what is said to a port that speaks something else."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.mysql.compression import Compression
from mubss.xdev.mysql.frames import MAX_FRAME_OCTETS, BrokenStream, FrameReader, frame

COMPRESSED = 19
KINDS = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17, 18]  # Mysqlx.ServerMessages, without Compression
MESSAGES = st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=40)), max_size=8)
OK = bytes.fromhex("01000000 00")
HELLO = bytes.fromhex("05000000 0b 08051a00")  # the notice that a server of 8.0 begins with


def framed(kind: int, payload: bytes) -> bytes:
    return struct.pack("<IB", len(payload) + 1, kind) + payload


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    return [stream[start:end] for start, end in pairwise([0, *sorted(cut % (len(stream) + 1) for cut in cuts), None])]


@given(st.integers(0, 255), st.binary(max_size=300))
def test_a_frame(kind: int, payload: bytes) -> None:
    assert frame(kind, payload) == framed(kind, payload)


def test_frames_byte_by_byte() -> None:
    assert frame(1, b"").hex() == "0100000001"
    assert frame(25, b"abc").hex() == "0400000019616263"
    assert FrameReader().feed(HELLO + OK) == [(11, bytes.fromhex("08051a00")), (0, b"")]


@given(MESSAGES, st.lists(st.integers(0, 500), max_size=20))
def test_messages_come_out_the_same_however_the_stream_is_cut(
    messages: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    reader = FrameReader()
    stream = b"".join(framed(kind, payload) for kind, payload in messages)
    assert [message for piece in pieces(stream, cuts) for message in reader.feed(piece)] == messages
    assert reader.missing() == 0
    assert reader.feed(b"") == []


@given(MESSAGES, st.integers(1, 7))
def test_a_message_comes_out_as_soon_as_it_is_there(messages: list[tuple[int, bytes]], size: int) -> None:
    reader, came = FrameReader(), 0
    stream = b"".join(framed(kind, payload) for kind, payload in messages)
    ends = [sum(len(payload) + 5 for _, payload in messages[:count]) for count in range(1, len(messages) + 1)]
    for at in range(0, len(stream), size):
        came += len(reader.feed(stream[at : at + size]))
        assert came == sum(end <= at + size for end in ends)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([OK, HELLO, b"\xff\xff\xff\x3f\x0d", b"\0"]), max_size=8))
def test_any_bytes_are_messages_or_a_broken_stream(fed: list[bytes]) -> None:
    reader, octets = FrameReader(), 0
    for piece in fed:
        octets += len(piece)
        try:
            messages = reader.feed(piece)
        except BrokenStream as error:
            assert "\n" not in str(error)
            break
        octets -= sum(len(payload) + 5 for _, payload in messages)
        assert len(reader._pending) == octets  # what was fed and isn't out yet, and nothing else


def test_what_is_missing() -> None:
    reader = FrameReader()
    assert reader.missing() == 0
    for piece, missing in (
        (b"\x0a", 0),  # the length isn't known yet
        (b"\0\0\0", 0),
        (b"\x0d", 9),
        (b"1234", 5),
        (b"56789" + b"\xe9\x03\0\0", 0),  # and the next one's length
        (b"\x0d", 1000),
        (bytes(999), 1),
        (bytes(1), 0),
    ):
        reader.feed(piece)
        assert reader.missing() == missing, piece


# MySQL 8.0.36 on its port 3306: protocol 10, version, connection, salt, capabilities, salt, caching_sha2_password.
GREETING = bytes.fromhex(
    "4a0000000a 382e302e333600 08000000 1c0e5b38774d7a0e00 ffff ff 0200 ffdf 15 00000000000000000000"
    "3a6d1f5f0c5b4e2c6b38015c00 63616368696e675f736861325f70617373776f726400"
)
STRANGERS = {
    "classic": (
        GREETING,
        "this is MySQL's classic protocol (server 8.0.36): name its X Protocol port, 33060 by default",
    ),
    "classic, MariaDB": (
        bytes.fromhex("590000000a") + b"5.5.5-10.6.16-MariaDB-0ubuntu\0" + bytes(59),
        "this is MySQL's classic protocol (server 5.5.5-10.6.16-MariaDB-0ubuntu): "
        "name its X Protocol port, 33060 by default",
    ),
    "classic, of ill will": (
        bytes.fromhex("590000000a") + b"8\n\x1b[31m\xff\0",
        "this is MySQL's classic protocol (server 8..[31m.): name its X Protocol port, 33060 by default",
    ),
    "classic, refusing": (
        bytes.fromhex("170000 00 ff 1004") + b"Too many connections",
        "this is no MySQL X Protocol server: it sent '.......Too many connecti'",
    ),
    "HTTP": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n",
        "this is no MySQL X Protocol server: it sent 'HTTP/1.1 400 Bad Request'",
    ),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "this is no MySQL X Protocol server: it sent 'SSH-2.0-OpenSSH_9.6..'"),
    "Redis": (
        b"-ERR unknown command\r\n",
        "this is no MySQL X Protocol server: it sent '-ERR unknown command..'",
    ),
    "classic, its first five octets": (
        GREETING[:5],
        "this is MySQL's classic protocol (server unknown): name its X Protocol port, 33060 by default",
    ),
}


@pytest.mark.parametrize(("sent", "message"), STRANGERS.values(), ids=STRANGERS)
def test_another_protocol_is_called_by_its_name(sent: bytes, message: str) -> None:
    with pytest.raises(BrokenStream) as caught:
        FrameReader().feed(sent)
    assert str(caught.value) == message


@pytest.mark.parametrize("size", [1, 5, 6, 12, 40])
def test_the_greeting_is_told_from_its_first_octets_too(size: int) -> None:
    reader = FrameReader()
    with pytest.raises(BrokenStream, match="this is MySQL's classic protocol"):
        for at in range(0, len(GREETING), size):
            reader.feed(GREETING[at : at + size])


@pytest.mark.parametrize(
    "header",
    ["00000000 0d", "ffffffff 0d", "01000040 0d", "01000000 0a", "01000000 14", "01000000 ff"],
    ids=["length 0", "length 2^32 - 1", "length above 2^30", "type 10", "type 20", "type 255"],
)
def test_a_header_that_cant_be_is_refused_at_once(header: str) -> None:
    reader = FrameReader()
    assert reader.feed(OK) == [(0, b"")]
    with pytest.raises(BrokenStream, match="this is "):
        reader.feed(bytes.fromhex(header))


def test_the_largest_frame_is_waited_for() -> None:
    reader = FrameReader()
    assert reader.feed(struct.pack("<IB", MAX_FRAME_OCTETS, 13)) == []
    assert reader.missing() == MAX_FRAME_OCTETS - 1


# ── compressed ─────────────────────────────────────────────────────────────────────────────────────


def compressing() -> FrameReader:
    reader = FrameReader()
    reader.compression = Compression("deflate_stream")
    return reader


@given(
    st.lists(st.tuples(st.booleans(), MESSAGES), max_size=5),
    st.lists(st.integers(0, 500), max_size=20),
)
def test_compressed_and_plain_messages_come_out_in_order(
    groups: list[tuple[bool, list[tuple[int, bytes]]]], cuts: list[int]
) -> None:
    packer, reader = Compression("deflate_stream"), compressing()
    stream = b""
    for is_compressed, messages in groups:
        octets = b"".join(framed(kind, payload) for kind, payload in messages)
        stream += framed(COMPRESSED, packer.pack(octets)) if is_compressed else octets
    found = [message for piece in pieces(stream, cuts) for message in reader.feed(piece)]
    assert found == [message for _, messages in groups for message in messages]


@settings(max_examples=200)
@given(st.binary(max_size=60))
@example(OK + HELLO[:-1])
def test_any_bytes_within_a_compressed_message(octets: bytes) -> None:
    packed = framed(COMPRESSED, Compression("deflate_stream").pack(octets))
    try:
        messages = compressing().feed(packed)
    except BrokenStream as error:
        assert str(error) == "a compressed message is cut off"
    else:
        assert b"".join(framed(kind, payload) for kind, payload in messages) == octets


@pytest.mark.parametrize(
    "octets",
    ["00", "01000000", "00000000 00", "02000000 0d", "01000000 00 05000000 0b 0805", "01000000 13", "ffffffff 0d"],
)
def test_compressed_frames_that_are_none(octets: str) -> None:
    packed = framed(COMPRESSED, Compression("deflate_stream").pack(bytes.fromhex(octets)))
    with pytest.raises(BrokenStream, match="a compressed message is cut off"):
        compressing().feed(packed)


def test_nobody_compresses_unasked() -> None:
    with pytest.raises(BrokenStream, match="the server compresses, and nobody asked it to"):
        FrameReader().feed(framed(COMPRESSED, Compression("deflate_stream").pack(OK)))


@given(st.binary(max_size=60))
def test_a_damaged_compressed_message(payload: bytes) -> None:
    for octets in (payload, b"\x08\x05\x22" + bytes([len(payload)]) + payload, payload + zlib.compress(OK)):
        try:
            compressing().feed(framed(COMPRESSED, octets))
        except StoreUnavailable:
            pass
