"""Sends what the outbox holds for the peers connected to this process, and reports what they answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from gevent.event import Event

from mubss import metrics
from mubss.charging.engine import wall_clock_ms
from mubss.gy.message import Identity
from mubss.gy.peer import State
from mubss.gy.session_requests import session_request
from mubss.services import outbox
from mubss.storage.database import Doc, Store

if TYPE_CHECKING:
    from mubss.gy.connection import Connection

MAX_UNANSWERED = 100  # of one peer: more wait for its answers


class _Asked(NamedTuple):
    """A request that was sent, by its End-to-End Identifier."""

    entry: str
    kind: str
    host: str
    until_ms: int


class Outbox:
    """The part of one process; `poll` each second, or at once when `woken` is set."""

    def __init__(self, store: Store, identity: Identity, connections: Callable[[], Iterable[Connection]]) -> None:
        self.woken = Event()
        self._store = store
        self._identity = identity
        self._connections = connections
        self._asked: dict[int, _Asked] = {}
        self._answers: dict[str, tuple[int, int]] = {}

    def poll(self) -> None:
        """Writes answers down, then takes and sends what is due, until nothing more is."""
        self._close()
        now_ms = wall_clock_ms()
        self._asked = {key: asked for key, asked in self._asked.items() if asked.until_ms > now_ms}
        unanswered = Counter(asked.host for asked in self._asked.values())
        by_host = {one.peer.origin_host.lower(): one for one in self._connections() if one.peer.state is State.OPEN}
        hosts = [host for host in by_host if unanswered[host] < MAX_UNANSWERED]
        for start in range(0, len(hosts), outbox.MAX_HOSTS):
            some = hosts[start : start + outbox.MAX_HOSTS]
            for entry, repeated in outbox.take(self._store, some, now_ms, _new_end_to_end):
                self._send(by_host[entry["peer"]], entry, repeated)

    def heard(self, end_to_end: int, result_code: int) -> None:
        """A client answered an RAR or ASR."""
        asked = self._asked.pop(end_to_end, None)
        if asked is not None:  # else it came too late, or nobody asked
            metrics.GY_SESSION_REQUESTS.inc(asked.kind, _known(result_code))
            self._answers[asked.entry] = end_to_end, result_code
            self.woken.set()

    def _send(self, connection: Connection, entry: Doc, repeated: bool) -> None:
        name, parts = session_request(entry, self._identity, connection.peer.origin_realm)
        end_to_end = entry["end_to_end"]
        self._asked[end_to_end] = _Asked(entry["_id"], name, entry["peer"], entry["due_ms"])
        connection.send(connection.peer.request(name, parts, end_to_end, repeated=repeated))

    def _close(self) -> None:
        answers, self._answers = self._answers, {}
        if answers:
            try:
                outbox.close(self._store, answers)
            except BaseException:
                self._answers = {**answers, **self._answers}  # the store is away: again at the next turn
                raise


def _new_end_to_end() -> int:
    """Unique for four minutes at least, across reboots (RFC 6733 §3): random, since every process makes its own."""
    return random.getrandbits(32)


def _known(result_code: int) -> str:
    """What a peer sends must not make a metric of its own."""
    return str(result_code) if result_code in (2001, 2002, 3002, 3004, 5002, 5012) else f"{result_code // 1000 % 10}xxx"
