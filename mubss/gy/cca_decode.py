"""A Credit-Control-Answer from bytes, for the test client and the load generator; the inverse of `encode_cca`."""

from __future__ import annotations

from mubss.gy.avp import DiameterError, Node, decode_tree, missing_avp, time_from_ntp, whole_avp
from mubss.gy.cca import Cca, FinalUnit, MsccAnswer
from mubss.gy.ccr import Units
from mubss.gy.ccr_units import SPARE, V, decode_money, decode_units, enter, not_utf8, skip, three, wrong_end
from mubss.gy.dictionary import VENDOR_3GPP
from mubss.gy.message import find_all, whole_header


def decode_cca(frame: bytes) -> Cca:
    """The answer in `frame`, a whole message from `Framer`; DiameterError for one that can't be read.

    An Experimental-Result-Code stands for a Result-Code that isn't there; 5005 without either.
    """
    header = whole_header(frame)
    cca = Cca(flags=header.flags, hop_by_hop=header.hop_by_hop, end_to_end=header.end_to_end)
    cca.answer.result_code = 0
    unknown: list[bytes] = []
    buf, pos, end = frame + SPARE, 20, len(frame)
    while pos < end:
        code, word, value = three(buf, pos)
        begin, pos = pos, skip(unknown, buf, pos, end)
        if word & V:
            continue
        try:
            _take(cca, unknown, buf, code, value, begin, begin + (word & 0xFFFFFF))
        except UnicodeDecodeError:
            raise not_utf8(buf, begin, end) from None
    if not cca.answer.result_code:
        raise DiameterError(5005, "an answer without Result-Code", missing_avp("Result-Code"))
    return cca


def _take(cca: Cca, unknown: list[bytes], buf: bytes, code: int, value: int, begin: int, stop: int) -> None:
    """Puts one AVP of the command where it belongs; what isn't needed is left."""
    answer = cca.answer
    if code in _NUMBERS:
        setattr(cca, _NUMBERS[code], value)
    elif code in _TEXTS:
        setattr(cca, _TEXTS[code], buf[begin + 8 : stop].decode())
    elif code in _ANSWER_NUMBERS:
        setattr(answer, _ANSWER_NUMBERS[code], value)
    elif code == 456:
        answer.msccs.append(_mscc(unknown, buf, begin + 8, stop))
    elif code == 431:
        answer.granted = Units()
        answer.tariff_time_change_s = _granted(unknown, answer.granted, buf, begin + 8, stop)
    elif code == 423:
        answer.cost_information = decode_money(unknown, buf, begin, stop)
    elif code == 430:
        answer.final_unit = _final_unit(buf, begin, stop)
    elif code == 279:
        answer.failed_avp = buf[begin + 8 : stop]
    elif code == 281:
        answer.error_message = buf[begin + 8 : stop].decode()
    elif code == 297 and not answer.result_code:
        answer.result_code = next(iter(find_all(decode_tree(buf, begin + 8, stop), "Experimental-Result-Code")), 0)


_NUMBERS = {416: "cc_request_type", 415: "cc_request_number", 258: "auth_application_id", 278: "origin_state_id"}
_TEXTS = {263: "session_id", 264: "origin_host", 296: "origin_realm"}
_ANSWER_NUMBERS = {
    268: "result_code",
    418: "session_failover",
    422: "check_balance_result",
    427: "failure_handling",
    428: "direct_debiting_failure_handling",
    448: "validity_time_s",
}
_MSCC_NUMBERS = {432: "rating_group", 448: "validity_time_s", 268: "result_code"}
_MSCC_NUMBERS_3GPP = {
    868: "time_quota_threshold_s",
    869: "volume_quota_threshold_octets",
    1226: "unit_quota_threshold",
    871: "quota_holding_time_s",
}


def _mscc(unknown: list[bytes], buf: bytes, start: int, end: int) -> MsccAnswer:
    mscc = MsccAnswer(result_code=None)
    pos = start
    while pos < end:
        code, word, value = three(buf, pos)
        begin, pos = pos, skip(unknown, buf, pos, end)
        if word & V:
            if value == VENDOR_3GPP and code in _MSCC_NUMBERS_3GPP:
                setattr(mscc, _MSCC_NUMBERS_3GPP[code], int.from_bytes(buf[begin + 12 : begin + 16], "big"))
        elif code in _MSCC_NUMBERS:
            setattr(mscc, _MSCC_NUMBERS[code], value)
        elif code == 431:
            mscc.granted = Units()
            mscc.tariff_time_change_s = _granted(unknown, mscc.granted, buf, *enter(buf, begin, end))
        elif code == 439:
            mscc.service_identifiers.append(value)
        elif code == 430:
            mscc.final_unit = _final_unit(buf, begin, end)
        elif code == 457:
            mscc.pool = _pool(buf, begin, end)
    if pos != end:
        raise wrong_end(buf, start, end)
    return mscc


def _granted(unknown: list[bytes], units: Units, buf: bytes, pos: int, end: int) -> int | None:
    """Fills `units` and returns the Tariff-Time-Change within Granted-Service-Unit."""
    decode_units(unknown, units, buf, pos, end)
    while pos < end:
        code, word, value = three(buf, pos)
        if code == 451 and not word & V:
            return time_from_ntp(value)
        pos = skip(unknown, buf, pos, end)
    return None


def _pool(buf: bytes, at: int, limit: int) -> tuple[int, int, int, int]:
    nodes = decode_tree(buf, *enter(buf, at, limit))
    try:
        [worth] = find_all(nodes, "Unit-Value")
        [identifier], [unit] = find_all(nodes, "G-S-U-Pool-Identifier"), find_all(nodes, "CC-Unit-Type")
        [digits], exponents = find_all(worth, "Value-Digits"), find_all(worth, "Exponent")
    except ValueError:
        text = "G-S-U-Pool-Reference without one of its parts"
        raise DiameterError(5004, text, whole_avp(buf, at, limit)) from None
    return identifier, unit, digits, next(iter(exponents), 0)


def _final_unit(buf: bytes, at: int, limit: int) -> FinalUnit:
    nodes = decode_tree(buf, *enter(buf, at, limit))
    server: list[Node] = next(iter(find_all(nodes, "Redirect-Server")), [])
    try:
        return FinalUnit(
            action=next(iter(find_all(nodes, "Final-Unit-Action"))),
            redirect_address=next(iter(find_all(server, "Redirect-Server-Address")), None),
            redirect_address_type=next(iter(find_all(server, "Redirect-Address-Type")), 2),
            restriction_filter_rules=tuple(find_all(nodes, "Restriction-Filter-Rule")),
            filter_ids=tuple(find_all(nodes, "Filter-Id")),
        )
    except (StopIteration, ValueError):
        text = "Final-Unit-Indication without what its action needs"
        raise DiameterError(5004, text, whole_avp(buf, at, limit)) from None
