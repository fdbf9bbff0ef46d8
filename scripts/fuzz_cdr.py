"""CDR files: their frame and sums, records into what is rated, and the texts that people write."""

from __future__ import annotations

import io

from mubss.cdr import texts
from mubss.cdr.frames import MAGIC, FileFault, framed
from mubss.cdr.reader import records, scan
from mubss.cdr.records import to_cdr
from mubss.core.cdr import CdrFault
from mubss.core.errors import InputError
from mubss.pb import cdr_pb2

NOW_S = 1_800_000_000
FILE, RECORD, TEXT = 0, 1, 2
PLAIN = {
    "record_id": "r1",
    "type": cdr_pb2.Record.Type.Value("VOICE"),
    "served_msisdn": "999700000001",
    "called": "4930123456",
    "start_s": NOW_S - 1000,
    "duration_s": 61,
}


def _file(*rows: cdr_pb2.Record) -> bytes:
    from zlib import crc32

    header = cdr_pb2.Header(magic=MAGIC, version=1, source="msc1", sequence=1, created_s=NOW_S)
    data = framed(cdr_pb2.Entry(header=header).SerializeToString())
    data += b"".join(framed(cdr_pb2.Entry(record=row).SerializeToString()) for row in rows)
    sums = {
        name: sum(getattr(row, name) for row in rows) for name in ("duration_s", "octets_up", "octets_down", "events")
    }
    trailer = cdr_pb2.Trailer(records=len(rows), crc32=crc32(data), **sums)
    return data + framed(cdr_pb2.Entry(trailer=trailer).SerializeToString())


def seeds() -> dict[str, bytes]:
    """What the first octet says: a file, one record, or a text; then that."""
    record = cdr_pb2.Record(**PLAIN)
    data = cdr_pb2.Record(
        record_id="d", type=cdr_pb2.Record.Type.Value("DATA"), octets_up=5, octets_down=9, imsi="9" * 15
    )
    return {
        "file": bytes([FILE]) + _file(record, data),
        "empty-file": bytes([FILE]) + _file(),
        "record": bytes([RECORD]) + record.SerializeToString(),
        "data": bytes([RECORD]) + data.SerializeToString(),
        "csv": bytes([TEXT])
        + b"record_id,type,served_msisdn,start,duration_s\nr1,VOICE,999700000001,2026-11-03T10:00:00+01:00,61\n",
        "json": bytes([TEXT]) + b'[{"record_id":"r1","type":"SMS","events":1,"is_last_partial":true}]',
        "deep": bytes([TEXT]) + b'[{"record_id":' + b"[" * 3000,
        "digits": bytes([TEXT]) + b'{"octets_up":' + b"9" * 5000 + b"}",
        "lines": bytes([TEXT])
        + b'{"record_id":"r1","start":"2026-11-03T10:00:00Z"}\n{"octets_up":12345678901234567890}\n',
    }


def one_input(data: bytes) -> None:
    """FileFault, CdrFault and InputError are all that may come out; what is right is right however it is read."""
    kind, rest = (data[0] % 3, data[1:]) if data else (FILE, b"")
    if kind == FILE:
        _as_file(rest)
    elif kind == RECORD:
        try:
            record = cdr_pb2.Record.FromString(rest)
        except Exception as error:
            assert type(error).__name__ == "DecodeError", error
            return
        _as_record(record)
    else:
        _as_text(rest)


def _as_file(data: bytes) -> None:
    try:
        found = scan(io.BytesIO(data))
    except FileFault as fault:
        assert fault.reason and 0 <= fault.offset <= len(data) and len(str(fault)) < 500
        found = None
    try:
        read = [entry.record for entry in records(io.BytesIO(data), 0)]
    except FileFault:
        assert found is None, "a file that was right"
        return
    for record in read:
        _as_record(record)
    assert found is None or found.count == len(read)


def _as_record(record: cdr_pb2.Record) -> None:
    texts.start_text(record.start_s, record.utc_offset_minutes)
    fields = texts.to_fields(record)
    try:
        cdr = to_cdr(record, NOW_S)
    except CdrFault as fault:
        assert len(str(fault)) < 500
        return
    assert to_cdr(texts.to_record(fields), NOW_S) == cdr, "as text it is the same record"


def _as_text(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return  # who opens the file says so
    for row in texts.rows(io.StringIO(text, newline="")):
        if not row.fault:
            try:
                _as_record(texts.to_record(row.fields))
            except InputError as error:
                assert len(str(error)) < 1500
