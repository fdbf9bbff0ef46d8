"""A TCP proxy that is a network: it passes all on, or splits, freezes in one direction or both, delays, resets.

tests/tools/proxy.py breaks one message of one connection; this breaks the way of all of them, and mends it again. One
thread does it all.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from enum import Enum
from struct import pack

_CHUNK = 65_536
_LIMIT = 1 << 20  # octets that wait in one direction; past it no more is read, as a full window would have it
_TURN_S = 0.02
_AT_ONCE = pack("ii", 1, 0)  # SO_LINGER: close() sends a reset


class Way(Enum):
    """How it stands with the network."""

    OPEN = "passes all on"
    CUT = "ends every connection, and lets none in"
    FROZEN = "passes nothing on; nobody is told"
    DEAF = "what servers send is not passed on"
    MUTE = "what clients send is not passed on"
    SLOW = "passes all on, later"


class Network:
    """Ports of this machine that lead to others'. Faults hold for all that goes through."""

    def __init__(self) -> None:
        self._listeners: dict[socket.socket, int] = {}
        self._pipes: list[_Pipe] = []
        self._way, self._delay_s = Way.OPEN, 0.0
        self._resets = False
        self._ended = False
        self._lock = threading.Lock()
        self._turns = 0
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)

    def lead_to(self, port: int) -> int:
        """The port here that leads to that one."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self._listeners[listener] = port
        return int(listener.getsockname()[1])

    def start(self) -> None:
        """Begins; all ports must be known."""
        self._thread.start()

    @property
    def ports(self) -> list[int]:
        """Those here, in the order in which they were asked for."""
        return [int(listener.getsockname()[1]) for listener in self._listeners]

    def turned(self) -> None:
        """Waits until what was set holds: nothing more is passed on as it was before."""
        seen = self._turns
        while self._turns < seen + 2 and self.is_running:
            time.sleep(_TURN_S / 4)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends all connections."""
        self._ended = True
        self._thread.join()
        for one in (*self._listeners, *(pipe.source for pipe in self._pipes)):
            one.close()

    def set(self, way: Way, delay_s: float = 0.0) -> None:
        """From now on."""
        with self._lock:
            self._way, self._delay_s = way, delay_s

    def reset(self) -> None:
        """Every connection ends with a reset; new ones are let in."""
        self._resets = True

    # ── within: one thread ─────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while not self._ended:
            with self._lock:
                way, delay_s = self._way, self._delay_s
            if self._resets or way is Way.CUT:
                self._resets = False
                for pipe in self._pipes:
                    pipe.reset()
            self._pipes = [pipe for pipe in self._pipes if not pipe.is_over]
            self._turn(way, delay_s)
            self._turns += 1

    def _turn(self, way: Way, delay_s: float) -> None:
        now_s = time.monotonic()
        reading: dict[socket.socket, _Pipe] = {}
        writing: dict[socket.socket, _Pipe] = {}
        for pipe in self._pipes:
            if way is Way.FROZEN or way is (Way.MUTE if pipe.to_server else Way.DEAF):
                continue
            if pipe.waits < _LIMIT and not pipe.has_ended:
                reading[pipe.source] = pipe
            if pipe.is_due(now_s):
                writing[pipe.target] = pipe
        listening = [] if way is Way.FROZEN else list(self._listeners)  # else the kernel lets them in, and no more
        ready, free, _ = select.select([*listening, *reading], list(writing), [], _TURN_S)
        for one in ready:
            if one in self._listeners:
                self._let_in(one, way)
            else:
                reading[one].read(now_s + delay_s)
        for one in free:
            writing[one].write()

    def _let_in(self, listener: socket.socket, way: Way) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if way is Way.CUT:
            _reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._listeners[listener]), timeout=2)
        except OSError:
            _reset(client)
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
        there, back = _Pipe(client, server, to_server=True), _Pipe(server, client, to_server=False)
        there.other, back.other = back, there
        self._pipes += [there, back]


class _Pipe:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, target: socket.socket, *, to_server: bool) -> None:
        self.source, self.target, self.to_server = source, target, to_server
        self.other: _Pipe
        self.waits = 0
        self.has_ended = self.is_over = False
        self._queue: deque[tuple[float, bytes]] = deque()

    def is_due(self, now_s: float) -> bool:
        """Whether something may be passed on."""
        return bool(self._queue) and self._queue[0][0] <= now_s

    def read(self, due_s: float) -> None:
        """Takes what is there; a source that ended ends the connection once all is passed on."""
        try:
            data = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._queue.append((due_s, data))
            self.waits += len(data)
            return
        self.has_ended = True
        if not self._queue:
            self.end()

    def write(self) -> None:
        """Passes the first piece on, as much as is taken of it."""
        due_s, data = self._queue.popleft()
        try:
            count = self.target.send(data)
        except BlockingIOError:
            count = 0
        except OSError:
            self.end()
            return
        self.waits -= count
        if count < len(data):
            self._queue.appendleft((due_s, data[count:]))
        elif self.has_ended and not self._queue:
            self.end()

    def end(self) -> None:
        """Ends the connection."""
        for pipe in (self, self.other):
            pipe.is_over = True
            pipe.source.close()

    def reset(self) -> None:
        """Ends it with a reset to both."""
        if not self.is_over:
            for pipe in (self, self.other):
                pipe.is_over = True
                _reset(pipe.source)


def _reset(one: socket.socket) -> None:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    except OSError:
        pass
    one.close()
