"""Service-Information of a Credit-Control-Request (TS 32.299 §7.2.192): the facts that price or find a service.

The loops are those of `ccr_units`; groups that hold none of these facts are stepped over.
"""

from __future__ import annotations

from mubss.gy.avp import invalid_length
from mubss.gy.ccr import Ccr
from mubss.gy.ccr_units import (
    MAX_LISTED,
    SIZE,
    SIZES_3GPP,
    UNKNOWN,
    V,
    decode_subscription_id,
    decode_user_equipment,
    enter,
    head_in_four,
    not_utf8,
    skip,
    three,
    too_many,
    u32,
    wrong_end,
)
from mubss.gy.dictionary import VENDOR_3GPP

_PACKET_DATA = {code: size for code, size in SIZES_3GPP.items() if code < 28 or code in (847, 1227, 1228)}
"""What PS-Information holds of 3GPP's, as `sizes`."""


def decode_service_information(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    """Fills `ccr` from the content of a Service-Information."""
    pos = begin
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        stop = pos + (word & 0xFFFFFF)
        if not word & V or vendor_id != VENDOR_3GPP or stop < pos + 12 or stop > end:
            if code == 443 and not word & V:
                if len(ccr.service_subscription_ids) == MAX_LISTED:
                    raise too_many(buf, pos, end)
                if found := decode_subscription_id(ccr.unknown_mandatory, buf, *enter(buf, pos, end)):
                    ccr.service_subscription_ids.append(found)
            pos = skip(ccr.unknown_mandatory, buf, pos, end)
            continue
        if code == 874:
            _packet_data(ccr, buf, pos + 12, stop)
        elif code == 876:
            _ims(ccr, buf, pos + 12, stop)
        elif code in (2000, 877):
            _recipients(ccr, buf, pos + 12, stop)
        else:
            stop = skip(ccr.unknown_mandatory, buf, pos, end)
        pos = stop + 3 & -4
    if pos != end:
        raise wrong_end(buf, begin, end)


def _packet_data(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    """PS-Information: where and through which network the data went (TS 32.299 §7.2.158)."""
    # The largest group of a data session's requests, 12 AVPs from open5gs: 3 µs, with a `skip` for each it was 5.9.
    pos = begin
    try:
        while pos < end:
            code, flags, size, vendor_id = head_in_four(buf, pos)
            stop = pos + size
            if stop > end or flags & 0x80FF != 0x8000 or vendor_id != VENDOR_3GPP or size < 12:
                pos = _other_packet_data(ccr, buf, pos, end)
                continue
            wanted = _PACKET_DATA.get(code, UNKNOWN)
            if wanted and wanted != size:
                pos = skip(ccr.unknown_mandatory, buf, pos, end)
                continue
            if code == 22:
                ccr.location = buf[pos + 12 : stop]
            elif code == 21:
                if size != 13:
                    raise invalid_length(buf, pos, end)
                ccr.rat_type = buf[pos + 12]
            elif code == 18:
                ccr.sgsn_mcc_mnc = buf[pos + 12 : stop].decode()
            elif code == 13:
                ccr.charging_characteristics = buf[pos + 12 : stop].decode()
            elif code == 2:
                ccr.charging_id = u32(buf, pos + 12)[0]
            pos = stop + 3 & -4
    except UnicodeDecodeError:
        raise not_utf8(buf, pos, end) from None
    if pos != end:
        raise wrong_end(buf, begin, end)


def _other_packet_data(ccr: Ccr, buf: bytes, pos: int, end: int) -> int:
    """What else PS-Information holds that isn't 3GPP's; returns where the next AVP begins."""
    code, word, _ = three(buf, pos)
    size = word & SIZE
    stop = pos + size
    if size < 8 or stop > end:
        return skip(ccr.unknown_mandatory, buf, pos, end)
    if code == 30:
        ccr.called_station_id = buf[pos + 8 : stop].decode()
    elif code == 458 and ccr.user_equipment is None:
        ccr.user_equipment = decode_user_equipment(ccr.unknown_mandatory, buf, pos + 8, stop)
    else:
        return skip(ccr.unknown_mandatory, buf, pos, end)
    return stop + 3 & -4


def _ims(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    """IMS-Information: who calls whom (TS 32.299 §7.2.77); of several addresses the first counts."""
    pos = begin
    try:
        while pos < end:
            code, flags, size, vendor_id = head_in_four(buf, pos)
            stop = pos + size
            if stop > end or flags & 0x80FF != 0x8000 or vendor_id != VENDOR_3GPP or size < 12:
                pos = skip(ccr.unknown_mandatory, buf, pos, end)
                continue
            wanted = SIZES_3GPP.get(code, UNKNOWN)
            if wanted and wanted != size:
                pos = skip(ccr.unknown_mandatory, buf, pos, end)
                continue
            if code == 832:
                if ccr.called_party_address is None:
                    ccr.called_party_address = buf[pos + 12 : stop].decode()
            elif code == 831:
                if ccr.calling_party_address is None:
                    ccr.calling_party_address = buf[pos + 12 : stop].decode()
            elif code == 829:
                ccr.role_of_node = u32(buf, pos + 12)[0]
            pos = stop + 3 & -4
    except UnicodeDecodeError:
        raise not_utf8(buf, pos, end) from None
    if pos != end:
        raise wrong_end(buf, begin, end)


def _recipients(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    """SMS- or MMS-Information: Address-Data of each Recipient-Address, within Recipient-Info for short messages."""
    pos = begin
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        this, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if not word & V or vendor_id != VENDOR_3GPP:
            continue
        if code == 2026:
            _recipient_info(ccr, buf, *enter(buf, this, end))
        elif code == 1201:
            _recipient_address(ccr, buf, *enter(buf, this, end))
    if pos != end:
        raise wrong_end(buf, begin, end)


def _recipient_info(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    pos = begin
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        this, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if code == 1201 and word & V and vendor_id == VENDOR_3GPP:
            _recipient_address(ccr, buf, *enter(buf, this, end))
    if pos != end:
        raise wrong_end(buf, begin, end)


def _recipient_address(ccr: Ccr, buf: bytes, begin: int, end: int) -> None:
    pos = begin
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        this, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if code == 897 and word & V and vendor_id == VENDOR_3GPP:
            if len(ccr.recipient_addresses) == MAX_LISTED:
                raise too_many(buf, this, end)
            try:
                ccr.recipient_addresses.append(buf[this + 12 : this + (word & 0xFFFFFF)].decode())
            except UnicodeDecodeError:
                raise not_utf8(buf, this, end) from None
    if pos != end:
        raise wrong_end(buf, begin, end)
