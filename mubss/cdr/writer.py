"""Writes CDR files (proto/cdr.proto), so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from mubss.cdr.frames import (
    CREATED_BELOW_S,
    CREATED_FROM_S,
    MAGIC,
    MAX_ENTRY_BYTES,
    SOURCE,
    SOURCE_FORM,
    SUM_MASK,
    VERSION,
    Totals,
    framed,
)
from mubss.core.errors import InputError
from mubss.pb import cdr_pb2


class Writer:
    """Writes the header at once, a record at a time, and at `close` the trailer; `file` stays open."""

    def __init__(self, file: BinaryIO, source: str, sequence: int, created_s: int) -> None:
        if not SOURCE.fullmatch(source):
            raise InputError(f"source: {source[:40]!r}; expected {SOURCE_FORM}")
        if not 0 <= sequence <= SUM_MASK:
            raise InputError(f"sequence: {sequence}; expected 0 to {SUM_MASK}")
        if not CREATED_FROM_S <= created_s < CREATED_BELOW_S:
            raise InputError(f"created_s: {created_s}; expected UTC seconds of the years 2000 to 2099")
        self._file = file
        self._crc = 0
        self.count = 0
        self.size = 0  # bytes
        self.totals = Totals(0, 0, 0, 0)
        header = cdr_pb2.Header(magic=MAGIC, version=VERSION, source=source, sequence=sequence, created_s=created_s)
        self._put(cdr_pb2.Entry(header=header))

    def write(self, record: cdr_pb2.Record) -> None:
        """Adds a record as it is: `to_cdr` says whether it can be rated."""
        entry = cdr_pb2.Entry(record=record)
        if (length := entry.ByteSize()) > MAX_ENTRY_BYTES:
            raise InputError(f"record {self.count + 1}: {length} bytes; expected up to {MAX_ENTRY_BYTES}")
        self._put(entry)
        more = record.duration_s, record.octets_up, record.octets_down, record.events
        self.totals = Totals(*(total + one & SUM_MASK for total, one in zip(self.totals, more, strict=True)))
        self.count += 1

    def close(self) -> None:
        """Writes the trailer."""
        trailer = cdr_pb2.Trailer(records=self.count, crc32=self._crc, **self.totals._asdict())
        self._put(cdr_pb2.Entry(trailer=trailer))

    def _put(self, entry: cdr_pb2.Entry) -> None:
        frame = framed(entry.SerializeToString())
        self._file.write(frame)
        self._crc = crc32(frame, self._crc)
        self.size += len(frame)


@contextmanager
def writing(path: str, source: str, sequence: int, created_s: int) -> Iterator[Writer]:
    """A writer of the file `path`, which is there, whole and on the disk, at the end only; after an error it is not.

    Until then its bytes are in `path`.tmp, a name that no loader takes. A file of that name is replaced; what is none,
    a FIFO or a device say, is an InputError.
    """
    part, there = Path(f"{path}.tmp"), Path(path)
    if there.exists() and not there.is_file():
        raise InputError(f"{path}: is no plain file; expected one, or a name that is free")
    try:
        with part.open("wb") as file:
            writer = Writer(file, source, sequence, created_s)
            yield writer
            writer.close()
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
