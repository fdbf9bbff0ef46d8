"""Compression: every algorithm both ways, and messages that are damaged or unpack to more than they say."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from importlib.util import find_spec

import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st
from mysqlx.protobuf.mysqlx_connection_pb2 import Compression as Message

from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.mysql import compression
from mubss.xdev.mysql.compression import ALGORITHMS, Compression, choose, varint

BOMB_OCTETS = 1 << 26
MAX_OCTETS = 1 << 30
FRAMES = bytes.fromhex("0100000000 050000000b08051a00 0100000011")


def needs(algorithm: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(ALGORITHMS[algorithm]) is None, reason=f"no {ALGORITHMS[algorithm]} here")


every_algorithm = pytest.mark.parametrize(
    "algorithm", [pytest.param(algorithm, marks=needs(algorithm)) for algorithm in ALGORITHMS]
)


def lz4_message(octets: bytes) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(octets))


def zstd_stream(octets: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(octets)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd_stream": zstd_stream,
    "lz4_message": lz4_message,
    "deflate_stream": zlib.compress,
}


def message(octets: bytes, size: int) -> bytes:
    """As a server writes it."""
    whole: bytes = Message(uncompressed_size=size, payload=octets).SerializeToString()
    return whole


@every_algorithm
@given(sent=st.lists(st.binary(max_size=3000), max_size=6))
@example(sent=[b"", b"a", bytes(200_000), b"", bytes(range(256)) * 300])
def test_messages_come_back_one_after_another(algorithm: str, sent: list[bytes]) -> None:
    """The algorithms that are streams keep what they have seen: a pair is used for all messages."""
    ours, theirs = Compression(algorithm), Compression(algorithm)
    for octets in sent:
        packed = ours.pack(octets)
        fields = Message.FromString(packed)
        assert fields.uncompressed_size == len(octets)
        assert [field.name for field, _ in fields.ListFields()] == ["uncompressed_size", "payload"]
        assert theirs.unpack(packed) == octets


def test_deflate_is_one_stream() -> None:
    octets = bytes(range(256)) * 4
    ours = Compression("deflate_stream")
    first, second = ours.pack(octets), ours.pack(octets)
    assert len(second) < len(first) // 4
    with pytest.raises(StoreUnavailable, match="can't be unpacked"):
        Compression("deflate_stream").unpack(second)


@pytest.mark.parametrize(
    ("algorithm", "octets"),
    [
        ("deflate_stream", "7801 000500faff 0100000000"),  # a stored block
        pytest.param("zstd_stream", "28b52ffd 2005 290000 0100000000", marks=needs("zstd_stream")),  # a raw block
        pytest.param(
            "lz4_message", "04224d18 604082 05000080 0100000000 00000000", marks=needs("lz4_message")
        ),  # an uncompressed block
    ],
)
def test_what_is_read_byte_by_byte(algorithm: str, octets: str) -> None:
    packed = bytes.fromhex(octets)
    payload = bytes.fromhex("0805") + b"\x22" + bytes([len(packed)]) + packed
    assert Compression(algorithm).unpack(payload) == bytes.fromhex("0100000000")


def test_zstd_frames_need_not_end_with_the_message() -> None:
    """A server that was built with a zstd before 1.4 flushes one frame for ever."""
    zstandard = pytest.importorskip("zstandard")
    packer, ours = zstandard.ZstdCompressor().compressobj(), Compression("zstd_stream")
    for octets in (FRAMES, FRAMES * 50, b"x"):
        packed = packer.compress(octets) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        assert ours.unpack(message(packed, len(octets))) == octets


# ── damaged ────────────────────────────────────────────────────────────────────────────────────────


@every_algorithm
def test_a_message_that_is_cut(algorithm: str) -> None:
    octets = bytes(range(256)) * 3
    whole = PACKERS[algorithm](octets)
    assert Compression(algorithm).unpack(message(whole, len(octets))) == octets
    for end in range(0, len(whole) - 8, 7):  # the last octets are checksums and end marks
        with pytest.raises(StoreUnavailable, match=r"^a compressed message (of 768 octets became|can't be unpacked: )"):
            Compression(algorithm).unpack(message(whole[:end], len(octets)))


@every_algorithm
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), noise=st.binary(max_size=40))
def test_a_message_that_is_damaged(algorithm: str, place: int, bit: int, noise: bytes) -> None:
    whole = bytearray(PACKERS[algorithm](FRAMES * 5))
    whole[place % len(whole)] ^= 1 << bit
    for payload in (message(bytes(whole), len(FRAMES) * 5), message(noise, 5), noise):
        try:
            unpacked = Compression(algorithm).unpack(payload)
        except StoreUnavailable:
            continue
        assert len(unpacked) == Message.FromString(payload).uncompressed_size


@every_algorithm
@pytest.mark.parametrize("size", [0, len(FRAMES) - 1, len(FRAMES) + 1, 5000])
def test_a_size_that_is_wrong(algorithm: str, size: int) -> None:
    with pytest.raises(StoreUnavailable, match=f"^a compressed message (of {size} octets became|is longer than)"):
        Compression(algorithm).unpack(message(PACKERS[algorithm](FRAMES), size))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\x08", "^a compressed message can't be unpacked: "),
        (b"\x22\x05abc", "^a compressed message can't be unpacked: "),
        (b"\x08\x05", "^a compressed message of 5 octets became 0$"),
    ],
    ids=["no number", "cut", "no payload"],
)
def test_what_is_no_message(payload: bytes, text: str) -> None:
    with pytest.raises(StoreUnavailable, match=text):
        Compression("deflate_stream").unpack(payload)


# ── bombs ──────────────────────────────────────────────────────────────────────────────────────────


def refused(algorithm: str, payload: bytes) -> tuple[str, int]:
    """What is said, and the most memory that it took."""
    unpacker = Compression(algorithm)
    tracemalloc.start()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            unpacker.unpack(payload)
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@every_algorithm
def test_what_unpacks_to_more_than_it_says_is_stopped(algorithm: str) -> None:
    bomb = PACKERS[algorithm](bytes(BOMB_OCTETS))
    text, peak_octets = refused(algorithm, message(bomb, 1000))
    assert text in ("a compressed message of 1000 octets became 1001", "a compressed message is longer than it says")
    assert peak_octets < BOMB_OCTETS // 16 + len(bomb)


@every_algorithm
def test_what_says_too_much_isnt_touched(algorithm: str) -> None:
    text, peak_octets = refused(algorithm, message(PACKERS[algorithm](bytes(BOMB_OCTETS)), MAX_OCTETS + 1))
    assert text == f"a compressed message of {MAX_OCTETS + 1} octets: expected up to {MAX_OCTETS}"
    assert peak_octets < BOMB_OCTETS // 16


@every_algorithm
def test_what_says_much_and_holds_little(algorithm: str) -> None:
    text, _ = refused(algorithm, message(PACKERS[algorithm](FRAMES), MAX_OCTETS))
    assert text == f"a compressed message of {MAX_OCTETS} octets became {len(FRAMES)}"


# ── the choice ─────────────────────────────────────────────────────────────────────────────────────

ALL = ["deflate_stream", "lz4_message", "zstd_stream"]  # as a server offers them


@pytest.mark.parametrize(
    ("wanted", "offered", "installed", "chosen"),
    [
        ([], ALL, ["zlib", "lz4", "zstandard"], "zstd_stream"),
        ([], ALL, ["zlib", "lz4"], "lz4_message"),
        ([], ALL, ["zlib"], "deflate_stream"),
        ([], ["deflate_stream"], ["zlib", "lz4", "zstandard"], "deflate_stream"),
        ([], [], ["zlib", "lz4", "zstandard"], ""),
        ([], ["brotli"], ["zlib"], ""),
        (["deflate_stream", "zstd_stream"], ALL, ["zlib", "zstandard"], "deflate_stream"),
        (["lz4_message", "deflate_stream"], ["deflate_stream", "zstd_stream"], ["zlib", "lz4"], "deflate_stream"),
        (["zstd_stream"], ALL, ["zlib", "lz4"], ""),
        (["zstd_stream"], ["deflate_stream"], ["zlib", "zstandard"], ""),
    ],
)
def test_the_choice(
    wanted: list[str], offered: list[str], installed: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "find_spec", lambda name: name if name in installed else None)
    assert choose(wanted, offered) == chosen


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(127)
@example(128)
@example(16_383)
@example(16_384)
def test_varints_are_protobufs(value: int) -> None:
    assert varint(value) == _VarintBytes(value)
