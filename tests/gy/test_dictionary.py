"""The dictionary against the standards' own numbers: a wrong row is a wire that nobody understands."""

from __future__ import annotations

import pytest

from mubss.gy import dictionary
from mubss.gy.dictionary import BY_CODE, BY_NAME, Must, Type, command_name, sizes, value_name

# (name, code, vendor, type, M): RFC 6733 §4.5, RFC 8506 §8, TS 32.299 §7.2, TS 29.061 §16.4.7
KNOWN = [
    ("Session-Id", 263, 0, Type.UTF8_STRING, Must.MUST),
    ("Origin-Host", 264, 0, Type.DIAMETER_IDENTITY, Must.MUST),
    ("Result-Code", 268, 0, Type.UNSIGNED32, Must.MUST),
    ("Product-Name", 269, 0, Type.UTF8_STRING, Must.MUST_NOT),
    ("Firmware-Revision", 267, 0, Type.UNSIGNED32, Must.MUST_NOT),
    ("Error-Message", 281, 0, Type.UTF8_STRING, Must.MUST_NOT),
    ("Event-Timestamp", 55, 0, Type.TIME, Must.MUST),
    ("Host-IP-Address", 257, 0, Type.ADDRESS, Must.MUST),
    ("Called-Station-Id", 30, 0, Type.UTF8_STRING, Must.MUST),
    ("CC-Correlation-Id", 411, 0, Type.OCTET_STRING, Must.MAY),
    ("CC-Request-Number", 415, 0, Type.UNSIGNED32, Must.MUST),
    ("CC-Request-Type", 416, 0, Type.ENUMERATED, Must.MUST),
    ("CC-Service-Specific-Units", 417, 0, Type.UNSIGNED64, Must.MUST),
    ("CC-Time", 420, 0, Type.UNSIGNED32, Must.MUST),
    ("CC-Total-Octets", 421, 0, Type.UNSIGNED64, Must.MUST),
    ("Value-Digits", 447, 0, Type.INTEGER64, Must.MUST),
    ("Exponent", 429, 0, Type.INTEGER32, Must.MUST),
    ("Tariff-Time-Change", 451, 0, Type.TIME, Must.MUST),
    ("Restriction-Filter-Rule", 438, 0, Type.IP_FILTER_RULE, Must.MUST),
    ("User-Equipment-Info", 458, 0, Type.GROUPED, Must.MAY),
    ("Service-Context-Id", 461, 0, Type.UTF8_STRING, Must.MUST),
    ("Subscription-Id-Extension", 659, 0, Type.GROUPED, Must.MAY),
    ("QoS-Final-Unit-Indication", 669, 0, Type.GROUPED, Must.MAY),
    ("3GPP-Charging-Id", 2, 10415, Type.UNSIGNED32, Must.MAY),
    ("3GPP-User-Location-Info", 22, 10415, Type.OCTET_STRING, Must.MAY),
    ("Role-Of-Node", 829, 10415, Type.ENUMERATED, Must.MUST),
    ("Called-Party-Address", 832, 10415, Type.UTF8_STRING, Must.MUST),
    ("GGSN-Address", 847, 10415, Type.ADDRESS, Must.MUST),
    ("Time-Quota-Threshold", 868, 10415, Type.UNSIGNED32, Must.MUST),
    ("Volume-Quota-Threshold", 869, 10415, Type.UNSIGNED32, Must.MUST),
    ("Quota-Holding-Time", 871, 10415, Type.UNSIGNED32, Must.MUST),
    ("Reporting-Reason", 872, 10415, Type.ENUMERATED, Must.MUST),
    ("Service-Information", 873, 10415, Type.GROUPED, Must.MUST),
    ("Address-Data", 897, 10415, Type.UTF8_STRING, Must.MUST),
    ("Recipient-Address", 1201, 10415, Type.GROUPED, Must.MUST),
    ("Unit-Quota-Threshold", 1226, 10415, Type.UNSIGNED32, Must.MUST),
    ("Recipient-Info", 2026, 10415, Type.GROUPED, Must.MUST),
    ("AoC-Request-Type", 2055, 10415, Type.ENUMERATED, Must.MUST),
]


@pytest.mark.conforms("RFC 6733 §4.5", "codes, types and M flags of the base's AVPs")
@pytest.mark.conforms("RFC 8506 §8", "codes, types and M flags of credit control's")
@pytest.mark.conforms("TS 32.299 §7.1", "codes, types, vendor and M flags of 3GPP's")
@pytest.mark.parametrize(("name", "code", "vendor_id", "type_", "must"), KNOWN)
def test_row(name: str, code: int, vendor_id: int, type_: Type, must: Must) -> None:
    definition = BY_NAME[name]
    assert (definition.code, definition.vendor_id, definition.type, definition.mandatory) == (
        code,
        vendor_id,
        type_,
        must,
    )
    assert definition.flags == (0x80 if vendor_id else 0) | (0x40 if must is Must.MUST else 0)
    assert BY_CODE[vendor_id, code] is definition


@pytest.mark.conforms("RFC 8506 §8", "no AVP of credit control is unknown")
def test_all_of_credit_control_is_there() -> None:
    missing = [code for code in [*range(411, 462), *range(653, 670)] if (0, code) not in BY_CODE]
    assert missing == []


def test_two_rows_of_one_code_or_name_are_refused() -> None:
    row = (1, "One", "Unsigned32", "must")
    with pytest.raises(ValueError, match=r"AVP 1 \(Other\) of vendor 0 is there twice"):
        dictionary._load([(0, (row, (1, "Other", "Unsigned32", "must")))])
    with pytest.raises(ValueError, match=r"AVP 2 \(One\) of vendor 0 is there twice"):
        dictionary._load([(0, (row, (2, "One", "Unsigned32", "must")))])
    with pytest.raises(ValueError, match=r"5 \(B\) of X is there twice"):
        dictionary._unique("X", [(5, "A"), (5, "B")])


def test_every_enumeration_is_of_an_enumerated_avp() -> None:
    wrong = [name for name in dictionary.ENUMERATION_NAMES if BY_NAME[name].type is not Type.ENUMERATED]
    assert wrong == []


@pytest.mark.parametrize(
    ("avp", "value", "name"),
    [
        ("Result-Code", 2001, "DIAMETER_SUCCESS"),
        ("Result-Code", 3004, "DIAMETER_TOO_BUSY"),
        ("Result-Code", 4012, "DIAMETER_CREDIT_LIMIT_REACHED"),
        ("Result-Code", 5031, "DIAMETER_RATING_FAILED"),
        ("CC-Request-Type", 4, "EVENT_REQUEST"),
        ("Reporting-Reason", 4, "VALIDITY_TIME"),
        ("Requested-Action", 3, "PRICE_ENQUIRY"),
        ("Result-Code", 1, ""),
        ("Session-Id", 1, ""),
    ],
)
def test_value_name(avp: str, value: int, name: str) -> None:
    assert value_name(avp, value) == name


@pytest.mark.conforms("RFC 6733 §3.1", "commands and their codes")
def test_command_names() -> None:
    names = [(257, "CER", "CEA"), (258, "RAR", "RAA"), (272, "CCR", "CCA"), (274, "ASR", "ASA"), (280, "DWR", "DWA")]
    assert [(code, command_name(code, True), command_name(code, False)) for code, _, _ in names] == names
    assert command_name(999, True) == "999"


def test_sizes_include_the_header() -> None:
    assert {code: sizes(0)[code] for code in (415, 421, 263)} == {415: 12, 421: 16, 263: dictionary.ANY_SIZE}
    assert {code: sizes(10415)[code] for code in (872, 873)} == {872: 16, 873: dictionary.ANY_SIZE}
