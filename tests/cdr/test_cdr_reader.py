"""What is read of files: all that is written, and of damaged ones a fault that says what and where."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_samples import CREATED_S, NOW_S, entries_of, entry, file_of, record
from mubss.cdr.frames import MAX_ENTRY_BYTES, SUM_MASK, FileFault
from mubss.cdr.reader import read_header, records, scan
from mubss.cdr.records import to_cdr
from mubss.cdr.writer import Writer, writing
from mubss.core.cdr import CdrFault
from mubss.core.errors import InputError
from mubss.pb.cdr_pb2 import Header, Record, Trailer

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)
TEXT = st.text(max_size=20)
RECORDS = st.builds(
    Record, record_id=TEXT, type=st.sampled_from(Record.Type.values()), service=TEXT, served_msisdn=TEXT, calling=TEXT,
    called=TEXT, imsi=TEXT, imei=TEXT, cell=TEXT, start_s=INT64, utc_offset_minutes=st.integers(-(2**31), 2**31 - 1),
    duration_s=INT64, octets_up=INT64, octets_down=INT64, events=INT64, charging_id=UINT32, session_id=TEXT,
    network=TEXT, call_id=TEXT, partial_sequence=UINT32, is_last_partial=st.booleans(),
)  # fmt: skip

SAMPLE = file_of(record(), record(record_id="msc1-2", octets_up=3, octets_down=70_000, events=1))
HEAD, FIRST, SECOND, TRAILER = entries_of(SAMPLE)


def reason_of(content: bytes) -> tuple[str, int]:
    with pytest.raises(FileFault) as caught:
        scan(io.BytesIO(content))
    assert str(caught.value).startswith(f"{caught.value.reason} at byte {caught.value.offset}: ")
    return caught.value.reason, caught.value.offset


@given(st.lists(RECORDS, max_size=8))
def test_what_is_written_is_read(written: list[Record]) -> None:
    content = file_of(*written)
    found = scan(io.BytesIO(content))
    assert (found.count, found.size) == (len(written), len(content))
    assert found.totals.octets_up == sum(one.octets_up for one in written) & SUM_MASK
    read = list(records(io.BytesIO(content), 0))
    assert [one.record for one in read] == written
    for number, one in enumerate(read):
        assert [rest.record for rest in records(io.BytesIO(content), one.offset)] == written[number:]
        assert [rest.record for rest in records(io.BytesIO(content), one.end)] == written[number + 1 :]


@given(RECORDS)
def test_a_record_is_taken_or_refused_with_a_reason(one: Record) -> None:
    try:
        to_cdr(one, NOW_S)
    except CdrFault as fault:
        assert fault.reason


def test_every_truncation_is_a_fault() -> None:
    places = {0, len(HEAD), len(HEAD + FIRST), len(HEAD + FIRST + SECOND)}
    for size in range(len(SAMPLE)):
        reason, offset = reason_of(SAMPLE[:size])
        assert reason == ("empty" if not size else "no-trailer" if size in places else "truncated")
        assert offset == max(place for place in places if place <= size)


def test_every_flipped_byte_is_a_fault() -> None:
    for place in range(len(SAMPLE)):
        for bits in (0x01, 0x02, 0x08, 0x40, 0x80, 0xFF):
            damaged = bytearray(SAMPLE)
            damaged[place] ^= bits
            reason_of(bytes(damaged))
            list(read(bytes(damaged)))


@given(st.binary(max_size=300), st.integers(0, len(SAMPLE)))
def test_garbage_is_a_fault(garbage: bytes, place: int) -> None:
    if SAMPLE[:place] + garbage != SAMPLE[: place + len(garbage)]:
        reason_of(SAMPLE[:place] + garbage)
    list(read(garbage))
    list(read(SAMPLE[:place] + garbage + SAMPLE[place:]))


def read(content: bytes) -> Iterator[Record]:
    """Whatever can be read of a file that may be damaged."""
    try:
        for one in records(io.BytesIO(content), 0):
            yield one.record
            to_cdr(one.record, NOW_S)
    except (FileFault, CdrFault):
        pass


def header(**changed: object) -> bytes:
    fields = {"magic": "MUBSS-CDR", "version": 1, "source": "msc1", "sequence": 1, "created_s": CREATED_S}
    return entry(header=Header(**{**fields, **changed}))


FOUR_GB = bytes.fromhex("ff ff ff ff 0f")
FAULTS = {
    "a record first": (FIRST + TRAILER, "no-header", 0),
    "nothing first": (bytes.fromhex("02 2a 00") + TRAILER, "no-header", 0),
    "a text": (b"record_id,type\n1,VOICE\n" * 9, "bad-magic", 0),
    "another magic": (header(magic="MUBSS") + TRAILER, "bad-magic", 0),
    "another version": (header(version=2) + TRAILER, "bad-version", 0),
    "no source": (header(source="") + TRAILER, "bad-header", 0),
    "a path as source": (header(source="../etc") + TRAILER, "bad-header", 0),
    "made in 1970": (header(created_s=1) + TRAILER, "bad-header", 0),
    "made in 9999999": (header(created_s=2**62) + TRAILER, "bad-header", 0),
    "two headers": (HEAD + HEAD + TRAILER, "second-header", len(HEAD)),
    "an unknown entry": (HEAD + bytes.fromhex("02 2a 00") + TRAILER, "bad-message", len(HEAD)),
    "no message": (HEAD + bytes.fromhex("03 12 05 0a") + TRAILER, "bad-message", len(HEAD)),
    "no UTF-8": (HEAD + bytes.fromhex("05 12 03 0a 01 ff") + TRAILER, "bad-message", len(HEAD)),
    "4 GB first": (FOUR_GB, "bad-length", 0),
    "4 GB in between": (HEAD + FOUR_GB + FIRST, "bad-length", len(HEAD)),
    "a byte too long": (HEAD + bytes.fromhex("81 80 04"), "bad-length", len(HEAD)),
    "no length": (HEAD + b"\0" + TRAILER, "bad-length", len(HEAD)),
    "half a length": (HEAD + b"\x80", "truncated", len(HEAD)),
    "a record left out": (HEAD + FIRST + TRAILER, "bad-trailer", len(HEAD + FIRST)),
    "a record twice": (HEAD + FIRST + FIRST + SECOND + TRAILER, "bad-trailer", len(HEAD + FIRST + FIRST + SECOND)),
    "records in another order": (HEAD + SECOND + FIRST + TRAILER, "bad-crc", len(HEAD + FIRST + SECOND)),
    "another sum": (HEAD + entry(trailer=Trailer(duration_s=1)), "bad-trailer", len(HEAD)),
    "no CRC": (HEAD + entry(trailer=Trailer()), "bad-crc", len(HEAD)),
    "a record behind the trailer": (SAMPLE + FIRST, "trailing-bytes", len(SAMPLE)),
    "a byte behind the trailer": (SAMPLE + b"\n", "trailing-bytes", len(SAMPLE)),
    "4 GB behind the trailer": (SAMPLE + FOUR_GB, "trailing-bytes", len(SAMPLE)),
    "two files": (SAMPLE + SAMPLE, "trailing-bytes", len(SAMPLE)),
}


@pytest.mark.parametrize(("content", "reason", "offset"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_said(content: bytes, reason: str, offset: int) -> None:
    assert reason_of(content) == (reason, offset)


def test_entries_of_any_size_lie_across_the_pieces_that_are_read() -> None:
    sizes = [1, 100, 127, 128, 16_383, 16_384, 60_000, 65_400] * 12
    content = file_of(*(record(record_id=str(number), cell="x" * size) for number, size in enumerate(sizes)))
    assert scan(io.BytesIO(content)).count == len(sizes)
    assert [len(one.record.cell) for one in records(io.BytesIO(content), 0)] == sizes


def test_an_entry_is_at_most_64_kb() -> None:
    longest = MAX_ENTRY_BYTES - 4 - 4  # an entry's tag and length, the same of the text
    assert scan(io.BytesIO(file_of(Record(cell="x" * longest)))).count == 1
    with pytest.raises(InputError, match="record 1: 65537 bytes; expected up to 65536"):
        file_of(Record(cell="x" * (longest + 1)))


def test_a_file_that_changed_since_its_scan_is_a_fault() -> None:
    first, second = records(io.BytesIO(SAMPLE), 0)
    for offset, content in [
        (first.end, SAMPLE[: first.end]),
        (first.end, SAMPLE[: second.end]),
        (first.offset, HEAD + HEAD + TRAILER),
        (first.offset + 1, SAMPLE),
        (len(SAMPLE) + 100, SAMPLE),
    ]:
        with pytest.raises(FileFault):
            list(records(io.BytesIO(content), offset))


def test_the_header_alone() -> None:
    assert read_header(io.BytesIO(HEAD + b"\xff" * 9)).sequence == 7
    for content in (b"", FIRST, b"x"):
        with pytest.raises(FileFault):
            read_header(io.BytesIO(content))


@pytest.mark.parametrize(
    ("source", "sequence", "created_s", "text"),
    [
        ("", 1, CREATED_S, "source: ''; expected 1 to 32 of"),
        ("a/b", 1, CREATED_S, "source: 'a/b'"),
        ("x" * 33, 1, CREATED_S, "source: 'xxx"),
        ("a", 2**64, CREATED_S, "sequence: 18446744073709551616"),
        ("a", -1, CREATED_S, "sequence: -1"),
        ("a", 1, 0, "created_s: 0"),
    ],
)
def test_a_header_that_cannot_be_written(source: str, sequence: int, created_s: int, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Writer(io.BytesIO(), source, sequence, created_s)


def test_a_file_is_there_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "a.cdr"
    with writing(str(path), "msc1", 7, CREATED_S) as writer:
        writer.write(record())
        assert [one.name for one in tmp_path.iterdir()] == ["a.cdr.tmp"]
    assert path.read_bytes() == file_of(record())
    assert [one.name for one in tmp_path.iterdir()] == ["a.cdr"]


def test_after_an_error_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(str(tmp_path / "a.cdr"), "msc1", 7, CREATED_S) as writer:
        writer.write(record())
        raise KeyError
    with pytest.raises(InputError), writing(str(tmp_path / "b.cdr"), "no source", 7, CREATED_S):
        pass
    assert list(tmp_path.iterdir()) == []


MEASURE = """
import sys
from mubss.cdr.reader import records, scan
from mubss.cdr.records import to_cdr
def most_kb():  # of this program alone: getrusage counts what its parent had too
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
before = most_kb()
with open(sys.argv[1], "rb") as file:
    found = scan(file)
    assert sum(1 for one in records(file, 0) if to_cdr(one.record, int(sys.argv[2]))) == found.count
print(most_kb() - before, found.size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the most memory used is read from /proc")
def test_memory_stays_bounded_for_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large.cdr"
    one = record(session_id="s" * 1000, call_id="c" * 100, cell="x" * 60)
    with writing(str(path), "msc1", 7, CREATED_S) as writer:
        while writer.size < 60_000_000:
            writer.write(one)
    command = [sys.executable, "-c", MEASURE, str(path), str(NOW_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown_kb, size = map(int, done.stdout.split())
    assert size > 60_000_000
    assert grown_kb < 8_000
