"""A Credit-Control-Request to bytes, for the test client and the load generator; the inverse of `decode_ccr`.

17 µs for the open5gs CCR-U, half of it Service-Information: who sends one often passes that as `extra`.
"""

from __future__ import annotations

from struct import Struct

from mubss.gy.avp import encode_avp, raw_avp, time_to_ntp
from mubss.gy.cca_encode import encode_units, units_body
from mubss.gy.ccr import Ccr, Mscc, UsedUnits
from mubss.gy.dictionary import FLAG_M, FLAG_V, VENDOR_3GPP

_M = FLAG_M << 24

_header = Struct(">IIIII").pack
_head = Struct(">II").pack
_u32 = Struct(">III").pack
_u64 = Struct(">IIQ").pack
_u32_3gpp = Struct(">IIII").pack

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def encode_ccr(ccr: Ccr, extra: bytes = b"") -> bytes:
    """The whole request, AVPs in the order of RFC 8506 §3.1; `extra` are encoded AVPs to stand at the end.

    Session-Id is made of `session_id`; `session_id_avp` isn't looked at. What `ccr` says of the service goes to
    PS-, IMS- and SMS-Information, as far as it is set.
    """
    parts: list[bytes] = []
    _text(parts, 263, ccr.session_id)
    _text(parts, 264, ccr.origin_host)
    _text(parts, 296, ccr.origin_realm)
    _text(parts, 283, ccr.destination_realm)
    _number(parts, 258, ccr.auth_application_id)
    _text(parts, 461, ccr.service_context_id)
    _number(parts, 416, ccr.cc_request_type)
    _number(parts, 415, ccr.cc_request_number)
    _text(parts, 293, ccr.destination_host)
    _text(parts, 1, ccr.user_name)
    if ccr.cc_sub_session_id is not None:
        parts.append(_u64(419, _M | 16, ccr.cc_sub_session_id))
    _number(parts, 278, ccr.origin_state_id)
    if ccr.event_timestamp_s is not None:
        parts.append(_u32(55, _M | 12, time_to_ntp(ccr.event_timestamp_s)))
    for kind, data in ccr.subscription_ids:
        parts.append(_subscription_id(kind, data))
    _number(parts, 439, ccr.service_identifier)
    _number(parts, 432, ccr.rating_group)
    _number(parts, 295, ccr.termination_cause)
    if ccr.requested is not None:
        parts.append(encode_units(437, ccr.requested))
    _number(parts, 436, ccr.requested_action)
    for used in ccr.used:
        parts.append(_used(used))
    _number(parts, 455, ccr.multiple_services_indicator)
    for mscc in ccr.msccs:
        parts.append(_mscc(mscc))
    if ccr.cc_correlation_id is not None:
        parts.append(raw_avp(411, 0, ccr.cc_correlation_id))
    if ccr.user_equipment is not None:
        kind, value = ccr.user_equipment
        info = [("User-Equipment-Info-Type", kind), ("User-Equipment-Info-Value", value)]
        parts.append(encode_avp("User-Equipment-Info", info))
    parts += ccr.proxy_infos
    parts += ccr.route_records
    if ccr.aoc_request_type is not None:
        parts.append(encode_avp("AoC-Request-Type", ccr.aoc_request_type))
    parts.append(service_information(ccr))
    parts += ccr.unknown_mandatory
    parts.append(extra)
    body = b"".join(parts)
    head = _header(
        0x01000000 | len(body) + 20, ccr.flags << 24 | 272, ccr.application_id, ccr.hop_by_hop, ccr.end_to_end
    )
    return head + body


def _number(parts: list[bytes], code: int, value: int | None) -> None:
    if value is not None:
        parts.append(_u32(code, _M | 12, value))


def _text(parts: list[bytes], code: int, value: str | None) -> None:
    if value is not None:
        data = value.encode()
        length = len(data) + 8
        parts.append(_head(code, _M | length) + data + _PADDING[length & 3])


def _subscription_id(kind: int, data: str) -> bytes:
    value = data.encode()
    length = len(value) + 8
    inner = _u32(450, _M | 12, kind) + _head(444, _M | length) + value + _PADDING[length & 3]
    return _head(443, _M | len(inner) + 8) + inner


def _used(used: UsedUnits) -> bytes:
    """Used-Service-Unit (RFC 8506 §8.19), with Reporting-Reason where TS 32.299 §7.2.223 has it."""
    body = units_body(used)
    if used.tariff_change_usage is not None:
        body = _u32(452, _M | 12, used.tariff_change_usage) + body
    for reason in used.reporting_reasons:
        body += _reporting_reason(reason)
    return _head(446, _M | len(body) + 8) + body


def _reporting_reason(reason: int) -> bytes:
    return _u32_3gpp(872, FLAG_V << 24 | _M | 16, VENDOR_3GPP, reason)


def _mscc(mscc: Mscc) -> bytes:
    """Multiple-Services-Credit-Control (RFC 8506 §8.16)."""
    parts: list[bytes] = []
    if mscc.requested is not None:
        parts.append(encode_units(437, mscc.requested))
    for used in mscc.used:
        parts.append(_used(used))
    _number(parts, 452, mscc.tariff_change_usage)
    for service_identifier in mscc.service_identifiers:
        _number(parts, 439, service_identifier)
    _number(parts, 432, mscc.rating_group)
    for pool_identifier in mscc.pool_identifiers:
        pool = [("G-S-U-Pool-Identifier", pool_identifier), ("CC-Unit-Type", 2), ("Unit-Value", [("Value-Digits", 1)])]
        parts.append(encode_avp("G-S-U-Pool-Reference", pool))
    for reason in mscc.reporting_reasons:
        parts.append(_reporting_reason(reason))
    body = b"".join(parts)
    return _head(456, _M | len(body) + 8) + body


def service_information(ccr: Ccr) -> bytes:
    """Service-Information with what `ccr` says of the service, or nothing if it says nothing."""
    packet_data: list[tuple[str, object]] = []
    if ccr.charging_id is not None:
        packet_data.append(("3GPP-Charging-Id", ccr.charging_id))
    if ccr.called_station_id is not None:
        packet_data.append(("Called-Station-Id", ccr.called_station_id))
    if ccr.charging_characteristics is not None:
        packet_data.append(("3GPP-Charging-Characteristics", ccr.charging_characteristics))
    if ccr.sgsn_mcc_mnc is not None:
        packet_data.append(("3GPP-SGSN-MCC-MNC", ccr.sgsn_mcc_mnc))
    if ccr.location is not None:
        packet_data.append(("3GPP-User-Location-Info", ccr.location))
    if ccr.rat_type is not None:
        packet_data.append(("3GPP-RAT-Type", bytes((ccr.rat_type,))))
    ims: list[tuple[str, object]] = []
    if ccr.role_of_node is not None:
        ims.append(("Role-Of-Node", ccr.role_of_node))
    if ccr.calling_party_address is not None:
        ims.append(("Calling-Party-Address", ccr.calling_party_address))
    if ccr.called_party_address is not None:
        ims.append(("Called-Party-Address", ccr.called_party_address))
    sms = [
        ("Recipient-Info", [("Recipient-Address", [("Address-Type", 1), ("Address-Data", address)])])
        for address in ccr.recipient_addresses
    ]
    parts: list[object] = [_subscription_id(kind, data) for kind, data in ccr.service_subscription_ids]
    parts += [("PS-Information", packet_data)] if packet_data else []
    parts += [("IMS-Information", ims)] if ims else []
    parts += [("SMS-Information", sms)] if sms else []
    return encode_avp("Service-Information", parts) if parts else b""
