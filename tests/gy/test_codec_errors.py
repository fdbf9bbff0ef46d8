"""Requests that can't be taken: the Result-Code, the Failed-AVP, and an answer that still names its request."""

from __future__ import annotations

from typing import Any

import pytest

from mubss.gy.avp import DiameterError, encode_avp, missing_avp, raw_avp, split_avp
from mubss.gy.ccr_decode import MAX_MSCCS
from mubss.gy.ccr_units import MAX_LISTED, MAX_UNKNOWN
from mubss.gy.codec import CcaAnswer, Ccr, CcrError, Identity, Units, decode_ccr, encode_cca, require
from mubss.gy.message import decode_message, encode_message
from tests.vectors.load import load

OCS = Identity("ocs.mubss.example", "mubss.example")
BEGIN: list[Any] = [("Session-Id", "s;1"), ("Origin-Host", "h"), ("CC-Request-Type", 2), ("CC-Request-Number", 9)]


def ccr_of(*parts: Any, flags: int = 0xC0) -> bytes:
    return encode_message(272, flags, 4, 7, 8, [*BEGIN, *parts])


def mscc(*parts: Any) -> tuple[str, Any]:
    return ("Multiple-Services-Credit-Control", list(parts))


def service(*parts: Any) -> tuple[str, Any]:
    return ("Service-Information", list(parts))


def ps(*parts: Any) -> tuple[str, Any]:
    return service(("PS-Information", list(parts)))


def ims(*parts: Any) -> tuple[str, Any]:
    return service(("IMS-Information", list(parts)))


def used(*parts: Any) -> tuple[str, Any]:
    return ("Used-Service-Unit", list(parts))


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


SHORT_TYPE = hexed("000001a0 4000000b 00000000")
SHORT_U64 = hexed("000001a5 4000000c 00000001")
LONG_TIME = hexed("000001a4 40000010 0000000000000001")
NOT_TEXT = hexed("000001bc 40000009 ff000000")
ASKED = ("Requested-Service-Unit", [])
RECIPIENT = ("Recipient-Address", [("Address-Data", "")])
NOBODY = encode_avp("Subscription-Id", [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "")])
zero = missing_avp
REASON = zero("Reporting-Reason")
CUT_VALUE = raw_avp(445, 64, hexed("000001bf 40000010 00000001"))
UNPADDED = raw_avp(443, 64, hexed("000001bc 40000009 61"))

# (what, AVPs behind Session-Id, Origin-Host, type and number, Result-Code, Failed-AVP's content)
REFUSED: list[tuple[str, list[Any], int, bytes]] = [
    ("a type of 3 bytes", [SHORT_TYPE], 5014, zero("CC-Request-Type")),
    ("a time of 8 bytes", [hexed("00000037 40000010 0000000000000001")], 5014, hexed("00000037 4000000c 00000000")),
    ("length 0", [hexed("0000010d 40000000")], 5014, hexed("0000010d 40000008")),
    ("length 7", [hexed("000001bb 40000007")], 5014, hexed("000001bb 40000008")),
    ("length beyond the message", [hexed("000001cd 400000ff")], 5014, hexed("000001cd 40000008")),
    ("a number's length beyond the message", [hexed("0000019f 40ffffff 00000001")], 5014, zero("CC-Request-Number")),
    ("a vendor's length beyond", [hexed("00000369 c0000014 000028af")], 5014, hexed("00000369 c000000c 000028af")),
    ("a vendor's length 8", [hexed("00000369 c0000008 000028af")], 5014, hexed("00000369 c000000c 000028af")),
    ("AoC-Request-Type of 3 bytes", [hexed("00000807 c000000f 000028af 00000000")], 5014, zero("AoC-Request-Type")),
    ("a known AVP that isn't needed", [hexed("000001e5 4000000b 00000100")], 5014, zero("Accounting-Record-Number")),
    ("sub-session of 4 bytes", [hexed("000001a3 4000000c 00000001")], 5014, zero("CC-Sub-Session-Id")),
    ("units that are cut", [("Requested-Service-Unit", [SHORT_U64])], 5014, zero("CC-Total-Octets")),
    ("units too long", [("Used-Service-Unit", [LONG_TIME])], 5014, zero("CC-Time")),
    ("in an MSCC", [mscc(("Used-Service-Unit", [SHORT_U64]))], 5014, zero("CC-Total-Octets")),
    ("Rating-Group of 8 bytes", [mscc(raw_avp(432, 64, bytes(8)))], 5014, zero("Rating-Group")),
    ("Service-Identifier of 5", [mscc(raw_avp(439, 64, bytes(5)))], 5014, zero("Service-Identifier")),
    ("Reporting-Reason of 3", [mscc(raw_avp(872, 64, bytes(3), 10415))], 5014, zero("Reporting-Reason")),
    ("the same in units", [used(raw_avp(872, 64, bytes(3), 10415))], 5014, zero("Reporting-Reason")),
    ("units beyond a group", [raw_avp(446, 64, hexed("000001a5 40000010 00000001"))], 5014, zero("CC-Total-Octets")),
    ("time beyond its group", [raw_avp(446, 64, hexed("000001a4 4000000c"))], 5014, zero("CC-Time")),
    ("a group of 4 bytes", [raw_avp(446, 64, bytes(4))], 5014, hexed("00000000 00000008")),
    ("an MSCC of 3 bytes", [raw_avp(456, 64, bytes(3))], 5014, hexed("00000000 00000008")),
    ("a subscriber without padding", [UNPADDED], 5014, hexed("000001bc 40000008")),
    ("a subscriber's type of 2 bytes", [raw_avp(443, 64, raw_avp(450, 64, b"ab"))], 5014, zero("Subscription-Id-Type")),
    ("charging id of 8 bytes", [ps(raw_avp(2, 128, bytes(8), 10415))], 5014, zero("3GPP-Charging-Id")),
    ("RAT type of 2 bytes", [ps(raw_avp(21, 128, b"12", 10415))], 5014, raw_avp(21, 128, b"12", 10415)),
    ("role of 2 bytes", [ims(raw_avp(829, 64, b"12", 10415))], 5014, zero("Role-Of-Node")),
    ("a service cut", [raw_avp(873, 64, hexed("0000036a c0000010 000028af"), 10415)], 5014, zero("PS-Information")),
    ("a recipient cut", [service(("SMS-Information", [("Recipient-Info", [hexed("000004b1 c0000020 000028af")])]))],
     5014, zero("Recipient-Address")),
    ("another type", [("CC-Request-Type", 3)], 5009, encode_avp("CC-Request-Type", 3)),
    ("another number", [("CC-Request-Number", 10)], 5009, encode_avp("CC-Request-Number", 10)),
    ("another session", [("Session-Id", "s;2")], 5009, encode_avp("Session-Id", "s;2")),
    ("another rating group", [mscc(("Rating-Group", 1), ("Rating-Group", 2))], 5009, encode_avp("Rating-Group", 2)),
    ("asked twice", [ASKED, ASKED], 5009, zero("Requested-Service-Unit")),
    ("asked twice in an MSCC", [mscc(ASKED, ASKED)], 5009, zero("Requested-Service-Unit")),
    ("too many MSCCs", [mscc()] * (MAX_MSCCS + 1), 5009, zero("Multiple-Services-Credit-Control")),
    ("too many used units", [mscc(*[used()] * (MAX_LISTED + 1))], 5009, zero("Used-Service-Unit")),
    ("too many subscribers", [NOBODY] * (MAX_LISTED + 1), 5009, NOBODY),
    ("too many subscribers of a service", [service(*[NOBODY] * (MAX_LISTED + 1))], 5009, NOBODY),
    ("too many recipients", [service(("MMS-Information", [RECIPIENT] * (MAX_LISTED + 1)))], 5009, zero("Address-Data")),
    ("too many services", [mscc(*[("Service-Identifier", 0)] * (MAX_LISTED + 1))], 5009, zero("Service-Identifier")),
    ("too many proxies", [("Proxy-Info", [])] * (MAX_LISTED + 1), 5009, zero("Proxy-Info")),
    ("text that isn't UTF-8", [hexed("000001cd 40000009 ff000000")], 5004, hexed("000001cd 40000009 ff000000")),
    ("a subscriber that isn't UTF-8", [("Subscription-Id", [("Subscription-Id-Type", 0), NOT_TEXT])], 5004,
     encode_avp("Subscription-Id", [("Subscription-Id-Type", 0), NOT_TEXT])),
    ("an APN that isn't UTF-8", [ps(hexed("0000001e 40000009 ff000000"))], 5004,
     hexed("0000001e 40000009 ff000000")),
    ("too many reasons", [used(*[("Reporting-Reason", 0)] * (MAX_LISTED + 1))], 5009, REASON),
    ("a value cut", [used(("CC-Money", [CUT_VALUE]))], 5014, zero("Value-Digits")),
    ("money cut", [used(raw_avp(413, 64, hexed("000001a9 4000000c")))], 5014, zero("Currency-Code")),
    ("a service of 3 bytes", [raw_avp(873, 64, bytes(3), 10415)], 5014, hexed("00000000 00000008")),
    ("a service without room for its vendor", [hexed("00000369 c000000a 000028af")], 5014, zero("Service-Information")),
    ("money without Unit-Value", [("Requested-Service-Unit", [("CC-Money", [])])], 5005, zero("Unit-Value")),
    ("money without digits", [("Used-Service-Unit", [("CC-Money", [("Unit-Value", [("Exponent", 1)])])])], 5005,
     zero("Value-Digits")),
]  # fmt: skip


@pytest.mark.conforms("RFC 6733 §7.1.5", "a CCR that can't be taken: 5004, 5005, 5009, 5014, each with its Failed-AVP")
@pytest.mark.parametrize(("what", "parts", "code", "failed"), REFUSED)
def test_refused(what: str, parts: list[Any], code: int, failed: bytes) -> None:
    with pytest.raises(CcrError) as caught:
        decode_ccr(ccr_of(*parts))
    error = caught.value
    assert (error.result_code, error.failed_avp.hex()) == (code, failed.hex()), what
    assert (error.ccr.session_id, error.ccr.cc_request_type, error.ccr.cc_request_number) == ("s;1", 2, 9)
    assert (error.ccr.origin_host, error.ccr.hop_by_hop, error.ccr.end_to_end) == ("h", 7, 8)


@pytest.mark.parametrize(
    ("what", "frame", "code"),
    [
        ("E in a request", ccr_of(flags=0xE0), 3008),
        ("shorter than a header", bytes(19), 5015),
        ("a length that isn't the frame's", ccr_of()[:-4], 5015),
        ("another version", b"\2" + ccr_of()[1:], 5011),
        ("a type beyond 4", encode_message(272, 0xC0, 4, 7, 8, [*BEGIN[:2], ("CC-Request-Type", 5)]), 5004),
        ("type 0", encode_message(272, 0xC0, 4, 7, 8, [*BEGIN[:2], ("CC-Request-Type", 0)]), 5004),
        ("a negative type", encode_message(272, 0xC0, 4, 7, 8, [("CC-Request-Type", -1)]), 5004),
        (
            "an action beyond 3",
            encode_message(272, 0xC0, 4, 7, 8, [("CC-Request-Type", 4), ("Requested-Action", 4)]),
            5004,
        ),
    ],
)
def test_refused_as_a_whole(what: str, frame: bytes, code: int) -> None:
    with pytest.raises(CcrError) as caught:
        decode_ccr(frame)
    assert caught.value.result_code == code, what


@pytest.mark.conforms("RFC 6733 §7.1.5", "5004 for an enumerated value that isn't defined")
@pytest.mark.parametrize(("name", "value"), [("CC-Request-Type", 5), ("CC-Request-Type", -1), ("Requested-Action", 4)])
def test_an_undefined_value_is_named(name: str, value: int) -> None:
    parts = [("CC-Request-Type", 4), (name, value)] if name == "Requested-Action" else [(name, value)]
    with pytest.raises(CcrError) as caught:
        decode_ccr(encode_message(272, 0xC0, 4, 7, 8, parts))
    assert caught.value.failed_avp == encode_avp(name, value)


@pytest.mark.conforms("Rule 10", "an undefined Requested-Action disturbs events alone")
def test_requested_action_counts_in_events_only() -> None:
    assert decode_ccr(ccr_of(("Requested-Action", 99))).requested_action == 99
    event = [*BEGIN[:2], ("CC-Request-Type", 4), ("Requested-Action", 3)]
    assert decode_ccr(encode_message(272, 0xC0, 4, 7, 8, event)).requested_action == 3


@pytest.mark.conforms("RFC 6733 §7.2", "an error keeps Session-Id, Proxy-Info and both identifiers")
def test_an_error_is_answered_like_its_request() -> None:
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "p"), ("Proxy-State", b"1")])
    frame = ccr_of(proxy, SHORT_TYPE, flags=0xD0)
    with pytest.raises(CcrError) as caught:
        decode_ccr(frame)
    error = caught.value
    assert error.ccr.retransmitted
    answer = CcaAnswer(error.result_code, failed_avp=error.failed_avp, error_message=error.text)
    cca = decode_message(encode_cca(error.ccr, answer, OCS))
    assert [node.name for node in cca.avps] == [
        "Session-Id",
        "Result-Code",
        "Origin-Host",
        "Origin-Realm",
        "Auth-Application-Id",
        "CC-Request-Type",
        "CC-Request-Number",
        "Proxy-Info",
        "Failed-AVP",
        "Error-Message",
    ]
    assert cca.find("Error-Message") == "AVP 416 with length 11 at byte 100, 12 bytes are left"


def test_what_stands_before_a_fault_is_found_and_what_stands_behind_it_is_not() -> None:
    parts = [("CC-Request-Number", 5), hexed("000001cd 400000ff"), ("Session-Id", "late")]
    with pytest.raises(CcrError) as caught:
        decode_ccr(encode_message(272, 0xC0, 4, 7, 8, parts))
    assert (caught.value.ccr.cc_request_number, caught.value.ccr.session_id) == (5, None)


@pytest.mark.conforms("RFC 6733 §4.1", "the code of another vendor is another AVP")
def test_a_vendors_avp_of_the_same_code_is_no_session_id() -> None:
    foreign = raw_avp(263, 0x40, b"foreign", 9)
    with pytest.raises(CcrError) as caught:
        decode_ccr(encode_message(272, 0xC0, 4, 7, 8, [foreign, ("Session-Id", "s;1"), SHORT_TYPE]))
    assert caught.value.ccr.session_id == "s;1"


@pytest.mark.conforms("TS 32.299 §7.2", "Reporting-Reason is 3GPP's, another vendor's is stepped over")
def test_reporting_reason_is_3gpps() -> None:
    foreign = raw_avp(872, 0x40, b"\0\0\0\1", 9)
    ccr = decode_ccr(ccr_of(used(foreign, ("Reporting-Reason", 2)), mscc(foreign, ("Reporting-Reason", 3))))
    assert (ccr.used[0].reporting_reasons, ccr.msccs[0].reporting_reasons) == ([2], [3])
    assert ccr.unknown_mandatory == [foreign, foreign]


def test_facts_of_a_service_are_3gpps() -> None:
    """Another vendor's AVPs of the same codes are none of them."""

    def foreign(code: int, data: bytes = b"\0\0\0\1") -> bytes:
        return raw_avp(code, 0, data, 9)

    address = ("Recipient-Address", [foreign(897), ("Address-Data", "1")])
    recipients = [foreign(1201), foreign(2026), address, ("Recipient-Info", [foreign(1201), address])]
    parts = [foreign(874), foreign(876), foreign(2000), foreign(443), raw_avp(874, 0, b""), raw_avp(876, 0, b"")]
    facts = [foreign(code) for code in (2, 13, 18, 21, 22, 30, 458)] + [raw_avp(2, 0, b""), raw_avp(21, 0, b"")]
    talk = [foreign(code) for code in (829, 831, 832)]
    ccr = decode_ccr(
        ccr_of(
            foreign(873),
            foreign(2055),
            service(*parts),
            ps(*facts),
            ims(*talk),
            service(("SMS-Information", recipients)),
        )
    )
    assert ccr.recipient_addresses == ["1", "1"]
    ccr.recipient_addresses = []
    bare = decode_ccr(ccr_of())
    bare.unknown_mandatory = ccr.unknown_mandatory
    assert ccr == bare


def test_a_session_id_that_isnt_utf8_is_answered_with_its_bytes() -> None:
    session_id = raw_avp(263, 0, b"\xff\xfe")
    with pytest.raises(CcrError) as caught:
        decode_ccr(encode_message(272, 0xC0, 4, 7, 8, [session_id]))
    assert caught.value.result_code == 5004
    assert caught.value.ccr.session_id_avp == raw_avp(263, 0x40, b"\xff\xfe")
    assert encode_cca(caught.value.ccr, CcaAnswer(5004), OCS)[20:32] == raw_avp(263, 0x40, b"\xff\xfe")


# ── what is tolerated ──────────────────────────────────────────────────────────────────────────────


def test_the_same_twice_is_once() -> None:
    assert decode_ccr(ccr_of(*BEGIN)) == decode_ccr(ccr_of())
    twice = decode_ccr(ccr_of(mscc(("Rating-Group", 1), ("Rating-Group", 1))))
    assert twice.msccs[0].rating_group == 1


@pytest.mark.conforms("Client kamailio", "of two Origin-Host and Origin-Realm the first counts")
@pytest.mark.conforms("Rule 7", "Origin AVPs that stand twice")
def test_of_two_origin_hosts_the_first_counts() -> None:
    ccr = decode_ccr(ccr_of(("Origin-Host", "other"), ("Origin-Realm", "a"), ("Origin-Realm", "b")))
    assert (ccr.origin_host, ccr.origin_realm) == ("h", "a")


@pytest.mark.conforms("Rule 7", "flags that nobody should set")
def test_flags_that_nobody_should_set_are_ignored() -> None:
    """RFC 6733 §4.1: P, and the reserved ones, which a receiver ignores."""
    plain = decode_ccr(load("cisco-pgw", "ccr_u"))
    frame = bytearray(load("cisco-pgw", "ccr_u"))
    set_flags(frame, 20, len(frame), 0x3F)
    odd = decode_ccr(bytes(frame))
    odd.session_id_avp = plain.session_id_avp
    assert odd == plain


def set_flags(frame: bytearray, pos: int, end: int, flags: int) -> None:
    while pos < end:
        code, _, _, begin, stop = split_avp(bytes(frame), pos, end)
        frame[pos + 4] |= flags
        if code in (443, 456, 446, 437, 873, 874, 458):
            set_flags(frame, begin, stop, flags)
        pos = stop + 3 & -4


@pytest.mark.conforms("Rule 7", "unknown AVPs, with and without M")
def test_unknown_avps_are_stepped_over_and_the_mandatory_ones_kept() -> None:
    known = mscc(("Rating-Group", 1))
    loud, quiet, foreign = raw_avp(60_001, 0x40, b"abc"), raw_avp(60_002, 0, b"abcde"), raw_avp(7, 0x40, b"x", 9)
    inner = mscc(loud, ("Rating-Group", 1), quiet)
    for place in ([loud, quiet, foreign, known], [known, foreign, quiet, loud]):
        ccr = decode_ccr(ccr_of(*place))
        assert ccr.msccs == decode_ccr(ccr_of(known)).msccs
        assert sorted(ccr.unknown_mandatory) == sorted([loud, foreign])
    assert decode_ccr(ccr_of(inner)).msccs == decode_ccr(ccr_of(known)).msccs
    assert decode_ccr(ccr_of(inner)).unknown_mandatory == [loud]
    assert decode_ccr(ccr_of(service(("PS-Information", [loud])))).unknown_mandatory == [loud]
    assert len(decode_ccr(ccr_of(*[loud] * 100)).unknown_mandatory) == MAX_UNKNOWN


def test_a_vendor_0_is_nobody() -> None:
    """RFC 6733 §4.1 forbids the V flag with Vendor-Id 0."""
    avp = bytes.fromhex("000001cd c000000d 00000000 61000000")
    ccr = decode_ccr(ccr_of(avp))
    assert (ccr.service_context_id, ccr.unknown_mandatory) == (None, [avp])


def test_a_subscriber_without_type_or_data_is_none() -> None:
    half = ("Subscription-Id", [("Subscription-Id-Type", 0)])
    other = ("Subscription-Id", [("Subscription-Id-Data", "1")])
    assert decode_ccr(ccr_of(half, other)).subscription_ids == []


@pytest.mark.conforms("RFC 8506 §8.46", "Subscription-Id's AVPs in any order")
def test_a_subscriber_in_any_order_and_with_more_in_it() -> None:
    turned = ("Subscription-Id", [("Subscription-Id-Data", "1"), ("User-Name", "x"), ("Subscription-Id-Type", 1)])
    assert decode_ccr(ccr_of(turned)).subscription_ids == [(1, "1")]


@pytest.mark.conforms("RFC 8506 §8.58", "Subscription-Id-Extension of each type")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("E164", 0), ("IMSI", 1), ("SIP-URI", 2), ("NAI", 3), ("Private", 4)],
)
def test_subscription_id_extension(name: str, kind: int) -> None:
    """RFC 8506 §8.58."""
    part = ("Subscription-Id-Extension", [(f"Subscription-Id-{name}", "1")])
    assert decode_ccr(ccr_of(part)).subscription_ids == [(kind, "1")]


@pytest.mark.conforms("Rule 8", "Subscription-Id of the command before that in Service-Information")
def test_subscribers_of_the_command_come_before_those_of_the_service() -> None:
    one, two = (
        ("Subscription-Id", [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "1")]),
        (
            "Subscription-Id",
            [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "2")],
        ),
    )
    inside = decode_ccr(ccr_of(service(two)))
    assert inside.subscription_ids == inside.service_subscription_ids == [(0, "2")]
    both = decode_ccr(ccr_of(service(two), one))
    assert (both.subscription_ids, both.service_subscription_ids) == ([(0, "1")], [(0, "2")])


@pytest.mark.conforms("TS 32.299 §7.2", "Recipient-Address of MMS")
def test_recipients_of_a_multimedia_message() -> None:
    addresses = [("Recipient-Address", [("Address-Type", 0), ("Address-Data", text)]) for text in ("a@b", "c@d")]
    ccr = decode_ccr(ccr_of(service(("MMS-Information", addresses))))
    assert ccr.recipient_addresses == ["a@b", "c@d"]


@pytest.mark.conforms("RFC 8506 §8.22", "CC-Money with exponent and currency")
def test_money() -> None:
    value = ("CC-Money", [("Unit-Value", [("Value-Digits", -(2**40)), ("Exponent", -6)]), ("Currency-Code", 978)])
    ccr = decode_ccr(ccr_of(("Used-Service-Unit", [value, ("CC-Time", 3)])))
    assert (ccr.used[0].money, ccr.used[0].time_s) == ((-(2**40), -6, 978), 3)
    plain = ("CC-Money", [("Unit-Value", [("Value-Digits", 5)])])
    assert decode_ccr(ccr_of(("Requested-Service-Unit", [plain]))).requested == Units(money=(5, 0, None))


@pytest.mark.conforms("RFC 8506 §8.30", "G-S-U-Pool-Reference is read")
@pytest.mark.conforms("RFC 8506 §8.20", "Tariff-Time-Change is read")
def test_pools_and_tariff_change() -> None:
    pool = [("G-S-U-Pool-Identifier", 5), ("CC-Unit-Type", 2), ("Unit-Value", [("Value-Digits", 1)])]
    (one,) = decode_ccr(ccr_of(mscc(("G-S-U-Pool-Reference", pool), ("Tariff-Change-Usage", 2)))).msccs
    assert (one.pool_identifiers, one.tariff_change_usage) == ([5], 2)


def test_a_message_above_64_kib() -> None:
    ccr = decode_ccr(ccr_of(*[raw_avp(60_000, 0, bytes(40_000))] * 2, mscc(("Rating-Group", 1))))
    assert ccr.msccs[0].rating_group == 1
    with pytest.raises(CcrError, match=r"AVP 456 has 70008 bytes, up to 65,535 are taken") as caught:
        decode_ccr(ccr_of(raw_avp(456, 0x40, bytes(70_000))))
    assert caught.value.result_code == 5012


# ── what a profile asks for ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value"),
    [("Service-Context-Id", "x"), ("Termination-Cause", 1), ("Origin-State-Id", 0), ("Event-Timestamp", 0)],
)
def test_require(name: str, value: Any) -> None:
    require(decode_ccr(ccr_of((name, value))), "Session-Id", name)
    with pytest.raises(DiameterError, match=f"5005: {name} is missing") as caught:
        require(decode_ccr(ccr_of()), "Session-Id", name)
    assert caught.value.failed_avp == missing_avp(name)


def test_require_takes_an_empty_text_for_nothing() -> None:
    with pytest.raises(DiameterError, match="Session-Id is missing"):
        require(Ccr(session_id=""), "Session-Id")
