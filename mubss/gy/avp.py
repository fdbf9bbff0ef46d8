"""AVPs to and from bytes (RFC 6733 §4): typed values by name, and any tree of them for printing.

    encode_avp("Subscription-Id", [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "999700000001")])
    decode_tree(data) -> [Node(definition, code, vendor_id, flags, value), …]; a group's value is its nodes

Values: Unsigned/Integer/Enumerated int, Time int (unix seconds), UTF8String, DiameterIdentity, DiameterURI and
IPFilterRule str, OctetString bytes, Address str ("192.0.2.1", "2001:db8::1", or digits for E.164), Grouped a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from mubss.core.errors import MubssError
from mubss.gy.dictionary import BY_CODE, BY_NAME, FLAG_V, Definition, Type, data_length, least_length

MAX_DEPTH = 12
"""Levels of AVPs in one tree; the deepest that TS 32.299 has is six."""
MAX_AVPS = 4096
"""AVPs of one tree, all levels together."""

ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_E164 = 1, 2, 8
"""AddressType (RFC 6733 §4.3.1, IANA's address family numbers); SMS centres send E.164 ones."""

_ADDRESS_LENGTHS = {ADDRESS_IPV4: 6, ADDRESS_IPV6: 18}

NTP_UNIX_OFFSET_S = 2_208_988_800
"""From 1900-01-01, where NTP counts from, to 1970-01-01."""

NO_VENDOR = -1
"""Where the V flag is set and the Vendor-Id is 0."""

_HEAD = Struct(">II")
_HEAD_VENDOR = Struct(">III")
_PACK = {
    Type.UNSIGNED32: Struct(">I"),
    Type.INTEGER32: Struct(">i"),
    Type.ENUMERATED: Struct(">i"),
    Type.UNSIGNED64: Struct(">Q"),
    Type.INTEGER64: Struct(">q"),
}
_TEXT = {Type.UTF8_STRING, Type.DIAMETER_IDENTITY, Type.DIAMETER_URI, Type.IP_FILTER_RULE}
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class DiameterError(MubssError):
    """What is wrong with a message, in the wire's words: a Result-Code (RFC 6733 §7.1) and the AVPs at fault.

    `failed_avp` is the content of a Failed-AVP: whole AVPs, padded, or nothing.
    """

    def __init__(self, result_code: int, text: str, failed_avp: bytes = b"") -> None:
        super().__init__(f"{result_code}: {text}")
        self.result_code = result_code
        self.text = text
        self.failed_avp = failed_avp


class Node(NamedTuple):
    """One AVP of a decoded tree; `definition` is None where the dictionary lacks it and `value` then its bytes."""

    definition: Definition | None
    code: int
    vendor_id: int
    flags: int
    value: Any

    @property
    def name(self) -> str:
        if self.definition is not None:
            return self.definition.name
        return f"AVP-{self.code}" + (f"v{max(self.vendor_id, 0)}" if self.vendor_id else "")


def time_from_ntp(seconds: int) -> int:
    """Unix seconds of a Time AVP's 32 bits; below 2^31 they are of the era that begins in 2036 (RFC 6733 §4.3.1)."""
    return seconds - NTP_UNIX_OFFSET_S + (0 if seconds & 0x80000000 else 1 << 32)


def time_to_ntp(unix_s: int) -> int:
    """The 32 bits of a Time AVP: from 1968-01-20T03:14:08Z to 2104-02-26T09:42:23Z, ValueError outside."""
    seconds = unix_s + NTP_UNIX_OFFSET_S
    if not 0x80000000 <= seconds < (1 << 32) + 0x80000000:
        raise ValueError(f"time {unix_s}: a Time AVP holds 1968-01-20 to 2104-02-26 only")
    return seconds & 0xFFFFFFFF


def raw_avp(code: int, flags: int, data: bytes, vendor_id: int = 0) -> bytes:
    """One AVP with its padding; the V flag and Vendor-Id are sent where either is there."""
    if vendor_id or flags & FLAG_V:
        length = 12 + len(data)
        return _HEAD_VENDOR.pack(code, (flags | FLAG_V) << 24 | length, max(vendor_id, 0)) + data + _PADDING[length & 3]
    length = 8 + len(data)
    return _HEAD.pack(code, flags << 24 | length) + data + _PADDING[length & 3]


def encode_avp(name: str, value: Any, *, flags: int | None = None) -> bytes:
    """One AVP of the dictionary with its padding; a group's value is a list of (name, value) or of encoded AVPs.

    `flags` other than the dictionary's are for playing clients that set them so. KeyError for a name that the
    dictionary lacks, ValueError for a value that the type can't hold.
    """
    definition = BY_NAME[name]
    data = encode_value(definition.type, value, name)
    return raw_avp(definition.code, definition.flags if flags is None else flags, data, definition.vendor_id)


def encode_value(type_: Type, value: Any, name: str = "value") -> bytes:
    """The data of an AVP, without header and padding."""
    try:
        if packer := _PACK.get(type_):
            return packer.pack(value)
        if type_ in _TEXT:
            return bytes(value.encode())
        if type_ is Type.GROUPED:
            return b"".join(part if isinstance(part, bytes) else encode_avp(*part) for part in value)
        if type_ is Type.TIME:
            return _PACK[Type.UNSIGNED32].pack(time_to_ntp(value))
        if type_ is Type.ADDRESS:
            return _encode_address(value)
        return bytes(memoryview(value))
    except (StructError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: {value!r} is no {type_.value}") from error


def _encode_address(value: str) -> bytes:
    if value.lstrip("+").isdecimal():
        return ADDRESS_E164.to_bytes(2, "big") + value.encode("ascii")
    address = ip_address(value)
    family = ADDRESS_IPV4 if address.version == 4 else ADDRESS_IPV6
    return family.to_bytes(2, "big") + address.packed


def split_avp(data: bytes, pos: int, end: int) -> tuple[int, int, int, int, int]:
    """The AVP at `pos` of data that goes to `end`: (code, vendor_id, flags, where its data begin, where they end).

    The V flag with Vendor-Id 0, which RFC 6733 §4.1 forbids, gives NO_VENDOR: it is nobody's, so unknown.
    5014 where its length is below its header's or its padded end is beyond `end` (RFC 6733 §7.1.5).
    """
    if pos + 8 > end:
        raise invalid_length(data, pos, end)
    code, word = _HEAD.unpack_from(data, pos)
    stop = pos + (word & 0xFFFFFF)
    begin = pos + 12 if word & 0x80000000 else pos + 8
    if stop < begin or (stop + 3) & ~3 > end:
        raise invalid_length(data, pos, end)
    vendor_id = (_HEAD_VENDOR.unpack_from(data, pos)[2] or NO_VENDOR) if word & 0x80000000 else 0
    return code, vendor_id, word >> 24, begin, stop


def whole_avp(data: bytes, pos: int, end: int) -> bytes:
    """The AVP at `pos` for a Failed-AVP: as it came if its length is right, else its header made right.

    A header that is cut is filled with zeros, and data of the wrong length are zeros of the shortest length that
    the type allows (RFC 6733 §7.1.5, §7.5).
    """
    header = data[pos : min(pos + 12, end)].ljust(12, b"\0")
    code, word, vendor_id = _HEAD_VENDOR.unpack(header)
    of_vendor = bool(word & 0x80000000)
    head_length = 12 if of_vendor else 8
    stop = pos + (word & 0xFFFFFF)
    definition = BY_CODE.get(((vendor_id or NO_VENDOR) if of_vendor else 0, code))
    wanted = None if definition is None else data_length(definition.type)
    least = 0 if definition is None else least_length(definition.type)
    fits = stop - pos >= head_length and (stop + 3) & ~3 <= end
    if fits and (wanted is None or stop - pos == head_length + wanted):
        return data[pos:stop] + _PADDING[stop - pos & 3]
    made_right = _HEAD_VENDOR.pack(code, word & 0xFF000000 | head_length + least, vendor_id)[:head_length]
    return made_right + bytes(least + 3 & -4)


def invalid_length(data: bytes, pos: int, end: int) -> DiameterError:
    """DIAMETER_INVALID_AVP_LENGTH with the AVP at `pos` made presentable."""
    header = data[pos : min(pos + 8, end)]
    what = f"AVP {int.from_bytes(header[:4], 'big')} with length {int.from_bytes(header[5:8], 'big')}"
    if len(header) < 8:
        what = f"an AVP header of {len(header)} bytes"
    return DiameterError(5014, f"{what} at byte {pos}, {end - pos} bytes are left", whole_avp(data, pos, end))


def decode_value(type_: Type, data: bytes) -> Any:
    """The value of an AVP's data (not of a group); ValueError for what the type can't be."""
    wanted = data_length(type_)
    if wanted is not None and len(data) != wanted:
        raise ValueError(f"{len(data)} bytes where {type_.value} has {wanted}")
    if packer := _PACK.get(type_):
        return packer.unpack(data)[0]
    if type_ in _TEXT:
        return data.decode()
    if type_ is Type.TIME:
        return time_from_ntp(int.from_bytes(data, "big"))
    if type_ is Type.ADDRESS:
        return _decode_address(data)
    return data


def _decode_address(data: bytes) -> str:
    family, rest = int.from_bytes(data[:2], "big"), data[2:]
    if (family == ADDRESS_IPV4 and len(rest) == 4) or (family == ADDRESS_IPV6 and len(rest) == 16):
        return str(ip_address(rest))
    if family == ADDRESS_E164 and rest.isascii() and rest.decode("ascii").lstrip("+").isdecimal():
        return rest.decode("ascii")
    raise ValueError(f"no Address: family {family} with {len(rest)} bytes")


def decode_tree(data: bytes, start: int = 0, end: int | None = None) -> list[Node]:
    """Every AVP of `data[start:end]`, groups opened; 5014 or 5004 with the AVP at fault, 5012 beyond the bounds."""
    budget = [MAX_AVPS]
    return _decode_level(data, start, len(data) if end is None else end, MAX_DEPTH, budget)


def _decode_level(data: bytes, pos: int, end: int, depth: int, budget: list[int]) -> list[Node]:
    if depth == 0:
        raise DiameterError(5012, f"groups are nested deeper than {MAX_DEPTH}")
    nodes: list[Node] = []
    while pos < end:
        budget[0] -= 1
        if budget[0] < 0:
            raise DiameterError(5012, f"more than {MAX_AVPS} AVPs")
        code, vendor_id, flags, begin, stop = split_avp(data, pos, end)
        definition = BY_CODE.get((vendor_id, code))
        value: Any = data[begin:stop]
        if definition is not None and definition.type is Type.GROUPED:
            try:
                value = _decode_level(data, begin, stop, depth - 1, budget)
            except DiameterError as error:
                if definition.name != "Failed-AVP" or error.result_code == 5012:
                    raise
                value = _as_they_came(data, begin, stop)  # what is in there is wrong by nature
        elif definition is not None:
            value = _typed(definition, value, data, pos, end)
        nodes.append(Node(definition, code, vendor_id, flags, value))
        pos = (stop + 3) & ~3
    return nodes


def _as_they_came(data: bytes, pos: int, end: int) -> list[Node]:
    """AVPs whose values nobody looks at; 5014 where not even their lengths fit."""
    nodes: list[Node] = []
    while pos < end:
        code, vendor_id, flags, begin, stop = split_avp(data, pos, end)
        nodes.append(Node(None, code, vendor_id, flags, data[begin:stop]))
        pos = (stop + 3) & ~3
    return nodes


def _typed(definition: Definition, value: bytes, data: bytes, pos: int, end: int) -> Any:
    try:
        return decode_value(definition.type, value)
    except ValueError as error:
        wanted = data_length(definition.type)
        if definition.type is Type.ADDRESS:
            wanted = 6 if len(value) < 2 else _ADDRESS_LENGTHS.get(int.from_bytes(value[:2], "big"))
        code = 5014 if wanted is not None and wanted != len(value) else 5004
        raise DiameterError(code, f"{definition.name} at byte {pos}: {error}", whole_avp(data, pos, end)) from None


def encode_nodes(nodes: Iterable[Node]) -> bytes:
    """The inverse of `decode_tree`."""
    parts = []
    for node in nodes:
        if node.definition is None:
            data = node.value
        elif node.definition.type is Type.GROUPED:
            data = encode_nodes(node.value)
        else:
            data = encode_value(node.definition.type, node.value, node.name)
        parts.append(raw_avp(node.code, node.flags, data, node.vendor_id))
    return b"".join(parts)


def missing_avp(name: str) -> bytes:
    """The smallest AVP of that name, zero data: what Failed-AVP holds beside 5005 (RFC 6733 §7.1.5)."""
    definition = BY_NAME[name]
    return raw_avp(definition.code, definition.flags, bytes(least_length(definition.type)), definition.vendor_id)
