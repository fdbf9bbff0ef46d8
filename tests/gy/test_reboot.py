"""Rule 15 and RFC 6733 §8.16: a peer that rebooted, as its Origin-State-Id says, has no sessions any more."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import pytest

from gy_wire import WAIT_SECONDS, Raw, find, origin, request
from gy_world import INITIAL, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.core.identity import session_hash
from mubss.gy.codec import Mscc, Units
from mubss.gy.reboots import MAX_HEARD, Reboots
from mubss.storage import origins

MB = 1_000_000
_HOSTS = count(1)


@pytest.fixture
def host() -> str:
    return f"reboots{next(_HOSTS)}.example"


def open_session(world: World, peer: Raw, person: Person, **more: Any) -> str:
    session = world.session_id()
    group = Mscc(1, requested=Units(MB))
    assert peer.charge(data(INITIAL, 0, session, person, group, **more)).answer.result_code == 2001
    return session


def is_open(world: World, person: Person, session: str) -> bool:
    return session_hash(session) in world.account(person)["sessions"]


def wait_until_noted(world: World, host: str, state_id: int, via: str = "") -> None:
    """The server has heard of that Origin-State-Id, and ended what it had to."""
    deadline = time.monotonic() + WAIT_SECONDS
    while origins.known(world.store, host, via) < state_id:
        assert time.monotonic() < deadline


def dwr(peer: Raw, state_id: int) -> None:
    parts = [*origin(peer.host), ("Origin-State-Id", state_id)]
    assert find(peer.ask(request("DWR", *parts)), "Result-Code") == 2001


@pytest.mark.parametrize("how", ["CER", "DWR", "CCR"])
def test_rule_15_a_peers_reboot_closes_its_sessions(world: World, server: GyServer, host: str, how: str) -> None:
    person, other = world.person(), world.person()
    with Raw(server.port).open() as bystander, Raw(server.port).open(host, 100) as peer:
        wait_until_noted(world, host, 100)
        session = open_session(world, peer, person)
        kept = open_session(world, bystander, other, origin_state_id=50)
        peer.charge(data(UPDATE, 1, session, person, Mscc(1, used=octets(MB), requested=Units(MB))))
        assert world.account(person)["reserved_micros"] == 20_000
        if how == "DWR":
            dwr(peer, 101)
        elif how == "CCR":
            open_session(world, peer, other, origin_state_id=101)
        else:
            peer.sock.close()
            peer = Raw(server.port).open(host, 101)
        wait_until_noted(world, host, 101)
        account = world.account(person)
        assert (account["sessions"], account["reserved_micros"]) == ({}, 0)
        assert world.spent(person) == 20_000, "what wasn't reported isn't charged"
        assert [record["units"] for record in world.usage(person)] == [MB]
        assert is_open(world, other, kept)
        late = peer.charge(data(TERMINATION, 2, session, person, Mscc(1, used=octets(MB))))
        assert late.answer.result_code == 5002
        assert [entry["units"] for entry in world.suspense(session)] == [MB]
        server.wait_for(f"{host} rebooted \\(Origin-State-Id 101\\): 1 of its sessions ended")
        peer.sock.close()


@pytest.mark.parametrize("state_id", [0, 99, 100])
def test_what_is_no_reboot(world: World, server: GyServer, host: str, state_id: int) -> None:
    person = world.person()
    with Raw(server.port).open(host, 100) as peer:
        session = open_session(world, peer, person)
        wait_until_noted(world, host, 100)
    with Raw(server.port).open(host, state_id) as peer:
        if state_id:
            dwr(peer, state_id)
        again = peer.charge(data(UPDATE, 1, session, person, Mscc(1, requested=Units(MB))))
        assert again.answer.result_code == 2001
    assert origins.known(world.store, host) == 100


def test_sessions_from_after_the_reboot_stay(world: World, server: GyServer, host: str) -> None:
    before, after, saved = world.person(), world.person(), world.person()
    with Raw(server.port).open(host, 7) as peer:
        old, kept = open_session(world, peer, before), open_session(world, peer, saved)
        wait_until_noted(world, host, 7)
    with Raw(server.port).open(host, 8) as peer:
        new = open_session(world, peer, after)
        peer.charge(data(UPDATE, 1, kept, saved, Mscc(1, requested=Units(MB))))
        wait_until_noted(world, host, 8)
    assert is_open(world, after, new)
    assert not is_open(world, before, old)
    assert world.account(saved)["reserved_micros"] in (0, 20_000), "it may have come before or after its end"


def test_a_client_behind_an_agent_reboots_alone(world: World, server: GyServer, host: str) -> None:
    person, other = world.person(), world.person()
    behind = {"origin_host": host, "origin_realm": "visited"}
    with Raw(server.port).open("dra15.example", 1) as agent:
        session = open_session(world, agent, person, **behind, origin_state_id=3)
        kept = open_session(world, agent, other)
        wait_until_noted(world, host, 3, "dra15.example")
        open_session(world, agent, world.person(), **behind, origin_state_id=4)
        wait_until_noted(world, host, 4, "dra15.example")
    assert not is_open(world, person, session)
    assert is_open(world, other, kept)


def test_nobody_else_can_say_that_a_peer_rebooted(world: World, server: GyServer, host: str) -> None:
    person = world.person()
    with Raw(server.port).open(host, 100) as peer, Raw(server.port).open() as other:
        session = open_session(world, peer, person)
        wait_until_noted(world, host, 100)
        for state_id in (101, 0xFFFFFFFF):
            open_session(world, other, world.person(), origin_host=host, origin_state_id=state_id)
            wait_until_noted(world, host, state_id, other.host)
        assert is_open(world, person, session)
        dwr(peer, 101)
        wait_until_noted(world, host, 101)
    assert not is_open(world, person, session)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reboot_while_we_were_away(world: World, host: str, workers: str) -> None:
    person = world.person()
    with GyServer(world) as first:
        with Raw(first.port).open(host, 20) as peer:
            session = open_session(world, peer, person)
            wait_until_noted(world, host, 20)
        first.kill()
    with GyServer(world, "--workers", workers) as second, Raw(second.port).open(host.upper(), 21):
        wait_until_noted(world, host, 21)
    assert not is_open(world, person, session)


def test_a_client_that_counts_at_will_keeps_its_sessions(world: World, host: str) -> None:
    # MUBSS_GY__PROFILES takes no rows: a file does
    config = world.folder / "reboot.toml"
    config.write_text('[[gy.profiles]]\nname = "counts"\nreboot_ends_sessions = "no"\n[gy]\nprofile = "counts"\n')
    person = world.person()
    with GyServer(world, "--config", str(config)) as server, Raw(server.port).open(host, 5) as peer:
        session = open_session(world, peer, person, origin_state_id=6)
        for number in range(1, 4):
            ccr = data(UPDATE, number, session, person, Mscc(1), origin_state_id=6 + number)
            assert peer.charge(ccr).answer.result_code == 2001
    assert origins.known(world.store, host) == 0


def test_many_sessions_over_many_pages(world: World, server: GyServer, host: str, monkeypatch: Any) -> None:
    people = [world.person() for _ in range(12)]
    with Raw(server.port).open(host, 1) as peer:
        for person in people:
            for _ in range(20):
                open_session(world, peer, person)
        wait_until_noted(world, host, 1)
        dwr(peer, 2)
        wait_until_noted(world, host, 2)
    assert {len(world.account(person)["sessions"]) for person in people} == {0}


def test_a_reboot_that_finds_no_room_is_heard_of_again() -> None:
    nothing: Any = None
    reboots = Reboots(nothing, nothing)
    assert all(reboots.heard(f"{number}.example", 1, "") for number in range(MAX_HEARD))
    assert not reboots.heard("more.example", 1, "")
    assert reboots.heard("0.Example", 2, ""), "one that waits already needs no room"
