"""The letter of the RFCs: a message against the grammar of its command and groups, for peers with the profile `strict`.

    check_request(frame, "ocs.example")    DiameterError for the first fault, in the order of the AVPs
    check_answer(frame)                    the same for what we, or a peer, answer

Result-Codes (RFC 6733 §7.1): 3008 flags of the header that don't fit the command, 5013 a reserved one, 3009 flags of
an AVP that don't fit its definition, 5001 an unknown AVP with the M flag, 5004 a value that isn't defined, 5005 an AVP
that is missing or not in its place, 5008 one that must not be there, 5009 one too many. Failed-AVP holds the AVP at
fault within the groups that it stands in (§7.5). What is between AVPs is in `grammar_rules`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from mubss.gy.avp import ADDRESS_E164, DiameterError, Node, encode_avp, encode_nodes, missing_avp, raw_avp
from mubss.gy.dictionary import (
    BY_NAME,
    COMMAND_BY_CODE,
    ENUMERATION_NAMES,
    FLAG_M,
    FLAG_V,
    IETF,
    Must,
    Type,
    command_name,
)
from mubss.gy.grammar_rules import check_credit_control, check_route, check_session_id, check_vendor_specific
from mubss.gy.grammar_tables import ANSWER_MESSAGE, COMMANDS, EXACTLY_ONE, GROUPS, NOT_ALLOWED
from mubss.gy.message import ERROR, PROXIABLE, REQUEST, RETRANSMITTED, decode_message, whole_header

_RESERVED_HEADER_FLAGS = 0x0F
_RESERVED_AVP_FLAGS = 0x1F  # P is reserved, too, but only SHOULD be 0 (RFC 6733 §4.1)
_VALUES_3GPP = ("Reporting-Reason", "AoC-Request-Type")  # the others get new values with every release
_IDENTITY = re.compile(r"[!-~]+")
_RULE = re.compile(r"(?:(\d*)\*(\d*))?([<{\[])([\w-]+)[>}\]]")


class Rule(NamedTuple):
    """How often an AVP may stand there (`most` None: any number), and whether it must be the first."""

    name: str
    least: int
    most: int | None
    is_first: bool


class Grammar(NamedTuple):
    """One command or group."""

    rules: dict[str, Rule]
    is_open: bool
    """`*[AVP]`: whatever else may be there but for what is `not_allowed`."""
    not_allowed: frozenset[str]


def parse(text: str, not_allowed: str = "") -> Grammar:
    """A grammar in the notation of `grammar_tables`; ValueError for a name that the dictionary lacks."""
    rules: dict[str, Rule] = {}
    for least, most, bracket, name in _RULE.findall(text):
        starred = bool(re.search(rf"\*\d*[<{{\[]{re.escape(name)}[>}}\]]", text))
        required = 0 if bracket == "[" else 1
        rules[name] = Rule(
            name, int(least) if least else required, (int(most) if most else None) if starred else 1, bracket == "<"
        )
    is_open = rules.pop("AVP", None) is not None
    unknown = [name for name in [*rules, *not_allowed.split()] if name not in BY_NAME]
    if unknown:
        raise ValueError(f"grammar: no AVP is named {unknown[0]!r}")
    return Grammar(rules, is_open, frozenset(not_allowed.split()))


_COMMANDS = {name: parse(text, NOT_ALLOWED.get(name, "")) for name, text in COMMANDS.items()}
_GROUPS = {name: parse(text) for name, text in GROUPS.items()}
_ANSWER_MESSAGE = parse(ANSWER_MESSAGE)


def check_request(frame: bytes, origin_host: str = "") -> None:
    """Raises DiameterError for the first rule of RFC 6733, RFC 8506 or TS 32.299 that the request breaks.

    `origin_host` is ours: a Route-Record that names it is a loop (3005). Commands without a grammar are not judged.
    """
    header = whole_header(frame)
    command = COMMAND_BY_CODE.get(header.command_code)
    if header.flags & ERROR:
        raise DiameterError(3008, f"command flags {header.flags:#04x}: E in a request")
    if header.flags & _RESERVED_HEADER_FLAGS:
        raise DiameterError(5013, f"command flags {header.flags:#04x}: reserved bits are set")
    if command is not None and bool(header.flags & PROXIABLE) != command.proxiable:
        text = f"command flags {header.flags:#04x}: {command.name}-Request is sent {_with_p(command.proxiable)}"
        raise DiameterError(3008, text)
    message = decode_message(frame)
    grammar = _COMMANDS.get(message.name)
    if grammar is None:
        return
    check_level(message.avps, grammar, message.name, [])
    check_vendor_specific(message.avps)
    if message.name == "CCR":
        check_route(message, origin_host)
        check_session_id(message)
        check_credit_control(message)


def check_answer(frame: bytes) -> None:
    """The same for an answer: the E flag with 3xxx and with nothing else, no R or T, its command's grammar."""
    header = whole_header(frame)
    message = decode_message(frame)
    result_code = message.find("Result-Code") or 0
    is_error = bool(header.flags & ERROR)
    if header.flags & (REQUEST | RETRANSMITTED | _RESERVED_HEADER_FLAGS) or is_error != (3000 <= result_code < 4000):
        raise DiameterError(3008, f"command flags {header.flags:#04x} in an answer with Result-Code {result_code}")
    name = command_name(header.command_code, is_request=False)
    grammar = _ANSWER_MESSAGE if is_error else _COMMANDS.get(name, _ANSWER_MESSAGE)
    check_level(message.avps, grammar, name, [])
    check_vendor_specific(message.avps)


def _with_p(proxiable: bool) -> str:
    return "with P" if proxiable else "without P"


def check_level(nodes: list[Node], grammar: Grammar | None, where: str, path: list[Node]) -> None:
    """The AVPs of a command or group, and of the groups among them; `path` are the groups around them."""
    counts: Counter[str] = Counter()
    for node in nodes:
        _check_flags(node, path)
        definition = node.definition
        if definition is None:
            continue
        counts[definition.name] += 1
        if grammar is not None:
            _check_place(node, grammar, counts[definition.name], where, path)
        if definition.type is Type.GROUPED:
            if definition.name != "Failed-AVP":  # what is in there is wrong by nature
                check_level(node.value, _GROUPS.get(definition.name), definition.name, [*path, node])
        else:
            _check_value(node, path)
    if grammar is None:
        return
    for rule in grammar.rules.values():
        if counts[rule.name] < rule.least:
            raise DiameterError(5005, f"{rule.name} is missing in {where}", within(path, example(rule.name)))
        if rule.is_first and counts[rule.name] and nodes[0].name != rule.name:
            raise DiameterError(5005, f"{rule.name} isn't the first AVP of {where}", within(path, example(rule.name)))
    if where in EXACTLY_ONE:
        _check_exactly_one(nodes, grammar, where, path)


def _check_flags(node: Node, path: list[Node]) -> None:
    """RFC 6733 §4.1 and §4.5: the reserved bits, V with a Vendor-Id, M as the AVP's definition has it."""
    definition = node.definition
    if node.flags & _RESERVED_AVP_FLAGS:
        raise _at_fault(3009, node, path, "reserved bits are set")
    if node.flags & FLAG_V and node.vendor_id <= 0:
        raise _at_fault(3009, node, path, "V with Vendor-Id 0")
    if definition is None:
        if node.flags & FLAG_M:
            raise DiameterError(
                5001, f"{node.name} isn't known, and has the M flag", within(path, encode_nodes([node]))
            )
        return
    if definition.mandatory is Must.MUST and not node.flags & FLAG_M:
        raise _at_fault(3009, node, path, "without M")
    if definition.mandatory is Must.MUST_NOT and node.flags & FLAG_M:
        raise _at_fault(3009, node, path, "with M")


def _at_fault(result_code: int, node: Node, path: list[Node], what: str) -> DiameterError:
    text = f"{node.name} with flags {node.flags:#04x}: {what}"
    return DiameterError(result_code, text, within(path, encode_nodes([node])))


def _check_place(node: Node, grammar: Grammar, count: int, where: str, path: list[Node]) -> None:
    rule = grammar.rules.get(node.name)
    if rule is None:
        if node.name in grammar.not_allowed or not grammar.is_open:
            raise DiameterError(5008, f"{node.name} isn't allowed in {where}", within(path, encode_nodes([node])))
    elif rule.most is not None and count > rule.most:
        text = f"{node.name} stands {count} times in {where}, expected up to {rule.most}"
        raise DiameterError(5009, text, within(path, encode_nodes([node])))


def _check_value(node: Node, path: list[Node]) -> None:
    definition = node.definition
    assert definition is not None
    wrong = ""
    if definition.type is Type.ENUMERATED and (definition.vendor_id == IETF or definition.name in _VALUES_3GPP):
        values = ENUMERATION_NAMES.get(definition.name)
        if values is not None and node.value not in values:
            wrong = f"{node.value} isn't defined"
    elif definition.type is Type.DIAMETER_IDENTITY and not _IDENTITY.fullmatch(node.value):
        wrong = "no DiameterIdentity: a full domain name in ASCII"
    elif definition.type is Type.ADDRESS and ":" not in node.value and "." not in node.value:
        wrong = f"address family {ADDRESS_E164}, expected 1 (IPv4) or 2 (IPv6)"
    if wrong:
        raise DiameterError(5004, f"{node.name}: {wrong}", within(path, encode_nodes([node])))


def _check_exactly_one(nodes: list[Node], grammar: Grammar, where: str, path: list[Node]) -> None:
    found = [node for node in nodes if node.name in grammar.rules]
    if not found:
        first = next(iter(grammar.rules))
        raise DiameterError(5005, f"{where} is empty, expected {first} or another", within(path, example(first)))
    if len(found) > 1:
        text = f"{found[1].name} isn't allowed in {where} beside {found[0].name}"
        raise DiameterError(5008, text, within(path, encode_nodes([found[1]])))


def within(path: list[Node], avp: bytes) -> bytes:
    """An AVP inside the groups that it stood in, each holding nothing else (RFC 6733 §7.5)."""
    for group in reversed(path):
        avp = raw_avp(group.code, group.flags, avp, group.vendor_id)
    return avp


def example(name: str) -> bytes:
    """The smallest AVP of that name that its grammar allows: zeros, a group with what it requires."""
    grammar = _GROUPS.get(name)
    if grammar is None:
        return missing_avp(name)
    return encode_avp(name, [example(rule.name) for rule in grammar.rules.values() if rule.least])
