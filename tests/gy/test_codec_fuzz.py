"""Hostile bytes: nothing but DiameterError comes out of the decoders, and whatever they say can be answered.

The generic tree is the oracle: where both it and the hot path take a request, they say the same.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.gy.avp import DiameterError, Node, decode_tree, split_avp
from mubss.gy.codec import (
    CcaAnswer,
    Ccr,
    CcrError,
    FinalUnit,
    Identity,
    Mscc,
    MsccAnswer,
    Units,
    UsedUnits,
    decode_cca,
    decode_ccr,
    encode_cca,
    encode_ccr,
)
from mubss.gy.message import FrameError, Framer, decode_message, find_all
from tests.vectors.load import every, load

OCS = Identity("ocs.mubss.example", "mubss.example", 1)
REQUESTS = [load(client, name) for client, name in every() if name != "cer"]
GROUPS = {443, 456, 446, 437, 431, 413, 445, 458, 873, 874, 876, 2000, 2026, 1201, 260, 279, 284, 457}


def places(frame: bytes, pos: int = 20, end: int | None = None) -> list[int]:
    """Where each AVP begins, those in groups too."""
    found: list[int] = []
    end = len(frame) if end is None else end
    while pos < end:
        code, _, _, begin, stop = split_avp(frame, pos, end)
        found.append(pos)
        if code in GROUPS:
            found += places(frame, begin, stop)
        pos = stop + 3 & -4
    return found


PLACES = {frame: places(frame) for frame in REQUESTS}


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A client's request with some bits, lengths or AVPs changed; its header tells its length again."""
    frame = draw(st.sampled_from(REQUESTS))
    data = bytearray(frame)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(PLACES[frame]))
        if place + 8 > len(data):
            continue
        match draw(st.sampled_from(("bit", "length", "flags", "code", "cut", "double", "value"))):
            case "bit":
                data[draw(st.integers(20, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
            case "length":
                data[place + 5 : place + 8] = draw(st.integers(0, 64) | st.integers(0, 2**24 - 1)).to_bytes(3, "big")
            case "flags":
                data[place + 4] = draw(st.integers(0, 255))
            case "code":
                data[place : place + 4] = draw(st.sampled_from([*GROUPS, 415, 421, 872, 2, 60_000])).to_bytes(4, "big")
            case "cut":
                del data[draw(st.integers(place, len(data))) & -4 :]
            case "double":
                size = draw(st.integers(4, 200)) & -4
                data[place:place] = data[place : place + size]
            case "value":
                size = draw(st.integers(1, 8))
                data[place + 8 : place + 8 + size] = draw(st.binary(min_size=size, max_size=size))
    data = data[: len(data) & -4]
    data[1:4] = len(data).to_bytes(3, "big")
    return bytes(data)


def check_answer(wire: bytes, ccr: Ccr) -> None:
    """It is one message of right lengths, down to Failed-AVP's content, and names its request."""
    assert Framer().feed(wire) == [wire]
    pos, codes = 20, []
    while pos < len(wire):
        code, _, _, begin, stop = split_avp(wire, pos, len(wire))
        codes.append(code)
        if code == 279:
            assert begin < stop
            while begin < stop:
                begin = split_avp(wire, begin, stop)[4] + 3 & -4
        pos = stop + 3 & -4
    expected = [263] * bool(ccr.session_id_avp) + [268, 264, 296, 258]
    assert codes[: len(expected)] == expected


def number(nodes: list[Node], name: str) -> Any:
    return next(iter(find_all(nodes, name)), None)


def plain_units(nodes: list[Node]) -> Units:
    counts = ("CC-Total-Octets", "CC-Input-Octets", "CC-Output-Octets", "CC-Time", "CC-Service-Specific-Units")
    last = [find_all(nodes, name)[-1:] for name in counts]
    return Units(*(found[0] if found else None for found in last))


def check_against_tree(ccr: Ccr, frame: bytes) -> None:
    try:
        nodes = decode_message(frame).avps
    except DiameterError:
        return  # the tree opens and types everything; the hot path doesn't look into what it doesn't need
    assert ccr.session_id == number(nodes, "Session-Id")
    assert ccr.origin_host == number(nodes, "Origin-Host")
    assert ccr.service_context_id == number(nodes, "Service-Context-Id")
    assert ccr.cc_request_type == number(nodes, "CC-Request-Type")
    assert ccr.cc_request_number == number(nodes, "CC-Request-Number")
    assert ccr.event_timestamp_s == number(nodes, "Event-Timestamp")
    groups = find_all(nodes, "Multiple-Services-Credit-Control")
    assert len(ccr.msccs) == len(groups)
    for mscc, group in zip(ccr.msccs, groups, strict=True):
        assert mscc.rating_group == number(group, "Rating-Group")
        assert mscc.service_identifiers == find_all(group, "Service-Identifier")
        units = [plain_units(content) for content in find_all(group, "Used-Service-Unit")]
        assert [Units(*(getattr(one, name) for name in COUNTS)) for one in mscc.used] == units


COUNTS = ("total_octets", "input_octets", "output_octets", "time_s", "service_specific_units")


@pytest.mark.conforms("RFC 6733 §7.1.5", "whatever a CCR holds, nothing but a Result-Code comes of it")
@settings(max_examples=600)
@given(mutants())
def test_mutants_of_real_requests(frame: bytes) -> None:
    try:
        ccr = decode_ccr(frame)
    except CcrError as error:
        answer = CcaAnswer(error.result_code, failed_avp=error.failed_avp, error_message=error.text)
        check_answer(encode_cca(error.ccr, answer, OCS), error.ccr)
    else:
        check_against_tree(ccr, frame)
        check_answer(encode_cca(ccr, CcaAnswer(), OCS), ccr)


@settings(max_examples=200)
@given(mutants())
def test_mutants_as_messages_and_answers(frame: bytes) -> None:
    for decode in (decode_message, decode_cca):
        try:
            decode(frame)
        except DiameterError as error:
            assert 3000 <= error.result_code < 6000


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    body = data[: len(data) & -4]
    framed = b"\1" + (20 + len(body)).to_bytes(3, "big") + b"\xc0\0\1\x10" + bytes(12) + body
    for frame in (data, framed):
        for decode in (decode_ccr, decode_cca, decode_message):
            try:
                decode(frame)
            except DiameterError as error:
                assert isinstance(error, CcrError) or decode is not decode_ccr
        try:
            decode_tree(frame)
        except DiameterError as error:
            assert error.result_code in (5014, 5004, 5012)


@settings(max_examples=100)
@given(mutants(), st.integers(1, 300))
def test_a_stream_of_mutants_in_pieces(frame: bytes, size: int) -> None:
    stream = frame + REQUESTS[0]
    framer, frames = Framer(), []
    try:
        for at in range(0, len(stream), size):
            frames += framer.feed(stream[at : at + size])
    except FrameError as error:
        frames += error.frames
        assert len(frame) < 20 or frames == []
    else:
        assert frames == [frame, REQUESTS[0]]


@pytest.mark.parametrize("code", sorted(GROUPS))
def test_deep_nesting_ends(code: int) -> None:
    """A group of itself, as deep as a message holds: no recursion follows it."""
    depth = 3_000
    data = b"".join(code.to_bytes(4, "big") + b"\x40" + (8 * (depth - at)).to_bytes(3, "big") for at in range(depth))
    frame = b"\1" + (20 + len(data)).to_bytes(3, "big") + b"\xc0\0\1\x10" + bytes(12) + data
    for decode in (decode_ccr, decode_cca, decode_message):
        try:
            decode(frame)
        except DiameterError:
            pass


# ── round trips ────────────────────────────────────────────────────────────────────────────────────

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=12)
TIME_S = st.integers(-61_505_152, 4_233_462_143)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


MONEY = st.tuples(I64, st.integers(-(2**31), 2**31 - 1), maybe(U32))
COUNTED = {
    "total_octets": maybe(U64),
    "input_octets": maybe(U64),
    "output_octets": maybe(U64),
    "time_s": maybe(U32),
    "service_specific_units": maybe(U64),
    "money": maybe(MONEY),
}
UNITS = st.builds(Units, **COUNTED)
USED = st.builds(
    UsedUnits, **COUNTED, tariff_change_usage=maybe(st.integers(0, 2)), reporting_reasons=st.lists(U32, max_size=2)
)
MSCC = st.builds(
    Mscc,
    rating_group=maybe(U32),
    service_identifiers=st.lists(U32, max_size=3),
    requested=maybe(UNITS),
    used=st.lists(USED, max_size=2),
    reporting_reasons=st.lists(U32, max_size=2),
    tariff_change_usage=maybe(st.integers(0, 2)),
    pool_identifiers=st.lists(U32, max_size=2),
)
SUBSCRIPTIONS = st.lists(st.tuples(U32, TEXT), min_size=1, max_size=3)
CCR = st.builds(
    Ccr,
    flags=st.sampled_from([0x80, 0xC0, 0x90, 0xD0]),
    hop_by_hop=U32,
    end_to_end=U32,
    session_id=maybe(TEXT),
    origin_host=maybe(TEXT),
    origin_realm=maybe(TEXT),
    destination_host=maybe(TEXT),
    destination_realm=maybe(TEXT),
    auth_application_id=maybe(U32),
    service_context_id=maybe(TEXT),
    cc_request_type=maybe(st.integers(1, 3)),
    cc_request_number=maybe(U32),
    cc_sub_session_id=maybe(U64),
    requested_action=maybe(st.integers(0, 3)),
    event_timestamp_s=maybe(TIME_S),
    origin_state_id=maybe(U32),
    termination_cause=maybe(U32),
    user_name=maybe(TEXT),
    multiple_services_indicator=maybe(st.integers(0, 1)),
    subscription_ids=SUBSCRIPTIONS,
    service_subscription_ids=st.lists(st.tuples(U32, TEXT), max_size=2),
    service_identifier=maybe(U32),
    rating_group=maybe(U32),
    requested=maybe(UNITS),
    used=st.lists(USED, max_size=2),
    msccs=st.lists(MSCC, max_size=3),
    user_equipment=maybe(st.tuples(st.integers(0, 3), st.binary(max_size=17))),
    cc_correlation_id=maybe(st.binary(max_size=9)),
    aoc_request_type=maybe(st.integers(0, 3)),
    called_party_address=maybe(TEXT),
    calling_party_address=maybe(TEXT),
    role_of_node=maybe(st.integers(0, 3)),
    recipient_addresses=st.lists(TEXT, max_size=3),
    called_station_id=maybe(TEXT),
    charging_id=maybe(U32),
    sgsn_mcc_mnc=maybe(TEXT),
    rat_type=maybe(st.integers(0, 255)),
    location=maybe(st.binary(max_size=20)),
    charging_characteristics=maybe(TEXT),
)


@pytest.mark.conforms("RFC 8506 §3.1", "any CCR is read as it was written")
@settings(max_examples=150)
@given(CCR)
def test_any_request_comes_back(ccr: Ccr) -> None:
    frame = encode_ccr(ccr)
    again = decode_ccr(frame)
    decode_message(frame)
    again.session_id_avp = b""
    assert again == ccr


FINAL = st.sampled_from([None, FinalUnit(), FinalUnit(1, "http://x/"), FinalUnit(2, filter_ids=("a", "b"))])
MSCC_ANSWER = st.builds(
    MsccAnswer,
    rating_group=maybe(U32),
    service_identifiers=st.lists(U32, max_size=3),
    result_code=maybe(U32),
    granted=maybe(UNITS),
    validity_time_s=maybe(U32),
    final_unit=FINAL,
    time_quota_threshold_s=maybe(U32),
    volume_quota_threshold_octets=maybe(U32),
    unit_quota_threshold=maybe(U32),
    quota_holding_time_s=maybe(U32),
)
ANSWER = st.builds(
    CcaAnswer,
    result_code=st.integers(1, 2**32 - 1),
    msccs=st.lists(MSCC_ANSWER, max_size=3),
    session_failover=maybe(U32),
    granted=maybe(UNITS),
    cost_information=maybe(MONEY),
    final_unit=FINAL,
    check_balance_result=maybe(U32),
    failure_handling=maybe(U32),
    direct_debiting_failure_handling=maybe(U32),
    validity_time_s=maybe(U32),
    error_message=maybe(TEXT),
)


@pytest.mark.conforms("RFC 8506 §3.2", "any CCA is read as it was written")
@settings(max_examples=150)
@given(ANSWER)
def test_any_answer_comes_back(answer: CcaAnswer) -> None:
    frame = encode_cca(Ccr(cc_request_type=1, cc_request_number=0), answer, OCS)
    decode_message(frame)
    assert decode_cca(frame).answer == answer
