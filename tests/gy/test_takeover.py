"""`mubss-gy --take-over`: a new process has the listening sockets, the old one drains, and no peer misses a thing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gy_tls import TlsServer, files, make_certificates
from gy_wire import WAIT_SECONDS, Raw, dwr, find, request
from gy_world import EVENT, SMS, STARTED, GyServer, Person, World, data
from mubss.gy.codec import Mscc, encode_ccr
from mubss.gy.message import decode_header
from mubss.services.control import FOLDER, LISTENER, sockets

DPA = request("DPR", ("Result-Code", 2001), ("Origin-Host", "pgw.example"), ("Origin-Realm", "example"), flags=0)
SMS_MICROS = 80_000
PATIENT = {"deadline_ms": 60_000, "store__busy_timeout_ms": 60_000}
WORKERS = pytest.mark.parametrize(
    ("old", "new"), [((), ()), (("--workers", "2"), ("--workers", "2")), ((), ("--workers", "2"))], ids=str
)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """A server that a failed test has left would be asked by the next one."""
    yield
    for server in STARTED:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="module")
def person(world: World) -> Person:
    return world.person(1_000)


def sms(world: World, person: Person) -> bytes:
    return encode_ccr(data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS))


def works(world: World, person: Person, peer: Raw) -> None:
    assert find(peer.ask(sms(world, person)), "Result-Code") == 2001


def is_dpr(frame: bytes) -> bool:
    header = decode_header(frame)
    return (header.command_code, header.is_request) == (282, True) and find(frame, "Disconnect-Cause") == 0


def state_id(peer: Raw) -> int:
    return int(find(peer.ask(dwr(peer.host)), "Origin-State-Id"))


def ends_well(server: GyServer) -> None:
    server.wait_until_ended()
    assert server.process.returncode == 0, server.log
    server.stop()


@WORKERS
def test_the_new_one_serves_and_the_old_one_says_goodbye(
    world: World, person: Person, old: tuple[str, ...], new: tuple[str, ...]
) -> None:
    first = GyServer(world, *old, **PATIENT)
    with Raw(first.port).open("kept.example") as peer:
        before = state_id(peer)
        with world.locked():
            peer.send(sms(world, person))
            assert find(peer.ask(dwr(peer.host)), "Result-Code") == 2001, "the request is under way"
            second = GyServer(world, "--take-over", *new, port=first.port, **PATIENT)
            frame = peer.receive()
            assert is_dpr(frame), (find(frame, "Result-Code"), first.log)
            peer.send(sms(world, person))  # a peer that hasn't seen the DPR yet
        assert [find(peer.receive(), "Result-Code") for _ in range(2)] == [2001, 2001]
        peer.send(DPA)
        assert peer.closed()
    ends_well(first)
    second.wait_for(f"took over from process {first.process.pid}, which drains")
    with second, Raw(second.port).open("kept.example") as again:
        assert second.port == first.port
        works(world, person, again)
        assert state_id(again) == before, "Origin-State-Id says that no session is lost"


class Caller(threading.Thread):
    """A peer under load: one request after the other; told goodbye it takes what is due, and connects again."""

    def __init__(self, world: World, port: int, number: int) -> None:
        super().__init__()
        self.person = world.person(10_000)
        self.answered = 0
        self.connected = 0
        self.fault: BaseException | None = None
        self.stop = threading.Event()
        self._world, self._port, self._host = world, port, f"load{number}.example"
        self._changed = threading.Condition()

    def reached(self, connected: int) -> None:
        """Waits until it has been served over that many connections, or can't go on."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.connected >= connected or self.fault, 3 * WAIT_SECONDS)

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                with Raw(self._port) as peer:  # refused: a fault
                    try:
                        peer.open(self._host)
                    except EOFError:
                        continue  # it was accepted by one that had no more time for it
                    self._talk(peer)
        except BaseException as error:
            with self._changed:
                self.fault = error
                self._changed.notify_all()

    def _talk(self, peer: Raw) -> None:
        first = True
        while not self.stop.is_set():
            peer.send(sms(self._world, self.person))
            goodbye, result = False, None
            while result is None:
                frame = peer.receive()  # an end, or silence, is a fault: a request isn't answered
                if is_dpr(frame):
                    goodbye = True
                else:
                    result = find(frame, "Result-Code")
            assert result == 2001
            self.answered += 1
            if first:
                first = False
                with self._changed:
                    self.connected += 1
                    self._changed.notify_all()
            if goodbye:
                peer.send(DPA)
                assert peer.closed()
                return


@pytest.fixture
def callers(world: World) -> Iterator[list[Caller]]:
    started: list[Caller] = []
    yield started
    for caller in started:
        caller.stop.set()
        caller.join()


@WORKERS
@pytest.mark.parametrize("times", [1, 3])
def test_under_load_nothing_is_unanswered_refused_or_charged_twice(
    world: World, callers: list[Caller], old: tuple[str, ...], new: tuple[str, ...], times: int
) -> None:
    server = GyServer(world, *old, **PATIENT)
    callers += [Caller(world, server.port, number) for number in range(4)]
    for caller in callers:
        caller.start()
    for turn in range(1, times + 1):
        successor = GyServer(world, "--take-over", *new, port=server.port, **PATIENT)
        ends_well(server)
        server = successor
        for caller in callers:
            caller.reached(turn + 1)
    for caller in callers:
        caller.stop.set()
        caller.join()
    server.stop()
    assert [caller.fault for caller in callers] == [None] * len(callers)
    for caller in callers:
        assert world.spent(caller.person, 10_000) == caller.answered * SMS_MICROS, "the ledger holds, each once"


def talk(world: World, server: GyServer, *words: Any) -> tuple[socket.socket, list[Any], list[int]]:
    """Says the words to who has the listening sockets; gives what comes back to the last of them."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(WAIT_SECONDS)
    sock.connect(str(world.folder / FOLDER / f"{LISTENER}-{server.process.pid}.sock"))
    for word in words:
        sock.sendall(msgpack.packb(word))
    octets, descriptors, _, _ = socket.recv_fds(sock, 65_536, 8)
    return sock, [msgpack.unpackb(octets)], descriptors


@pytest.mark.parametrize("word", [None, {"do": "nothing"}, [1], "accepting"], ids=str)
def test_one_that_dies_before_it_accepts_changes_nothing(world: World, person: Person, word: Any) -> None:
    with GyServer(world) as server, Raw(server.port).open() as peer:
        sock, [answer], descriptors = talk(world, server, {"do": "take-over"})
        assert answer == {"transports": ["tcp"]}
        [taken] = [socket.socket(fileno=one) for one in descriptors]
        assert taken.getsockname()[1] == server.port
        if word is not None:
            sock.sendall(msgpack.packb(word))
        sock.close()
        taken.close()
        server.wait_for("took the listening sockets and didn't begin: serving on")
        works(world, person, peer)
        with Raw(server.port).open() as another:
            works(world, person, another)
        with GyServer(world, "--take-over", port=server.port):
            frame = peer.receive()
            assert is_dpr(frame), (find(frame, "Result-Code"), server.log)
            peer.send(DPA)
            ends_well(server)


def test_the_listening_sockets_of_tls_are_handed_over_too(world: World, person: Person, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with TlsServer(world, tmp_path) as first, first.peer().open("pgw.example") as peer:
        works(world, person, peer)
        own = {**files(tmp_path), "tls_port": first.tls_port}
        with GyServer(world, "--take-over", port=first.port, **own) as second:
            assert is_dpr(peer.receive())
            peer.send(DPA)
            ends_well(first)
            assert second.port == first.port
            with first.peer().open("pgw.example") as again:
                works(world, person, again)


def as_nobody(path: Path) -> str:
    """What another user is told who asks for the sockets, and how many he gets; a fork: he may run nothing."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65_534)
            os.setuid(65_534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(msgpack.packb({"do": "take-over"}))
                octets, descriptors, _, _ = socket.recv_fds(sock, 65_536, 8)
                os.write(writes, f"{msgpack.unpackb(octets)['error']}; {len(descriptors)}".encode())
        except BaseException as error:
            os.write(writes, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
def test_another_user_gets_nothing_whatever_the_sockets_mode_is(world: World) -> None:
    with GyServer(world) as server:
        path = world.folder / FOLDER / f"{LISTENER}-{server.process.pid}.sock"
        for one in (path, *path.parents):
            if one.is_relative_to(world.folder):
                one.chmod(0o777)
        assert as_nobody(path) == "user 65534 may not take over from user 0; 0"
        with Raw(server.port).open():
            pass


def test_two_dont_take_over_at_once(world: World) -> None:
    with GyServer(world) as server:
        sock, _, descriptors = talk(world, server, {"do": "take-over"})
        other = GyServer(world, "--take-over", port=server.port, wait=False)
        other.wait_until_ended()
        assert other.process.returncode == 75
        assert other.find(
            f"^mubss-gy: --take-over: process {server.process.pid} didn't hand its listening sockets over"
        )
        other.stop()
        sock.close()
        for one in descriptors:
            socket.socket(fileno=one).close()


def test_several_that_run_are_named_and_one_may_be_chosen(world: World) -> None:
    with GyServer(world) as one, GyServer(world) as two:
        for arguments, line in (
            (["--take-over"], "--take-over: expected one mubss-gy that runs, or a process id; running: process "),
            (["--take-over", "1"], "--take-over 1: no mubss-gy with that process id listens; running: process "),
        ):
            refused = GyServer(world, *arguments, wait=False)
            refused.wait_until_ended()
            assert refused.process.returncode == 78
            [said] = refused.find("^mubss-gy: ")
            assert line in said and f"tcp 127.0.0.1:{one.port}" in said and f"tcp 127.0.0.1:{two.port}" in said
            refused.stop()
        with GyServer(world, "--take-over", str(two.process.pid)) as chosen:
            assert chosen.port == two.port
            two.wait_until_ended()
            with Raw(one.port).open(), Raw(chosen.port).open():
                pass


def test_nobody_to_take_over_from_is_said_and_it_listens_by_itself(world: World, person: Person) -> None:
    with GyServer(world, "--take-over") as server, Raw(server.port).open() as peer:
        assert server.find("no mubss-gy runs on this data folder: there is nobody to take over from")
        works(world, person, peer)


def test_who_listens_elsewhere_opens_its_own(world: World) -> None:
    with GyServer(world) as first, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with GyServer(world, "--take-over", port=port) as second:
            assert second.port == port
            assert second.find(f"not listened on any more: 127.0.0.1 port {first.port}")
            first.wait_until_ended()


def test_it_leaves_no_control_socket(world: World) -> None:
    with GyServer(world) as first, GyServer(world, "--take-over", port=first.port) as second:
        first.wait_until_ended()
        assert list(sockets(world.folder / FOLDER, LISTENER)) == [second.process.pid]
    assert not sockets(world.folder / FOLDER, LISTENER)
