"""Connections that are cut off after so long in all: a socket's own timeout begins anew with every octet that comes."""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class Bounded:
    """A time limit over all that is done on one connection, the TLS handshake included.

    with Bounded(10) as limit:
        link = limit.connect("localhost", 443)
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._twin: socket.socket | None = None  # stays good when TLS takes the socket over
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Bounded:
        return self

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection; from now on the time runs. OSError if there is none."""
        link = socket.create_connection((host, port), self._seconds)
        self._twin = link.dup()
        self._timer.start()
        return link

    def _cut(self) -> None:
        if self._twin is not None:
            try:
                self._twin.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is down already

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._twin is not None:
            self._timer.join()  # so that it never meets another connection under the same number
            self._twin.close()
