"""What RFC 6733 and RFC 8506 say of AVPs together, beside the grammars: for peers with the profile `strict`."""

from __future__ import annotations

from mubss.gy.avp import DiameterError, Node, encode_avp, encode_nodes, missing_avp, raw_avp
from mubss.gy.ccr import EVENT, INITIAL
from mubss.gy.message import Message, find_all

_ACCT, _AUTH, _SPECIFIC = "Acct-Application-Id", "Auth-Application-Id", "Vendor-Specific-Application-Id"
_MSCC, _INDICATOR = "Multiple-Services-Credit-Control", "Multiple-Services-Indicator"


def check_vendor_specific(nodes: list[Node]) -> None:
    """RFC 6733 §6.11: a Vendor-Specific-Application-Id has either an Auth- or an Acct-Application-Id."""
    for group in named(nodes, _SPECIFIC):
        found = [node for node in group.value if node.name in (_AUTH, _ACCT)]
        if not found:
            text = f"{_SPECIFIC} without {_AUTH} and {_ACCT}"
            raise DiameterError(5005, text, missing_avp(_AUTH) + missing_avp(_ACCT))
        if len(found) > 1:
            raise DiameterError(5009, f"{_SPECIFIC} with {_AUTH} and {_ACCT}", encode_nodes(found))


def check_route(message: Message, origin_host: str) -> None:
    """RFC 6733 §6.1.3: whoever finds its own identity in a Route-Record has had the request before."""
    for node in named(message.avps, "Route-Record"):
        if node.value.lower() == origin_host.lower():
            raise DiameterError(3005, f"Route-Record names this server, {node.value}", encode_nodes([node]))


def check_session_id(message: Message) -> None:
    """RFC 6733 §8.8: a Session-Id begins with the identity of the node that made it."""
    [session_id], [host] = named(message.avps, "Session-Id"), named(message.avps, "Origin-Host")
    sender = session_id.value.partition(";")[0]
    if sender.lower() != host.value.lower() or ";" not in session_id.value:
        text = f"Session-Id begins with {sender[:80]!r}, expected Origin-Host and a semicolon"
        raise DiameterError(5004, text, encode_nodes([session_id]))


def check_credit_control(message: Message) -> None:
    """RFC 8506: what a CCR must and must not say, by its CC-Request-Type."""
    _check_application(message)
    [context] = named(message.avps, "Service-Context-Id")
    before, at, domain = context.value.partition("@")
    if not (before and at and domain):
        text = f"Service-Context-Id {context.value[:80]!r}: expected context@domain (RFC 8506 §8.42)"
        raise DiameterError(5004, text, encode_nodes([context]))
    _check_action(message)
    _check_services(message)
    for used in named(message.avps, "Used-Service-Unit"):
        _check_octets(used, [])
    for mscc in named(message.avps, _MSCC):
        for used in named(mscc.value, "Used-Service-Unit"):
            _check_octets(used, [mscc])


def _check_application(message: Message) -> None:
    """RFC 6733 §6.8: it matches the header's; a Vendor-Specific-Application-Id says the same."""
    [application] = named(message.avps, _AUTH)
    if application.value != message.header.application_id:
        text = f"{_AUTH} {application.value} under a header's {message.header.application_id}"
        raise DiameterError(5004, text, encode_nodes([application]))
    for group in named(message.avps, _SPECIFIC):
        if any(value != application.value for value in find_all(group.value, _AUTH)):
            raise _contradiction(f"{_AUTH} and {_SPECIFIC} name different applications", application, group)


def _check_action(message: Message) -> None:
    """RFC 8506 §8.3 and §8.41: Requested-Action is an EVENT_REQUEST's, and never missing there."""
    action = named(message.avps, "Requested-Action")
    if message.find("CC-Request-Type") == EVENT:
        if not action:
            text = "Requested-Action is missing in an EVENT_REQUEST"
            raise DiameterError(5005, text, missing_avp("Requested-Action"))
    elif action:
        text = "Requested-Action isn't allowed where CC-Request-Type isn't EVENT_REQUEST"
        raise DiameterError(5008, text, encode_nodes(action))


def _check_services(message: Message) -> None:
    """RFC 8506 §5.1.2, §8.16, §8.40: several services are announced in the first request, which asks quota for each."""
    msccs, indicator = named(message.avps, _MSCC), named(message.avps, _INDICATOR)
    if not msccs:
        return
    if beside := named(message.avps, "Used-Service-Unit"):
        raise DiameterError(5008, f"Used-Service-Unit isn't allowed beside {_MSCC}", encode_nodes(beside))
    if indicator and indicator[0].value == 0:
        raise _contradiction(f"{_MSCC} beside {_INDICATOR} 0", indicator[0], msccs[0])
    if message.find("CC-Request-Type") != INITIAL:
        return
    if not indicator:
        text = f"{_INDICATOR} is missing in an INITIAL_REQUEST with {_MSCC}"
        raise DiameterError(5005, text, encode_avp(_INDICATOR, 0))
    for mscc in msccs:
        if not named(mscc.value, "Requested-Service-Unit"):
            text = f"Requested-Service-Unit is missing in a {_MSCC} of an INITIAL_REQUEST"
            missing = raw_avp(mscc.code, mscc.flags, missing_avp("Requested-Service-Unit"))
            raise DiameterError(5005, text, missing)


def _check_octets(used: Node, path: list[Node]) -> None:
    """RFC 8506 §8.23: CC-Total-Octets are those of both directions."""
    names = ("CC-Total-Octets", "CC-Input-Octets", "CC-Output-Octets")
    parts = [node for name in names for node in named(used.value, name)]
    if len(parts) == 3 and parts[0].value != parts[1].value + parts[2].value:
        wrapped = used._replace(value=parts)
        for group in path:
            wrapped = group._replace(value=[wrapped])
        text = f"CC-Total-Octets {parts[0].value} with input {parts[1].value} and output {parts[2].value}"
        raise _contradiction(text, wrapped)


def _contradiction(text: str, *nodes: Node) -> DiameterError:
    return DiameterError(5007, text, encode_nodes(nodes))


def named(nodes: list[Node], name: str) -> list[Node]:
    """Those of that name."""
    return [node for node in nodes if node.name == name]
