"""The letter of the RFCs, which the profile `strict` holds peers to: one case for each rule, to the byte."""

from __future__ import annotations

from typing import Any

import pytest

from gy_wire import ERROR, PROXIABLE, REQUEST, RETRANSMITTED, VSAI, cer, dwr, origin, request
from mubss.gy.avp import DiameterError, encode_avp, missing_avp, raw_avp
from mubss.gy.dictionary import BY_NAME
from mubss.gy.grammar import check_answer, check_request, example, parse
from mubss.gy.message import Identity, Part, decode_message, encode_message, encode_request
from tests.vectors.load import every, load

OURS = "ocs.mubss.example"
TO_US = ("Destination-Realm", "mubss.example")
GY = ("Auth-Application-Id", 4)
BEGIN: list[Part] = [
    ("Session-Id", "pgw.example;1;2"),
    *origin("pgw.example"),
    TO_US,
    GY,
    ("Service-Context-Id", "32251@3gpp.org"),
    ("CC-Request-Number", 0),
]
MSCC, RSU, USU = "Multiple-Services-Credit-Control", "Requested-Service-Unit", "Used-Service-Unit"
SEVERAL = ("Multiple-Services-Indicator", 1)
LOUD, QUIET = raw_avp(64_999, 0x40, b"12345"), raw_avp(64_999, 0, b"12345")
PHONE = [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "999700000001")]
CUT_TEXT = raw_avp(461, 0x40, b"\xff")


def ccr(*more: Part, kind: int = 1, without: str = "", flags: int = REQUEST | PROXIABLE, application: int = 4) -> bytes:
    """A CCR that is right, with more AVPs, or without one."""
    parts = [*BEGIN, ("CC-Request-Type", kind), *more]
    parts = [part for part in parts if isinstance(part, bytes) or part[0] != without]
    return request("CCR", *parts, application_id=application, flags=flags)


def group(name: str, *parts: Part) -> bytes:
    return encode_avp(name, list(parts))


def mscc(*parts: Part) -> tuple[str, Any]:
    return (MSCC, list(parts))


def flagged(name: str, value: Any, flags: int) -> bytes:
    return encode_avp(name, value, flags=flags)


zero = missing_avp
hexed = bytes.fromhex

FINE: dict[str, bytes] = {
    "a CER": cer(),
    "a CER with a VSAI": cer("pgw.example", VSAI),
    "a CER with an unknown AVP": cer("pgw.example", GY, QUIET),
    "a DWR": dwr(),
    "a DWR with T": request("DWR", *origin("p"), flags=REQUEST | RETRANSMITTED),
    "a DPR": request("DPR", *origin("p"), ("Disconnect-Cause", 2)),
    "an RAR": encode_request(
        "RAR", 1, 1, [*BEGIN[:3], TO_US, ("Destination-Host", "p"), GY, ("Re-Auth-Request-Type", 0)], application_id=4
    ),
    "a command without a grammar": request("STR", LOUD, flags=REQUEST | PROXIABLE),
    "an unknown command": request(999, LOUD),
    "a CCR-I without units": ccr(),
    "a CCR-I": ccr(("Subscription-Id", PHONE), SEVERAL, mscc((RSU, []), ("Rating-Group", 1))),
    "a CCR-I sent again": ccr(flags=0xD0),
    "a CCR-U": ccr(mscc((USU, [("CC-Total-Octets", 5), ("CC-Input-Octets", 2), ("CC-Output-Octets", 3)])), kind=2),
    "octets of one direction": ccr(mscc((USU, [("CC-Total-Octets", 5), ("CC-Input-Octets", 2)])), kind=2),
    "a CCR-T": ccr(("Termination-Cause", 1), kind=3),
    "an event": ccr(("Requested-Action", 0), (RSU, [("CC-Service-Specific-Units", 1)]), kind=4),
    "a VSAI of the same application": ccr(VSAI),
    "unknown AVPs without M, at any depth": ccr(QUIET, ("Subscription-Id", [*PHONE, QUIET])),
    "units of 3GPP": ccr(mscc((USU, [("Reporting-Reason", 9)]), ("Reporting-Reason", 3)), kind=2),
    "an extension": ccr(("Subscription-Id-Extension", [("Subscription-Id-E164", "999700000001")])),
    "proxies and routes": ccr(
        ("Proxy-Info", [("Proxy-Host", "a"), ("Proxy-State", b"1")]), ("Route-Record", "a"), ("Route-Record", "b")
    ),
    "padding that isn't zeros": ccr(b"\0\0\x01\xcd\x40\0\0\x0ba@b\xff", without="Service-Context-Id"),
    "a P flag of an AVP, which SHOULD be 0": ccr(flagged("User-Name", "x", 0x60)),
    "a Session-Id in capitals": ccr().replace(b"pgw.example;1;2", b"PGW.example;1;2"),
}


@pytest.mark.conforms("RFC 6733 §3.2", "every command that keeps to its grammar passes under strict")
@pytest.mark.parametrize("what", FINE)
def test_what_is_right_passes(what: str) -> None:
    check_request(FINE[what], OURS)


# (what, the request, Result-Code, what Failed-AVP holds)
REFUSED: list[tuple[str, bytes, int, bytes]] = [
    # The header
    ("version 2", b"\2" + ccr()[1:], 5011, b""),
    ("a length that isn't the message's", ccr() + bytes(4), 5015, b""),
    ("E in a request", ccr(flags=0xE0), 3008, b""),
    ("a reserved flag", ccr(flags=0xC1), 5013, b""),
    ("another reserved flag", request("DWR", *origin("p"), flags=0x88), 5013, b""),
    ("a CCR without P", ccr(flags=0x80), 3008, b""),
    ("a CER with P", request("CER", flags=0xC0), 3008, b""),
    ("a DWR with P", request("DWR", *origin("p"), flags=0xC0), 3008, b""),
    ("a DPR with P", request("DPR", *origin("p"), ("Disconnect-Cause", 0), flags=0xC0), 3008, b""),
    # Flags of AVPs
    ("without M", ccr(flagged("User-Name", "x", 0)), 3009, flagged("User-Name", "x", 0)),
    ("with M", cer("p", GY, flagged("Firmware-Revision", 1, 0x40)), 3009, flagged("Firmware-Revision", 1, 0x40)),
    ("a reserved bit", ccr(flagged("User-Name", "x", 0x50)), 3009, flagged("User-Name", "x", 0x50)),
    ("a reserved bit of an unknown AVP", ccr(raw_avp(64_999, 1, b"")), 3009, raw_avp(64_999, 1, b"")),
    ("V with vendor 0", ccr(raw_avp(1, 0xC0, b"abcd")), 3009, hexed("00000001 c0000010 00000000 61626364")),
    ("without M in a group", ccr(("Subscription-Id", [flagged("Subscription-Id-Type", 0, 0), PHONE[1]])), 3009,
     group("Subscription-Id", flagged("Subscription-Id-Type", 0, 0))),
    # Unknown AVPs
    ("unknown", ccr(LOUD), 5001, LOUD),
    ("unknown in a CER", cer("p", GY, LOUD), 5001, LOUD),
    ("unknown in a DWR", request("DWR", *origin("p"), LOUD), 5001, LOUD),
    ("a vendor's", ccr(raw_avp(1, 0x40, b"", 99)), 5001, raw_avp(1, 0x40, b"", 99)),
    ("3GPP's without V", ccr(raw_avp(873, 0x40, b"")), 5001, raw_avp(873, 0x40, b"")),
    ("IETF's with V", ccr(raw_avp(443, 0x40, b"", 10_415)), 5001, raw_avp(443, 0x40, b"", 10_415)),
    ("unknown in a closed group", ccr(("Subscription-Id", [*PHONE, LOUD])), 5001, group("Subscription-Id", LOUD)),
    ("unknown far down", ccr(("Service-Information", [("PS-Information", [("User-CSG-Information", [LOUD])])])), 5001,
     group("Service-Information", group("PS-Information", group("User-CSG-Information", LOUD)))),
    # Values
    ("a request type", ccr(kind=5), 5004, hexed("000001a0 4000000c 00000005")),
    ("an action", ccr(("Requested-Action", 4), kind=4), 5004, hexed("000001b4 4000000c 00000004")),
    ("a cause", request("DPR", *origin("p"), ("Disconnect-Cause", 3)), 5004, hexed("00000111 4000000c 00000003")),
    ("an indicator", ccr(("Multiple-Services-Indicator", 2)), 5004, hexed("000001c7 4000000c 00000002")),
    ("a reason", ccr(mscc(("Reporting-Reason", 99)), kind=2), 5004,
     group(MSCC, encode_avp("Reporting-Reason", 99))),
    ("a subscriber's type", ccr(("Subscription-Id", [("Subscription-Id-Type", 5), PHONE[1]])), 5004,
     hexed("000001bb 40000014 000001c2 4000000c 00000005")),
    ("an E.164 address", ccr(("Service-Information", [("PS-Information", [("SGSN-Address", "4915112345678")])])), 5004,
     group("Service-Information", group("PS-Information", encode_avp("SGSN-Address", "4915112345678")))),
    ("a host in letters of others", ccr(("Destination-Host", "öcs")), 5004, encode_avp("Destination-Host", "öcs")),
    ("a host that is empty", ccr(("Destination-Host", "")), 5004, encode_avp("Destination-Host", "")),
    ("no UTF-8", ccr(CUT_TEXT, without="Service-Context-Id"), 5004, CUT_TEXT),
    ("another's Session-Id", ccr().replace(b"pgw.example;1;2", b"ggw.example;1;2"), 5004,
     encode_avp("Session-Id", "ggw.example;1;2")),
    ("a Session-Id that is a name alone", ccr().replace(b"pgw.example;1;2", b"pgw.example:1:2"), 5004,
     encode_avp("Session-Id", "pgw.example:1:2")),
    ("a context that is none", ccr().replace(b"32251@3gpp.org", b"32251+3gpp.org"), 5004,
     encode_avp("Service-Context-Id", "32251+3gpp.org")),
    ("another application than the header's", ccr(application=3), 5004,
     encode_avp(*GY)),
    # What is missing
    ("no Session-Id", ccr(without="Session-Id"), 5005, hexed("00000107 40000008")),
    ("no Origin-Host", ccr(without="Origin-Host"), 5005, hexed("00000108 40000009 00000000")),
    ("no Origin-Realm", ccr(without="Origin-Realm"), 5005, hexed("00000128 40000009 00000000")),
    ("no Destination-Realm", ccr(without="Destination-Realm"), 5005, hexed("0000011b 40000009 00000000")),
    ("no application", ccr(without="Auth-Application-Id"), 5005, hexed("00000102 4000000c 00000000")),
    ("no context", ccr(without="Service-Context-Id"), 5005, hexed("000001cd 40000008")),
    ("no request type", ccr(without="CC-Request-Type"), 5005, hexed("000001a0 4000000c 00000000")),
    ("no request number", ccr(without="CC-Request-Number"), 5005, hexed("0000019f 4000000c 00000000")),
    ("no address", request("CER", *origin("p"), ("Vendor-Id", 0), ("Product-Name", "x")), 5005,
     hexed("00000101 4000000e 0000000000000000")),
    ("no product", request("CER", *origin("p"), ("Host-IP-Address", "::1"), ("Vendor-Id", 0)), 5005,
     hexed("0000010d 00000008")),
    ("no cause", request("DPR", *origin("p")), 5005, hexed("00000111 4000000c 00000000")),
    ("nobody's DWR", request("DWR", ("Origin-Realm", "example")), 5005, zero("Origin-Host")),
    ("half a subscriber", ccr(("Subscription-Id", PHONE[:1])), 5005, hexed("000001bb 40000010 000001bc 40000008")),
    ("money without a value", ccr((USU, [("CC-Money", [])]), kind=2), 5005,
     group(USU, group("CC-Money", hexed("000001bd 40000018 000001bf 40000010 0000000000000000")))),
    ("a proxy without state", ccr(("Proxy-Info", [("Proxy-Host", "a")])), 5005,
     group("Proxy-Info", hexed("00000021 40000008"))),
    ("a Session-Id that isn't first", request("CCR", GY, *BEGIN[:4], *BEGIN[5:], ("CC-Request-Type", 1),
     application_id=4, flags=0xC0), 5005, hexed("00000107 40000008")),
    ("a VSAI without application", ccr(("Vendor-Specific-Application-Id", [("Vendor-Id", 10_415)])), 5005,
     zero("Auth-Application-Id") + zero("Acct-Application-Id")),
    ("a VSAI without vendor", cer("p", ("Vendor-Specific-Application-Id", [GY])), 5005,
     group("Vendor-Specific-Application-Id", zero("Vendor-Id"))),
    ("an event without action", ccr(kind=4), 5005, hexed("000001b4 4000000c 00000000")),
    ("several services, not announced", ccr(mscc((RSU, []))), 5005, hexed("000001c7 4000000c 00000000")),
    ("a first MSCC that asks nothing", ccr(SEVERAL, mscc((RSU, [])), mscc(("Rating-Group", 1))), 5005,
     hexed("000001c8 40000010 000001b5 40000008")),
    ("an empty extension", ccr(("Subscription-Id-Extension", [])), 5005,
     group("Subscription-Id-Extension", zero("Subscription-Id-E164"))),
    # What contradicts
    ("two applications", ccr(("Vendor-Specific-Application-Id", [("Vendor-Id", 10_415), ("Auth-Application-Id", 5)])),
     5007, encode_avp(*GY) + encode_avp("Vendor-Specific-Application-Id", [("Vendor-Id", 10_415),
                                                                            ("Auth-Application-Id", 5)])),
    ("services that can't be", ccr(mscc((RSU, [])), ("Multiple-Services-Indicator", 0)), 5007,
     encode_avp("Multiple-Services-Indicator", 0) + encode_avp(*mscc((RSU, [])))),
    ("octets", ccr(mscc((USU, [("CC-Total-Octets", 6), ("CC-Input-Octets", 2), ("CC-Output-Octets", 3)])), kind=2),
     5007,
     group(MSCC, (USU, [("CC-Total-Octets", 6), ("CC-Input-Octets", 2), ("CC-Output-Octets", 3)]))),
    ("octets of the command", ccr((USU, [("CC-Output-Octets", 3), ("CC-Total-Octets", 6), ("CC-Input-Octets", 2),
     ("CC-Time", 1)]), kind=2), 5007,
     group(USU, ("CC-Total-Octets", 6), ("CC-Input-Octets", 2), ("CC-Output-Octets", 3))),
    # What isn't allowed
    ("a result", ccr(("Result-Code", 2001)), 5008, hexed("0000010c 4000000c 000007d1")),
    ("units beside an MSCC", ccr(("Used-Service-Unit", []), ("Multiple-Services-Credit-Control", []), kind=2), 5008,
     hexed("000001be 40000008")),
    ("a grant", ccr(("Granted-Service-Unit", [])), 5008, hexed("000001af 40000008")),
    ("a validity", ccr(("Validity-Time", 1)), 5008, hexed("000001c0 4000000c 00000001")),
    ("an action outside of events", ccr(("Requested-Action", 0), kind=2), 5008, hexed("000001b4 4000000c 00000000")),
    ("a session of a CER", cer("p", GY, ("Session-Id", "p;1;2")), 5008, encode_avp("Session-Id", "p;1;2")),
    ("a destination of a DWR", request("DWR", *origin("p"), TO_US), 5008, encode_avp(*TO_US)),
    ("a state of a DPR", request("DPR", *origin("p"), ("Origin-State-Id", 1), ("Disconnect-Cause", 0)), 5008,
     hexed("00000116 4000000c 00000001")),
    ("a stranger in a closed group", ccr(("Subscription-Id", [*PHONE, ("User-Name", "x")])), 5008,
     group("Subscription-Id", ("User-Name", "x"))),
    ("two of an extension", ccr(("Subscription-Id-Extension", [("Subscription-Id-E164", "1"),
     ("Subscription-Id-IMSI", "2")])), 5008, group("Subscription-Id-Extension", ("Subscription-Id-IMSI", "2"))),
    # What is there too often
    ("two hosts", ccr(("Origin-Host", "other")), 5009, encode_avp("Origin-Host", "other")),
    ("the same twice", ccr(("CC-Request-Number", 0)), 5009, hexed("0000019f 4000000c 00000000")),
    ("two services", ccr(("Service-Information", []), ("Service-Information", [])), 5009, group("Service-Information")),
    ("two in a group", ccr(mscc((USU, [("CC-Time", 1), ("CC-Time", 2)])), kind=2), 5009,
     group(MSCC, (USU, [("CC-Time", 2)]))),
    ("two products", cer("p", GY, ("Product-Name", "y")), 5009, hexed("0000010d 00000009 79000000")),
    ("a VSAI of both kinds",
     ccr(("Vendor-Specific-Application-Id", [("Vendor-Id", 1), GY, ("Acct-Application-Id", 3)])),
     5009, encode_avp(*GY) + encode_avp("Acct-Application-Id", 3)),
    # Lengths
    ("a length", ccr(raw_avp(415, 0x40, bytes(8)), without="CC-Request-Number"), 5014, zero("CC-Request-Number")),
    ("an address of 3 bytes", cer("p", GY, raw_avp(257, 0x40, hexed("0001c00002"))), 5014,
     raw_avp(257, 0x40, hexed("0001c00002"))),
    # Where it went
    ("a loop", ccr(("Route-Record", "dra.example"), ("Route-Record", "OCS.mubss.example")), 3005,
     encode_avp("Route-Record", "OCS.mubss.example")),
]  # fmt: skip


@pytest.mark.conforms("RFC 6733 §3.2", "each rule of the grammars of commands and groups, to the byte of Failed-AVP")
@pytest.mark.parametrize(("what", "frame", "result_code", "failed_avp"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_isnt_right_is_told(what: str, frame: bytes, result_code: int, failed_avp: bytes) -> None:
    with pytest.raises(DiameterError) as caught:
        check_request(frame, OURS)
    assert (caught.value.result_code, caught.value.failed_avp.hex()) == (result_code, failed_avp.hex()), caught.value


@pytest.mark.conforms("RFC 6733 §7", "the first fault is the one that is answered")
def test_the_first_fault_counts() -> None:
    assert told(ccr(LOUD, flagged("User-Name", "x", 0))) == 5001
    assert told(ccr(flagged("User-Name", "x", 0), LOUD)) == 3009
    assert told(ccr(LOUD, without="Origin-Host")) == 5001, "what is there comes before what is missing"
    assert told(ccr(kind=4, without="Session-Id")) == 5005
    assert told(ccr(LOUD, flags=0xE0)) == 3008


def told(frame: bytes) -> int:
    with pytest.raises(DiameterError) as caught:
        check_request(frame, OURS)
    return caught.value.result_code


LETTER = {
    "cisco-pgw": 0,
    "ergw": 0,
    "kamailio": 3009,  # Session-Id without M
    "magma": 3009,  # 3GPP's AVPs without M
    "open5gs": 5008,  # Requested-Action in a session
    "python-diameter-sms": 0,
    "seagull": 5004,  # Session-Id ".;1096298391;1"
    "smsc": 5004,  # an address of family 8
    "xk6": 3009,  # no flags at all
}


@pytest.mark.parametrize(("client", "name"), [one for one in every() if one[1] != "cer" and one[0] in LETTER])
def test_which_clients_keep_to_the_letter(client: str, name: str) -> None:
    if LETTER[client]:
        assert told(load(client, name)) == LETTER[client]
    else:
        check_request(load(client, name), OURS)


@pytest.mark.conforms("RFC 6733 §5.3.1", "every client's CER keeps to its grammar")
@pytest.mark.parametrize("client", sorted({client for client, name in every() if name == "cer"}))
def test_every_clients_cer_keeps_to_it(client: str) -> None:
    check_request(load(client, "cer"), OURS)


# ── answers ────────────────────────────────────────────────────────────────────────────────────────

US = Identity(OURS, "mubss.example", 7)
CC = [GY, ("CC-Request-Type", 1), ("CC-Request-Number", 0)]


def cca(*more: Part, result_code: int = 2001, flags: int = PROXIABLE) -> bytes:
    parts: list[Part] = [BEGIN[0], ("Result-Code", result_code), *origin(OURS), *CC, *more]
    return encode_message(272, flags, 4, 1, 1, parts)


@pytest.mark.conforms("RFC 6733 §6.2", "answers that keep to their grammar")
@pytest.mark.parametrize(
    "frame",
    [
        cca(),
        cca(mscc(("Granted-Service-Unit", [("CC-Total-Octets", 1)]), ("Result-Code", 2001)), ("Validity-Time", 1)),
        cca(result_code=3004, flags=PROXIABLE | ERROR),
        cca(("Failed-AVP", [LOUD, flagged("User-Name", "x", 0x50)]), result_code=5001),
        encode_message(999, ERROR, 0, 1, 1, [("Result-Code", 3001), *origin(OURS)]),
        encode_message(999, 0, 0, 1, 1, [("Result-Code", 5012), *origin(OURS)]),
        decode_message(dwr()).answer(2001, US),
        decode_message(FINE["a DPR"]).answer(2001, US),
        decode_message(FINE["an RAR"]).answer(2002, US),
    ],
    ids=range(9),
)
def test_answers_that_are_right(frame: bytes) -> None:
    check_answer(frame)


@pytest.mark.conforms("RFC 6733 §6.2", "answers that don't are noticed")
@pytest.mark.parametrize(
    ("frame", "result_code"),
    [
        (cca(flags=PROXIABLE | ERROR), 3008),
        (cca(result_code=3004), 3008),
        (cca(result_code=5012, flags=ERROR), 3008),
        (cca(flags=PROXIABLE | RETRANSMITTED), 3008),
        (ccr(), 3008),
        (cca(TO_US), 5008),
        (cca(("Result-Code", 2001)), 5009),
        (encode_message(272, 0, 4, 1, 1, [("Result-Code", 2001), *origin(OURS), *CC]), 5005),
        (encode_message(272, 0, 4, 1, 1, [("Result-Code", 2001), BEGIN[0], *origin(OURS), *CC]), 5005),
        (encode_message(272, ERROR, 4, 1, 1, [("Result-Code", 3001), BEGIN[0], *origin(OURS)]), 5005),
        (encode_message(282, 0, 0, 1, 1, [("Result-Code", 2001), *origin(OURS), ("Origin-State-Id", 1)]), 5008),
        (encode_message(257, 0, 0, 1, 1, [("Result-Code", 5010), *origin(OURS)]), 5005),
    ],
)
def test_answers_that_arent(frame: bytes, result_code: int) -> None:
    with pytest.raises(DiameterError) as caught:
        check_answer(frame)
    assert caught.value.result_code == result_code, caught.value


# ── the notation ───────────────────────────────────────────────────────────────────────────────────


def test_the_notation() -> None:
    grammar = parse("<Session-Id> {Origin-Host} [User-Name] *[Class] 1*{Host-IP-Address} 0*1<Proxy-Host> *3[Filter-Id]")
    found = [(rule.least, rule.most, rule.is_first) for rule in grammar.rules.values()]
    assert found == [
        (1, 1, True),
        (1, 1, False),
        (0, 1, False),
        (0, None, False),
        (1, None, False),
        (0, 1, True),
        (0, 3, False),
    ]
    assert not grammar.is_open
    assert parse("*[AVP]").is_open
    with pytest.raises(ValueError, match="no AVP is named 'Sesion-Id'"):
        parse("{Sesion-Id}")
    with pytest.raises(ValueError, match="no AVP is named 'Clas'"):
        parse("*[AVP]", "Class Clas")


@pytest.mark.conforms("RFC 6733 §7.5", "Failed-AVP beside 5005 has an example of what is missing")
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_an_example_of_each_avp_can_be_read(name: str) -> None:
    """What stands in Failed-AVP beside 5005; a DiameterIdentity or Address of zeros is none, but long enough."""
    made = example(name)
    assert len(made) % 4 == 0
    frame = encode_message(999, 0, 0, 1, 1, [made])
    if BY_NAME[name].type.value == "Address" or name.endswith("IPAddress"):
        with pytest.raises(DiameterError, match="5004"):
            decode_message(frame)
    else:
        assert [node.name for node in decode_message(frame).avps] == [name]
