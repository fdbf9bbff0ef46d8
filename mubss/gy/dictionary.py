"""The wire dictionary: every AVP, command, application and Result-Code that this system knows, as data.

A new AVP is one row in `dictionary_base` or `dictionary_3gpp`; two rows of one code, or of one name, are
refused at import.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from mubss.gy.dictionary_3gpp import CHARGING, PACKET_DATA, POLICY
from mubss.gy.dictionary_base import BASE, CREDIT_CONTROL, NETWORK_ACCESS, Row
from mubss.gy.dictionary_values import ENUMERATIONS, RESULT_CODES

IETF = 0
VENDOR_3GPP = 10415

FLAG_V, FLAG_M = 0x80, 0x40
"""AVP flags (RFC 6733 §4.1)."""


class Type(Enum):
    """The data formats of RFC 6733 §4.2 and §4.3 that are used here; Float32 and Float64 are not."""

    OCTET_STRING = "OctetString"
    UTF8_STRING = "UTF8String"
    DIAMETER_IDENTITY = "DiameterIdentity"
    DIAMETER_URI = "DiameterURI"
    UNSIGNED32 = "Unsigned32"
    UNSIGNED64 = "Unsigned64"
    INTEGER32 = "Integer32"
    INTEGER64 = "Integer64"
    ENUMERATED = "Enumerated"
    TIME = "Time"
    ADDRESS = "Address"
    IP_FILTER_RULE = "IPFilterRule"
    GROUPED = "Grouped"


class Must(Enum):
    """What a standard says of the M flag; MAY is sent without it."""

    MUST = "must"
    MAY = "may"
    MUST_NOT = "mustnot"


class Definition(NamedTuple):
    """One AVP of the dictionary; `flags` are those it is sent with."""

    code: int
    vendor_id: int
    name: str
    type: Type
    mandatory: Must
    flags: int


_LENGTHS = {
    Type.UNSIGNED32: 4,
    Type.INTEGER32: 4,
    Type.ENUMERATED: 4,
    Type.TIME: 4,
    Type.UNSIGNED64: 8,
    Type.INTEGER64: 8,
}


def data_length(type_: Type) -> int | None:
    """Octets of data that every AVP of this type has, None where the length varies."""
    return _LENGTHS.get(type_)


_LEAST = {Type.ADDRESS: 6, Type.DIAMETER_IDENTITY: 1, Type.DIAMETER_URI: 7}  # an IPv4 one, "x", "aaa://x"


def least_length(type_: Type) -> int:
    """The fewest octets of data that an AVP of this type can have: of zeros they stand for one that is missing."""
    return _LENGTHS.get(type_) or _LEAST.get(type_, 0)


def _load(
    tables: Iterable[tuple[int, tuple[Row, ...]]],
) -> tuple[dict[tuple[int, int], Definition], dict[str, Definition]]:
    by_code: dict[tuple[int, int], Definition] = {}
    by_name: dict[str, Definition] = {}
    for vendor_id, rows in tables:
        for code, name, type_name, rule in rows:
            flags = (FLAG_V if vendor_id else 0) | (FLAG_M if rule == "must" else 0)
            definition = Definition(code, vendor_id, name, Type(type_name), Must(rule), flags)
            if (vendor_id, code) in by_code or name in by_name:
                raise ValueError(f"dictionary: AVP {code} ({name}) of vendor {vendor_id} is there twice")
            by_code[vendor_id, code] = by_name[name] = definition
    return by_code, by_name


BY_CODE, BY_NAME = _load(
    [
        (IETF, BASE),
        (IETF, NETWORK_ACCESS),
        (IETF, CREDIT_CONTROL),
        (VENDOR_3GPP, PACKET_DATA),
        (VENDOR_3GPP, POLICY),
        (VENDOR_3GPP, CHARGING),
    ]
)
"""Definitions by (Vendor-Id or 0, code), and by name."""

ANY_SIZE = 0


def sizes(vendor_id: int) -> dict[int, int]:
    """For each AVP of a vendor the octets that it has with its header, or ANY_SIZE, by code.

    For the hot path, where making a key of two numbers and hashing a Type are too slow.
    """
    head = 12 if vendor_id else 8
    found: dict[int, int] = {}
    for (vendor, code), definition in BY_CODE.items():
        if vendor == vendor_id:
            length = data_length(definition.type)
            found[code] = ANY_SIZE if length is None else head + length
    return found


class Command(NamedTuple):
    """One command: requests are `short` + "R", answers `short` + "A"; `proxiable` ones are sent with the P flag."""

    code: int
    short: str
    name: str
    proxiable: bool


COMMANDS = (
    Command(257, "CE", "Capabilities-Exchange", False),
    Command(258, "RA", "Re-Auth", True),
    Command(271, "AC", "Accounting", True),
    Command(272, "CC", "Credit-Control", True),
    Command(274, "AS", "Abort-Session", True),
    Command(275, "ST", "Session-Termination", True),
    Command(280, "DW", "Device-Watchdog", False),
    Command(282, "DP", "Disconnect-Peer", False),
)
"""RFC 6733 §3.1 and RFC 8506 §3. ACR and STR are known so that logs can name them; they get 3007 and 3001."""

COMMAND_BY_SHORT = {command.short: command for command in COMMANDS}
COMMAND_BY_CODE = {command.code: command for command in COMMANDS}


def command_name(code: int, is_request: bool) -> str:
    """CCR, CCA and so on; for an unknown one its code."""
    command = COMMAND_BY_CODE.get(code)
    return f"{code}" if command is None else command.short + ("R" if is_request else "A")


APPLICATIONS = {
    0: "Diameter common messages",
    1: "NASREQ",
    3: "Diameter base accounting",
    4: "Diameter Credit-Control",
    0xFFFFFFFF: "Relay",
}
"""Application-Ids (RFC 6733 §2.4, RFC 8506 §1.3)."""

CREDIT_CONTROL_APPLICATION = 4
RELAY_APPLICATION = 0xFFFFFFFF


def _unique(what: str, rows: Iterable[tuple[int, str]]) -> dict[int, str]:
    named: dict[int, str] = {}
    for number, name in rows:
        if number in named or name in named.values():
            raise ValueError(f"dictionary: {number} ({name}) of {what} is there twice")
        named[number] = name
    return named


RESULT_CODE_NAMES = _unique("Result-Code", RESULT_CODES)
"""RFC 6733 §7.1 and RFC 8506 §9, by code."""

ENUMERATION_NAMES = {avp: _unique(avp, values) for avp, values in ENUMERATIONS}
"""For each Enumerated AVP whose values are known: name by value."""


def value_name(avp_name: str, value: int) -> str:
    """The name of a Result-Code's or Enumerated AVP's value; "" where it has none."""
    if avp_name in ("Result-Code", "Experimental-Result-Code"):
        return RESULT_CODE_NAMES.get(value, "")
    return ENUMERATION_NAMES.get(avp_name, {}).get(value, "")
