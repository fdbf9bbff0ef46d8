"""`mubss gy trace` beside real servers: whose messages it shows, how it ends, and that nobody waits for its reader."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gy_tls import HOST, TlsServer, make_certificates
from gy_wire import WAIT_SECONDS, Raw, dwr, request
from gy_world import INITIAL, ROOT, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from licensed import without_options
from mubss.gy.avp import raw_avp
from mubss.gy.codec import Mscc, encode_ccr
from mubss.gy.trace import MAX_TRACES, MAX_WAITING
from mubss.runtime import ExitCode
from mubss.services.control import FOLDER, GY, ask

EVERYBODY: dict[str, Any] = {"subscriber": [], "session_id": "", "peer": "", "seconds": 60}


class Trace:
    """A `mubss gy trace` that runs; it is asking `servers` processes when made."""

    def __init__(self, world: World, *arguments: object, servers: int = 1) -> None:
        environment = without_options()
        environment |= {"MUBSS_GENERAL__DATA_DIR": str(world.folder), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "mubss.cli.main", "gy", "trace", *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(  # without buffers: what one readline leaves is there for `end`
            command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, bufsize=0
        )
        assert self.process.stderr is not None
        for _ in range(servers):
            line = self.process.stderr.readline().decode()
            assert re.fullmatch(r"tracing mubss-gy \d+\n", line), line

    def end(self, code: int = 0) -> tuple[str, str]:
        """What it printed, and what more it said on stderr, when it has ended by itself."""
        out, err = self.process.communicate(timeout=WAIT_SECONDS)
        assert self.process.returncode == code, err
        return out.decode(), err.decode()

    def interrupt(self) -> tuple[str, str]:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.end()


def lines(out: str) -> list[tuple[str, str, str]]:
    """Direction, command and peer of each JSON line."""
    return [(one["direction"], one["command"], one["peer"]) for one in map(json.loads, out.splitlines())]


def play(world: World, peer: Raw, person: Person) -> str:
    """A session that names its subscriber in the first request only."""
    session_id = world.session_id()
    assert peer.charge(data(INITIAL, 0, session_id, person, Mscc(1))).answer.result_code == 2001
    assert peer.charge(data(UPDATE, 1, session_id, None, Mscc(1, used=octets(5)))).answer.result_code == 2001
    assert peer.charge(data(TERMINATION, 2, session_id, None)).answer.result_code == 2001
    return session_id


@pytest.mark.parametrize("by", ["msisdn", "imsi", "both"])
def test_a_subscribers_messages_and_nobody_elses(world: World, server: GyServer, by: str) -> None:
    person, other = world.person(), world.person()
    named = {"msisdn": ["--msisdn", f"+{person.msisdn}"], "imsi": ["--imsi", person.imsi]}
    named["both"] = named["msisdn"] + named["imsi"]
    trace = Trace(world, *named[by], "--json", "--messages", 6)
    with Raw(server.port).open() as one, Raw(server.port).open() as another:
        play(world, one, other)
        first = data(INITIAL, 0, world.session_id(), None, Mscc(1))
        first.subscription_ids = [(0, f"tel:+{person.msisdn}")] if by == "msisdn" else [(1, person.imsi)]
        another.charge(first)
        play(world, one, other)
        another.charge(data(UPDATE, 1, first.session_id or "", None, Mscc(1, used=octets(5))))
        another.charge(data(TERMINATION, 2, first.session_id or "", None))
    out, err = trace.end()
    assert lines(out) == [("in", "CCR", another.host), ("out", "CCA", another.host)] * 3
    assert err == "6 messages\n"
    messages = [json.loads(line) for line in out.splitlines()]
    assert {avp["value"] for one in messages for avp in one["avps"] if avp["name"] == "Session-Id"} == {
        first.session_id
    }
    answer = messages[1]
    assert (answer["flags"], answer["application_id"], answer["address"]) == ("P", 4, "127.0.0.1")
    assert (answer["hop_by_hop"], answer["end_to_end"]) == (first.hop_by_hop, first.end_to_end)
    [mscc] = [avp["value"] for avp in answer["avps"] if avp["name"] == "Multiple-Services-Credit-Control"]
    assert ("Rating-Group", 1) in [(avp["name"], avp["value"]) for avp in mscc]
    assert "hex" not in answer


def test_a_session(world: World, server: GyServer, pgw: Raw) -> None:
    session_id, person = world.session_id(), world.person()
    trace = Trace(world, "--session", session_id, "--messages", 4, "--hex")
    play(world, pgw, person)
    request_ = data(INITIAL, 0, session_id, person, Mscc(1))
    pgw.charge(request_)
    broken = encode_ccr(data(UPDATE, 1, session_id, person), raw_avp(415, 0x40, b"\0"))
    answer = pgw.ask(broken)
    out, _ = trace.end()
    heads = [line.split()[1:] for line in out.splitlines() if not line.startswith(" ")]
    named = [pgw.host, "at", "127.0.0.1"]
    assert heads == [["←", "CCR", *named], ["→", "CCA", *named]] * 2
    assert out.count(f"    Session-Id                               {session_id}\n") == 3
    assert "    can't be read: 5014: CC-Request-Number" in out
    assert [f"    {frame.hex()}\n" in out for frame in (encode_ccr(request_), broken, answer)] == [True] * 3


def test_a_peer_from_its_first_message_on(world: World, server: GyServer, pgw: Raw) -> None:
    trace = Trace(world, "--peer", "Traced.Example", "--json", "--messages", 6)
    with Raw(server.port).open("traced.example") as peer:
        pgw.ask(dwr(pgw.host))
        peer.ask(dwr(peer.host))
        peer.ask(request("CCR", ("Session-Id", "x"), application_id=4))
    out, _ = trace.end()
    directions = ["in", "out"] * 3
    assert [one[:2] for one in lines(out)] == list(
        zip(directions, ["CER", "CEA", "DWR", "DWA", "CCR", "CCA"], strict=True)
    )


def test_all_workers_are_asked(world: World, server: GyServer, tmp_path: Path) -> None:
    person = world.person()
    with GyServer(world, "--workers", "2") as workers:
        file = tmp_path / "trace.jsonl"
        named = ("--msisdn", person.msisdn, "--json", "--messages", 18, "--out", file)
        trace = Trace(world, *named, servers=3)
        peers = [Raw(port).open() for port in (workers.port, workers.port, server.port)]
        for peer in peers:
            play(world, peer, person)
            peer.sock.close()
        out, err = trace.end()
    assert (out, err) == ("", "18 messages\n")
    assert {one[2] for one in lines(file.read_text())} == {peer.host for peer in peers}
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_spoken_in_tls_is_shown_plain(world: World, tmp_path: Path) -> None:
    person = world.person()
    folder = make_certificates(tmp_path).folder
    with TlsServer(world, folder, general__data_dir=tmp_path) as secure:
        own = World.__new__(World)
        own.folder = tmp_path
        trace = Trace(own, "--msisdn", person.msisdn, "--json", "--messages", 6)
        with secure.peer().open(HOST) as peer:
            play(world, peer, person)
        assert len(lines(trace.end()[0])) == 6


def test_it_ends_by_ctrl_c_and_with_its_server(world: World, server: GyServer, pgw: Raw) -> None:
    trace = Trace(world, "--peer", pgw.host)
    pgw.ask(dwr(pgw.host))
    assert trace.process.stdout is not None
    assert trace.process.stdout.readline().decode().split()[1:3] == ["←", "DWR"]
    while b"Origin-State-Id" not in trace.process.stdout.readline():
        pass  # the last line of the DWA
    out, err = trace.interrupt()
    assert (out, err) == ("", "2 messages\n")
    with GyServer(world) as ending:
        trace = Trace(world, "--peer", "x", "--seconds", 1, servers=2)
        ending.terminate()
        assert trace.end() == ("", "0 messages\n")


@contextmanager
def asking(world: World, server: GyServer, **wanted: Any) -> Iterator[Any]:
    """The answers of one process, from its first."""
    path = world.folder / FOLDER / f"{GY}-{server.process.pid}.sock"
    with closing(ask(path, "trace", WAIT_SECONDS, **{**EVERYBODY, **wanted})) as answers:
        yield answers


def test_a_reader_that_doesnt_read_loses_messages_and_holds_up_nobody(world: World, server: GyServer, pgw: Raw) -> None:
    large = dwr(pgw.host, 1)[:4] + dwr(pgw.host, 1)[4:] + raw_avp(64_999, 0, bytes(10_000))
    large = large[:1] + len(large).to_bytes(3, "big") + large[4:]
    with asking(world, server, peer=pgw.host, seconds=2) as answers:
        assert next(answers) == {"pid": server.process.pid}
        for _ in range(2 * MAX_WAITING):
            pgw.ask(large)
        rest = list(answers)
    shown = sum("frame" in one for one in rest)
    assert rest[-1]["lost"] > 0
    assert shown + rest[-1]["lost"] == 4 * MAX_WAITING


def test_there_is_a_limit_and_who_is_gone_is_noticed(world: World, server: GyServer) -> None:
    path = world.folder / FOLDER / f"{GY}-{server.process.pid}.sock"
    callers = []
    for _ in range(MAX_TRACES):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT_SECONDS)
        sock.connect(str(path))
        sock.sendall(msgpack.packb({"do": "trace", **EVERYBODY, "peer": "x"}))
        assert msgpack.unpackb(sock.recv(100)) == {"pid": server.process.pid}
        callers.append(sock)
    refused = Trace(world, "--peer", "x", servers=0).end(ExitCode.FAILURE)[1]
    assert refused == f"mubss: mubss-gy {server.process.pid}: 8 traces are under way; wait for one to end\n"
    for sock in callers:
        sock.close()
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with asking(world, server, peer="x") as answers:
            if "pid" in next(answers):
                break
        assert time.monotonic() < deadline, "their places are free again"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"subscriber": 1}, {"subscriber": [], "session_id": "", "peer": "", "seconds": "x"}],
    ids=["none", "no list", "no number"],
)
def test_a_question_that_cant_be_understood(world: World, server: GyServer, arguments: dict[str, Any]) -> None:
    path = world.folder / FOLDER / f"{GY}-{server.process.pid}.sock"
    [answer] = ask(path, "trace", WAIT_SECONDS, **arguments)
    assert answer["error"].startswith("trace: ")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], ExitCode.USAGE, "Expected one of --msisdn or --imsi, --session, --peer"),
        (["--msisdn", "49170123", "--peer", "x"], ExitCode.USAGE, "Expected one of"),
        (["--msisdn", "alice"], ExitCode.INPUT, "msisdn: 'alice'; expected 5 to 15 digits"),
        (["--imsi", "٣٤٥٦٧"], ExitCode.INPUT, "imsi: '٣٤٥٦٧'; expected up to 15 digits"),
        (["--peer", "x", "--out", "/none/x"], ExitCode.INPUT, "/none/x: can't be written: No such file or directory"),
        (["--peer", "x", "--pcap", "/none/x"], ExitCode.INPUT, "/none/x: can't be written: No such file or directory"),
    ],
)
def test_what_cant_be_asked_for(
    world: World, server: GyServer, arguments: list[str], code: ExitCode, text: str
) -> None:
    assert text in Trace(world, *arguments, servers=0).end(code)[1]


def test_where_no_server_runs(tmp_path: Path) -> None:
    nowhere = World.__new__(World)
    nowhere.folder = tmp_path
    error = Trace(nowhere, "--peer", "x", servers=0).end(ExitCode.INPUT)[1]
    assert error == f"mubss: no mubss-gy runs here that could be asked: there is none in {tmp_path}/{FOLDER}\n"
