"""A TCP proxy that does to a connection what a test asks for, when a text passes on its way to the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import TracebackType
from typing import Self


class Fault(Enum):
    """What happens to the message with the text."""

    DROP = "the server never sees it, and both connections end"
    DEAFEN = "the server does it, and the client's connection ends instead of its answer"
    SILENCE = "the server does it, and its answer is never passed on"


class Proxy:
    """Passes everything on to a port of this machine but for one armed fault, which strikes once."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._armed: tuple[bytes, Fault] | None = None
        self.struck = threading.Event()
        self._sockets: list[socket.socket] = []
        self._ended = self._is_away = False
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, text: bytes, fault: Fault) -> None:
        """The next message to the server that holds the text meets the fault."""
        self.struck.clear()
        self._armed = (text, fault)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody gets through meanwhile: every connection ends, as each new one does."""
        self._is_away = True
        for one in self._sockets:
            _end(one)
        try:
            yield
        finally:
            self._is_away = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended = True
        for one in (self._listener, *self._sockets):
            _end(one)

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_away:
                _end(client)
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _end(client)
                continue
            self._sockets += [client, server]
            state = _State()
            for work in (self._to_server, self._to_client):
                threading.Thread(target=work, args=(client, server, state), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, state: _State) -> None:
        for data in _received(client):
            armed = self._armed
            if armed is not None and armed[0] in data:
                self._armed, state.fault = None, armed[1]
                self.struck.set()
                if state.fault is Fault.DROP:
                    break
            if not _passed(server, data):
                break
        _end(client)
        if state.fault is not Fault.DEAFEN:  # or else the server would stop halfway
            _end(server)

    def _to_client(self, client: socket.socket, server: socket.socket, state: _State) -> None:
        for data in _received(server):
            if state.fault is Fault.DEAFEN:
                _end(client)
            elif state.fault is not Fault.SILENCE and not _passed(client, data):
                break
        _end(client)
        _end(server)


class _State:
    fault: Fault | None = None


def _received(source: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            data = source.recv(1 << 20)
        except OSError:
            return
        if not data:
            return
        yield data


def _passed(target: socket.socket, data: bytes) -> bool:
    try:
        target.sendall(data)
    except OSError:
        return False
    return True


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
