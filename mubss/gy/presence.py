"""Notes in the store which peers are connected to this process, for `mubss peers` on any machine."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gevent.event import Event

from mubss.charging.engine import wall_clock_ms
from mubss.storage import peers
from mubss.storage.database import Doc, Store

if TYPE_CHECKING:
    from mubss.gy.connection import Connection


class Presence:
    """The part of one process: `note` every services.peers.NOTE_SECONDS, or at once when `changed` is set."""

    def __init__(self, store: Store, connections: Callable[[], Iterable[Connection]]) -> None:
        self.changed = Event()
        self._store = store
        self._connections = connections
        self._token = secrets.token_hex(8)  # of this process: others' connections have the same numbers
        self._process = f"{socket.gethostname()}/{os.getpid()}"
        self._noted: set[str] = set()

    def note(self) -> None:
        """Writes down the connections that are open, and takes out those that were."""
        now_s = wall_clock_ms() // 1000
        there = [self._doc(one, now_s) for one in self._connections() if one.peer.is_open]
        ids = {doc["_id"] for doc in there}
        if there or self._noted:
            peers.note(self._store, there, sorted(self._noted - ids))
        self._noted = ids

    def leave(self) -> None:
        """Takes out all of them: the process ends."""
        if self._noted:
            peers.note(self._store, [], sorted(self._noted))

    def _doc(self, connection: Connection, now_s: int) -> Doc:
        peer = connection.peer
        return {
            "_id": f"{self._token}{connection.number:08x}",
            "host": peer.origin_host,
            "realm": peer.origin_realm,
            "address": connection.remote,
            "profile": connection.profile_name,
            "process": self._process,
            "since_s": connection.since_s,
            "seen_s": now_s,
            "suspect": peer.is_suspect,
            "pending": connection.pending,
            "answered": connection.answered,
        }
