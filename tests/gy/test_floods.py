"""Floods of a real server by an attacker with a process of its own: who minds its manners is served all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flooding import ATTACKS, MEGABYTE, ccr
from gy_wire import Raw, find
from gy_world import EVENT, SMS, GyServer, Person, World, data
from mubss.gy.codec import Mscc
from torture_flood import DESCRIPTORS, MEMORY_MB, attacked, descriptors, memory_mb

PLACES = 120  # of the attacker, and all that the server has
ROUNDS = 25
SEED = 20_261_129


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """On the embedded store alone: what is flooded is in front of it."""
    made = World(f"sqlite:///{tmp_path_factory.mktemp('floods')}/store.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def person(world: World) -> Person:
    return world.person(1_000)


@pytest.fixture(params=ATTACKS)
def attack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(world: World, attack: str) -> Iterator[GyServer]:
    """One with few places, none of which is kept for long by who doesn't say who it is."""
    options = {"max_peers": PLACES, "cer_timeout_seconds": 1, **ATTACKS[attack].options}
    with GyServer(world, **options) as running:
        yield running


def charge(world: World, person: Person, peer: Raw) -> None:
    ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
    assert peer.charge(ccr).answer.result_code == 2001


def admitted(port: int) -> Raw:
    """A connection that was let in; it may lose its place to others before it has said who it is."""
    for _ in range(PLACES):
        peer = Raw(port)
        try:
            return peer.open()
        except EOFError:
            peer.sock.close()
    raise AssertionError("nobody gets in any more")


def test_good_peers_are_served_and_the_server_stays_as_it_was(
    world: World, server: GyServer, person: Person, attack: str
) -> None:
    pid = server.process.pid
    with Raw(server.port).open() as kept:
        charge(world, person, kept)
        before_mb, before = memory_mb(pid), descriptors(pid)
        with attacked(attack, server.port, PLACES, SEED) as did:
            for _ in range(ROUNDS):
                charge(world, person, kept)
            with admitted(server.port) as new:
                charge(world, person, new)
        assert did["opened"] > 0, did
        assert memory_mb(pid, "VmHWM") - before_mb <= MEMORY_MB
        for _ in range(500):
            charge(world, person, kept)
            if descriptors(pid) <= before + DESCRIPTORS:
                break
        assert descriptors(pid) <= before + DESCRIPTORS


def test_workers_serve_good_peers_while_others_come_and_go(world: World, person: Person) -> None:
    """What the parent hands over is taken up one by one, too."""
    with (
        GyServer(world, "--workers", "2", max_peers=PLACES, cer_timeout_seconds=1) as server,
        Raw(server.port).open() as kept,
        attacked("many", server.port, PLACES, SEED) as did,
    ):
        for _ in range(ROUNDS):
            charge(world, person, kept)
        with admitted(server.port) as new:
            charge(world, person, new)
    assert did["opened"] > 0


def test_the_attacks_are_what_they_say(world: World) -> None:
    """A message that is too large ends the connection; with room for it, its AVP is refused."""
    with GyServer(world) as server, Raw(server.port).open() as peer:
        peer.send(ccr(MEGABYTE)[:65_536])
        assert find(peer.receive(), "Result-Code") == 5015
        assert peer.closed()
    with GyServer(world, max_message_octets=2 * MEGABYTE) as server, Raw(server.port).open() as peer:
        assert find(peer.ask(ccr(MEGABYTE)), "Result-Code") == 5012
