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
    check_end,
    decode_subscription_id,
    decode_user_equipment,
    enter,
    not_utf8,
    skip,
    three,
    too_many,
    u32,
    unsigned32_3gpp,
)
from mubss.gy.dictionary import VENDOR_3GPP


def decode_service_information(ccr: Ccr, buf: bytes, pos: int, end: int) -> None:
    """Fills `ccr` from the content of a Service-Information."""
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        stop = pos + (word & 0xFFFFFF)
        if code == 874 and stop == end and word & V and vendor_id == VENDOR_3GPP:
            _packet_data(ccr, buf, pos + 12, stop)
            return
        after = skip(ccr.unknown_mandatory, buf, pos, end)
        if word & V and vendor_id == VENDOR_3GPP:
            if code == 874:
                _packet_data(ccr, buf, pos + 12, stop)
            elif code == 876:
                _ims(ccr, buf, pos + 12, stop)
            elif code in (2000, 877):
                _recipients(ccr, buf, pos + 12, stop)
        elif code == 443 and not word & V:
            if len(ccr.service_subscription_ids) == MAX_LISTED:
                raise too_many(buf, pos, end)
            if found := decode_subscription_id(ccr.unknown_mandatory, buf, pos + 8, stop):
                ccr.service_subscription_ids.append(found)
        pos = after
    check_end(pos, end)


def _packet_data(ccr: Ccr, buf: bytes, pos: int, end: int) -> None:
    """PS-Information: where and through which network the data went (TS 32.299 §7.2.158)."""
    # The largest group of a data session's requests: what isn't wanted is stepped over here, not by `skip`.
    try:
        while pos < end:
            code, word, vendor_id = three(buf, pos)
            size = word & 0xFFFFFF
            stop = pos + size
            if not word & V or vendor_id != VENDOR_3GPP:
                if code == 30 and word & SIZE == size >= 8 and stop <= end:
                    ccr.called_station_id = buf[pos + 8 : stop].decode()
                    pos = stop + 3 & -4
                else:
                    pos = _other_packet_data(ccr, buf, pos, end)
                continue
            wanted = SIZES_3GPP.get(code, UNKNOWN)
            if size < 12 or stop > end or (wanted and wanted != size):
                pos = skip(ccr.unknown_mandatory, buf, pos, end)
                continue
            if code <= 22:
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
    check_end(pos, end)


def _other_packet_data(ccr: Ccr, buf: bytes, pos: int, end: int) -> int:
    """What else PS-Information holds that isn't 3GPP's; returns where the next AVP begins."""
    code, word, _ = three(buf, pos)
    after = skip(ccr.unknown_mandatory, buf, pos, end)
    if code == 458 and not word & V and ccr.user_equipment is None:
        ccr.user_equipment = decode_user_equipment(ccr.unknown_mandatory, buf, pos + 8, pos + (word & 0xFFFFFF))
    return after


def _text(buf: bytes, pos: int, stop: int, end: int) -> str:
    """The text of the 3GPP AVP at `pos`."""
    try:
        return buf[pos + 12 : stop].decode()
    except UnicodeDecodeError:
        raise not_utf8(buf, pos, end) from None


def _ims(ccr: Ccr, buf: bytes, pos: int, end: int) -> None:
    """IMS-Information: who calls whom (TS 32.299 §7.2.77); of several addresses the first counts."""
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        begin, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if not word & V or vendor_id != VENDOR_3GPP:
            continue
        stop = begin + (word & 0xFFFFFF)
        if code == 832 and ccr.called_party_address is None:
            ccr.called_party_address = _text(buf, begin, stop, end)
        elif code == 831 and ccr.calling_party_address is None:
            ccr.calling_party_address = _text(buf, begin, stop, end)
        elif code == 829:
            ccr.role_of_node = unsigned32_3gpp(buf, begin, end)
    check_end(pos, end)


def _recipients(ccr: Ccr, buf: bytes, pos: int, end: int) -> None:
    """SMS- or MMS-Information: Address-Data of each Recipient-Address, within Recipient-Info for short messages."""
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        begin, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if not word & V or vendor_id != VENDOR_3GPP:
            continue
        if code == 2026:
            _recipients(ccr, buf, *enter(buf, begin, end))
        elif code == 1201:
            if len(ccr.recipient_addresses) == MAX_LISTED:
                raise too_many(buf, begin, end)
            ccr.recipient_addresses += _address_data(ccr, buf, *enter(buf, begin, end))
    check_end(pos, end)


def _address_data(ccr: Ccr, buf: bytes, pos: int, end: int) -> list[str]:
    found: list[str] = []
    while pos < end:
        code, word, vendor_id = three(buf, pos)
        begin, pos = pos, skip(ccr.unknown_mandatory, buf, pos, end)
        if code == 897 and word & V and vendor_id == VENDOR_3GPP:
            found = [_text(buf, begin, begin + (word & 0xFFFFFF), end)]
    check_end(pos, end)
    return found
