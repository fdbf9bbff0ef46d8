"""The frame of CDR files: messages behind their lengths as varints, read in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from mubss.core.errors import InputError

MAGIC = "MUBSS-CDR"
VERSION = 1
SOURCE = re.compile(r"[A-Za-z0-9._-]{1,32}")
SOURCE_FORM = "1 to 32 of A-Z a-z 0-9 . _ -"
MAX_ENTRY_BYTES = 65_536
CREATED_FROM_S, CREATED_BELOW_S = 946_684_800, 4_102_444_800  # the years 2000 to 2099
SUM_MASK = (1 << 64) - 1  # sums of a trailer are modulo 2^64

_PIECE_BYTES = 262_144
_MAX_LENGTH_BYTES = 3  # of the varint of an entry's length


class FileFault(InputError):
    """A file that isn't right as a whole; `reason` is a code like "truncated", `offset` the byte where it shows."""

    def __init__(self, reason: str, offset: int, text: str) -> None:
        super().__init__(f"{reason} at byte {offset}: {text}")
        self.reason = reason
        self.offset = offset


class Totals(NamedTuple):
    """Sums of the records' fields as they are given, modulo 2^64."""

    duration_s: int
    octets_up: int
    octets_down: int
    events: int


def framed(message: bytes) -> bytes:
    """A message behind its length."""
    length = len(message)
    prefix = bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + message


def frames(file: BinaryIO, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """From a byte offset on: the offset of each message's length, how many bytes that has, and both as bytes."""
    file.seek(offset)
    buffer, start = b"", 0
    while piece := file.read(_PIECE_BYTES):
        offset += start
        buffer, start = buffer[start:] + piece, 0
        while True:
            length, skip = _length(buffer, start)
            if not skip:
                break
            if not 0 < length <= MAX_ENTRY_BYTES:
                shown = "of 2097152 or more" if length < 0 else f"of {length}"
                text = f"an entry {shown} bytes; expected 1 to {MAX_ENTRY_BYTES}: the file is damaged, or no CDR file"
                raise FileFault("bad-length", offset + start, text)
            end = start + skip + length
            if end > len(buffer):
                break
            yield offset + start, skip, buffer[start:end]
            start = end
    if left := len(buffer) - start:
        raise FileFault("truncated", offset + start, f"the file ends with {left} bytes of an entry; expected all of it")


def _length(buffer: bytes, start: int) -> tuple[int, int]:
    """A varint of up to 3 bytes and how many it has; 0 bytes where more must be read, -1 for a longer one."""
    length = shift = 0
    for byte in buffer[start : start + _MAX_LENGTH_BYTES]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return length, shift // 7
    return -1, (_MAX_LENGTH_BYTES if shift == 7 * _MAX_LENGTH_BYTES else 0)
