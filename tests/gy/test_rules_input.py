"""Rules 7 to 10 on a real connection: what clients really send, who is meant, which service, which action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gy_wire import Raw, find, names
from gy_world import DATA, EVENT, INITIAL, SMS, TERMINATION, UPDATE, VOICE, GyServer, Person, World, data, octets
from mubss.gy.avp import Node, encode_nodes, raw_avp
from mubss.gy.cca import Cca
from mubss.gy.codec import CcaAnswer, Ccr, Mscc, MsccAnswer, Units, UsedUnits, decode_cca, decode_ccr, encode_ccr
from mubss.gy.dictionary import BY_NAME
from mubss.gy.message import decode_header, decode_message, encode_message
from tests.vectors.load import load

# ── rule 7 ─────────────────────────────────────────────────────────────────────────────────────────

# Of each client: its requests, the Result-Codes it gets (the command's, then each MSCC's), what its usage costs by the
# demo's tariff: 0.02 EUR per started 1,000,000 octets of a session, 0.09 per started 60 s, 0.08 per SMS.
OK = [2001, 2001]
SESSIONS: list[tuple[str, list[tuple[str, list[int]]], int]] = [
    ("open5gs", [("ccr_i", OK), ("ccr_u", OK), ("ccr_u_validity", OK), ("ccr_t", OK)], 40_000),  # 1,003,135 octets
    ("magma", [("ccr_i", [2001, 2001, 2001]), ("ccr_u", [2001, 2001, 2001]), ("ccr_t", OK)], 40_000),  # 1,501,244
    ("kamailio", [("ccr_i", OK), ("ccr_u", OK), ("ccr_t", OK)], 90_000),  # 42 s
    ("kamailio", [("ccr_i_tel", OK), ("ccr_u", OK), ("ccr_t", OK)], 90_000),
    ("ergw", [("ccr_i", OK), ("ccr_u", OK), ("ccr_t", OK)], 20_000),  # 2,200
    ("siphon", [("ccr_i", [2001]), ("ccr_u", [2001]), ("ccr_t", [2001])], 180_000),  # 84 s
    ("siphon", [("ccr_i_mscc", OK), ("ccr_t", [2001])], 90_000),  # 42 s
    ("smsc", [("ccr_e", OK)], 80_000),
    ("python-diameter-sms", [("ccr_e", OK)], 80_000),
    ("seagull", [("ccr_i", [5030]), ("ccr_u", [5030]), ("ccr_t", [5030])], 0),
    ("xk6", [("ccr_i", OK)], 0),
    ("cisco-pgw", [("ccr_i", OK), ("ccr_u", OK), ("ccr_t", OK)], 20_000),  # 1,900 octets; its time costs nothing
]


PLAYED = [
    pytest.param(
        *one,
        id=f"{one[0]}-{one[1][0][0]}",
        marks=pytest.mark.conforms(f"Client {one[0]}", "its whole session comes to the right charge"),
    )
    for one in SESSIONS
]


@pytest.mark.parametrize("client, requests, micros", PLAYED)
def test_rule_07_every_client_pays_what_it_used(
    world: World, server: GyServer, client: str, requests: list[tuple[str, list[int]]], micros: int
) -> None:
    person = world.person()
    with Raw(server.port) as peer:
        if client not in ("python-diameter-sms", "xk6"):  # these two's CERs aren't known
            peer.host = find(load(client, "cer"), "Origin-Host")
            assert find(peer.ask(load(client, "cer")), "Result-Code") == 2001
        else:
            peer.open()
        for name, results in requests:
            frame = person.in_place_of_the_vectors(load(client, name), session=requests[0][0])
            answer = peer.ask(frame)
            assert find(answer, "Session-Id") == decode_ccr(frame).session_id
            assert find(answer, "CC-Request-Number") == decode_ccr(frame).cc_request_number
            read = decode_cca(answer).answer
            assert [read.result_code, *(one.result_code for one in read.msccs)] == results
            asked = [(one.rating_group, one.service_identifiers) for one in decode_ccr(frame).msccs]
            assert [(one.rating_group, one.service_identifiers) for one in read.msccs] == asked * (len(results) > 1)
    assert world.spent(person) == micros
    assert world.account(person)["reserved_micros"] == (200_000 if client == "xk6" else 0)


@pytest.mark.conforms("Client seagull", "requests without subscriber get 5030, and what they report is kept")
def test_rule_07_who_is_nobodys_subscriber_loses_no_units(world: World, server: GyServer) -> None:
    with Raw(server.port).open() as peer:
        for name in ("ccr_i", "ccr_u", "ccr_t"):
            frame = world.person().in_place_of_the_vectors(load("seagull", name), session="lost")
            peer.ask(frame)
    session_id = decode_ccr(frame).session_id or ""
    assert [(one["units"], one["number"], one["identities"]) for one in world.suspense(session_id)] == [
        (10, 1, []),
        (10, 2, []),
    ]


def test_rule_07_requests_of_a_client_are_granted_what_it_asked(world: World, pgw: Raw) -> None:
    wanted = {
        ("open5gs", "ccr_i"): [Units(1_000_000)],
        ("magma", "ccr_i"): [Units(2_000_000), Units(10_000_000)],
        ("kamailio", "ccr_i"): [Units(time_s=30)],
        ("ergw", "ccr_i"): [Units(10_000_000)],
        ("siphon", "ccr_i_mscc"): [Units(time_s=60)],
        ("smsc", "ccr_e"): [Units(service_specific_units=1)],
        ("python-diameter-sms", "ccr_e"): [Units(service_specific_units=1)],
        ("xk6", "ccr_i"): [Units(10_000_000)],
        ("cisco-pgw", "ccr_i"): [Units(10_000_000)],
    }
    for letter, (vector, expected) in zip("ABCDEFGHI", wanted.items(), strict=True):
        frame = world.person().in_place_of_the_vectors(load(*vector), session=letter)
        assert [one.granted for one in decode_cca(pgw.ask(frame)).answer.msccs] == expected, vector
    frame = world.person().in_place_of_the_vectors(load("siphon", "ccr_i"), session="Z")
    assert decode_cca(pgw.ask(frame)).answer.granted == Units(time_s=60)


def rewritten(frame: bytes, change: Callable[[list[Node]], list[Node]]) -> bytes:
    """A request with its AVPs changed, level by level, deepest first."""

    def level(nodes: list[Node]) -> list[Node]:
        return change(
            [node._replace(value=level(node.value)) if isinstance(node.value, list) else node for node in nodes]
        )

    header = decode_header(frame)
    nodes = level(decode_message(frame).avps)
    return encode_message(272, header.flags, 4, header.hop_by_hop, header.end_to_end, [encode_nodes(nodes)])


def at_top(nodes: list[Node]) -> bool:
    return any(node.name == "Session-Id" for node in nodes)


def node(name: str, value: Any) -> Node:
    definition = BY_NAME[name]
    return Node(definition, definition.code, definition.vendor_id, definition.flags, value)


def unknown(flags: int, vendor_id: int) -> Node:
    return Node(None, 64_999, vendor_id, flags | (0x80 if vendor_id else 0), b"12345")


def moved(nodes: list[Node], order: Callable[[Node], Any]) -> list[Node]:
    return sorted(nodes, key=order) if at_top(nodes) else nodes


LIBERTIES: dict[str, Callable[[list[Node]], list[Node]]] = {
    "as it is": lambda nodes: nodes,
    "no M bits": lambda nodes: [one._replace(flags=one.flags & ~0x40) for one in nodes],
    "M bits everywhere": lambda nodes: [one._replace(flags=one.flags | 0x40) for one in nodes],
    "P bits": lambda nodes: [one._replace(flags=one.flags | 0x20) for one in nodes],
    "unknown AVPs without M": lambda nodes: [unknown(0, 0), *nodes, unknown(0, 4_711), unknown(0, 10_415)],
    "unknown AVPs with M": lambda nodes: [unknown(0x40, 0), *nodes, unknown(0x40, 4_711), unknown(0x40, 10_415)],
    "Origin AVPs twice": lambda nodes: [
        copy for one in nodes for copy in [one] * (2 if one.name in ("Origin-Host", "Origin-Realm") else 1)
    ],
    "Origin AVPs twice, differing": lambda nodes: (
        [*nodes, node("Origin-Host", "other.example"), node("Origin-Realm", "other")] if at_top(nodes) else nodes
    ),
    "Session-Id last": lambda nodes: moved(nodes, lambda one: one.name == "Session-Id"),
    "the other way round": lambda nodes: nodes[::-1],
    "no Auth-Application-Id": lambda nodes: [one for one in nodes if one.name != "Auth-Application-Id"],
    "Vendor-Specific-Application-Id instead": lambda nodes: [
        node("Vendor-Specific-Application-Id", [node("Vendor-Id", 10_415), one]) if one.code == 258 else one
        for one in nodes
    ],
    "an address of family 8": lambda nodes: (
        [*nodes, node("Service-Information", [node("SMS-Information", [node("SMSC-Address", "999700009999")])])]
        if at_top(nodes)
        else nodes
    ),
    "Multiple-Services-Indicator 0": lambda nodes: (
        [node("Multiple-Services-Indicator", 0), *nodes] if at_top(nodes) else nodes
    ),
    "no Origin AVPs": lambda nodes: [one for one in nodes if one.name not in ("Origin-Host", "Origin-Realm")],
    "no Destination-Realm": lambda nodes: [one for one in nodes if one.name != "Destination-Realm"],
    "no Event-Timestamp": lambda nodes: [one for one in nodes if one.name != "Event-Timestamp"],
}


@pytest.mark.parametrize("name", LIBERTIES)
def test_rule_07_liberties_change_nothing(world: World, pgw: Raw, name: str) -> None:
    person, session_id = world.person(), world.session_id()
    answers = []
    for number, (kind, mscc) in enumerate(
        [
            (INITIAL, Mscc(1, [7], Units(5_000_000))),
            (UPDATE, Mscc(1, [7], Units(5_000_000), octets(1_200_000))),
            (TERMINATION, Mscc(1, [7], None, octets(1_000_000))),
        ]
    ):
        ccr = data(kind, number, session_id, person, mscc, origin_host=pgw.host, origin_realm="example")
        ccr.destination_realm, ccr.event_timestamp_s = "mubss.example", 1_795_000_000
        answers.append(decode_cca(pgw.ask(rewritten(encode_ccr(ccr), LIBERTIES[name]))).answer)
    grant = MsccAnswer(1, [7], 2001, Units(5_000_000), validity_time_s=3600)
    assert answers == [
        CcaAnswer(2001, [grant], session_failover=1, failure_handling=2),
        CcaAnswer(2001, [grant]),
        CcaAnswer(2001, [MsccAnswer(1, [7])]),
    ]
    assert world.spent(person) == 60_000


def test_rule_07_a_ccr_i_without_mscc_opens_a_session(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    first = data(INITIAL, 0, session_id, person)
    first.msccs = []
    assert pgw.charge(first).answer == CcaAnswer(2001, session_failover=1, failure_handling=2)
    answer = pgw.charge(data(UPDATE, 1, session_id, person, Mscc(1, requested=Units(5)))).answer
    assert answer.msccs[0].granted == Units(5)
    pgw.charge(data(TERMINATION, 2, session_id, person, Mscc(1, used=octets(5))))
    assert world.spent(person) == 20_000


@pytest.mark.conforms("RFC 6733 §7.1.5", "5014 and 5004 in every profile")
@pytest.mark.parametrize(
    "wrong, result_code",
    [
        (raw_avp(415, 0x40, b"\0\0\0\0\0\0\0\1"), 5014),
        (raw_avp(456, 0x40, raw_avp(432, 0x40, b"\1")), 5014),
        (raw_avp(456, 0x40, raw_avp(446, 0x40, raw_avp(421, 0x40, b"\0\0\0\1"))), 5014),
        (raw_avp(443, 0x40, raw_avp(450, 0x40, b"\0\0\0\1") + raw_avp(444, 0x40, b"\xff\xff")), 5004),
        (raw_avp(456, 0x40, b"\0\0\1\xb0\x40\0\0\x07\0\0\0\1"), 5014),
    ],
    ids=range(5),
)
def test_rule_07_lengths_and_types_are_never_tolerated_wrong(
    world: World, pgw: Raw, wrong: bytes, result_code: int
) -> None:
    person, session_id = world.person(), world.session_id()
    frame = encode_ccr(data(INITIAL, 0, session_id, person), wrong)
    answer = pgw.ask(frame)
    assert find(answer, "Result-Code") == result_code
    assert "Failed-AVP" in names(answer)
    assert world.account(person)["sessions"] == {}


# ── rule 8 ─────────────────────────────────────────────────────────────────────────────────────────

E164, IMSI, SIP, NAI, PRIVATE = range(5)
WRITTEN: list[tuple[int, str]] = [
    (E164, "{msisdn}"),
    (E164, "+{msisdn}"),
    (E164, "tel:+{msisdn}"),
    (E164, "sip:+{msisdn}@ims.example;user=phone"),
    (IMSI, "{imsi}"),
    (IMSI, "0{imsi}@nai.epc.example"),
    (SIP, "sip:{msisdn}@ims.example"),
    (SIP, "tel:+{msisdn};phone-context=example"),
    (NAI, "{imsi}@ims.example"),
    (NAI, "0{imsi}@nai.epc.example"),
    (PRIVATE, "{imsi}"),
    (PRIVATE, "{msisdn}@ims.example"),
]


@pytest.mark.conforms("RFC 8506 §8.46", "Subscription-Id of each type, at each place")
@pytest.mark.parametrize("where", ["command", "service"])
@pytest.mark.parametrize("kind, text", WRITTEN)
def test_rule_08_the_subscriber_is_found(world: World, pgw: Raw, kind: int, text: str, where: str) -> None:
    person, session_id = world.person(), world.session_id()
    ccr = data(EVENT, 0, session_id, None, Mscc(None, [1]), service_context_id=SMS)
    named = [(kind, text.format(**person._asdict()))]
    if where == "command":
        ccr.subscription_ids = named
    else:
        ccr.service_subscription_ids = named
    assert pgw.charge(ccr).answer.result_code == 2001
    assert world.spent(person) == 80_000


def test_rule_08_the_configured_order_decides(world: World, pgw: Raw) -> None:
    one, other = world.person(), world.person()

    def event() -> Ccr:
        ccr = data(EVENT, 0, world.session_id(), None, Mscc(None, [1]), service_context_id=SMS)
        ccr.subscription_ids = [(IMSI, other.imsi), (E164, one.msisdn)]
        return ccr

    assert pgw.charge(event()).answer.result_code == 2001
    assert (world.spent(one), world.spent(other)) == (80_000, 0)
    with GyServer(world, subscription_id_order="imsi,e164") as server, Raw(server.port).open() as peer:
        assert peer.charge(event()).answer.result_code == 2001
    assert (world.spent(one), world.spent(other)) == (80_000, 80_000)


def test_rule_08_user_name_stands_in(world: World, pgw: Raw) -> None:
    person = world.person()
    for user_name in (f"+{person.msisdn}", f"{person.imsi}@ims.example"):
        ccr = data(EVENT, 0, world.session_id(), None, Mscc(None, [1]), service_context_id=SMS, user_name=user_name)
        assert pgw.charge(ccr).answer.result_code == 2001
    assert world.spent(person) == 160_000


@pytest.mark.conforms("RFC 8506 §9.2", "5030 for an unknown subscriber")
@pytest.mark.parametrize("named", [[(E164, "999799999999")], [(SIP, "sip:alice@example")], []], ids=str)
@pytest.mark.parametrize("kind", [INITIAL, UPDATE, TERMINATION, EVENT])
def test_rule_08_an_unknown_subscriber_is_5030(world: World, pgw: Raw, kind: int, named: list[tuple[int, str]]) -> None:
    session_id = world.session_id()
    ccr = data(kind, 0, session_id, None, Mscc(1, used=octets(77)), subscription_ids=named)
    assert pgw.charge(ccr).answer == CcaAnswer(5030)
    assert [one["units"] for one in world.suspense(session_id)] == [77]


@pytest.mark.conforms("RFC 8506 §9.1", "4010 for who may not use the service")
@pytest.mark.parametrize("state", ["suspended", "barred", "terminated"])
def test_rule_08_who_may_not_use_the_service_is_4010(world: World, pgw: Raw, state: str) -> None:
    person = world.person()
    world.set_state(person, state)
    for kind in (INITIAL, EVENT):
        assert pgw.charge(data(kind, 0, world.session_id(), person, Mscc(1))).answer == CcaAnswer(4010)
    assert world.account(person)["sessions"] == {}
    assert world.spent(person) == 0


def test_rule_08_a_session_of_who_is_suspended_meanwhile_is_charged_and_ends(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    world.set_state(person, "suspended")
    report = Mscc(1, requested=Units(), used=octets(5))
    assert pgw.charge(data(UPDATE, 1, session_id, person, report)).answer == CcaAnswer(4010, [MsccAnswer(1, [], 4010)])
    assert world.spent(person) == 20_000, "what was used is paid for all the same"
    last = data(TERMINATION, 2, session_id, person, Mscc(1, used=octets(999_996)))
    assert pgw.charge(last).answer == CcaAnswer(2001, [MsccAnswer(1)])
    assert world.spent(person) == 40_000
    assert world.account(person)["sessions"] == {}


def test_rule_08_a_session_goes_on_for_who_isnt_named_again(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    assert pgw.charge(data(UPDATE, 1, session_id, None, Mscc(1, used=octets(5)))).answer.result_code == 2001
    assert pgw.charge(data(TERMINATION, 2, session_id, None, Mscc(1, used=octets(5)))).answer.result_code == 2001
    assert world.spent(person) == 20_000


# ── rule 9 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §8.42", "Service-Context-Id names the service")
@pytest.mark.parametrize(
    "context, micros",
    [
        (DATA, 20_000),
        ("14.32251@3gpp.org", 20_000),
        ("32251", 20_000),
        (None, 20_000),
        (VOICE, 90_000),
        ("ext.01.001.8.32260@3gpp.org", 90_000),
        (SMS, 80_000),
        ("8.32274@operator.example", 80_000),
    ],
)
def test_rule_09_the_context_names_the_service(world: World, pgw: Raw, context: str | None, micros: int) -> None:
    person = world.person()
    used = [UsedUnits(total_octets=1, time_s=1, service_specific_units=1)]
    ccr = data(EVENT, 0, world.session_id(), person, Mscc(1, used=used), service_context_id=context)
    assert pgw.charge(ccr).answer.result_code == 2001
    assert world.spent(person) == micros


@pytest.mark.conforms("RFC 8506 §9.2", "5031 for what can't be rated")
@pytest.mark.parametrize("context", ["132251@3gpp.org", "32270@3gpp.org", "@3gpp.org", "x" * 10_000])
def test_rule_09_a_context_that_nobody_serves_is_5031(world: World, pgw: Raw, context: str) -> None:
    person, session_id = world.person(), world.session_id()
    answer = pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1), service_context_id=context)).answer
    assert answer == CcaAnswer(2001, [MsccAnswer(1, [], 5031)], session_failover=1, failure_handling=2)
    pgw.charge(data(TERMINATION, 1, session_id, person, service_context_id=context))


def test_rule_09_the_default_context_is_configured(world: World) -> None:
    person = world.person()
    with GyServer(world, default_service_context=SMS) as server, Raw(server.port).open() as peer:
        peer.charge(data(EVENT, 0, world.session_id(), person, Mscc(1), service_context_id=None))
    assert world.spent(person) == 80_000


# ── rule 10 ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("action", [None, 0, 1, 2, 3, 4, 0x7FFFFFFF])
def test_rule_10_requested_action_means_nothing_in_a_session(world: World, pgw: Raw, action: int | None) -> None:
    person, session_id = world.person(), world.session_id()
    results = []
    for number, (kind, mscc) in enumerate(
        [(INITIAL, Mscc(1)), (UPDATE, Mscc(1, used=octets(5))), (TERMINATION, Mscc(1, used=octets(5)))]
    ):
        cca = pgw.charge(data(kind, number, session_id, person, mscc, requested_action=action))
        results.append(cca.answer)
    assert [one.result_code for one in results] == [2001] * 3
    assert results[0].msccs[0].granted == Units(10_000_000)
    assert all(one.cost_information is None and one.check_balance_result is None for one in results)
    assert world.spent(person) == 20_000


def event(world: World, pgw: Raw, person: Person, action: int | None, mscc: Mscc, **more: Any) -> Cca:
    ccr = data(EVENT, 0, world.session_id(), person, mscc, requested_action=action, service_context_id=SMS, **more)
    return pgw.charge(ccr)


def sms(count: int) -> Mscc:
    return Mscc(None, [1], Units(service_specific_units=count))


@pytest.mark.conforms("RFC 8506 §6.3", "DIRECT_DEBITING")
def test_rule_10_direct_debiting(world: World, pgw: Raw) -> None:
    person = world.person(0, micros=200_000)
    for action in (0, None):
        answer = event(world, pgw, person, action, sms(1)).answer
        assert answer == CcaAnswer(2001, [MsccAnswer(None, [1], 2001, Units(service_specific_units=1))])
    assert world.balance(person) == 40_000
    answer = event(world, pgw, person, 0, sms(1)).answer
    assert answer.msccs == [MsccAnswer(None, [1], 4012)]
    assert world.balance(person) == 40_000
    assert [(one["amount_micros"], one["cause"]["kind"]) for one in world.postings(person)] == [(-80_000, "event")] * 2
    assert [(one["units"], one["charge_micros"]) for one in world.usage(person)] == [(1, 80_000)] * 2


@pytest.mark.conforms("RFC 8506 §6.4", "REFUND_ACCOUNT")
def test_rule_10_refund(world: World, pgw: Raw) -> None:
    person = world.person(1)
    event(world, pgw, person, 0, sms(3))
    answer = event(world, pgw, person, 1, sms(2)).answer
    assert answer == CcaAnswer(2001, [MsccAnswer(None, [1])])
    assert world.balance(person) == 1_000_000 - 80_000
    assert world.postings(person)[-1]["cause"]["kind"] == "refund"


@pytest.mark.conforms("RFC 8506 §6.2", "CHECK_BALANCE with Check-Balance-Result")
def test_rule_10_check_balance(world: World, pgw: Raw) -> None:
    person = world.person(0, micros=160_000)
    assert event(world, pgw, person, 2, sms(2)).answer == CcaAnswer(2001, check_balance_result=0)
    assert event(world, pgw, person, 2, sms(3)).answer == CcaAnswer(2001, check_balance_result=1)
    assert (world.balance(person), world.postings(person)) == (160_000, [])


@pytest.mark.conforms("RFC 8506 §6.1", "PRICE_ENQUIRY with Cost-Information")
def test_rule_10_price_enquiry(world: World, pgw: Raw) -> None:
    person = world.person(0)
    assert event(world, pgw, person, 3, sms(1)).answer == CcaAnswer(2001, cost_information=(8, -2, 978))
    assert event(world, pgw, person, 3, sms(25)).answer == CcaAnswer(2001, cost_information=(200, -2, 978))
    assert world.postings(person) == []


@pytest.mark.conforms("RFC 8506 §8.22", "a debit of CC-Money")
def test_rule_10_an_amount_of_money(world: World, pgw: Raw) -> None:
    person = world.person(1)
    money = Mscc(None, [1], Units(money=(25, -2, 978)))
    debited = MsccAnswer(None, [1], 2001, Units(money=(25, -2, 978)))
    assert event(world, pgw, person, 0, money).answer == CcaAnswer(2001, [debited])
    assert world.balance(person) == 750_000
    assert event(world, pgw, person, 1, money).answer.result_code == 2001
    assert world.balance(person) == 1_000_000
    foreign = Mscc(None, [1], Units(money=(25, -2, 840)))
    assert event(world, pgw, person, 0, foreign).answer.msccs == [MsccAnswer(None, [1], 5004)]
    silly = event(world, pgw, person, 0, Mscc(None, [1], Units(money=(1, 7, 978)))).answer
    assert (silly.result_code, world.balance(person)) == (5004, 1_000_000)


def test_an_event_is_of_one_session_and_number(world: World, pgw: Raw) -> None:
    """Several events of one Session-Id are told apart by their numbers."""
    person, session_id = world.person(1), world.session_id()
    for number in (0, 1, 1, 0, 7):
        ccr = data(EVENT, number, session_id, person, sms(1), service_context_id=SMS)
        assert pgw.charge(ccr).answer.result_code == 2001
    assert world.balance(person) == 1_000_000 - 3 * 80_000
