"""How a server ends and begins: goodbye to every peer, every answer under way, the port free; a start that can't be."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gy_wire import Raw, dwr, find, request
from gy_world import EVENT, SMS, GyServer, Person, World, data
from licences import PlatformLicence
from mubss.gy.codec import Ccr, Mscc, encode_ccr
from mubss.gy.message import decode_header
from mubss.storage.database import open_database

DPA = request("DPR", ("Result-Code", 2001), ("Origin-Host", "pgw.example"), ("Origin-Realm", "example"), flags=0)
SMS_MICROS = 80_000
AT_ONCE = 200  # requests under way


def is_dpr(frame: bytes) -> bool:
    header = decode_header(frame)
    return (header.command_code, header.is_request, find(frame, "Disconnect-Cause")) == (282, True, 0)


def sms(world: World, person: Person) -> Ccr:
    return data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)


@pytest.mark.conforms("RFC 6733 §5.4", "DPR before the end; what is under way is answered")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered_before_the_end(world: World, number: signal.Signals) -> None:
    person = world.person()
    server = GyServer(world)
    with Raw(server.port).open() as busy, Raw(server.port).open() as idle, Raw(server.port) as stranger:
        with world.locked():
            for _ in range(10):
                busy.send(encode_ccr(sms(world, person)))
            assert find(busy.ask(dwr(busy.host)), "Result-Code") == 2001
            server.process.send_signal(number)
            assert is_dpr(busy.receive())
            assert is_dpr(idle.receive())
            busy.send(encode_ccr(sms(world, person)))  # a peer that hasn't seen the DPR yet
            idle.send(DPA)
            assert idle.closed()
            assert stranger.closed()
            with pytest.raises(ConnectionRefusedError):
                Raw(server.port)
        assert [find(busy.receive(), "Result-Code") for _ in range(11)] == [2001] * 11
        busy.send(DPA)
        assert busy.closed()
    server.wait_until_ended()
    assert server.process.returncode == 0
    assert world.spent(person) == 11 * SMS_MICROS
    assert server.find("draining: [23] peers, 10 requests under way")
    assert server.find("drained")
    server.stop()
    with GyServer(world, port=server.port) as again, Raw(again.port).open() as peer:
        assert peer.charge(sms(world, person)).answer.result_code == 2001


def test_who_says_goodbye_at_once_still_gets_its_answers(world: World) -> None:
    person = world.person()
    server = GyServer(world)
    with Raw(server.port).open() as peer:
        with world.locked():
            peer.send(encode_ccr(sms(world, person)))
            server.process.terminate()
            assert is_dpr(peer.receive())
            peer.send(DPA)
            server.wait_for(f"closing {peer.host} at 127.0.0.1: goodbye")
        assert find(peer.receive(), "Result-Code") == 2001
        assert peer.closed()
    server.wait_until_ended()
    assert (server.process.returncode, world.spent(person)) == (0, SMS_MICROS)
    server.stop()


def test_who_doesnt_say_goodbye_holds_nobody_up(world: World) -> None:
    person = world.person()
    server = GyServer(world, drain_seconds=1)
    with Raw(server.port).open() as deaf, Raw(server.port).open() as polite:
        server.process.terminate()
        assert is_dpr(deaf.receive())
        assert is_dpr(polite.receive())
        assert polite.charge(sms(world, person)).answer.result_code == 2001
        polite.send(DPA)
        assert polite.closed()
        assert deaf.closed()
    server.wait_until_ended()
    assert server.process.returncode == 0
    assert world.spent(person) == SMS_MICROS
    server.stop()


def test_who_goes_on_after_the_goodbye_is_cut_off_cleanly(world: World) -> None:
    person = world.person(1_000)
    server = GyServer(world, drain_seconds=1)
    answered = 0
    with Raw(server.port).open() as deaf:
        server.process.terminate()
        assert is_dpr(deaf.receive())
        deaf.send(b"".join(encode_ccr(sms(world, person)) for _ in range(AT_ONCE)))  # so that there is always work
        try:
            while True:
                deaf.send(b"".join(encode_ccr(sms(world, person)) for _ in range(20)))
                for _ in range(20):
                    assert find(deaf.receive(), "Result-Code") == 2001
                    answered += 1
        except (EOFError, OSError):
            pass  # cut off
    server.wait_until_ended()
    assert server.process.returncode == 0
    assert answered <= world.spent(person, 1_000) // SMS_MICROS <= answered + AT_ONCE + 20
    server.stop()


def test_a_store_that_is_stuck_holds_nobody_up(world: World) -> None:
    person = world.person()
    server = GyServer(world, drain_seconds=1, store__busy_timeout_ms=600_000)
    with Raw(server.port).open() as peer, world.locked():
        peer.send(encode_ccr(sms(world, person)))
        server.process.terminate()
        assert is_dpr(peer.receive())
        peer.send(DPA)
        server.wait_until_ended()
    assert server.process.returncode == 0
    assert world.spent(person) == 0
    server.stop()


def test_a_second_signal_ends_it_at_once(world: World) -> None:
    server = GyServer(world, drain_seconds=300)
    with Raw(server.port).open() as peer:
        server.process.terminate()
        assert is_dpr(peer.receive())
        server.process.terminate()
        server.wait_until_ended()
    assert server.process.returncode == -signal.SIGTERM
    server.stop()


def test_a_port_that_is_taken_is_said_so(world: World) -> None:
    with GyServer(world) as first:
        for arguments in ([], ["--workers", "2"]):
            second = GyServer(world, *arguments, port=first.port, wait=False)
            second.wait_until_ended()
            assert second.process.returncode == 71
            text = f"gy.host, gy.port: 127.0.0.1 port {first.port} can't be listened on: Address already in use"
            hint = "`mubss-gy --take-over` takes it over from a mubss-gy that runs"
            assert second.lines == [f"mubss-gy: {text}; {hint}"]
        with Raw(first.port).open():
            pass


def test_an_address_that_isnt_ours_is_said_so(world: World, tmp_path: Path) -> None:
    licence = PlatformLicence(tmp_path)  # a demo's is for loopback alone
    server = GyServer(world, "--host", "192.0.2.1", wait=False, entry=licence.entry, **licence.options)
    server.wait_until_ended()
    assert server.process.returncode == 78
    [line] = server.lines
    assert line.startswith("mubss-gy: gy.host, gy.port: 192.0.2.1 port 0 can't be listened on: ")
    server.stop()


def test_a_store_that_isnt_there_is_said_so(world: World, tmp_path: Path) -> None:
    server = GyServer(world, wait=False, store__url=f"sqlite:///{tmp_path}/nowhere/mubss.db")
    server.wait_until_ended()
    assert server.process.returncode == 69
    assert [line for line in server.lines if line.startswith("mubss-gy: ")] == server.lines
    assert str(tmp_path) in server.log
    server.stop()


def test_a_store_that_was_never_made_is_said_so(world: World, tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/empty.db").close()
    server = GyServer(world, wait=False, store__url=f"sqlite:///{tmp_path}/empty.db")
    server.wait_until_ended()
    assert server.process.returncode == 69
    assert len(server.lines) == 1
    assert "mubss init" in server.log
    server.stop()
    server = GyServer(world, wait=False, store__url=f"sqlite:///{tmp_path}/none.db")
    server.wait_until_ended()
    assert server.process.returncode == 69
    assert server.lines == [f"mubss-gy: {tmp_path}/none.db: there is no store yet; `mubss init` makes it"]
    assert not (tmp_path / "none.db").exists()
    server.stop()


def test_wrong_options_are_said_so(world: World) -> None:
    server = GyServer(world, wait=False, watchdog_seconds=5)
    server.wait_until_ended()
    assert server.process.returncode == 78
    assert server.lines == [
        "mubss-gy: gy.watchdog_seconds = 5 (MUBSS_GY__WATCHDOG_SECONDS): expected an integer from 6 to 3600, in seconds"
    ]
    server.stop()


@pytest.mark.conforms("RFC 6733 §5.6", "no more connections than are configured")
def test_no_more_than_max_peers_are_served(world: World) -> None:
    for workers in ("1", "2"):
        with (
            GyServer(world, "--workers", workers, max_peers=2) as server,
            Raw(server.port).open() as one,
            Raw(server.port).open(),
        ):
            with Raw(server.port) as third:
                assert third.closed()
            server.wait_for("127.0.0.1 is closed: 2 peers are connected, gy.max_peers")
            one.sock.close()
            server.wait_for(f"closing {one.host}")
            while True:
                try:
                    with Raw(server.port) as next_one:
                        next_one.open()
                        break
                except EOFError:
                    continue  # its place is about to be free


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_says_nothing_makes_room_for_who_does(world: World, workers: str) -> None:
    with (
        GyServer(world, "--workers", workers, max_peers=2, cer_timeout_seconds=300) as server,
        Raw(server.port).open() as kept,
        Raw(server.port) as silent,
        Raw(server.port) as late,
    ):
        late.open()
        assert silent.closed()
        server.wait_for("closing a peer at 127.0.0.1: (room is needed for others|another connection takes its place)")
        for peer in (kept, late):
            assert peer.charge(sms(world, world.person())).answer.result_code == 2001
        with Raw(server.port) as last:
            assert last.closed(), "nobody is silent any more"
