"""`mubss-gy --workers 2`: connections are shared out, a peer is judged over all of them, whatever dies is replaced."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gy_wire import Raw, cer, find, request
from gy_world import EVENT, INITIAL, SMS, UPDATE, GyServer, Person, World, data
from mubss.gy.codec import Mscc
from mubss.gy.message import decode_header

JSON = {"general__log_format": "json"}  # its lines name their process


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[GyServer]:
    with GyServer(world, "--workers", "2", **JSON) as running:
        yield running


@pytest.fixture(scope="module")
def person(world: World) -> Person:
    return world.person(1_000)


def worker_of(server: GyServer, peer: Raw) -> int:
    """The process that serves a peer, as its log says; the last one, if it connected several times."""
    pattern = f'"{peer.host} at 127.0.0.1 is open, profile generic"'
    server.wait_for(pattern)
    return int(json.loads(server.find(pattern)[-1])["pid"])


def works(world: World, person: Person, peer: Raw) -> None:
    """The peer's requests are charged."""
    ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
    assert peer.charge(ccr).answer.result_code == 2001


def workers(server: GyServer) -> set[int]:
    """The processes that the parent has started."""
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_connections_are_shared_out_evenly(world: World, server: GyServer, person: Person) -> None:
    peers = [Raw(server.port).open() for _ in range(6)]
    try:
        served = Counter(worker_of(server, peer) for peer in peers)
        assert sorted(served.values()) == [3, 3]
        assert set(served) == workers(server)
        for peer in peers:
            works(world, person, peer)
        closed, kept = worker_of(server, peers[0]), []
        for peer in peers:
            (peer.sock.close if worker_of(server, peer) == closed else kept.append(peer) or list)()
        server.wait_for("the peer closed the connection", times=3)
        more = [Raw(server.port).open() for _ in range(3)]
        kept += more
        assert {worker_of(server, peer) for peer in more} == {closed}, "the one with the least to do has them"
    finally:
        for peer in [*peers, *kept]:
            peer.sock.close()


@pytest.mark.conforms("Rule 12", "a session goes on over another connection and process")
def test_a_session_goes_on_over_another_worker(world: World, server: GyServer) -> None:
    person, session_id = world.person(), world.session_id()
    with Raw(server.port).open() as one, Raw(server.port).open() as other:
        assert worker_of(server, one) != worker_of(server, other)
        first = data(INITIAL, 0, session_id, person, Mscc(1))
        assert one.charge(first).answer == other.charge(first).answer, "a repeat is known to both"
        assert other.charge(data(UPDATE, 1, session_id, person, Mscc(1))).answer.result_code == 2001
    assert len(world.account(person)["sessions"]) == 1


def test_a_peer_that_lives_is_asked_and_keeps_its_place(world: World, server: GyServer, person: Person) -> None:
    with Raw(server.port).open("twice.example") as first, Raw(server.port) as second:
        with first.answering():
            answer = second.ask(cer("TWICE.example"))
        assert find(answer, "Result-Code") == 4003
        assert second.closed()
        assert first.watchdogs == 1
        works(world, person, first)


def test_a_peer_that_is_silent_loses_it(world: World, server: GyServer, person: Person) -> None:
    with Raw(server.port).open("mute.example") as first, Raw(server.port) as second:
        first.mute = True
        second.open("mute.example")
        works(world, person, second)
        assert decode_header(first.receive()).command_code == 280, "it was asked"
        assert first.closed()
    server.wait_for("closing mute.example at 127.0.0.1: another connection takes its place")


@pytest.mark.conforms("RFC 6733 §8.16", "a peer that rebooted is served at once")
def test_a_peer_that_rebooted_has_it_at_once(world: World, server: GyServer, person: Person) -> None:
    with Raw(server.port).open("boot.example", state_id=7) as first, Raw(server.port) as second, first.answering():
        second.open("boot.example", state_id=8)
        assert first.watchdogs == 0
        works(world, person, second)
    server.wait_for("closing boot.example at 127.0.0.1: another connection takes its place")


def test_a_peer_that_is_gone_leaves_its_place(world: World, server: GyServer, person: Person) -> None:
    for _ in range(5):
        with Raw(server.port).open("again.example") as peer:
            works(world, person, peer)


def test_an_endless_name_doesnt_break_the_link(world: World, server: GyServer, person: Person) -> None:
    for host in ("h" * 255, "h" * 256, "h" * 30_000, "ü" * 255):
        with Raw(server.port) as peer:
            assert find(peer.ask(cer(host)), "Result-Code") == (2001 if len(host) == 255 else 5004)
    with Raw(server.port).open() as one, Raw(server.port).open() as other:
        works(world, person, one)
        works(world, person, other)


def test_a_worker_that_dies_is_replaced(world: World, person: Person) -> None:
    with GyServer(world, "--workers", "2", **JSON) as server:
        before = workers(server)
        with Raw(server.port).open() as kept, Raw(server.port).open() as lost:
            pid = worker_of(server, lost)
            os.kill(pid, signal.SIGKILL)
            assert lost.closed()
            for _ in range(8):  # while one is away the other has them all
                with Raw(server.port).open() as peer:
                    works(world, person, peer)
            with Raw(server.port).open(lost.host) as again:
                works(world, person, again)
            works(world, person, kept)
            server.wait_for(r"worker [01] ended with -9: starting another")
            server.wait_for("worker [01] is up", times=3)
            with Raw(server.port).open() as peer, Raw(server.port).open() as other:
                assert {worker_of(server, one) for one in (peer, other)} - before
                works(world, person, peer)
                works(world, person, other)
            assert len(workers(server)) == 2
            assert workers(server) & before == before - {pid}
        assert server.terminate() == 0


def test_a_worker_that_cant_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path}/mubss.db")
    person = world.person()
    file, aside = tmp_path / "mubss.db", tmp_path / "aside"
    with GyServer(world, "--workers", "2", **JSON) as server, Raw(server.port).open() as kept:
        before = workers(server)
        [pid] = before - {worker_of(server, kept)}
        file.rename(aside)
        file.mkdir()
        os.kill(pid, signal.SIGKILL)
        server.wait_for("worker [01] ended with 69: starting another")
        file.rmdir()
        aside.rename(file)
        server.wait_for("worker [01] is up", times=3)
        with Raw(server.port).open() as peer:
            assert worker_of(server, peer) not in before
            works(world, person, peer)
        works(world, person, kept)
    world.close()


def test_sigterm_drains_them_all(world: World, person: Person) -> None:
    server = GyServer(world, "--workers", "2")
    with Raw(server.port).open() as one, Raw(server.port).open() as other:
        works(world, person, one)
        server.process.send_signal(signal.SIGTERM)
        for peer in (one, other):
            dpr = peer.receive()
            assert (decode_header(dpr).command_code, find(dpr, "Disconnect-Cause")) == (282, 0)
            peer.send(request("DPR", ("Result-Code", 2001), flags=0))
            assert peer.closed()
        server.wait_until_ended()
    assert server.process.returncode == 0
    assert len(server.find("drained")) == 2
    server.stop()


def test_workers_end_when_their_parent_is_killed(world: World) -> None:
    server = GyServer(world, "--workers", "2", drain_seconds=1)
    with Raw(server.port).open() as one, Raw(server.port).open() as other:
        server.kill()
        for peer in (one, other):
            assert decode_header(peer.receive()).command_code == 282
    server.wait_until_ended()
    assert len(server.find("drained")) == 2
    server.stop()


def test_workers_that_cant_start_say_why(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path}/mubss.db")
    world.store.run(lambda session: session.collection("ref_bill_cycles").put_many([{"_id": "1", "closing_day": 99}]))
    world.close()
    server = GyServer(world, "--workers", "2", wait=False)
    server.wait_until_ended()
    assert server.process.returncode == 78
    assert server.find("^mubss-gy: a worker didn't start; it has said why$")
    assert server.find("^mubss-gy: stored: version 1: KeyError")
    server.stop()


def test_a_store_that_isnt_there_is_said_once_for_all_workers(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path}/mubss.db")
    world.close()
    world.url = f"sqlite:///{tmp_path}/nowhere/mubss.db"
    server = GyServer(world, "--workers", "2", wait=False)
    server.wait_until_ended()
    assert server.process.returncode == 69
    assert server.lines == [f"mubss-gy: {tmp_path}/nowhere/mubss.db: there is no store yet; `mubss init` makes it"]
    server.stop()
