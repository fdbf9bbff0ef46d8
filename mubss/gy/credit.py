"""Credit control between wire and ledger: a CCR as a command, an outcome as a CCA. Pure.

What is liberal here is DESIGN.md's rules 4 to 10 for the default profile; a profile changes what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.events import MONEY
from mubss.core.identity import session_hash
from mubss.core.model import Action, CreditControl, Outcome, RequestType, Result, UnitAnswer, UnitRequest
from mubss.core.money import Rounding, divide
from mubss.core.tariff import Tables, Unit
from mubss.gy import subscription
from mubss.gy.avp import DiameterError, encode_avp
from mubss.gy.cca import TERMINATE, CcaAnswer, FinalUnit, MsccAnswer
from mubss.gy.ccr import Ccr, Money, Mscc, Units, UsedUnits
from mubss.gy.codec import require
from mubss.gy.profile import Profile

INVALID_AVP_VALUE = 5004
MAX_SESSION_ID_LETTERS = 1024  # it is kept in the account's document; clients send under 100
MAX_PEER_LETTERS = 255
_REASON_FINAL = 2  # Reporting-Reason FINAL (TS 32.299 §7.2.175): the service ended, no more is wanted
_FINAL_TERMINATE = FinalUnit(TERMINATE)


def to_command(ccr: Ccr, profile: Profile, tables: Tables) -> CreditControl:
    """The command that a CCR (as decode_ccr gives it) stands for; DiameterError 5005 or 5004 says why it can't be."""
    session_id, number, request_type = _required(ccr)
    context = (ccr.service_context_id or profile.default_context).partition("@")[0]
    if not context:
        require(ccr, "Service-Context-Id")
    opening = request_type in (RequestType.INITIAL, RequestType.EVENT)
    return CreditControl(
        request_type,
        session_id,
        session_hash(session_id),
        number,
        subscription.identities(ccr, profile.subscription_order, profile.default_subscriber),
        tables,
        _requests(ccr, request_type, context, tables),
        ccr.end_to_end,
        ccr.retransmitted,
        (ccr.origin_host or "")[:MAX_PEER_LETTERS],
        subscription.called_number(ccr),
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


def _requests(ccr: Ccr, request_type: RequestType, context: str, tables: Tables) -> list[UnitRequest]:
    if ccr.msccs:
        requests: list[UnitRequest] = []
        keys: set[str] = set()
        for mscc in ccr.msccs:
            request = _mscc(mscc, request_type, context, tables)
            while request.key in keys:  # the same MSCC twice: each gets its answer, and its own reservation
                request.key += "+"
            keys.add(request.key)
            requests.append(request)
        return requests
    if ccr.requested is None and not ccr.used and request_type is not RequestType.EVENT:
        return []
    identifiers = [] if ccr.service_identifier is None else [ccr.service_identifier]
    command_level = Mscc(ccr.rating_group, identifiers, ccr.requested, ccr.used)
    request = _mscc(command_level, request_type, context, tables)
    request.command_level = True
    return [request]


def _mscc(mscc: Mscc, request_type: RequestType, context: str, tables: Tables) -> UnitRequest:
    group, identifiers = mscc.rating_group, mscc.service_identifiers
    code = tables.service_of(context, group, identifiers[0] if identifiers else None)
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
        if asked.money is not None and request_type is RequestType.EVENT:
            request.money_micros = _micros(asked.money)
            request.currency = asked.money[2]
    if used:
        units = 0
        for one in used:
            units += _units(one, service.unit) or 0
            if one.money is not None:
                request.service = None  # nothing is sold by money used: 5031, and the report is kept in suspense
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
    }
    return {name: value[:64] if isinstance(value, str) else value for name, value in facts.items() if value is not None}


def to_answer(outcome: Outcome, profile: Profile, currency_numbers: Mapping[str, int]) -> CcaAnswer:
    """The answer that an outcome stands for; the same outcome gives the same answer."""
    answer = CcaAnswer(outcome.result)
    if profile.command_level_credit_limit and {one.result for one in outcome.answers} == {Result.CREDIT_LIMIT_REACHED}:
        answer.result_code = Result.CREDIT_LIMIT_REACHED
    for unit_answer in outcome.answers:
        final = _FINAL_TERMINATE if unit_answer.final else None
        granted = _granted(unit_answer, currency_numbers.get(outcome.currency))
        if unit_answer.command_level:
            answer.granted, answer.validity_time_s, answer.final_unit = granted, unit_answer.validity_s, final
            continue
        answer.msccs.append(
            MsccAnswer(
                unit_answer.rating_group,
                unit_answer.service_identifiers,
                unit_answer.result,
                granted,
                None,
                unit_answer.validity_s,
                final,
            )
        )
    if outcome.cost_micros is not None:
        answer.cost_information = _money(outcome.cost_micros, currency_numbers.get(outcome.currency))
    answer.check_balance_result = outcome.check_balance
    return answer


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


def _granted(answer: UnitAnswer, currency_number: int | None) -> Units | None:
    units = answer.granted_units
    if units is None:
        return None
    if answer.unit == MONEY:
        return Units(money=_money(units, currency_number))
    if answer.unit == Unit.OCTETS:
        return Units(units)
    if answer.unit == Unit.SECONDS:
        return Units(time_s=units)
    return Units(service_specific_units=units)


def _money(micros: int, currency_number: int | None) -> Money:
    """An amount with the fewest decimals that say it exactly, two at least: 0.08 is 8 · 10^-2."""
    exponent = -6
    while exponent < -2 and micros % 10 == 0:
        micros, exponent = micros // 10, exponent + 1
    return micros, exponent, currency_number
