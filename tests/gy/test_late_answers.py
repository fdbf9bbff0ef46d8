"""An answer that is later than its deadline is not sent: the client has given up, and its repeat finds it done."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.socket import socketpair

from mubss.charging.order import Order
from mubss.core.model import EndSession, Outcome, Result
from mubss.gy.ccr import Ccr
from mubss.gy.connection import Connection
from mubss.gy.message import Identity
from mubss.gy.peer import Peer, Settings
from mubss.gy.peer_table import PeerTable
from mubss.gy.profile import Profile

IDENTITY = Identity("ocs.example", "example")


@pytest.mark.conforms("Rule 3", "an answer that is late isn't sent")
@pytest.mark.parametrize(("late_by_ms", "sent"), [(0, 1), (60_000, 0)])
def test_only_an_answer_in_time_is_sent(late_by_ms: int, sent: int) -> None:
    ours, theirs = socketpair()
    server: Any = SimpleNamespace(
        options=SimpleNamespace(send_buffer_octets=1 << 20, max_pending_per_peer=10),
        identity=IDENTITY,
        peers=PeerTable([], "always", Profile()),
        currency_numbers={},
        pending=1,
        pending_octets=100,
        answered=0,
        is_full=False,
        tracer=None,
    )
    peer = Peer(Settings(IDENTITY), "127.0.0.1", "127.0.0.1", 0, 0)
    connection = Connection(server, 1, ours, "127.0.0.1", peer)
    order = Order(EndSession("s"), outcome=Outcome(1 << 32, 0, Result.SUCCESS, []))
    received_ns = time.monotonic_ns() - late_by_ms * 1_000_000
    connection._done(
        Ccr(session_id="s", cc_request_type=1, cc_request_number=0),
        Profile(deadline_ms=30_000),
        100,
        received_ns,
        order,
    )
    assert len(connection._out) == sent
    assert (server.pending, server.answered) == (0, 1)
    ours.close()
    theirs.close()
