"""The control socket of mubss-gy: who may ask, what is answered, and what hostile callers can't do."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from gy_wire import WAIT_SECONDS, Raw
from gy_world import GyServer, World
from mubss import __version__
from mubss.services.control import FOLDER, GY, MAX_MESSAGE, ask, ask_all, sockets


@pytest.fixture
def folder(world: World) -> Path:
    return world.folder / FOLDER


@pytest.fixture
def path(folder: Path, server: GyServer) -> Iterator[Path]:
    yield folder / f"{GY}-{server.process.pid}.sock"
    assert next(ask(folder / f"{GY}-{server.process.pid}.sock", "status", WAIT_SECONDS))["version"] == __version__


def test_it_says_who_it_is(server: GyServer, path: Path) -> None:
    with Raw(server.port).open():
        [answer] = ask(path, "status", WAIT_SECONDS)
    assert (answer["pid"], answer["connections"], answer["pending"]) == (server.process.pid, 1, 0)
    assert answer["uptime_s"] >= 0


def test_only_its_user_may_ask(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_worker_has_its_own_and_takes_it_along(world: World, folder: Path) -> None:
    before = set(sockets(folder, GY))
    with GyServer(world, "--workers", "2") as server:
        ours = set(sockets(folder, GY)) - before
        assert len(ours) == 2 and server.process.pid not in ours
        answers = ask_all(folder, GY, "status", WAIT_SECONDS)
        assert {answers[pid]["pid"] for pid in ours} == ours
        server.terminate()
    assert set(sockets(folder, GY)) == before


def test_what_the_dead_left_is_passed_over_and_removed(world: World, folder: Path) -> None:
    with GyServer(world) as killed:
        killed.kill()
    dead = folder / f"{GY}-{killed.process.pid}.sock"
    (folder / f"{GY}-none.sock").touch()
    assert dead.exists() and killed.process.pid not in ask_all(folder, GY, "status", WAIT_SECONDS)
    with GyServer(world):
        assert not dead.exists()


@pytest.mark.parametrize(
    "octets_sent",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb("status"),
        msgpack.packb({"do": "status"})[:-1],
        b"\x91" * 10_000,
        b"\xdb\xff\xff\xff\xff",
        b"\xc6" + (10 * MAX_MESSAGE).to_bytes(4, "big") + bytes(10 * MAX_MESSAGE),
    ],
    ids=["nothing", "no type", "a list", "text", "half", "deep", "long text", "long bytes"],
)
def test_what_is_no_question_gets_no_answer(server: GyServer, path: Path, octets_sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_SECONDS)
        sock.connect(str(path))
        try:
            sock.sendall(octets_sent)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        except ConnectionError:
            pass  # it was closed before all was sent
    assert not server.find("ERROR|error mubss")


def test_an_unknown_question_is_named(path: Path) -> None:
    [answer] = ask(path, "x" * 1000, WAIT_SECONDS)
    assert answer["error"].startswith(f"do: '{'x' * 40}'; expected one of drain, metrics, nudge, reload, status")


def test_too_many_callers_are_sent_away(path: Path) -> None:
    callers = []
    for _ in range(40):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT_SECONDS)
        sock.connect(str(path))
        callers.append(sock)
    assert callers[-1].recv(1) == b""
    for sock in callers:
        sock.close()
    deadline = time.monotonic() + WAIT_SECONDS
    while not ask_all(path.parent, GY, "status", WAIT_SECONDS):
        assert time.monotonic() < deadline, "there is room again"


def test_a_long_path(world: World, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with GyServer(world, general__data_dir=deep):
        [answer] = ask_all(deep / FOLDER, GY, "status", WAIT_SECONDS).values()
        assert answer["version"] == __version__


def test_a_folder_that_cant_be_had_keeps_nobody_from_serving(world: World, tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with GyServer(world, general__data_dir=tmp_path) as server, Raw(server.port).open():
        server.wait_for("no control socket: (Not a directory|File exists)")
