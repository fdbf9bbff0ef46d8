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
from mubss.gy.connection import Connection
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


def test_a_fault_of_ours_closes_the_connection_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    forgotten: list[Connection] = []
    server: Any = SimpleNamespace(
        options=SimpleNamespace(
            max_message_octets=65_536, send_buffer_octets=65_536, deadline_ms=200, max_pending_per_peer=10
        ),
        identity=IDENTITY,
        registry=Everybody(),
        tracer=None,
        peers=PeerTable([], "always", Profile()),
        refdata=None,  # the fault: no CCR can be read without it
        pending=0,
        pending_octets=0,
        is_full=False,
        forget=forgotten.append,
        presence=SimpleNamespace(changed=Event()),
    )
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
