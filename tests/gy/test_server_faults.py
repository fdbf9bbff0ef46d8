"""What a fault of our own does to the peer that meets it: logged once, that connection closed, nothing held back."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from gy_wire import cer, cut, find, request
from mubss.gy.connection import MAX_PENDING_OCTETS, Connection
from mubss.gy.message import Identity
from mubss.gy.peer import Peer, Settings
from mubss.gy.peer_table import PeerTable
from mubss.gy.profile import Profile
from mubss.gy.server import every
from mubss.storage.database import StoreUnavailable

IDENTITY = Identity("ocs.mubss.example", "mubss.example", 7)


class Everybody:
    """A registry that lets anybody in."""

    def claim(self, *_arguments: object) -> bool:
        return True

    def alive(self, _connection: int) -> None:
        """Nobody asks."""


def a_server(**more: Any) -> Any:
    """What a Connection needs of one."""
    options = {"max_message_octets": 65_536, "send_buffer_octets": 65_536, "deadline_ms": 200}
    return SimpleNamespace(
        options=SimpleNamespace(max_pending_per_peer=10, **options),
        identity=IDENTITY,
        registry=Everybody(),
        tracer=None,
        peers=PeerTable([], "always", Profile()),
        pending=0,
        pending_octets=0,
        is_full=False,
        presence=SimpleNamespace(changed=Event()),
        **more,
    )


@pytest.mark.conforms("RFC 3539 §3.4.1", "a peer that doesn't read has its watchdog, too")
@pytest.mark.parametrize("reads", [True, False])
def test_a_silence_is_ours_only_while_the_peer_reads(reads: bool) -> None:
    """We read nothing while much is under way, and that isn't the peer's fault unless it doesn't read our answers."""
    ours, theirs = socket.socketpair()
    peer = Peer(Settings(IDENTITY), "127.0.0.1", "127.0.0.1", 0, 0)
    connection = Connection(a_server(), 1, ours, "127.0.0.1", peer)
    connection._sending = not reads
    connection._pending_octets = MAX_PENDING_OCTETS
    heard: list[int] = []
    peer.heard = heard.append  # type: ignore[method-assign]
    seconds = iter((False, False, True))
    connection._may_read = SimpleNamespace(clear=lambda: None, wait=lambda _: next(seconds))  # type: ignore[assignment]
    connection._wait_for_room()
    assert len(heard) == (2 if reads else 0)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("octets", "closes"), [(65_536, False), (65_537, True)])
def test_one_that_reads_nothing_is_closed_though_all_its_answers_came_at_once(octets: int, closes: bool) -> None:
    """All are on their way when we stop to read: no further answer will find that too many wait."""
    ours, theirs = socket.socketpair()
    peer = Peer(Settings(IDENTITY), "127.0.0.1", "127.0.0.1", 0, 0)
    connection = Connection(a_server(), 1, ours, "127.0.0.1", peer)
    connection._sending, connection._pending_octets, connection._out_octets = True, MAX_PENDING_OCTETS, octets
    seconds = iter((False, True))
    connection._may_read = SimpleNamespace(  # type: ignore[assignment]
        clear=lambda: None, wait=lambda _: next(seconds), set=lambda: None
    )
    connection._wait_for_room()
    assert ("doesn't read" in connection._closing) is closes
    ours.close()
    theirs.close()


def test_a_fault_of_ours_closes_the_connection_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    forgotten: list[Connection] = []
    server = a_server(refdata=None, forget=forgotten.append)  # without reference data no CCR can be read: the fault
    ours, theirs = socket.socketpair()
    peer = Peer(Settings(IDENTITY), "127.0.0.1", "127.0.0.1", 0, 0)
    connection = Connection(server, 1, ours, "127.0.0.1", peer)
    serving = gevent.spawn(connection.serve)
    with gevent.Timeout(10):
        theirs.sendall(cer())
        [cea] = cut(theirs.recv(65_536))
        assert find(cea, "Result-Code") == 2001
        ids = [("Session-Id", "s;1"), ("CC-Request-Type", 1), ("CC-Request-Number", 0)]
        theirs.sendall(request("CCR", *ids, application_id=4))
        assert theirs.recv(65_536) == b""
        serving.get()
    assert forgotten == [connection]
    [fault] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert fault.exc_info
    assert "pgw.example at 127.0.0.1" in fault.getMessage()
    assert [record.getMessage() for record in caplog.records][-1] == "closing pgw.example at 127.0.0.1: a fault of ours"


def test_a_timer_goes_on_whatever_fails_and_says_once_that_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    away = StoreUnavailable("it is away")
    faults = [None, away, away, away, None, None, away, ValueError("ours"), away, None, gevent.GreenletExit()]

    def work() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    with pytest.raises(gevent.GreenletExit):
        every(0, "looking", work)
    assert [record.message for record in caplog.records] == [
        "looking waits for the store: it is away",
        "looking goes on",
        "looking waits for the store: it is away",
        "looking failed",
        "looking goes on",
    ]
