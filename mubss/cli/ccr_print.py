"""How `mubss ccr` and `mubss gy trace` show requests and answers: one line each, as a tree of AVPs, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mubss.cli.output import counted
from mubss.gy.avp import DiameterError, Node
from mubss.gy.cca import Cca, MsccAnswer
from mubss.gy.ccr import Ccr, Money, Units
from mubss.gy.client import Exchange, result_text
from mubss.gy.dictionary import command_name, value_name
from mubss.gy.message import Header, decode_header, decode_message
from mubss.runtime import one_line

if TYPE_CHECKING:
    from rich.text import Text

_LETTERS = {1: "I", 2: "U", 3: "T", 4: "E"}
_ACTIONS = {1: "a refund", 2: "balance check", 3: "price enquiry"}
_NAME_COLUMNS = 44


def is_success(code: int | None) -> bool:
    """A Result-Code of 2xxx, or none (an MSCC may leave it out)."""
    return code is None or 2000 <= code < 3000


def succeeded(cca: Cca) -> bool:
    """Whether the answer and every MSCC in it say success."""
    return is_success(cca.answer.result_code) and all(is_success(mscc.result_code) for mscc in cca.answer.msccs)


def request_line(ccr: Ccr) -> Text:
    """`→ CCR-U #1  used 1,500,000 octets, asks for quota`."""
    from rich.text import Text

    parts: list[str] = []
    if ccr.cc_request_type == 4 and ccr.requested_action in _ACTIONS:
        parts.append(_ACTIONS[ccr.requested_action])
    if ccr.msccs:
        for mscc in ccr.msccs:
            parts += [*_named(mscc.rating_group, mscc.service_identifiers), *_wishes(mscc.requested, mscc.used)]
    else:
        parts += _wishes(ccr.requested, ccr.used)
    if ccr.retransmitted:
        parts.append("sent again (T)")
    head = _head("CCR", ccr.cc_request_type, ccr.cc_request_number)
    line = Text.assemble(("→ ", "cyan"), (f"{head}  " if parts else head.rstrip(), "bold"))
    return line.append(", ".join(parts))


def answer_line(exchange: Exchange) -> Text:
    """`← CCA-U #1  2001 DIAMETER_SUCCESS  grants 10,000,000 octets, valid 3600 s  0.8 ms`."""
    from rich.text import Text

    cca, answer = exchange.cca, exchange.cca.answer
    head = _head("CCA", cca.cc_request_type, cca.cc_request_number)
    line = Text.assemble(("← ", "cyan"), (f"{head}  ", "bold"), _result(answer.result_code))
    parts = _grant(answer.granted, answer.validity_time_s, answer.final_unit is not None)
    for mscc in answer.msccs:
        parts += _named(mscc.rating_group, mscc.service_identifiers)
        if mscc.result_code not in (None, answer.result_code):
            line.append("  MSCC ").append_text(_result(mscc.result_code))
        parts += _grant(mscc.granted, mscc.validity_time_s, mscc.final_unit is not None)
    if answer.cost_information is not None:
        parts.append(f"costs {money_text(answer.cost_information)}")
    if answer.check_balance_result is not None:
        parts.append(value_name("Check-Balance-Result", answer.check_balance_result))
    if answer.error_message is not None:
        parts.append(f'"{one_line(answer.error_message)}"')
    if parts:
        line.append("  " + ", ".join(parts))
    return line.append(f"  {exchange.took_us / 1000:.1f} ms", "dim")


def _head(name: str, request_type: int | None, number: int | None) -> str:
    """`CCA-U #1`; an answer to what couldn't be read, such as a message that is too long, has neither: `CCA`."""
    head = name if request_type is None else f"{name}-{_LETTERS.get(request_type, '?')}"
    return f"{head if number is None else f'{head} #{number}':<8}"


def _result(code: int | None) -> Text:
    from rich.text import Text

    return Text(result_text(code or 0), "green" if is_success(code) else "bold red")


def _named(rating_group: int | None, identifiers: list[int]) -> list[str]:
    parts = [] if rating_group is None else [f"rating group {rating_group}"]
    return parts + ([f"service {', '.join(map(str, identifiers))}"] if identifiers else [])


def _wishes(requested: Units | None, used: Iterable[Units]) -> list[str]:
    parts = [f"used {units_text(units)}" for units in used]
    if requested is not None:
        asked = units_text(requested)
        parts.append(f"asks for {asked or 'quota'}")
    return parts


def _grant(granted: Units | None, validity_s: int | None, is_final: bool) -> list[str]:
    parts = [] if granted is None else [f"grants {units_text(granted) or 'nothing'}"]
    parts += [] if validity_s is None else [f"valid {validity_s} s"]
    return parts + (["the last units"] if is_final else [])


def units_text(units: Units) -> str:
    """`1,500,000 octets`; "" for an empty group."""
    given = (
        (units.total_octets, "octet", "octets"),
        (units.input_octets, "octet in", "octets in"),
        (units.output_octets, "octet out", "octets out"),
        (units.time_s, "s", "s"),
        (units.service_specific_units, "event", "events"),
    )
    parts = [counted(number, one, many) for number, one, many in given if number is not None]
    if units.money is not None:
        parts.append(money_text(units.money))
    return " + ".join(parts)


def money_text(money: Money) -> str:
    """`0.08 (currency 978)`: the wire names currencies by number (ISO 4217)."""
    digits, exponent, currency = money
    text = f"{digits * 10 ** max(exponent, 0)}" if abs(exponent) <= 30 else f"{digits}e{exponent}"
    if -30 <= exponent < 0:
        sign, padded = "-" if digits < 0 else "", str(abs(digits)).rjust(1 - exponent, "0")
        text = f"{sign}{padded[:exponent]}.{padded[exponent:]}"
    return text if currency is None else f"{text} (currency {currency})"


def tree_lines(frame: bytes) -> Iterator[str]:
    """The message's header and AVPs, one a line, groups indented."""
    try:
        message = decode_message(frame)
    except DiameterError as error:
        yield f"    can't be read: {error}"
        return
    header = message.header
    flags = flags_text(header)
    ids = f"hop-by-hop {header.hop_by_hop:#010x}, end-to-end {header.end_to_end:#010x}"
    yield f"    {message.name}, flags {flags or 'none'}, application {header.application_id}, {ids}"
    yield from _node_lines(message.avps, 4)


def message_json(frame: bytes) -> dict[str, Any]:
    """A message's header and AVPs; where these can't be read, why, and its octets."""
    header = decode_header(frame)
    found: dict[str, Any] = {
        "command": command_name(header.command_code, header.is_request),
        "flags": flags_text(header),
        "application_id": header.application_id,
        "hop_by_hop": header.hop_by_hop,
        "end_to_end": header.end_to_end,
    }
    try:
        return {**found, "avps": [*map(_node_json, decode_message(frame).avps)]}
    except DiameterError as error:
        return {**found, "error": str(error), "hex": frame.hex()}


def flags_text(header: Header) -> str:
    """The command flags that are set, of R, P, E and T."""
    return "".join(letter for letter, bit in zip("RPET", (128, 64, 32, 16), strict=True) if header.flags & bit)


def _node_lines(nodes: Iterable[Node], indent: int) -> Iterator[str]:
    for node in nodes:
        name = f"{' ' * indent}{node.name}"
        if isinstance(node.value, list):
            yield name
            yield from _node_lines(node.value, indent + 2)
        else:
            yield f"{name:<{_NAME_COLUMNS}} {_value_text(node)}"


def _value_text(node: Node) -> str:
    value = node.value
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, int):
        name = value_name(node.name, value)
        return f"{value} {name}" if name else str(value)
    return one_line(str(value))


def exchange_json(ccr: Ccr, exchange: Exchange, *, with_avps: bool) -> dict[str, Any]:
    """Request and answer as far as they say anything; names are those of the code, units their last word."""
    found: dict[str, Any] = {
        "request": _plain(asdict(ccr)),
        "answer": _answer_json(exchange.cca),
        "took_us": exchange.took_us,
    }
    if with_avps:
        found["request_avps"] = [*map(_node_json, decode_message(exchange.request).avps)]
        found["answer_avps"] = [*map(_node_json, decode_message(exchange.answer).avps)]
    return found


def _answer_json(cca: Cca) -> dict[str, Any]:
    head = {name: value for name, value in asdict(cca).items() if name != "answer"}
    body = asdict(cca.answer)
    body["msccs"] = [{**asdict(mscc), **_result_name(mscc)} for mscc in cca.answer.msccs]
    name = value_name("Result-Code", cca.answer.result_code)
    found: dict[str, Any] = _plain({**head, **body, "result_name": name, "success": succeeded(cca)})
    return found


def _result_name(mscc: MsccAnswer) -> dict[str, str]:
    return {} if mscc.result_code is None else {"result_name": value_name("Result-Code", mscc.result_code)}


def _plain(value: Any) -> Any:
    """Without what wasn't sent; bytes as hex."""
    if isinstance(value, dict):
        kept = {name: _plain(item) for name, item in value.items() if name not in ("encoded", "session_id_avp")}
        return {name: item for name, item in kept.items() if item is not None and item not in ([], "")}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _node_json(node: Node) -> dict[str, Any]:
    value = [*map(_node_json, node.value)] if isinstance(node.value, list) else node.value
    named = {"name": node.name, "code": node.code, "vendor_id": node.vendor_id, "flags": node.flags}
    return {**named, "value": value.hex() if isinstance(value, bytes) else value}
