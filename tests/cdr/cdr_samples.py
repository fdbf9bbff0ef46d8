"""CDR files for tests: records of every kind, and whole files as bytes."""

from __future__ import annotations

import io
from typing import Any

from mubss.cdr.frames import framed
from mubss.cdr.writer import Writer
from mubss.pb.cdr_pb2 import Entry, Record

NOW_S = 1_795_000_000  # 2026-11-18
CREATED_S = 1_794_990_000
START_S = 1_794_900_000


def record(**fields: Any) -> Record:
    """A call of a minute, changed as told."""
    call = {"record_id": "msc1-1", "type": Record.VOICE, "calling": "999700000001", "called": "999700000002"}
    return Record(**{**call, "start_s": START_S, "utc_offset_minutes": 60, "duration_s": 60, **fields})


def file_of(*records: Record, source: str = "msc1", sequence: int = 7) -> bytes:
    """A right file of these records."""
    file = io.BytesIO()
    writer = Writer(file, source, sequence, CREATED_S)
    for one in records:
        writer.write(one)
    writer.close()
    return file.getvalue()


def entries_of(content: bytes) -> list[bytes]:
    """The file cut into its entries, each with its length: those of the samples have up to 127 bytes."""
    found = []
    while content:
        end = 1 + content[0]
        found.append(content[:end])
        content = content[end:]
    return found


def entry(**one: Any) -> bytes:
    """One entry behind its length."""
    return framed(Entry(**one).SerializeToString())
