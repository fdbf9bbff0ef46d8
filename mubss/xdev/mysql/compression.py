"""Compressed X Protocol messages (`Mysqlx.Connection.Compression`), off unless the URL asks for it.

`deflate_stream` is one stream over all messages of a direction, `zstd_stream` and `lz4_message` have a frame for each.
zstd and lz4 need a package of their own (`pip install mubss[compression]`); zlib comes with Python.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from mubss.xdev.errors import StoreUnavailable

ALGORITHMS = {"zstd_stream": "zstandard", "lz4_message": "lz4", "deflate_stream": "zlib"}
LEAST_OCTETS = 1000  # a shorter message isn't worth it; the connectors take the same bound
_MAX_UNPACKED_OCTETS = 1 << 30


def choose(wanted: Sequence[str], offered: Sequence[str]) -> str:
    """The first of `wanted` (all, if none are named) that the server offers and this machine has; "" for none."""
    for name in wanted or ALGORITHMS:
        if name in offered and find_spec(ALGORITHMS[name]) is not None:
            return name
    return ""


class Compression:
    """Both directions of one connection."""

    def __init__(self, algorithm: str) -> None:
        self._pack, self._unpack = _MAKERS[algorithm]()

    def pack(self, messages: bytes) -> bytes:
        """The payload of a Compression message that holds these frames (Mysqlx.Connection.Compression)."""
        packed = self._pack(messages)
        return b"\x08" + varint(len(messages)) + b"\x22" + varint(len(packed)) + packed

    def unpack(self, payload: bytes) -> bytes:
        """The frames within the payload of a Compression message; StoreUnavailable where it can't be unpacked."""
        from mysqlx.protobuf.mysqlx_connection_pb2 import Compression as Message

        try:
            message = Message.FromString(payload)
            size = message.uncompressed_size
            if size > _MAX_UNPACKED_OCTETS:
                raise StoreUnavailable(f"a compressed message of {size} octets: expected up to {_MAX_UNPACKED_OCTETS}")
            unpacked = self._unpack(message.payload, size)
        except StoreUnavailable:
            raise
        except Exception as error:  # each library has a tree of its own
            raise StoreUnavailable(f"a compressed message can't be unpacked: {error}") from None
        if len(unpacked) != size:
            raise StoreUnavailable(f"a compressed message of {size} octets became {len(unpacked)}")
        return unpacked


def varint(value: int) -> bytes:
    """A protobuf varint."""
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)


_Pack = Callable[[bytes], bytes]
_Unpack = Callable[[bytes, int], bytes]


def _deflate() -> tuple[_Pack, _Unpack]:
    packer, unpacker = zlib.compressobj(), zlib.decompressobj()
    return (
        lambda data: packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH),
        lambda data, size: unpacker.decompress(data, size + 1),
    )


class _Sink:
    """Takes what is unpacked as long as there is room for it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.room = 0

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise StoreUnavailable("a compressed message is longer than it says")
        self.parts.append(bytes(data))
        return len(data)


def _zstd() -> tuple[_Pack, _Unpack]:
    import zstandard

    packer = zstandard.ZstdCompressor()
    sink: Any = _Sink()
    unpacker = zstandard.ZstdDecompressor().stream_writer(sink)  # of its interfaces the one that can be stopped halfway

    def unpack(data: bytes, size: int) -> bytes:
        sink.parts, sink.room = [], size
        unpacker.write(data)
        return b"".join(sink.parts)

    return packer.compress, unpack


def _lz4() -> tuple[_Pack, _Unpack]:
    import lz4.frame

    return lz4.frame.compress, lambda data, size: lz4.frame.LZ4FrameDecompressor().decompress(data, size + 1)


_MAKERS = {"zstd_stream": _zstd, "lz4_message": _lz4, "deflate_stream": _deflate}
