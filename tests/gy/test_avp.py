"""AVPs byte by byte: RFC 6733's formats, and what is answered to lengths and values that are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.gy.avp import (
    MAX_AVPS,
    MAX_DEPTH,
    NO_VENDOR,
    DiameterError,
    Node,
    decode_tree,
    encode_avp,
    encode_nodes,
    missing_avp,
    raw_avp,
    time_from_ntp,
    time_to_ntp,
)
from mubss.gy.dictionary import BY_NAME, Type

# (name, value, bytes)
ENCODINGS: list[tuple[str, Any, str]] = [
    ("CC-Request-Number", 1, "0000019f 4000000c 00000001"),
    ("CC-Total-Octets", 2**40, "000001a5 40000010 0000010000000000"),
    ("Value-Digits", -5, "000001bf 40000010 fffffffffffffffb"),
    ("Exponent", -2, "000001ad 4000000c fffffffe"),
    ("CC-Request-Type", 4, "000001a0 4000000c 00000004"),
    ("Session-Id", "a", "00000107 40000009 61000000"),
    ("Session-Id", "abcd", "00000107 4000000c 61626364"),
    ("Subscription-Id-Data", "µ", "000001bc 4000000a c2b50000"),
    ("Error-Message", "no", "00000119 0000000a 6e6f0000"),
    ("Event-Timestamp", 0, "00000037 4000000c 83aa7e80"),
    ("Event-Timestamp", 2_085_978_496, "00000037 4000000c 00000000"),  # 2036-02-07T06:28:16Z, NTP's next era
    ("Host-IP-Address", "192.0.2.1", "00000101 4000000e 0001c00002010000"),
    ("Host-IP-Address", "2001:db8::1", "00000101 4000001a 0002 20010db8000000000000000000000001 0000"),
    ("SMSC-Address", "4917", "000007e1 c0000012 000028af 0008 34393137 0000"),
    ("SMSC-Address", "+49", "000007e1 c0000011 000028af 0008 2b3439 000000"),
    ("3GPP-RAT-Type", b"\6", "00000015 8000000d 000028af 06000000"),
    ("Reporting-Reason", 2, "00000368 c0000010 000028af 00000002"),
    ("Requested-Service-Unit", [], "000001b5 40000008"),
    ("Restriction-Filter-Rule", "permit", "000001b6 4000000e 7065726d69740000"),
    (
        "Subscription-Id",
        [("Subscription-Id-Type", 1), ("Subscription-Id-Data", "99")],
        "000001bb 40000020 000001c2 4000000c 00000001 000001bc 4000000a 39390000",
    ),
]


@pytest.mark.conforms("RFC 6733 §4.2", "every AVP data format has the bytes of the RFC")
@pytest.mark.conforms("RFC 6733 §4.3", "Address, Time, UTF8String, DiameterIdentity and Enumerated too")
@pytest.mark.parametrize(("name", "value", "wire"), ENCODINGS)
def test_encodings(name: str, value: Any, wire: str) -> None:
    expected = bytes.fromhex(wire)
    assert encode_avp(name, value) == expected
    (node,) = decode_tree(expected)
    assert node.definition is BY_NAME[name]
    assert encode_nodes([node]) == expected
    if node.definition.type is not Type.GROUPED:
        assert node.value == value


@pytest.mark.conforms("RFC 6733 §4.4.1", "the RFC's example of a Grouped AVP comes out to the byte")
def test_the_grouped_example_of_rfc_6733() -> None:
    """RFC 6733 §4.4.1: lengths and places of its first AVPs, in a group of another code."""
    session_ids = ["grump.example.com:33041;23432;893;0AF3B81", "grump.example.com:33054;23561;2358;0AF3B82"]
    avp = encode_avp("Failed-AVP", [("Origin-Host", "example.com"), *(("Session-Id", text) for text in session_ids)])
    assert avp[8:16] == bytes.fromhex("0000010840000013")  # Origin-Host, length 19
    assert avp[27:28] == b"\0"
    assert avp[28:36] == bytes.fromhex("0000010740000031")  # Session-Id, length 49
    assert avp[36:77] == session_ids[0].encode()
    assert avp[77:80] == b"\0\0\0"
    assert avp[80:88] == bytes.fromhex("0000010740000032")  # Session-Id, length 50
    assert int.from_bytes(avp[5:8], "big") == len(avp) == 132


@pytest.mark.conforms("RFC 6733 §4.1", "V goes with a Vendor-Id, M as asked")
def test_flags_other_than_the_dictionarys() -> None:
    assert encode_avp("Session-Id", "a", flags=0)[4] == 0
    assert encode_avp("Reporting-Reason", 1, flags=0)[4] == 0x80  # a Vendor-Id needs its flag


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("CC-Request-Number", -1, "CC-Request-Number: -1 is no Unsigned32"),
        ("CC-Request-Number", 2**32, "is no Unsigned32"),
        ("CC-Request-Number", "1", "is no Unsigned32"),
        ("CC-Total-Octets", 2**64, "is no Unsigned64"),
        ("Session-Id", 5, "is no UTF8String"),
        ("3GPP-RAT-Type", "6", "is no OctetString"),
        ("Subscription-Id", 5, "is no Grouped"),
        ("Host-IP-Address", "here", "does not appear to be an IPv4 or IPv6 address"),
        ("Event-Timestamp", 2**32 + 2_085_978_496, "a Time AVP holds 1968-01-20 to 2104-02-26 only"),
    ],
)
def test_values_that_a_type_cant_hold(name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode_avp(name, value)


# (what, bytes, Result-Code, Failed-AVP's content)
FAULTS = [
    ("a header cut", "0000019f 4000", 5014, "0000019f 4000000c 00000000"),
    ("length below the header's", "0000019f 40000007 00000001", 5014, "0000019f 4000000c 00000000"),
    ("length 0", "00000107 40000000", 5014, "00000107 40000008"),
    ("length beyond the end", "0000019f 40000010 00000001", 5014, "0000019f 4000000c 00000000"),
    ("a vendor's, its header cut", "00000368 c0000010 0000", 5014, "00000368 c000000c 00000000"),
    ("a vendor's length below its header's", "00000368 c000000b 000028af", 5014, "00000368 c0000010 000028af 00000000"),
    ("4 bytes where 8 belong", "000001a5 4000000c 00000001", 5014, "000001a5 40000010 0000000000000000"),
    ("8 bytes where 4 belong", "0000019f 40000010 0000000000000001", 5014, "0000019f 4000000c 00000000"),
    ("an unknown one beyond the end", "0000ffff 40000010 00000001", 5014, "0000ffff 40000008"),
    ("padding left out", "00000107 40000009 61", 5014, "00000107 40000008"),
    (
        "a group's last beyond its end",
        "000001bb 40000010 000001c2 4000000c 00000000",
        5014,
        "000001c2 4000000c 00000000",
    ),
    ("a group that is cut", "000001bb 40000020 000001c2 4000000c 00000000", 5014, "000001bb 40000008"),
    ("no UTF-8", "00000107 40000009 ff000000", 5004, "00000107 40000009 ff000000"),
    ("an address without family", "00000101 40000009 00000000", 5014, "00000101 40000009 00000000"),
    ("an IPv4 address of 3 bytes", "00000101 4000000d 0001c00002000000", 5014, "00000101 4000000d 0001c00002000000"),
    ("an unknown family", "00000101 4000000b 00ff0100", 5004, "00000101 4000000b 00ff0100"),
    ("letters in E.164", "00000101 4000000b 00086100", 5004, "00000101 4000000b 00086100"),
]


@pytest.mark.conforms("RFC 6733 §7.1.5", "5014 for a length, 5004 for a value that a type can't have, in Failed-AVP")
@pytest.mark.parametrize(("what", "wire", "code", "failed"), FAULTS)
def test_faults(what: str, wire: str, code: int, failed: str) -> None:
    with pytest.raises(DiameterError) as caught:
        decode_tree(bytes.fromhex(wire))
    assert (caught.value.result_code, caught.value.failed_avp.hex()) == (code, bytes.fromhex(failed).hex()), what


@pytest.mark.conforms("RFC 6733 §7.5", "Failed-AVP holds the AVP at fault, not its neighbour")
def test_a_fault_in_the_second_avp_names_that_one() -> None:
    data = encode_avp("CC-Request-Number", 1) + bytes.fromhex("000001a0 4000000b 00000001")
    with pytest.raises(DiameterError, match="CC-Request-Type at byte 12: 3 bytes where Enumerated has 4") as caught:
        decode_tree(data)
    assert caught.value.failed_avp == encode_avp("CC-Request-Type", 0)


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = raw_avp(279, 0x40, data)
    return data


@pytest.mark.conforms("RFC 6733 §7.1.5", "5012 for groups within groups beyond all reason")
def test_depth_is_bounded() -> None:
    assert len(decode_tree(nested(MAX_DEPTH - 1))) == 1
    with pytest.raises(DiameterError) as caught:
        decode_tree(nested(MAX_DEPTH))
    assert caught.value.result_code == 5012


def test_the_number_of_avps_is_bounded() -> None:
    one = raw_avp(33, 0, b"")
    assert len(decode_tree(one * MAX_AVPS)) == MAX_AVPS
    with pytest.raises(DiameterError) as caught:
        decode_tree(one * (MAX_AVPS + 1))
    assert caught.value.result_code == 5012
    with pytest.raises(DiameterError):
        decode_tree(raw_avp(279, 0, one * MAX_AVPS))  # the group counts too


def test_unknown_avps_stay_bytes() -> None:
    wire = raw_avp(60_000, 0x40, b"abc") + raw_avp(5, 0, b"x", 9)
    wire += bytes.fromhex("00000107 c000000d 00000000 61000000")  # Session-Id's code of vendor 0, who doesn't exist
    assert decode_tree(wire) == [
        Node(None, 60_000, 0, 0x40, b"abc"),
        Node(None, 5, 9, 0x80, b"x"),
        Node(None, 263, NO_VENDOR, 0xC0, b"a"),
    ]
    assert [node.name for node in decode_tree(wire)] == ["AVP-60000", "AVP-5v9", "AVP-263v0"]
    assert encode_nodes(decode_tree(wire)) == wire


@pytest.mark.conforms("RFC 6733 §7.5", "what is missing stands in Failed-AVP at its smallest, of zeros")
@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Session-Id", "00000107 40000008"),
        ("CC-Request-Number", "0000019f 4000000c 00000000"),
        ("CC-Total-Octets", "000001a5 40000010 0000000000000000"),
        ("Reporting-Reason", "00000368 c0000010 000028af 00000000"),
        ("Host-IP-Address", "00000101 4000000e 0000000000000000"),
        ("Subscription-Id", "000001bb 40000008"),
    ],
)
def test_missing_avp_is_the_smallest(name: str, wire: str) -> None:
    assert missing_avp(name) == bytes.fromhex(wire)


@pytest.mark.conforms("RFC 6733 §4.3.1", "Time goes on after 2036")
@given(st.integers(-61_505_152, 4_233_462_143))  # 1968-01-20T03:14:08Z to 2104-02-26T09:42:23Z
def test_time_over_both_eras(unix_s: int) -> None:
    assert time_from_ntp(time_to_ntp(unix_s)) == unix_s


@pytest.mark.parametrize("unix_s", [-61_505_153, 4_233_462_144])
def test_times_that_no_era_has(unix_s: int) -> None:
    with pytest.raises(ValueError, match="1968-01-20 to 2104-02-26"):
        time_to_ntp(unix_s)


VALUES = {
    Type.OCTET_STRING: st.binary(max_size=40),
    Type.UTF8_STRING: st.text(max_size=20),
    Type.DIAMETER_IDENTITY: st.text(max_size=20),
    Type.DIAMETER_URI: st.text(max_size=20),
    Type.IP_FILTER_RULE: st.text(max_size=20),
    Type.UNSIGNED32: st.integers(0, 2**32 - 1),
    Type.UNSIGNED64: st.integers(0, 2**64 - 1),
    Type.INTEGER32: st.integers(-(2**31), 2**31 - 1),
    Type.ENUMERATED: st.integers(-(2**31), 2**31 - 1),
    Type.INTEGER64: st.integers(-(2**63), 2**63 - 1),
    Type.TIME: st.integers(-61_505_152, 4_233_462_143),
    Type.ADDRESS: st.one_of(
        st.ip_addresses().map(str), st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True, alphabet="+0123456789")
    ),
}
LEAVES = st.sampled_from([one for one in BY_NAME.values() if one.type is not Type.GROUPED])
GROUPS = st.sampled_from([one for one in BY_NAME.values() if one.type is Type.GROUPED])
LEAF_NODES = LEAVES.flatmap(lambda one: VALUES[one.type].map(lambda value: (one.name, value)))
TREES = st.recursive(LEAF_NODES, lambda parts: st.tuples(GROUPS.map(lambda one: one.name), st.lists(parts, max_size=4)))


def plain(nodes: list[Node]) -> list[Any]:
    return [(node.name, plain(node.value) if isinstance(node.value, list) else node.value) for node in nodes]


@pytest.mark.conforms("RFC 6733 §4", "any tree of AVPs is read as it was written")
@given(st.lists(TREES, max_size=5))
def test_any_tree_comes_back(parts: list[tuple[str, Any]]) -> None:
    wire = b"".join(encode_avp(*part) for part in parts)
    assert plain(decode_tree(wire)) == parts
    assert encode_nodes(decode_tree(wire)) == wire


@pytest.mark.conforms("RFC 6733 §7.5", "an answer is read whatever its Failed-AVP holds")
def test_what_failed_is_read_as_it_came() -> None:
    for wrong in (raw_avp(264, 0x40, b"\xff"), raw_avp(415, 0x40, b""), raw_avp(443, 0x40, raw_avp(450, 0x40, b"1"))):
        [node] = decode_tree(encode_avp("Failed-AVP", [wrong]))
        assert encode_nodes([node]) == encode_avp("Failed-AVP", [wrong])
    with pytest.raises(DiameterError, match="5014"):
        decode_tree(encode_avp("Failed-AVP", [b"\0\0\1\7\x40\0\0\xff"]))
