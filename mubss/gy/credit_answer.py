"""Credit control from ledger to wire: an outcome as a CCA. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address

from mubss.core.events import MONEY
from mubss.core.model import Outcome, RequestType, Result, UnitAnswer
from mubss.core.tariff import FinalAction, Unit, parse_final
from mubss.gy.cca import (
    REDIRECT,
    REDIRECT_IPV4,
    REDIRECT_IPV6,
    REDIRECT_SIP_URI,
    REDIRECT_URL,
    RESTRICT_ACCESS,
    TERMINATE,
    CcaAnswer,
    FinalUnit,
    MsccAnswer,
)
from mubss.gy.ccr import Money, Units
from mubss.gy.profile import Profile

_FINAL_ACTIONS = {
    FinalAction.TERMINATE: TERMINATE,
    FinalAction.REDIRECT: REDIRECT,
    FinalAction.RESTRICT: RESTRICT_ACCESS,
}
_POOL_UNITS: dict[str, int] = {Unit.SECONDS: 0, Unit.OCTETS: 2, Unit.EVENTS: 5}  # CC-Unit-Type (RFC 8506 §8.32)
_UNSIGNED32 = 2**32 - 1


def to_answer(outcome: Outcome, profile: Profile, currency_numbers: Mapping[str, int]) -> CcaAnswer:
    """The answer that an outcome stands for; the same outcome gives the same answer."""
    answer = CcaAnswer(outcome.result)
    if profile.command_level_credit_limit and {one.result for one in outcome.answers} == {Result.CREDIT_LIMIT_REACHED}:
        answer.result_code = Result.CREDIT_LIMIT_REACHED
    if outcome.key >> 32 == RequestType.INITIAL and answer.result_code == Result.SUCCESS:
        answer.session_failover, answer.failure_handling = profile.session_failover, profile.failure_handling
    currency = currency_numbers.get(outcome.currency)
    for unit_answer in outcome.answers:
        final = final_unit(unit_answer.final) if unit_answer.final else None
        granted = _granted(unit_answer, currency)
        if unit_answer.command_level:
            answer.granted, answer.validity_time_s, answer.final_unit = granted, unit_answer.validity_s, final
            answer.tariff_time_change_s = unit_answer.change_s
            continue
        mscc = MsccAnswer(
            unit_answer.rating_group,
            unit_answer.service_identifiers,
            unit_answer.result,
            granted,
            unit_answer.change_s,
            unit_answer.validity_s,
            final,
        )
        if unit_answer.granted_units:
            _advise(mscc, unit_answer, profile)
        answer.msccs.append(mscc)
    if outcome.cost_micros is not None:
        answer.cost_information = _money(outcome.cost_micros, currency)
    if outcome.balance_micros is not None:
        answer.remaining_balance = _money(outcome.balance_micros, currency)
        answer.low_balance = outcome.low_balance
    answer.check_balance_result = outcome.check_balance
    return answer


def _advise(mscc: MsccAnswer, answer: UnitAnswer, profile: Profile) -> None:
    """What a client does with a grant besides using it: when it asks again, and when it gives it back.

    A last grant has no threshold: nothing would come of asking early.
    """
    units = answer.granted_units or 0
    threshold = answer.threshold_units
    if threshold is None and profile.threshold_percent and not answer.final:
        threshold = units * profile.threshold_percent // 100
    if threshold and threshold < units:
        if answer.unit == Unit.OCTETS:
            mscc.volume_quota_threshold_octets = min(threshold, _UNSIGNED32)
        elif answer.unit == Unit.SECONDS:
            mscc.time_quota_threshold_s = threshold
        elif answer.unit == Unit.EVENTS:
            mscc.unit_quota_threshold = min(threshold, _UNSIGNED32)
    mscc.quota_holding_time_s = answer.holding_time_s or profile.holding_time_s or None
    if answer.pool is not None:
        mscc.pool = (answer.pool[0], _POOL_UNITS[answer.unit], answer.pool[1], answer.pool[2])


@lru_cache(maxsize=1000)
def final_unit(key: str) -> FinalUnit:
    """The Final-Unit-Indication that a final action stands for."""
    final = parse_final(key)
    address = final.redirect_address or None
    return FinalUnit(
        _FINAL_ACTIONS[final.action],
        address,
        redirect_type(final.redirect_address),
        final.filter_rules,
        final.filter_ids,
    )


def redirect_type(address: str) -> int:
    """Redirect-Address-Type of an address as the operator writes it."""
    if address.lower().startswith(("sip:", "sips:")):
        return REDIRECT_SIP_URI
    try:
        return REDIRECT_IPV4 if ip_address(address).version == 4 else REDIRECT_IPV6
    except ValueError:
        return REDIRECT_URL


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
