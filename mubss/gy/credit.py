"""Credit control from wire to ledger: a CCR as a command (credit_answer.py is the way back). Pure.

What is liberal here (rules 4 to 10 of docs/GY-CONFORMANCE.md) is so in the default profile; a profile changes what
differs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mubss.core.identity import session_hash
from mubss.core.model import Action, CreditControl, RequestType, UnitRequest
from mubss.core.money import Rounding, divide
from mubss.core.tariff import FinalAction, Tables, Unit
from mubss.gy import subscription
from mubss.gy.avp import DiameterError, encode_avp
from mubss.gy.cca import (
    REDIRECT,
    RESTRICT_ACCESS,
    TERMINATE,
)
from mubss.gy.ccr import Ccr, Money, Mscc, Units, UsedUnits
from mubss.gy.codec import require
from mubss.gy.profile import ALWAYS, ASKED, Profile

INVALID_AVP_VALUE = 5004
MAX_SESSION_ID_LETTERS = 1024  # it is kept in the account's document; clients send under 100
MAX_PEER_LETTERS = 255
_REASON_FINAL = 2  # Reporting-Reason FINAL (TS 32.299 §7.2.175): the service ended, no more is wanted
_BEFORE_TARIFF_CHANGE = 0  # Tariff-Change-Usage (RFC 8506 §8.27)
_AOC_OF_COST = (1, 2)  # AoC-Request-Type: full, cost only (TS 32.299 §7.2.14)
_FINAL_ACTIONS = {
    FinalAction.TERMINATE: TERMINATE,
    FinalAction.REDIRECT: REDIRECT,
    FinalAction.RESTRICT: RESTRICT_ACCESS,
}
_POOL_UNITS: dict[str, int] = {Unit.SECONDS: 0, Unit.OCTETS: 2, Unit.EVENTS: 5}  # CC-Unit-Type (RFC 8506 §8.32)
_UNSIGNED32 = 2**32 - 1
_IMEISV = 0  # User-Equipment-Info-Type (RFC 8506 §8.50)


def to_command(ccr: Ccr, profile: Profile, tables: Tables) -> CreditControl:
    """The command that a CCR (as decode_ccr gives it) stands for; DiameterError 5005 or 5004 says why it can't be."""
    session_id, number, request_type = _required(ccr)
    context = (ccr.service_context_id or profile.default_context).partition("@")[0]
    if not context:
        require(ccr, "Service-Context-Id")
    opening = request_type in (RequestType.INITIAL, RequestType.EVENT) or profile.charges_unknown_sessions
    return CreditControl(
        request_type,
        session_id,
        session_hash(session_id),
        number,
        subscription.identities(ccr, profile.subscription_order, profile.default_subscriber),
        tables,
        _requests(ccr, request_type, context, profile.default_rating_group, tables),
        ccr.end_to_end,
        ccr.retransmitted,
        (ccr.origin_host or "")[:MAX_PEER_LETTERS],
        subscription.called_number(ccr),
        _network(ccr.sgsn_mcc_mnc),
        profile.knows_tariff_change,
        profile.knows_pools,
        _tells_balance(ccr, profile),
        profile.charges_unknown_sessions,
        ccr.requested_action or Action.DIRECT_DEBITING,
        _facts(ccr) if opening else {},
    )


def _required(ccr: Ccr) -> tuple[str, int, RequestType]:
    session_id, kind, number = ccr.session_id, ccr.cc_request_type, ccr.cc_request_number
    if not session_id or kind is None or number is None:
        require(ccr, "Session-Id", "CC-Request-Type", "CC-Request-Number")
        raise AssertionError("require names what is missing")
    if len(session_id) > MAX_SESSION_ID_LETTERS:
        text = f"Session-Id: {len(session_id)} letters; expected up to {MAX_SESSION_ID_LETTERS}"
        raise DiameterError(INVALID_AVP_VALUE, text, encode_avp("Session-Id", session_id))
    return session_id, number, RequestType(kind)


def _network(mcc_mnc: str | None) -> str:
    """MCC and MNC of 3GPP-SGSN-MCC-MNC (TS 29.061 §16.4.7), "" for anything else."""
    return mcc_mnc if mcc_mnc and 5 <= len(mcc_mnc) <= 6 and mcc_mnc.isascii() and mcc_mnc.isdigit() else ""


def _tells_balance(ccr: Ccr, profile: Profile) -> bool:
    wish = profile.balance_information
    return ccr.aoc_request_type in _AOC_OF_COST if wish == ASKED else wish == ALWAYS


def _requests(
    ccr: Ccr, request_type: RequestType, context: str, default_group: int | None, tables: Tables
) -> list[UnitRequest]:
    if ccr.msccs:
        requests: list[UnitRequest] = []
        keys: set[str] = set()
        for mscc in _with_command_level(ccr) if ccr.used else ccr.msccs:
            request = _mscc(mscc, request_type, context, default_group, tables)
            while request.key in keys:  # the same MSCC twice: each gets its answer, and its own reservation
                request.key += "+"
            keys.add(request.key)
            requests.append(request)
        return requests
    silent = ccr.requested is None and not ccr.used and request_type is not RequestType.EVENT
    if silent and (default_group is None or request_type is RequestType.TERMINATION):
        return []
    identifiers = [] if ccr.service_identifier is None else [ccr.service_identifier]
    command_level = Mscc(ccr.rating_group, identifiers, ccr.requested, ccr.used)
    request = _mscc(command_level, request_type, context, default_group, tables)
    request.command_level = True
    return [request]


def _with_command_level(ccr: Ccr) -> list[Mscc]:
    """MSCCs, and what was used beside them where none of them reports anything: else that is taken for their sum.

    The only MSCC is meant by what stands beside it; of several none is, so it has one of its own.
    """
    if any(mscc.used for mscc in ccr.msccs):
        return ccr.msccs
    if len(ccr.msccs) == 1:
        return [replace(ccr.msccs[0], used=ccr.used)]
    identifiers = [] if ccr.service_identifier is None else [ccr.service_identifier]
    return [*ccr.msccs, Mscc(ccr.rating_group, identifiers, None, ccr.used)]


def _mscc(
    mscc: Mscc, request_type: RequestType, context: str, default_group: int | None, tables: Tables
) -> UnitRequest:
    group, identifiers = mscc.rating_group, mscc.service_identifiers
    if identifiers:
        code = tables.service_of(context, group, identifiers[0])
    else:
        code = tables.service_of(context, default_group if group is None else group, None)
    service = tables.services.get(code) if code else None
    key = "" if group is None else str(group)
    if identifiers:
        key += "/" + ",".join(map(str, identifiers[:4]))
    request = UnitRequest(key, code, group, identifiers)
    asked, used = mscc.requested, mscc.used
    request.wants_grant = _wants_grant(mscc, request_type)
    if service is None:
        request.used_units = _any_units(used)
        return request
    if asked is not None:
        request.requested_units = _units(asked, service.unit)
        if request_type is RequestType.EVENT and not used:
            request.foreign_units = _foreign(asked, service.unit)
        if asked.money is not None and request_type is RequestType.EVENT:
            request.money_micros = _micros(asked.money)
            request.currency = asked.money[2]
    if used:
        units = 0
        for one in used:
            counted = _units(one, service.unit) or 0
            units += counted
            if not counted and (foreign := _foreign(one, service.unit)):
                request.foreign_units = foreign
            change = mscc.tariff_change_usage if one.tariff_change_usage is None else one.tariff_change_usage
            if change == _BEFORE_TARIFF_CHANGE:
                request.before_units += counted
            if one.money is not None:
                request.service = None  # nothing is sold by money used: 5031, and the report is kept in suspense
        if units:
            request.foreign_units = None
        request.used_units = units if request.service else _any_units(used)
    return request


def _wants_grant(mscc: Mscc, request_type: RequestType) -> bool:
    """Quota is wanted where it is asked for, or where nothing is reported either (RFC 8506 §8.18).

    A report without a request is the last of its rating group; so is one whose Reporting-Reason says FINAL.
    """
    if request_type is RequestType.INITIAL:
        return True
    if mscc.requested is None:
        return not mscc.used
    for one in mscc.used:
        if _REASON_FINAL in one.reporting_reasons or _REASON_FINAL in mscc.reporting_reasons:
            return False
    return True


def _units(units: Units, unit: Unit) -> int | None:
    """The count in the service's own unit: time in a volume service is not billed too."""
    if unit is Unit.OCTETS:
        return units.octets
    if unit is Unit.SECONDS:
        return units.time_s
    return units.service_specific_units


def _foreign(units: Units, unit: Unit) -> tuple[str, int] | None:
    """What is counted in another unit than the service's alone; what is beside its own counts for nothing."""
    if _units(units, unit) is not None:
        return None
    for other in Unit:
        if count := _units(units, other):
            return other.value, count
    return None


def _any_units(used: list[UsedUnits]) -> int | None:
    """Whatever was reported for a service that nobody sells: suspense keeps the largest count."""
    counts = [
        one.octets or one.time_s or one.service_specific_units or (_micros(one.money) if one.money else 0)
        for one in used
    ]
    return sum(counts) if counts else None


def _micros(money: Money) -> int:
    """CC-Money as micros; DiameterError 5004 where no amount of money looks like that."""
    digits, exponent, _ = money
    if not -12 <= exponent <= 6 or not 0 <= digits < 10**15:
        text = f"Unit-Value: {digits} with exponent {exponent}; expected 0 to 10^15 with -12 to 6"
        unit_value = encode_avp("Unit-Value", [("Value-Digits", digits), ("Exponent", exponent)])
        raise DiameterError(INVALID_AVP_VALUE, text, unit_value)
    scale = exponent + 6
    return digits * 10**scale if scale >= 0 else divide(digits, 10**-scale, Rounding.HALF_UP)


def _facts(ccr: Ccr) -> dict[str, Any]:
    """What a usage record keeps of where, and with what, the service was used."""
    facts = {
        "called": subscription.called_number(ccr) or None,
        "apn": ccr.called_station_id,
        "charging_id": ccr.charging_id,
        "sgsn_mcc_mnc": ccr.sgsn_mcc_mnc,
        "rat_type": ccr.rat_type,
        "location": ccr.location.hex() if ccr.location else None,
        "equipment": _equipment(ccr.user_equipment),
        "correlation_id": ccr.cc_correlation_id.hex() if ccr.cc_correlation_id else None,
        "charging_characteristics": ccr.charging_characteristics,
    }
    return {name: value[:64] if isinstance(value, str) else value for name, value in facts.items() if value is not None}


def _equipment(info: tuple[int, bytes] | None) -> str | None:
    """An IMEISV as its digits, which clients send as text or as TS 29.274's half octets; other equipment in hex."""
    if info is None:
        return None
    kind, value = info
    if kind == _IMEISV and value.isdigit():
        return value.decode()
    if kind == _IMEISV and len(value) == 8:
        return "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in value).rstrip("f")
    return value.hex()


def offending_units(ccr: Ccr) -> bytes:
    """The AVP of a request whose units are more than there can be, for its Failed-AVP: the largest count."""
    groups = [ccr.requested, *ccr.used, *(mscc.requested for mscc in ccr.msccs)]
    groups += [used for mscc in ccr.msccs for used in mscc.used]
    largest, name = -1, ""
    for units in groups:
        if units is None:
            continue
        if units.money is not None:
            digits, exponent, currency = units.money
            parts: list[tuple[str, Any]] = [("Unit-Value", [("Value-Digits", digits), ("Exponent", exponent)])]
            return encode_avp("CC-Money", parts + ([] if currency is None else [("Currency-Code", currency)]))
        for avp, count in (
            ("CC-Total-Octets", units.total_octets),
            ("CC-Input-Octets", units.input_octets),
            ("CC-Output-Octets", units.output_octets),
            ("CC-Time", units.time_s),
            ("CC-Service-Specific-Units", units.service_specific_units),
        ):
            if count is not None and count > largest:
                largest, name = count, avp
    return encode_avp(name, largest) if name else b""
