"""Hears of Origin-State-Ids on this process's connections, and has a rebooted node's sessions ended."""

from __future__ import annotations

import logging

from gevent.event import Event

from mubss.charging.engine import Engine
from mubss.services import reboots
from mubss.storage.database import Store

log = logging.getLogger(__name__)

MAX_HEARD = 1000  # nodes that wait to be looked at; more will be heard of again


class Reboots:
    """The part of one process; `look` once `woken` is set."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self.woken = Event()
        self._engine = engine
        self._store = store
        self._heard: dict[tuple[str, str], int] = {}  # node and the agent that told of it → Origin-State-Id

    def heard(self, host: str, state_id: int, via: str) -> bool:
        """A node told an Origin-State-Id that its connection hadn't heard from it before; False: too many wait."""
        node = host.lower(), via.lower()
        before = self._heard.get(node, 0)
        if not before and len(self._heard) >= MAX_HEARD:
            return False
        if state_id > before:
            self._heard[node] = state_id
            self.woken.set()
        return True

    def look(self) -> None:
        """Ends the sessions of those nodes that have rebooted."""
        while self._heard:
            host, via = node = next(iter(self._heard))
            state_id = self._heard[node]
            ended = reboots.heard(self._engine, self._store, host, state_id, via)
            if ended:
                log.info("%s rebooted (Origin-State-Id %d): %d of its sessions ended", host, state_id, ended)
            if self._heard[node] == state_id:
                del self._heard[node]
