"""`mubss sessions`, `mubss peers` and `mubss subscriber plan` as an operator calls them, beside a real server."""

from __future__ import annotations

from typing import Any

import pytest

from gy_desk import Desk
from gy_wire import Raw, find, request
from gy_world import EURO, EVENT, INITIAL, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.core.identity import session_hash
from mubss.gy.codec import Mscc, Units
from mubss.gy.message import decode_header
from mubss.runtime import ExitCode

MB = 1_000_000


def open_session(world: World, peer: Raw, person: Person, *msccs: Mscc, **more: Any) -> str:
    session = world.session_id()
    assert peer.charge(data(INITIAL, 0, session, person, *msccs, **more)).answer.result_code == 2001
    return session


def answer(peer: Raw, frame: bytes, result_code: int = 2001) -> None:
    header = decode_header(frame)
    parts = [("Session-Id", find(frame, "Session-Id")), ("Result-Code", result_code)]
    parts += [("Origin-Host", peer.host), ("Origin-Realm", "example")]
    ids = {"hop_by_hop": header.hop_by_hop, "end_to_end": header.end_to_end}
    peer.send(request(header.command_code, *parts, flags=0x40, application_id=4, **ids))


def test_open_sessions_and_who_serves_them(world: World, server: GyServer, desk: Desk) -> None:
    with Raw(server.port).open("dra.example") as agent:
        one, other = world.person(), world.person()
        direct = open_session(world, agent, one, Mscc(7, requested=Units(5 * MB)))
        behind = open_session(world, agent, other, origin_host="smf.example", origin_realm="visited")
        agent.charge(data(UPDATE, 1, direct, one, Mscc(7, requested=Units(5 * MB), used=octets(2 * MB))))
        [found] = desk.json("sessions", "list", "--msisdn", one.msisdn)
        assert (found["session_id"], found["peer"], found["via"]) == (direct, "dra.example", None)
        assert (found["services"], found["reserved_micros"]) == ({"DATA": 2 * MB}, 100_000)
        both = {row["session_id"] for row in desk.json("sessions", "list", "--peer", "DRA.example")}
        assert both == {direct, behind}
        [client] = desk.json("sessions", "list", "--peer", "smf.example")
        assert (client["via"], client["realm"]) == ("dra.example", "visited")
        shown = desk("sessions", "show", direct)
        for text in (direct, one.msisdn, "2,000,000 DATA", "5,000,000 DATA", "0.10 EUR", session_hash(direct)):
            assert text in shown
        assert desk.json("sessions", "show", session_hash(direct))["session_id"] == direct
        rows = desk("sessions", "list", "--peer", "dra.example", "--limit", 1).splitlines()
        assert sum("dra.example;" in row or "pgw.example;" in row for row in rows) == 1
        agent.charge(data(TERMINATION, 2, direct, one, Mscc(7, used=octets(MB))))
        assert desk("sessions", "list", "--msisdn", one.msisdn) == "no session is open that fits\n"
        gone = desk("sessions", "reauth", direct, code=ExitCode.INPUT)
        assert gone == f"mubss: session: '{direct}' has ended; expected the Session-Id of an open session\n"


def test_pages_of_sessions(world: World, server: GyServer, desk: Desk) -> None:
    with Raw(server.port).open("pages.example") as peer:
        sessions = {open_session(world, peer, world.person()) for _ in range(5)}
        found: list[str] = []
        after: list[str] = []
        while page := desk.json("sessions", "list", "--peer", "pages.example", "--limit", 2, *after):
            found += [row["session_id"] for row in page]
            after = ["--after", found[-1]]
        assert len(found) == 5 and set(found) == sessions


def test_an_operator_has_sessions_reported_and_aborted(world: World, server: GyServer, desk: Desk) -> None:
    with Raw(server.port).open() as peer:
        person = world.person()
        session = open_session(world, peer, person)
        assert desk("sessions", "reauth", session, "--rating-group", 7) == (
            "the RAR waits for its peer; `mubss sessions show` says what comes of it\n"
        )
        frame = peer.receive()
        assert (decode_header(frame).command_code, find(frame, "Rating-Group")) == (258, 7)
        assert "RAR" not in desk("sessions", "show", session), "no grant of that group: it isn't looked for"
        answer(peer, frame)
        desk("sessions", "abort", session)
        frame = peer.receive()
        assert decode_header(frame).command_code == 274
        assert "ASR waiting, 1 try" in desk("sessions", "show", session)
        answer(peer, frame, 5012)
        desk.until(lambda found: found["told"][0]["state"] != "waiting", "sessions", "show", session)
        assert "ASR given up (Result-Code 5012)" in desk("sessions", "show", session)
        desk("sessions", "abort", session, "--here")
        assert world.account(person)["reserved_micros"] == 0
        assert peer.charge(data(UPDATE, 1, session, person)).answer.result_code == 5002


def test_what_became_of_a_session_that_has_ended(world: World, server: GyServer, desk: Desk) -> None:
    with Raw(server.port).open() as peer:
        person = world.person()
        aborted, left = open_session(world, peer, person, Mscc(7)), open_session(world, peer, person, Mscc(7))
        desk("sessions", "abort", aborted)
        answer(peer, peer.receive())
        peer.charge(data(TERMINATION, 1, aborted, person, Mscc(7, used=octets(2 * MB))))
        desk.until(lambda found: found["told"][0]["state"] == "done", "sessions", "show", aborted)
        shown = desk("sessions", "show", aborted)
        for text in (aborted, person.msisdn, "ended by its client (CCR-T)", "2,000,000 DATA", "0.04 EUR", "ASR done"):
            assert text in shown
        desk("sessions", "reauth", left, "--rating-group", 7)
        answer(peer, peer.receive())
        desk.until(lambda found: found["told"][0]["state"] == "done", "sessions", "show", left)
        desk("sessions", "abort", left, "--here")
        found = desk.json("sessions", "show", session_hash(left))
        assert (found["state"], found["services"], found["charge_micros"]) == ("ended", {}, 0)
        assert [entry["state"] for entry in found["told"]] == ["done"]
        assert "ended here: by an operator" in desk("sessions", "show", left)
        event = world.session_id()
        sms = Mscc(4, requested=Units(service_specific_units=1))
        wanted = {"service_context_id": "32274@3gpp.org", "requested_action": 0}
        assert peer.charge(data(EVENT, 0, event, person, sms, **wanted)).answer.result_code == 2001
        assert desk.json("sessions", "show", event)["state"] == "event"


def test_peers_of_every_process(world: World, desk: Desk) -> None:
    with GyServer(world, "--workers", "2") as two, GyServer(world) as alone:
        with Raw(two.port).open("one.example"), Raw(two.port).open("two.example"):
            three = Raw(alone.port).open("three.example")
            three.charge(data(INITIAL, 0, world.session_id(), world.person()))
            wanted = {"one.example", "two.example", "three.example"}
            rows = desk.until(lambda rows: wanted <= {row["host"] for row in rows}, "peers")
            ours = {row["host"]: row for row in rows if row["host"] in wanted}
            assert len({row["process"] for row in ours.values()}) == 3
            assert {row["address"] for row in ours.values()} == {"127.0.0.1"}
            assert "okay" in desk("peers") and "generic" in desk("peers")
            three.sock.close()
            desk.until(lambda rows: "three.example" not in {row["host"] for row in rows}, "peers")
        alone.terminate()
        two.terminate()
        assert not [row for row in desk.json("peers") if row["host"] in wanted]


def test_another_plan_by_command(world: World, desk: Desk) -> None:
    person = world.person()
    assert desk("subscriber", "plan", person.msisdn, "demo-weekend") == (
        f"{person.msisdn} has plan demo-weekend now; had demo-prepaid\n"
    )
    assert "already" in desk("subscriber", "plan", person.msisdn, "demo-weekend")
    assert world.account(person)["plan"] == "demo-weekend"
    assert desk.json("subscriber", "show", person.msisdn)["plan"] == "demo-weekend"
    wrong = desk("subscriber", "plan", person.msisdn, "demo-postpaid", code=ExitCode.INPUT)
    assert wrong == "mubss: plan: demo-postpaid is postpaid in EUR; expected prepaid in EUR\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_top_up_by_command_reaches_a_session_at_once(world: World, desk: Desk, workers: str) -> None:
    nudged = GyServer(world, "--workers", workers, outbox_seconds=3600)  # who isn't nudged looks too late
    with nudged as server, Raw(server.port).open() as peer:
        person = world.person(0)
        session = world.session_id()
        refused = peer.charge(data(INITIAL, 0, session, person)).answer
        assert refused.msccs[0].result_code == 4012
        desk("topup", person.msisdn, "5")
        frame = peer.receive()
        assert find(frame, "Session-Id") == session
        answer(peer, frame)
        again = peer.charge(data(UPDATE, 1, session, person, Mscc(requested=Units())))
        assert again.answer.msccs[0].granted is not None
        assert world.balance(person) == 5 * EURO
