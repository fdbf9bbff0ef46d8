"""A whole file byte by byte: written by hand from the rules of protobuf's encoding, not by this code."""

from __future__ import annotations

import io
from zlib import crc32

from cdr_samples import file_of
from mubss.cdr.frames import Totals
from mubss.cdr.reader import records, scan
from mubss.pb.cdr_pb2 import Record

# A tag is field number × 8 + wire type: 0 varint, 2 length and bytes, 5 four bytes.
HEADER = bytes.fromhex(
    "1d"  # 29 bytes follow
    "0a 1b"  # Entry.header, field 1, 27 bytes
    "0a 09 4d 55 42 53 53 2d 43 44 52"  # magic, field 1: "MUBSS-CDR"
    "10 01"  # version, field 2: 1
    "1a 04 6d 73 63 31"  # source, field 3: "msc1"
    "20 07"  # sequence, field 4: 7
    "28 b0 de f4 d7 06"  # created_s, field 5: 1_794_977_584 in groups of 7 bits, the least first
)
VOICE = bytes.fromhex(
    "3f"  # 63 bytes follow
    "12 3d"  # Entry.record, field 2, 61 bytes
    "0a 06 6d 73 63 31 2d 31"  # record_id, field 1: "msc1-1"
    "10 01"  # type, field 2: VOICE
    "2a 0c 39 39 39 37 30 30 30 30 30 30 30 31"  # calling, field 5: "999700000001"
    "32 0c 39 39 39 37 30 30 30 30 30 30 30 32"  # called, field 6: "999700000002"
    "42 00"  # imei, field 8: "", which a writer may leave out or not
    "50 a0 81 f0 d7 06"  # start_s, field 10: 1_794_900_128
    "58 77"  # utc_offset_minutes, field 11: -60 in zigzag, 119
    "60 3d"  # duration_s, field 12: 61
    "92 01 05 32 36 32 30 31"  # network, field 18 (tag 146 in two bytes): "26201"
    "a0 01 00"  # partial_sequence, field 20: 0
)
SMS = bytes.fromhex(
    "2e"  # 46 bytes follow
    "12 2c"  # Entry.record, field 2, 44 bytes
    "0a 01 32"  # record_id: "2"
    "10 02"  # type: SMS
    "22 0c 39 39 39 37 30 30 30 30 30 30 30 31"  # served_msisdn, field 4: "999700000001"
    "50 a0 81 f0 d7 06"  # start_s: 1_794_900_128
    "78 02"  # events, field 15: 2
    "68 80 80 08"  # octets_up, field 13: 131_072
    "80 01 ff ff ff ff 0f"  # charging_id, field 16: 4_294_967_295
    "a2 06 03 61 62 63"  # field 100, which is unknown here: a later version may have it
)
TRAILER_BEFORE_CRC = bytes.fromhex(
    "11"  # 17 bytes follow
    "1a 0f"  # Entry.trailer, field 3, 15 bytes
    "08 02"  # records, field 1: 2
    "10 3d"  # duration_s, field 2: 61
    "18 80 80 08"  # octets_up, field 3: 131_072
    "28 02"  # events, field 5: 2
    "35"  # crc32, field 6, four bytes, the least first
)
FILE = HEADER + VOICE + SMS + TRAILER_BEFORE_CRC + bytes.fromhex("64 a2 6a fe")  # as gzip has it


def test_a_file_written_by_hand_is_read() -> None:
    found = scan(io.BytesIO(FILE))
    assert (found.header.source, found.header.sequence, found.header.created_s) == ("msc1", 7, 1_794_977_584)
    assert (found.count, found.totals, found.size) == (2, Totals(61, 131_072, 0, 2), len(FILE))
    assert found.digest == "c84c412af22f566610b599b54a2e05a7"  # b2sum -l 128
    voice, sms = records(io.BytesIO(FILE), 0)
    assert (voice.offset, voice.end) == (len(HEADER), len(HEADER + VOICE))
    assert (sms.offset, sms.end) == (voice.end, len(HEADER + VOICE + SMS))
    assert (voice.record.calling, voice.record.utc_offset_minutes, voice.record.network) == (
        "999700000001",
        -60,
        "26201",
    )
    assert (sms.record.type, sms.record.start_s, sms.record.charging_id) == (Record.SMS, 1_794_900_128, 4_294_967_295)


def test_a_small_file_is_written_so() -> None:
    """The writer leaves nothing out and adds nothing: header, a record, trailer."""
    content = file_of(Record(record_id="2", type=Record.SMS, events=2))
    before = bytes.fromhex(
        "1d 0a 1b 0a 09 4d 55 42 53 53 2d 43 44 52 10 01 1a 04 6d 73 63 31 20 07 28 b0 bf f5 d7 06"
        "09 12 07 0a 01 32 10 02 78 02"
    )
    trailer = bytes.fromhex("0b 1a 09 08 01 28 02 35") + crc32(before).to_bytes(4, "little")
    assert content == before + trailer
