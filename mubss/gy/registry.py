"""Who is connected: one live connection for each Origin-Host, over all workers of a server.

A peer that comes again while its old connection stands has either lost that one (then it must get in) or is
an impostor or a misconfiguration (then it must not). So the old connection is asked: a DWR that is answered in
PROBE_SECONDS keeps it; silence, or a higher Origin-State-Id of the new one (RFC 6733 §8.16), ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from gevent.event import AsyncResult
from gevent.timeout import Timeout

PROBE_SECONDS = 2


class Tell(Enum):
    """What a registry asks of the process that holds a connection."""

    PROBE = "probe"  # send a DWR, say `alive` when anything comes
    CLOSE = "close"


class Registry(Protocol):
    """What a worker needs of it; the worker of a parent speaks to it over its link."""

    def claim(self, connection: int, origin_host: str, origin_state_id: int) -> bool:
        """Whether this connection may be the Origin-Host's; may take PROBE_SECONDS."""
        ...

    def alive(self, connection: int) -> None:
        """A probed connection was heard of."""
        ...

    def release(self, connection: int) -> None:
        """The connection is gone."""
        ...


class _Holder:
    """The connection that an Origin-Host has."""

    __slots__ = ("connection", "origin_host", "origin_state_id", "waiting")

    def __init__(self, connection: int, origin_host: str, origin_state_id: int) -> None:
        self.connection = connection
        self.origin_host = origin_host
        self.origin_state_id = origin_state_id
        self.waiting: AsyncResult[bool] | None = None  # is it alive?


class LocalRegistry:
    """The registry itself, in the process that accepts connections."""

    def __init__(self, tell: Callable[[int, Tell], None]) -> None:
        self._tell = tell
        self._by_host: dict[str, _Holder] = {}
        self._by_connection: dict[int, _Holder] = {}

    def claim(self, connection: int, origin_host: str, origin_state_id: int) -> bool:
        holder = self._by_host.get(origin_host)
        if holder is not None:
            rebooted = origin_state_id > holder.origin_state_id > 0
            if not rebooted and self._is_alive(holder):
                return False
            if self._by_host.get(origin_host) not in (holder, None):
                return False  # a third one came first
            self._tell(holder.connection, Tell.CLOSE)
            self.release(holder.connection)
        new = _Holder(connection, origin_host, origin_state_id)
        self._by_host[origin_host] = self._by_connection[connection] = new
        return True

    def knows(self, connection: int) -> bool:
        """Whether the connection has said who it is."""
        return connection in self._by_connection

    def _is_alive(self, holder: _Holder) -> bool:
        if holder.waiting is None:
            holder.waiting = AsyncResult()
            self._tell(holder.connection, Tell.PROBE)
        waiting = holder.waiting
        alive = False
        with Timeout(PROBE_SECONDS, False):
            alive = bool(waiting.get())
        return alive

    def alive(self, connection: int) -> None:
        self._settle(connection, alive=True)

    def release(self, connection: int) -> None:
        self._settle(connection, alive=False)
        holder = self._by_connection.pop(connection, None)
        if holder is not None and self._by_host.get(holder.origin_host) is holder:
            del self._by_host[holder.origin_host]

    def _settle(self, connection: int, *, alive: bool) -> None:
        holder = self._by_connection.get(connection)
        if holder is not None and holder.waiting is not None:
            holder.waiting.set(alive)
            holder.waiting = None
