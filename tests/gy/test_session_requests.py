"""Rule 13 and RFC 8506 §5.5: what another process changed reaches the client by RAR or ASR, once it is connected."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gy_wire import WAIT_SECONDS, Raw, find, names, request
from gy_world import EURO, INITIAL, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.core.identity import session_hash
from mubss.core.outbox import ABORT, REAUTH, entry_id
from mubss.gy.codec import Mscc, Units
from mubss.gy.message import RETRANSMITTED, decode_header
from mubss.services import outbox
from mubss.storage import outbox as stored

RAR, ASR = 258, 274
MB = 1_000_000


def open_session(world: World, peer: Raw, person: Person, **more: Any) -> str:
    session = world.session_id()
    assert peer.charge(data(INITIAL, 0, session, person, **more)).answer.result_code == 2001
    return session


def next_request(peer: Raw) -> bytes:
    frame = peer.receive()
    assert decode_header(frame).is_request
    return frame


def answer(peer: Raw, frame: bytes, result_code: int, name: str = "") -> None:
    header = decode_header(frame)
    short = name or {RAR: "RAR", ASR: "ASR"}[header.command_code]
    parts = [("Session-Id", find(frame, "Session-Id")), ("Result-Code", result_code)]
    parts += [("Origin-Host", peer.host), ("Origin-Realm", "example")]
    flags = 0x60 if result_code // 1000 == 3 else 0x40
    peer.send(
        request(
            short, *parts, flags=flags, application_id=4, hop_by_hop=header.hop_by_hop, end_to_end=header.end_to_end
        )
    )


def entry(world: World, session: str, kind: str = REAUTH, group: int | None = None) -> dict[str, Any]:
    [found] = stored.get(world.store, [entry_id(session_hash(session), kind, group)])
    return found


def wait_for_state(world: World, peer: Raw, session: str, state: str, kind: str = REAUTH) -> dict[str, Any]:
    """Asks the server something until the entry is in that state: each turn is one of the server's own."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = entry(world, session, kind)
        if found["state"] == state:
            return found
        assert time.monotonic() < deadline, f"{found} never was {state}"
        peer.ask(request("DWR", ("Origin-Host", peer.host), ("Origin-Realm", "example")))


@pytest.mark.conforms("RFC 8506 §5.5", "RAR for each live session after a top-up")
def test_rule_13_a_top_up_is_told_by_rar_and_needs_no_update(world: World, pgw: Raw) -> None:
    person = world.person(1)
    session = open_session(world, pgw, person)
    world.top_up(person, EURO)
    frame = next_request(pgw)
    header = decode_header(frame)
    assert (header.command_code, header.application_id, header.flags) == (RAR, 4, 0xC0)
    assert names(frame) == [
        "Session-Id",
        "Origin-Host",
        "Origin-Realm",
        "Destination-Realm",
        "Destination-Host",
        "Auth-Application-Id",
        "Re-Auth-Request-Type",
        "Origin-State-Id",
    ]
    assert (find(frame, "Session-Id"), find(frame, "Destination-Host")) == (session, pgw.host)
    assert (find(frame, "Destination-Realm"), find(frame, "Re-Auth-Request-Type")) == ("example", 0)
    answer(pgw, frame, 2001)
    assert wait_for_state(world, pgw, session, "done")["result"] == 2001
    assert world.balance(person) == 2 * EURO


@pytest.mark.conforms("RFC 6733 §8.5.1", "ASR when a subscriber is suspended or terminated")
@pytest.mark.parametrize("state", ["suspended", "barred", "terminated"])
def test_rule_13_suspend_and_terminate_are_told_by_asr(world: World, pgw: Raw, state: str) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.set_state(person, state)
    frame = next_request(pgw)
    assert decode_header(frame).command_code == ASR
    assert names(frame) == [
        "Session-Id",
        "Origin-Host",
        "Origin-Realm",
        "Destination-Realm",
        "Destination-Host",
        "Auth-Application-Id",
        "Origin-State-Id",
    ]
    answer(pgw, frame, 2001)
    wait_for_state(world, pgw, session, "done", ABORT)
    assert pgw.charge(data(TERMINATION, 1, session, person, Mscc(used=octets(MB)))).answer.result_code == 2001
    assert world.spent(person) == 20_000


def test_rule_13_a_session_without_credit_goes_on_after_a_top_up(world: World, pgw: Raw) -> None:
    person = world.person(0)
    session = world.session_id()
    refused = pgw.charge(data(INITIAL, 0, session, person)).answer
    assert (refused.result_code, refused.msccs[0].result_code) == (2001, 4012)
    world.top_up(person, EURO)
    answer(pgw, next_request(pgw), 2002)
    again = pgw.charge(data(UPDATE, 1, session, person, Mscc(requested=Units()))).answer
    assert again.msccs[0].granted is not None


def test_another_plan_is_told(world: World, pgw: Raw) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.set_plan(person, "demo-weekend")
    answer(pgw, next_request(pgw), 2001)
    assert wait_for_state(world, pgw, session, "done")["cause"] == "plan"
    assert world.account(person)["plan"] == "demo-weekend"


@pytest.mark.conforms("RFC 8506 §5.5", "RAR names one Rating-Group")
def test_one_rating_group_is_named(world: World, pgw: Raw) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.tell(session, REAUTH, 7)
    frame = next_request(pgw)
    assert find(frame, "Rating-Group") == 7
    answer(pgw, frame, 2001)


@pytest.mark.conforms("RFC 6733 §8.3.1", "RAR for a client behind an agent goes through it")
def test_a_client_behind_an_agent_is_told_through_it(world: World, server: GyServer) -> None:
    with Raw(server.port).open("dra.example") as agent, Raw(server.port).open() as other:
        person = world.person()
        behind = {"origin_host": "smf.visited", "origin_realm": "visited"}
        session = open_session(world, agent, person, **behind)
        world.top_up(person, EURO)
        frame = next_request(agent)
        assert (find(frame, "Destination-Host"), find(frame, "Destination-Realm")) == ("smf.visited", "visited")
        answer(agent, frame, 3002)  # the agent can't deliver it: later
        assert wait_for_state(world, agent, session, "waiting")["tries"] == 1
        update = other.charge(data(UPDATE, 1, session, person, **behind))  # it comes through another agent now
        assert update.answer.result_code == 2001
        overdue(world, session)
        frame = next_request(other)
        assert find(frame, "Destination-Host") == "smf.visited"
        answer(other, frame, 2001)


def test_a_peer_that_was_away_is_told_when_it_is_back(world: World, server: GyServer) -> None:
    person = world.person()
    with Raw(server.port).open("gone.example") as peer:
        session = open_session(world, peer, person)
    world.top_up(person, EURO)
    with Raw(server.port).open("GONE.example") as peer:
        frame = next_request(peer)
        answer(peer, frame, 2001)
        wait_for_state(world, peer, session, "done")


def overdue(world: World, session: str) -> None:
    """Makes the entry due now: a clock can't be had."""

    def forward(found: dict[str, Any], _: Any) -> dict[str, Any]:
        return {**found, "due_ms": 1}

    stored.change(world.store, [entry_id(session_hash(session), REAUTH)], forward)


@pytest.mark.conforms("RFC 6733 §3", "a repeat of ours has the T flag and its End-to-End Identifier")
def test_silence_is_met_with_repeats_and_then_given_up(world: World, server: GyServer) -> None:
    with Raw(server.port).open() as peer:
        person = world.person()
        session = open_session(world, peer, person)
        world.top_up(person, EURO)
        first = next_request(peer)
        end_to_end = decode_header(first).end_to_end
        for _ in range(2):
            overdue(world, session)
            header = decode_header(next_request(peer))
            assert (header.end_to_end, header.flags) == (end_to_end, 0xC0 | RETRANSMITTED)
        overdue(world, session)
        assert wait_for_state(world, peer, session, "given up")["why"] == "no answer"


def test_rule_13_outlives_the_process_and_another_gy_process_takes_it(world: World) -> None:
    person = world.person()
    first, second = GyServer(world), GyServer(world, "--workers", "2")
    with first, second:
        peer = Raw(first.port).open("roamer.example")
        session = open_session(world, peer, person)
        world.top_up(person, EURO)
        asked = next_request(peer)
        first.kill()  # the answer never arrives
        peer.sock.close()
        overdue(world, session)
        with Raw(second.port).open("roamer.example") as again:
            frame = next_request(again)
            assert decode_header(frame).end_to_end == decode_header(asked).end_to_end
            answer(again, frame, 2001)
            wait_for_state(world, again, session, "done")


@pytest.mark.conforms("RFC 6733 §8.3.2", "2001, 2002 and errors in RAA")
@pytest.mark.parametrize(
    "reply",
    [
        lambda frame: frame[:4] + b"\x40" + frame[5:20],  # no AVP at all
        lambda frame: b"",
        lambda frame: frame[:4] + b"\x40" + frame[5:],  # our own AVPs: no Result-Code
    ],
    ids=["empty", "nothing", "no result"],
)
def test_answers_that_say_nothing_disturb_nothing(world: World, pgw: Raw, reply: Any) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.top_up(person, EURO)
    frame = next_request(pgw)
    bad = reply(frame)
    if bad:
        pgw.send(bad[:1] + len(bad).to_bytes(3, "big") + bad[4:])
    assert pgw.charge(data(UPDATE, 1, session, person)).answer.result_code == 2001
    answer(pgw, frame, 2001)
    wait_for_state(world, pgw, session, "done")


@pytest.mark.conforms("RFC 6733 §7.6", "Experimental-Result in RAA")
def test_experimental_results_and_late_answers(world: World, pgw: Raw) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.top_up(person, EURO)
    frame = next_request(pgw)
    header = decode_header(frame)
    experimental = ("Experimental-Result", [("Vendor-Id", 10415), ("Experimental-Result-Code", 5030)])
    parts = [("Session-Id", session), experimental, ("Origin-Host", pgw.host), ("Origin-Realm", "example")]
    ids = {"hop_by_hop": header.hop_by_hop, "end_to_end": header.end_to_end}
    for _ in range(2):
        pgw.send(request("RAR", *parts, flags=0x40, application_id=4, **ids))
    assert wait_for_state(world, pgw, session, "given up")["why"] == "Result-Code 5030"


def test_many_sessions_of_many_subscribers(world: World, server: GyServer) -> None:
    with Raw(server.port).open() as peer:
        people = [world.person() for _ in range(30)]
        sessions = {open_session(world, peer, person): person for person in people for _ in range(5)}
        for person in people:
            world.top_up(person, EURO)
        told = set()
        while len(told) < len(sessions):
            frame = next_request(peer)
            told.add(find(frame, "Session-Id"))
            answer(peer, frame, 2001)
        assert told == set(sessions)


def test_old_entries_are_forgotten(world: World, pgw: Raw) -> None:
    person = world.person()
    session = open_session(world, pgw, person)
    world.top_up(person, EURO)
    made_s = entry(world, session)["made_s"]
    answer(pgw, next_request(pgw), 2001)
    wait_for_state(world, pgw, session, "done")
    outbox.forget_old(world.store, made_s + outbox.KEPT_S)
    assert entry(world, session)
    outbox.forget_old(world.store, made_s + outbox.KEPT_S + 1)
    assert stored.get(world.store, [entry_id(session_hash(session), REAUTH)]) == []
