"""Credit-Control-Answers: order, flags, bytes as RFC 8506 §3.2, §8.16 and TS 32.299 have them; read back the same."""

from __future__ import annotations

from typing import Any

import pytest

from mubss.gy.avp import DiameterError, Node, encode_avp, missing_avp, raw_avp
from mubss.gy.cca import REDIRECT, REDIRECT_SIP_URI, RESTRICT_ACCESS, TERMINATE
from mubss.gy.codec import (
    CcaAnswer,
    Ccr,
    FinalUnit,
    Identity,
    MsccAnswer,
    Units,
    decode_cca,
    decode_ccr,
    encode_cca,
    encode_ccr,
)
from mubss.gy.dictionary import Must
from mubss.gy.message import decode_message, encode_message
from tests.vectors.load import every, load

OCS = Identity("ocs.mubss.example", "mubss.example")
REQUESTS = [(client, name) for client, name in every() if name != "cer"]
SMALL = Ccr(session_id_avp=encode_avp("Session-Id", "s;1"), cc_request_type=2, cc_request_number=9, hop_by_hop=3)

FULL_MSCC = MsccAnswer(
    rating_group=10,
    service_identifiers=[7, 8],
    result_code=2001,
    granted=Units(1_000, 400, 600, 60, 5, (5, -2, 978)),
    tariff_time_change_s=1_767_225_600,
    validity_time_s=3_600,
    final_unit=FinalUnit(REDIRECT, "http://topup.example/?a=1"),
    time_quota_threshold_s=6,
    volume_quota_threshold_octets=100,
    unit_quota_threshold=1,
    quota_holding_time_s=90,
)
FULL = CcaAnswer(
    result_code=2001,
    msccs=[FULL_MSCC, MsccAnswer(11, [], 4012), MsccAnswer(granted=Units())],
    session_failover=1,
    granted=Units(time_s=30),
    tariff_time_change_s=1_767_229_200,
    cost_information=(123, -2, 978),
    final_unit=FinalUnit(TERMINATE),
    check_balance_result=0,
    failure_handling=2,
    direct_debiting_failure_handling=1,
    validity_time_s=60,
    failed_avp=missing_avp("Service-Context-Id"),
    error_message="µ",
)


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in nodes]


@pytest.mark.conforms("RFC 8506 §3.2", "a small CCA, to the byte")
def test_bytes_of_a_small_answer() -> None:
    answer = CcaAnswer(msccs=[MsccAnswer(1, granted=Units(total_octets=2**33), validity_time_s=600)])
    expected = (
        "010000c8 40000110 00000004 00000003 00000000"
        "00000107 4000000b 733b3100"  # Session-Id
        "0000010c 4000000c 000007d1"  # Result-Code
        "00000108 40000019 6f63732e6d756273732e6578616d706c65 000000"  # Origin-Host
        "00000128 40000015 6d756273732e6578616d706c65 000000"  # Origin-Realm
        "00000102 4000000c 00000004"  # Auth-Application-Id
        "000001a0 4000000c 00000002"  # CC-Request-Type
        "0000019f 4000000c 00000009"  # CC-Request-Number
        "000001c8 40000044"  # Multiple-Services-Credit-Control
        "000001af 40000018 000001a5 40000010 0000000200000000"  # Granted-Service-Unit, CC-Total-Octets
        "000001b0 4000000c 00000001"  # Rating-Group
        "000001c0 4000000c 00000258"  # Validity-Time
        "0000010c 4000000c 000007d1"  # Result-Code
    )
    wire = encode_cca(SMALL, answer, OCS)
    assert wire.hex() == bytes.fromhex(expected).hex()
    assert int.from_bytes(wire[1:4], "big") == len(wire)


@pytest.mark.conforms("RFC 8506 §3.2", "the AVPs of a CCA stand in the order of its grammar")
def test_order_of_the_command() -> None:
    """RFC 8506 §3.2."""
    request = Ccr(
        session_id_avp=SMALL.session_id_avp,
        cc_request_type=1,
        cc_request_number=0,
        cc_sub_session_id=2**40,
        proxy_infos=[encode_avp("Proxy-Info", [("Proxy-Host", host), ("Proxy-State", b"1")]) for host in "ab"],
    )
    wire = encode_cca(request, FULL, Identity("ocs.mubss.example", "mubss.example", 5))
    message = decode_message(wire)
    assert names(message.avps) == [
        "Session-Id",
        "Result-Code",
        "Origin-Host",
        "Origin-Realm",
        "Auth-Application-Id",
        "CC-Request-Type",
        "CC-Request-Number",
        "CC-Session-Failover",
        "CC-Sub-Session-Id",
        "Origin-State-Id",
        "Granted-Service-Unit",
        *["Multiple-Services-Credit-Control"] * 3,
        "Cost-Information",
        "Final-Unit-Indication",
        "Check-Balance-Result",
        "Credit-Control-Failure-Handling",
        "Direct-Debiting-Failure-Handling",
        "Validity-Time",
        "Proxy-Info",
        "Proxy-Info",
        "Failed-AVP",
        "Error-Message",
    ]
    assert message.proxy_infos == request.proxy_infos
    assert message.find("CC-Sub-Session-Id") == 2**40


@pytest.mark.conforms("RFC 8506 §8.16", "so do those of a Multiple-Services-Credit-Control")
def test_order_within_an_mscc() -> None:
    """RFC 8506 §8.16, then TS 32.299 §7.2; §8.17 for the grant."""
    mscc, limit, empty = decode_message(encode_cca(SMALL, FULL, OCS)).find_all("Multiple-Services-Credit-Control")
    assert names(mscc) == [
        "Granted-Service-Unit",
        "Service-Identifier",
        "Service-Identifier",
        "Rating-Group",
        "Validity-Time",
        "Result-Code",
        "Final-Unit-Indication",
        "Time-Quota-Threshold",
        "Volume-Quota-Threshold",
        "Unit-Quota-Threshold",
        "Quota-Holding-Time",
    ]
    assert names(mscc[0].value) == [
        "Tariff-Time-Change",
        "CC-Time",
        "CC-Money",
        "CC-Total-Octets",
        "CC-Input-Octets",
        "CC-Output-Octets",
        "CC-Service-Specific-Units",
    ]
    assert names(limit) == ["Rating-Group", "Result-Code"]
    assert names(empty) == ["Granted-Service-Unit", "Result-Code"]
    assert empty[0].value == []


def every_node(nodes: list[Node]) -> list[Node]:
    return [node for one in nodes for node in (one, *(every_node(one.value) if isinstance(one.value, list) else ()))]


@pytest.mark.conforms("RFC 6733 §4.1", "no M flag on what RFC 8506 and TS 32.299 don't give one")
def test_flags_are_those_of_the_standards() -> None:
    nodes = every_node(decode_message(encode_cca(SMALL, FULL, OCS)).avps)
    assert len(nodes) > 50
    for node in nodes:
        assert node.definition is not None
        must = node.definition.mandatory is Must.MUST
        assert node.flags == (0x80 if node.vendor_id else 0) | (0x40 if must else 0), node.name


@pytest.mark.conforms("Rule 1", "the answer to every client's request begins with the AVPs they wait for")
@pytest.mark.parametrize(("client", "name"), REQUESTS)
def test_an_answer_begins_as_every_client_wants(client: str, name: str) -> None:
    """open5gs discards an answer silently where these aren't its first AVPs."""
    ccr = decode_ccr(load(client, name))
    cca = decode_message(encode_cca(ccr, CcaAnswer(), OCS))
    assert [(node.name, node.value, node.flags) for node in cca.avps] == [
        ("Session-Id", ccr.session_id, 0x40),
        ("Result-Code", 2001, 0x40),
        ("Origin-Host", "ocs.mubss.example", 0x40),
        ("Origin-Realm", "mubss.example", 0x40),
        ("Auth-Application-Id", 4, 0x40),
        ("CC-Request-Type", ccr.cc_request_type, 0x40),
        ("CC-Request-Number", ccr.cc_request_number, 0x40),
    ]
    assert cca.header[1:6] == (0x40, 272, 4, ccr.hop_by_hop, ccr.end_to_end)


@pytest.mark.conforms("RFC 6733 §3", "an answer copies P, and has E with 3xxx alone, never R or T")
@pytest.mark.parametrize(
    ("request_flags", "code", "flags"),
    [
        (0xC0, 2001, 0x40),
        (0x80, 2001, 0),
        (0xD0, 2001, 0x40),  # T isn't repeated
        (0xC0, 3004, 0x60),
        (0x80, 3999, 0x20),
        (0xC0, 4012, 0x40),
        (0xC0, 5030, 0x40),
    ],
)
def test_command_flags(request_flags: int, code: int, flags: int) -> None:
    ccr = decode_ccr(encode_ccr(Ccr(flags=request_flags, session_id="s", cc_request_type=1, cc_request_number=0)))
    cca = decode_cca(encode_cca(ccr, CcaAnswer(code), OCS))
    assert (cca.flags, cca.is_protocol_error) == (flags, bool(flags & 0x20))


@pytest.mark.conforms("RFC 8506 §3.2", "CC-Request-Type and -Number are echoed where the request had them")
def test_what_a_request_lacks_its_answer_lacks() -> None:
    cca = decode_message(encode_cca(Ccr(), CcaAnswer(5005), OCS))
    assert names(cca.avps) == ["Result-Code", "Origin-Host", "Origin-Realm", "Auth-Application-Id"]


@pytest.mark.parametrize(
    "answer",
    [
        CcaAnswer(),
        FULL,
        CcaAnswer(3004, error_message="too busy"),
        CcaAnswer(5005, failed_avp=missing_avp("CC-Request-Type") + missing_avp("CC-Request-Number")),
        CcaAnswer(final_unit=FinalUnit(REDIRECT, "sip:topup@example", REDIRECT_SIP_URI)),
        CcaAnswer(final_unit=FinalUnit(RESTRICT_ACCESS, restriction_filter_rules=("permit in ip from any", "deny"))),
        CcaAnswer(final_unit=FinalUnit(RESTRICT_ACCESS, filter_ids=("walled-garden",))),
        CcaAnswer(cost_information=(2**62, 0, None), check_balance_result=1),
        CcaAnswer(cost_information=(-(2**62), -6, 978)),
        CcaAnswer(msccs=[MsccAnswer(result_code=None, granted=Units(2**64 - 1, 0, 0, 2**32 - 1, 2**64 - 1))]),
    ],
)
def test_a_client_reads_what_was_written(answer: CcaAnswer) -> None:
    cca = decode_cca(encode_cca(SMALL, answer, OCS))
    assert cca.answer == answer
    assert (cca.session_id, cca.origin_host, cca.origin_realm) == ("s;1", "ocs.mubss.example", "mubss.example")
    assert (cca.cc_request_type, cca.cc_request_number, cca.auth_application_id, cca.hop_by_hop) == (2, 9, 4, 3)


@pytest.mark.conforms("RFC 8506 §8.34", "Final-Unit-Action REDIRECT comes with a Redirect-Server")
def test_a_redirect_needs_its_address() -> None:
    with pytest.raises(ValueError, match="redirect_address"):
        FinalUnit(REDIRECT)
    with pytest.raises(ValueError, match="redirect_address"):
        FinalUnit(TERMINATE, "http://x")


def cca_of(*parts: Any) -> bytes:
    return encode_message(272, 0x40, 4, 1, 2, parts)


@pytest.mark.conforms("RFC 6733 §7.6", "Experimental-Result is understood in Result-Code's place")
def test_an_experimental_result_stands_for_a_result_code() -> None:
    result = ("Experimental-Result", [("Vendor-Id", 10415), ("Experimental-Result-Code", 5030)])
    assert decode_cca(cca_of(result)).answer.result_code == 5030
    assert decode_cca(cca_of(result, ("Result-Code", 2001))).answer.result_code == 2001
    assert decode_cca(cca_of(("Result-Code", 2001), result)).answer.result_code == 2001


# (what, AVPs, Result-Code)
UNREADABLE = [
    ("no result", [("Session-Id", "s")], 5005),
    ("a vendor's result", [raw_avp(268, 0, b"\0\0\7\xd1", 9)], 5005),
    ("an empty experimental result", [("Experimental-Result", [])], 5005),
    (
        "a redirect without an address",
        [("Result-Code", 2001), ("Final-Unit-Indication", [("Final-Unit-Action", 1)])],
        5004,
    ),
    ("a final unit without an action", [("Result-Code", 2001), ("Final-Unit-Indication", [])], 5004),
    ("no UTF-8", [("Result-Code", 2001), bytes.fromhex("00000107 40000009 ff000000")], 5004),
    ("a grant that is cut", [("Multiple-Services-Credit-Control", [bytes.fromhex("000001af 40000014")])], 5014),
    ("a cost without its value", [("Cost-Information", [("Currency-Code", 978)])], 5005),
]


@pytest.mark.parametrize(("what", "parts", "code"), UNREADABLE)
def test_answers_that_cant_be_read(what: str, parts: list[Any], code: int) -> None:
    with pytest.raises(DiameterError) as caught:
        decode_cca(cca_of(*parts))
    assert caught.value.result_code == code, what
