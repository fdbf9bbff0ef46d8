"""Reads CDR files (proto/cdr.proto) in bounded memory: a whole one to check it, then its records from any byte on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO, NamedTuple
from zlib import crc32

from google.protobuf.message import DecodeError

from mubss.cdr.frames import (
    CREATED_BELOW_S,
    CREATED_FROM_S,
    MAGIC,
    SOURCE,
    SOURCE_FORM,
    SUM_MASK,
    VERSION,
    FileFault,
    Totals,
    frames,
)
from mubss.pb import cdr_pb2


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of a file that is right: its bytes are those that its writer meant, from the first to the last."""

    header: cdr_pb2.Header
    count: int  # of records
    totals: Totals
    size: int  # bytes
    digest: str  # BLAKE2b of the file's bytes: 128 bits in hex


class Entry(NamedTuple):
    """A record, and where it stands: bytes [offset, end) of the file, its length included."""

    offset: int
    end: int
    record: cdr_pb2.Record


def scan(file: BinaryIO, visit: Callable[[cdr_pb2.Record], None] | None = None) -> Scan:
    """Reads a whole file and checks its frame, header, trailer, sums and CRC; FileFault says what is wrong.

    Its records may still be ones that can't be rated: `to_cdr` says that. `visit` is shown each on the way.
    """
    digest, crc, count, end = blake2b(digest_size=16), 0, 0, 0
    duration_s = octets_up = octets_down = events = 0
    header: cdr_pb2.Header | None = None
    cut = frames(file, 0)
    for offset, skip, frame in cut:
        entry = _parse(offset, frame[skip:])
        end = offset + len(frame)
        digest.update(frame)
        kind = entry.WhichOneof("entry")
        if header is None:
            header = _header(entry, kind)
        elif kind == "record":
            record = entry.record
            duration_s += record.duration_s
            octets_up += record.octets_up
            octets_down += record.octets_down
            events += record.events
            count += 1
            if visit is not None:
                visit(record)
        elif kind == "trailer":
            sums = (one & SUM_MASK for one in (duration_s, octets_up, octets_down, events))
            totals = Totals(*sums)
            _check_trailer(entry.trailer, offset, count, totals, crc)
            _check_end(cut, end)
            return Scan(header, count, totals, end, digest.hexdigest())
        else:
            _refuse_kind(kind, offset)
        crc = crc32(frame, crc)
    if header is None:
        raise FileFault("empty", 0, "the file has no bytes; expected a header")
    raise FileFault("no-trailer", end, "the file ends behind a record; expected a trailer: it may still be written")


def read_header(file: BinaryIO) -> cdr_pb2.Header:
    """What a file begins with; FileFault where that is no header. The rest may be anything."""
    for offset, skip, frame in frames(file, 0):
        entry = _parse(offset, frame[skip:])
        return _header(entry, entry.WhichOneof("entry"))
    raise FileFault("empty", 0, "the file has no bytes; expected a header")


def records(file: BinaryIO, offset: int) -> Iterator[Entry]:
    """The records from a byte offset on, 0 or the `end` of one; of a file that `scan` found right.

    FileFault where it has changed since, or no entry begins there.
    """
    end = offset
    for begin, skip, frame in frames(file, offset):
        entry = _parse(begin, frame[skip:])
        end = begin + len(frame)
        kind = entry.WhichOneof("entry")
        if kind == "record":
            yield Entry(begin, end, entry.record)
        elif kind == "trailer":
            return
        elif begin or kind != "header":
            _refuse_kind(kind, begin)
    raise FileFault("no-trailer", end, "the file ends behind a record; expected a trailer: it has changed")


def _parse(offset: int, message: bytes) -> cdr_pb2.Entry:
    """A new entry each: one that is used again keeps the memory of all that it ever held."""
    try:
        return cdr_pb2.Entry.FromString(message)
    except DecodeError:
        if not offset:
            text = f"it begins with no header; expected one with {MAGIC!r}: this is no CDR file"
            raise FileFault("bad-magic", 0, text) from None
        text = f"{len(message)} bytes that are no entry; expected a message as proto/cdr.proto has it"
        raise FileFault("bad-message", offset, text) from None


def _refuse_kind(kind: str | None, offset: int) -> None:
    if kind == "header":
        raise FileFault("second-header", offset, "another header; expected one, at the file's beginning")
    raise FileFault("bad-message", offset, "an entry with nothing that is known in it; expected a record or a trailer")


def _header(entry: cdr_pb2.Entry, kind: str | None) -> cdr_pb2.Header:
    """A copy of the header in the first entry, checked."""
    if kind != "header":
        raise FileFault("no-header", 0, f"the first entry is {f'a {kind}' if kind else 'empty'}; expected a header")
    header = cdr_pb2.Header()
    header.CopyFrom(entry.header)
    if header.magic != MAGIC:
        raise FileFault("bad-magic", 0, f"magic {header.magic[:20]!r}; expected {MAGIC!r}: this is no CDR file")
    if header.version != VERSION:
        raise FileFault("bad-version", 0, f"version {header.version}; expected {VERSION}")
    if not SOURCE.fullmatch(header.source):
        raise FileFault("bad-header", 0, f"source {header.source[:40]!r}; expected {SOURCE_FORM}")
    if header.sequence >= 1 << 63:
        raise FileFault("bad-header", 0, f"sequence {header.sequence}; expected 0 to {(1 << 63) - 1}")
    if not CREATED_FROM_S <= header.created_s < CREATED_BELOW_S:
        text = f"created_s {header.created_s}; expected UTC seconds of the years 2000 to 2099"
        raise FileFault("bad-header", 0, text)
    return header


def _check_trailer(trailer: cdr_pb2.Trailer, offset: int, count: int, totals: Totals, crc: int) -> None:
    if trailer.records != count:
        raise FileFault("bad-trailer", offset, f"records {trailer.records}; expected {count}, as there are")
    given = Totals(trailer.duration_s, trailer.octets_up, trailer.octets_down, trailer.events)
    for name, one, sum_of_records in zip(Totals._fields, given, totals, strict=True):
        if one != sum_of_records:
            raise FileFault("bad-trailer", offset, f"{name} {one}; expected {sum_of_records}, the sum of the records")
    if trailer.crc32 != crc:
        text = f"crc32 {trailer.crc32:#010x}; expected {crc:#010x}, that of the bytes before: the file is damaged"
        raise FileFault("bad-crc", offset, text)


def _check_end(cut: Iterator[tuple[int, int, bytes]], end: int) -> None:
    try:
        more = next(cut, None) is not None
    except FileFault:
        more = True
    if more:
        raise FileFault("trailing-bytes", end, "the file goes on behind its trailer; expected its end")
