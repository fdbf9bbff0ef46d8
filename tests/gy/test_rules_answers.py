"""Rules 1 to 3 on a real connection: the shape of every CCA, the capabilities, an answer in time or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gy_wire import GY, PROXIABLE, REQUEST, VSAI, Raw, cer, dwr, failed, find, find_all, names, origin, request, split
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, VOICE, GyServer, Person, World, data, octets
from mubss.gy.avp import encode_avp
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits, encode_ccr
from mubss.gy.message import decode_header

HEAD = [
    "Session-Id",
    "Result-Code",
    "Origin-Host",
    "Origin-Realm",
    "Auth-Application-Id",
    "CC-Request-Type",
    "CC-Request-Number",
    "Origin-State-Id",
]
MSCC = "Multiple-Services-Credit-Control"
# The first answer of a session says what to do when no answer comes, too.
FIRST_HEAD = [*HEAD[:7], "CC-Session-Failover", HEAD[7]]
FAILURE_HANDLING = "Credit-Control-Failure-Handling"
GRANTED = ["Granted-Service-Unit", "Rating-Group", "Validity-Time", "Result-Code"]


@pytest.fixture(scope="module")
def person(world: World) -> Person:
    return world.person(1_000)


@pytest.fixture(scope="module")
def suspended(world: World) -> Person:
    made = world.person()
    world.set_state(made, "suspended")
    return made


def frame_of(ccr: Ccr, **header: int) -> bytes:
    ccr.origin_host, ccr.origin_realm = "pgw.example", "example"
    ccr.hop_by_hop, ccr.end_to_end = header.get("hop_by_hop", 0xAAAA), header.get("end_to_end", 0xBBBB)
    return encode_ccr(ccr)


def shape(frame: bytes) -> list[Any]:
    """The names of an answer's AVPs, a group's MSCC as the list of its own."""
    return [[one.name for one in avp.value] if avp.name == MSCC else avp.name for avp in split(frame, 20)]


# ── rule 1 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §3.2", "the answers of a whole session")
def test_rule_01_a_session_has_its_answers_in_order(world: World, person: Person, pgw: Raw) -> None:
    session_id = world.session_id()
    asked, reported = Mscc(5, requested=Units()), Mscc(5, requested=Units(), used=octets(7))
    for number, (kind, mscc, expected) in enumerate(
        [
            (INITIAL, asked, GRANTED),
            (UPDATE, reported, GRANTED),
            (TERMINATION, Mscc(5, used=octets(7)), ["Rating-Group", "Result-Code"]),
        ]
    ):
        answer = pgw.ask(frame_of(data(kind, number, session_id, person, mscc)))
        first = kind == INITIAL
        assert shape(answer) == ([*FIRST_HEAD, expected, FAILURE_HANDLING] if first else [*HEAD, expected])
        values = [find(answer, name) for name in HEAD[:7]]
        assert values == [session_id, 2001, "ocs.mubss.example", "mubss.example", 4, kind, number]
        header = decode_header(answer)
        assert header[1:6] == (PROXIABLE, 272, 4, 0xAAAA, 0xBBBB)


def test_rule_01_events_have_theirs(world: World, person: Person, pgw: Raw) -> None:
    def event(action: int, *msccs: Mscc, **more: Any) -> bytes:
        base = data(EVENT, 0, world.session_id(), person, *msccs, service_context_id=SMS, requested_action=action)
        for name, value in more.items():
            setattr(base, name, value)
        return pgw.ask(frame_of(base))

    one = Mscc(None, [1], Units(service_specific_units=1))
    assert shape(event(0, one)) == [*HEAD, ["Granted-Service-Unit", "Service-Identifier", "Result-Code"]]
    assert shape(event(1, one)) == [*HEAD, ["Service-Identifier", "Result-Code"]]
    assert shape(event(2, one)) == [*HEAD, "Check-Balance-Result"]
    assert shape(event(3, one)) == [*HEAD, "Cost-Information"]
    at_command_level = {"requested": Units(service_specific_units=1), "msccs": []}
    assert shape(event(0, **at_command_level)) == [*HEAD, "Granted-Service-Unit"]


def test_rule_01_units_of_the_command_are_granted_there(world: World, person: Person, pgw: Raw) -> None:
    ccr = data(INITIAL, 0, world.session_id(), person, service_context_id=VOICE, requested=Units(time_s=60))
    ccr.msccs = []
    answer = pgw.ask(frame_of(ccr))
    assert shape(answer) == [*FIRST_HEAD, "Granted-Service-Unit", FAILURE_HANDLING, "Validity-Time"]
    poor = data(INITIAL, 0, world.session_id(), world.person(0), service_context_id=VOICE, requested=Units(time_s=60))
    poor.msccs = []
    answer = pgw.ask(frame_of(poor))
    assert (shape(answer), find(answer, "Result-Code")) == (HEAD, 4012)
    nearly = data(INITIAL, 0, world.session_id(), world.person(0, micros=90_000), service_context_id=VOICE)
    nearly.msccs, nearly.requested = [], Units(time_s=90)
    answer = pgw.ask(frame_of(nearly))
    final = ["Granted-Service-Unit", "Final-Unit-Indication", FAILURE_HANDLING, "Validity-Time"]
    assert shape(answer) == [*FIRST_HEAD, *final]


def broken(ccr: Ccr, at: bytes, by: bytes) -> bytes:
    """The request with some of its bytes replaced."""
    frame = frame_of(ccr)
    assert frame.count(at) == 1
    return frame.replace(at, by)


ERRORS = [
    ("unknown subscriber", 5030, []),
    ("unknown session", 5002, []),
    ("suspended", 4010, []),
    ("no request number", 5005, ["CC-Request-Number"]),
    ("a request type that isn't", 5004, ["CC-Request-Type"]),
    ("an action that isn't", 5004, ["Requested-Action"]),
    ("a name that isn't UTF-8", 5004, ["User-Name"]),
    ("two rating groups", 5009, ["Rating-Group"]),
    ("a length that lies", 5014, ["CC-Request-Number"]),
    ("the E flag", 3008, []),
    ("another application", 3007, []),
]


@pytest.mark.conforms("RFC 6733 §7.2", "errors have their Session-Id and request's number")
@pytest.mark.parametrize("what, result_code, at_fault", ERRORS, ids=[what for what, *_ in ERRORS])
def test_rule_01_errors_are_no_exception(
    world: World, person: Person, suspended: Person, pgw: Raw, what: str, result_code: int, at_fault: list[str]
) -> None:
    session_id = world.session_id()
    ccr = data(INITIAL, 0x4243, session_id, person, Mscc(5, requested=Units()))
    ccr.proxy_infos = [encode_avp("Proxy-Info", [("Proxy-Host", host), ("Proxy-State", b"x")]) for host in "ab"]
    number = encode_avp("CC-Request-Number", 0x4243)
    head = HEAD
    if what == "unknown subscriber":
        ccr.subscription_ids = [(0, "999799999999")]
    elif what == "unknown session":
        ccr.cc_request_type = UPDATE
    elif what == "suspended":
        ccr.subscription_ids = [(0, suspended.msisdn)]
    elif what == "no request number":
        ccr.cc_request_number = None
        head = [name for name in HEAD if name != "CC-Request-Number"]
    elif what == "a request type that isn't":
        ccr.cc_request_type = 9
    elif what == "an action that isn't":
        ccr.cc_request_type, ccr.requested_action = EVENT, 7
    elif what == "another application":
        ccr.application_id = 3
    elif what == "the E flag":
        ccr.flags |= 0x20
    frame = frame_of(ccr)
    if what == "a name that isn't UTF-8":
        ccr.user_name = "name"
        frame = frame_of(ccr).replace(b"name", b"\xff\xfe\xfd\xfc")
    elif what == "two rating groups":
        ccr.msccs[0].service_identifiers = [1]
        frame = frame_of(ccr).replace(encode_avp("Service-Identifier", 1), encode_avp("Rating-Group", 1))
    elif what == "a length that lies":
        frame = frame_of(ccr).replace(number, number[:7] + b"\x0b" + number[8:])
        head = [name for name in HEAD if name != "CC-Request-Number"]
    answer = pgw.ask(frame)
    tail = ["Proxy-Info", "Proxy-Info", *(["Failed-AVP"] if at_fault else [])]
    if result_code not in (5030, 5002, 4010):
        tail.append("Error-Message")
    assert shape(answer) == [*head, *tail]
    assert (find(answer, "Session-Id"), find(answer, "Result-Code")) == (session_id, result_code)
    assert find(answer, "CC-Request-Number") == (0x4243 if "CC-Request-Number" in head else None)
    assert find(answer, "CC-Request-Type") == ccr.cc_request_type
    assert failed(answer) == at_fault
    assert [group[0].value for group in find_all(answer, "Proxy-Info")] == ["a", "b"]
    header = decode_header(answer)
    assert header.flags == PROXIABLE | (0x20 if 3000 <= result_code < 4000 else 0)
    assert header[2:6] == (272, ccr.application_id, 0xAAAA, 0xBBBB)


def test_rule_01_without_a_session_id_there_is_none_in_the_answer(person: Person, pgw: Raw) -> None:
    for session_id in (None, ""):
        ccr = data(INITIAL, 0, "", person)
        ccr.session_id = session_id
        answer = pgw.ask(frame_of(ccr))
        assert (find(answer, "Result-Code"), failed(answer)) == (5005, ["Session-Id"])


# ── rule 2 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 6733 §5.3", "capabilities on a real connection")
@pytest.mark.parametrize(
    "applications", [[GY], [VSAI], [("Auth-Application-Id", 0xFFFFFFFF)]], ids=["4", "260", "relay"]
)
def test_rule_02_capabilities(server: GyServer, applications: list[Any]) -> None:
    with Raw(server.port) as peer:
        answer = peer.ask(cer("rule2.example", *applications))
        assert find(answer, "Result-Code") == 2001
        assert find(answer, "Host-IP-Address") == "127.0.0.1"
        assert find(answer, "Auth-Application-Id") == 4
        group = find(answer, "Vendor-Specific-Application-Id")
        assert [(avp.name, avp.value) for avp in group] == [("Vendor-Id", 10415), ("Auth-Application-Id", 4)]
        assert find(answer, "Supported-Vendor-Id") == 10415
        assert find(answer, "Product-Name") == "mubss"
        assert find(peer.ask(dwr("rule2.example")), "Result-Code") == 2001


@pytest.mark.conforms("RFC 6733 §7.1.5", "5010 and the end of the connection")
def test_rule_02_no_common_application(server: GyServer) -> None:
    with Raw(server.port) as peer:
        answer = peer.ask(cer("alien.example", ("Auth-Application-Id", 16_777_238)))
        assert find(answer, "Result-Code") == 5010
        assert peer.closed()
    server.wait_for(r"closing a peer at 127.0.0.1: peer alien.example offers no credit control")


@pytest.mark.conforms("RFC 6733 §7.1.3", "3010 for an unknown peer")
@pytest.mark.parametrize("accept, expected", [("never", 3010), ("loopback", 2001), ("always", 2001)])
def test_rule_02_unknown_peers(world: World, accept: str, expected: int) -> None:
    with GyServer(world, accept_unknown_peers=accept) as server, Raw(server.port) as peer:
        answer = peer.ask(cer("who.example"))
        assert find(answer, "Result-Code") == expected
        if expected == 3010:
            assert peer.closed()
            server.wait_for("closing a peer at 127.0.0.1: peer who.example at 127.0.0.1 isn't known here")


def test_rule_02_listed_peers(world: World, tmp_path: Any) -> None:
    file = tmp_path / "gy.toml"
    file.write_text(
        '[gy]\naccept_unknown_peers = "never"\n'
        '[[gy.peers]]\norigin_host = "SMF.example"\n'
        '[[gy.peers]]\norigin_host = "far.example"\naddresses = ["192.0.2.1"]\n'
    )
    with GyServer(world, "--config", str(file)) as server:
        for host, expected in [("smf.EXAMPLE", 2001), ("far.example", 3010), ("other.example", 3010)]:
            with Raw(server.port) as peer:
                assert find(peer.ask(cer(host)), "Result-Code") == expected


def test_rule_02_ipv6_too(world: World) -> None:
    with GyServer(world, "--host", "::1") as server, Raw(server.port, host="::1") as peer:
        assert find(peer.ask(cer()), "Host-IP-Address") == "::1"


@pytest.mark.conforms("RFC 6733 §5.5", "DWR and DPR on a real connection")
@pytest.mark.conforms("Rule 14", "DWR and DPR are answered")
def test_dwr_and_dpr_are_answered(server: GyServer) -> None:
    with Raw(server.port).open("leaving.example") as peer:
        answer = peer.ask(dwr("leaving.example", hop_by_hop=9))
        assert names(answer) == ["Result-Code", "Origin-Host", "Origin-Realm", "Origin-State-Id"]
        assert decode_header(answer)[1:6] == (0, 280, 0, 9, 9)
        answer = peer.ask(request("DPR", *origin("leaving.example"), ("Disconnect-Cause", 2)))
        assert names(answer) == ["Result-Code", "Origin-Host", "Origin-Realm"]
        assert decode_header(answer)[1:6] == (0, 282, 0, 0x11, 0x22)
        assert peer.closed()
    server.wait_for(r"closing leaving.example at 127.0.0.1: the peer said goodbye \(DPR, DO_NOT_WANT_TO_TALK_TO_YOU\)")


@pytest.mark.conforms("RFC 6733 §7.1.3", "3001 for a command that isn't served")
def test_a_command_that_isnt_served_gets_3001(pgw: Raw) -> None:
    answer = pgw.ask(request("STR", ("Session-Id", "x;1"), *origin(pgw.host), flags=REQUEST | PROXIABLE))
    assert (find(answer, "Session-Id"), find(answer, "Result-Code")) == ("x;1", 3001)
    assert decode_header(answer).flags == 0x60


# ── rule 3 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hasty(world: World) -> Iterator[GyServer]:
    with GyServer(world, deadline_ms=200, store__busy_timeout_ms=5000) as running:
        yield running


def test_rule_03_a_store_that_is_locked_is_answered_within_the_deadline_and_the_repeat_is_done(
    world: World, person: Person, hasty: GyServer
) -> None:
    session_id, before = world.session_id(), world.balance(person)
    event = data(EVENT, 0, session_id, person, Mscc(None, [1]), service_context_id=SMS)
    with Raw(hasty.port).open() as peer:
        with world.locked():
            peer.send(frame_of(event, hop_by_hop=1))
            assert decode_header(peer.ask(dwr(peer.host, hop_by_hop=2))).hop_by_hop == 2
            refused = peer.receive()
            assert (decode_header(refused).hop_by_hop, find(refused, "Result-Code")) == (1, 3004)
        answer = peer.ask(frame_of(event, hop_by_hop=4))
        assert find(answer, "Result-Code") == 2001
    assert before - world.balance(person) == 80_000


@pytest.mark.conforms("RFC 6733 §7.1.3", "3004 while the store is away, and nothing moves")
def test_store_away_gets_3004_and_moves_nothing(world: World) -> None:
    made = world.person()
    with GyServer(world, store__busy_timeout_ms=20) as server, Raw(server.port).open() as peer:
        session_id = world.session_id()
        with world.locked():
            answer = peer.ask(frame_of(data(INITIAL, 0, session_id, made)))
            assert (shape(answer), find(answer, "Result-Code")) == (HEAD, 3004)
            assert decode_header(answer).flags == PROXIABLE | 0x20
        assert peer.charge(data(INITIAL, 0, session_id, made)).answer.result_code == 2001
        used = UsedUnits(total_octets=1)
        assert peer.charge(data(TERMINATION, 1, session_id, made, Mscc(used=[used]))).answer.result_code == 2001
    assert world.spent(made) == 20_000
