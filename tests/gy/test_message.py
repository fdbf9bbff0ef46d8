"""Messages: header, the framer with whole, split and broken streams, answers to base requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.gy.avp import DiameterError, encode_avp, missing_avp, raw_avp
from mubss.gy.message import (
    FrameError,
    Framer,
    Header,
    Identity,
    decode_header,
    decode_message,
    encode_answer,
    encode_header,
    encode_message,
    encode_request,
)
from tests.vectors.load import every, load

OCS = Identity("ocs.mubss.example", "mubss.example")
DWR = encode_request("DWR", 7, 8, [("Origin-Host", "a"), ("Origin-Realm", "b")])
FIRST_20 = bytes.fromhex("01000014 80000118 00000000 00000001 00000002")


def fed_by(size: int, data: bytes, framer: Framer) -> list[bytes]:
    return [frame for at in range(0, len(data), size) for frame in framer.feed(data[at : at + size])]


@pytest.mark.conforms("RFC 6733 §3", "the header, to the byte")
def test_header_bytes() -> None:
    """RFC 6733 §3."""
    header = Header(20, 0x80, 280, 0, 1, 2)
    assert encode_header(header) == FIRST_20
    assert decode_header(FIRST_20) == header
    assert header.is_request
    assert not Header(20, 0x40, 280, 0, 1, 2).is_request


@pytest.mark.conforms("RFC 6733 §2.1", "messages in pieces of any size")
@pytest.mark.parametrize(("client", "name"), every())
def test_vectors_whole_and_byte_by_byte(client: str, name: str) -> None:
    frame = load(client, name)
    assert Framer().feed(frame) == [frame]
    assert fed_by(1, frame, Framer()) == [frame]


@pytest.mark.parametrize("size", [1, 3, 19, 20, 21, 64, 1000, 100_000])
def test_many_messages_in_pieces_of_any_size(size: int) -> None:
    frames = [load(client, name) for client, name in every()]
    framer = Framer()
    assert fed_by(size, b"".join(frames), framer) == frames
    assert framer.pending_bytes == 0


def test_pending_bytes() -> None:
    framer = Framer()
    assert framer.feed(DWR + DWR[:-1]) == [DWR]
    assert framer.pending_bytes == len(DWR) - 1
    assert framer.feed(DWR[-1:] + DWR[:5]) == [DWR]
    assert framer.pending_bytes == 5


# (what, the 4 bytes that begin the header, limit, Result-Code)
BROKEN = [
    ("version 2", "02000014", 65_536, 5011),
    ("version 0", "00000014", 65_536, 5011),
    ("length 0", "01000000", 65_536, 5015),
    ("length 16", "01000010", 65_536, 5015),
    ("not a multiple of 4", "01000016", 65_536, 5015),
    ("over the limit", "01010004", 65_536, 5015),
    ("over a smaller limit", "01000404", 1_024, 5015),
    ("the longest there is", "01fffffc", 65_536, 5015),
]


@pytest.mark.conforms("RFC 6733 §7.1.5", "5011 for another version, 5015 for a length that can't be")
@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize(("what", "begin", "limit", "code"), BROKEN)
def test_broken_streams(what: str, begin: str, limit: int, code: int, size: int) -> None:
    broken = bytes.fromhex(begin) + FIRST_20[4:]
    framer = Framer(limit)
    before: list[bytes] = []
    with pytest.raises(FrameError) as caught:
        for at in range(0, len(DWR + broken), size):
            before += framer.feed((DWR + broken)[at : at + size])
    error = caught.value
    assert (error.result_code, error.header.command_code, error.header.hop_by_hop) == (code, 280, 1), what
    assert before + error.frames == [DWR]  # what came whole before it isn't lost


def test_a_fault_waits_for_its_whole_header() -> None:
    assert Framer().feed(b"GET / HTTP/1.1\r\n") == []
    with pytest.raises(FrameError):
        Framer().feed(b"GET / HTTP/1.1\r\nHost: x\r\n")


def test_the_limit_itself_is_taken() -> None:
    frame = encode_message(280, 0x80, 0, 1, 2, [raw_avp(33, 0, bytes(1024 - 28))])
    assert len(frame) == 1024
    assert Framer(1024).feed(frame) == [frame]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_random_bytes_raise_nothing_else(pieces: list[bytes]) -> None:
    framer = Framer()
    try:
        frames = [frame for piece in pieces for frame in framer.feed(piece)]
    except FrameError as error:
        frames = error.frames
    assert all(len(frame) == int.from_bytes(frame[1:4], "big") for frame in frames)
    assert framer.pending_bytes <= 8 * 60


@pytest.mark.conforms("Client seagull", "its CER is understood")
def test_a_cer_of_seagull() -> None:
    cer = decode_message(load("seagull", "cer"))
    assert cer.name == "CER"
    assert cer.find("Origin-Host") == "seagull.example"
    assert cer.find("Auth-Application-Id") is None
    (vsai,) = cer.find_all("Vendor-Specific-Application-Id")
    assert [(node.name, node.value) for node in vsai] == [("Vendor-Id", 10415), ("Auth-Application-Id", 4)]
    with pytest.raises(KeyError):
        cer.find("Origin-Hots")


PROXIES = [
    encode_avp("Proxy-Info", [("Proxy-Host", "p1"), ("Proxy-State", b"1")]),
    encode_avp("Proxy-Info", [("Proxy-Host", "p2"), ("Proxy-State", b"\0\1\2")]),
]


@pytest.mark.conforms("RFC 6733 §6.2", "an answer repeats identifiers, Session-Id and Proxy-Info")
def test_an_answer_repeats_what_it_must() -> None:
    parts = [("Session-Id", "s;1"), PROXIES[0], ("Auth-Application-Id", 4), PROXIES[1]]
    request = decode_message(encode_request("RAR", 0xAABBCCDD, 0x11223344, parts, application_id=4, retransmitted=True))
    assert request.header.flags == 0xD0
    answer = decode_message(request.answer(2001, OCS, [("Origin-State-Id", 5)]))
    assert answer.name == "RAA"
    assert answer.header[1:6] == (0x40, 258, 4, 0xAABBCCDD, 0x11223344)  # P is kept, R and T are not
    names = [node.name for node in answer.avps]
    assert names == ["Session-Id", "Result-Code", "Origin-Host", "Origin-Realm", "Origin-State-Id", *["Proxy-Info"] * 2]
    assert answer.proxy_infos == PROXIES


@pytest.mark.conforms("RFC 6733 §7.1.3", "E with 3xxx, and with nothing else")
@pytest.mark.parametrize(
    ("code", "flags"), [(2001, 0), (2999, 0), (3000, 0x20), (3001, 0x20), (3999, 0x20), (4000, 0), (5012, 0)]
)
def test_the_e_flag_is_for_protocol_errors(code: int, flags: int) -> None:
    assert decode_header(decode_message(DWR).answer(code, OCS)).flags == flags


@pytest.mark.conforms("RFC 6733 §7.3", "Error-Message and Failed-AVP")
def test_an_error_says_what_was_wrong() -> None:
    failed = missing_avp("Origin-Host")
    wire = decode_message(DWR).answer(5005, OCS, failed_avp=failed, error_message="Origin-Host is missing")
    assert failed in wire
    answer = decode_message(wire)
    assert answer.find("Error-Message") == "Origin-Host is missing"
    assert [node.name for node in answer.find("Failed-AVP")] == ["Origin-Host"]


def test_an_answer_to_a_header_alone() -> None:
    identity = Identity("ocs.mubss.example", "mubss.example", 77)
    answer = decode_message(encode_answer(decode_header(FIRST_20), 5015, identity))
    assert answer.header == Header(len(encode_answer(decode_header(FIRST_20), 5015, identity)), 0, 280, 0, 1, 2)
    assert answer.find("Origin-State-Id") == 77


# (what, message, Result-Code)
REFUSED = [
    ("shorter than a header", FIRST_20[:19], 5015),
    ("another length in the header", FIRST_20 + bytes(8), 5015),
    ("another version", b"\2" + FIRST_20[1:], 5011),
    ("R and E", FIRST_20[:4] + b"\xa0" + FIRST_20[5:], 3008),
    ("an AVP that is cut", encode_message(280, 0x80, 0, 1, 2, [bytes(4)]), 5014),
]


@pytest.mark.conforms("RFC 6733 §7.1", "messages that can't be read have their Result-Code")
@pytest.mark.parametrize(("what", "frame", "code"), REFUSED)
def test_messages_that_cant_be_read(what: str, frame: bytes, code: int) -> None:
    with pytest.raises(DiameterError) as caught:
        decode_message(frame)
    assert caught.value.result_code == code, what
