"""The wire between the parent of `mubss-gy --workers N` and its workers: msgpack maps over a Unix socket pair.

A connection is handed over as a file descriptor beside its message. Each message has "do" and the arguments of
what is to be done; each end handles what it is sent (workers.py).
"""

from __future__ import annotations

import logging
from typing import Any

import msgpack
from gevent import socket
from gevent.lock import RLock

log = logging.getLogger(__name__)

MAX_MESSAGE = 8192


class Link:
    """One end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = RLock()  # a message that finds the pair full waits, and must not mix with the next one

    @staticmethod
    def pair() -> tuple[Link, socket.socket]:
        """A link for the parent, and the socket that its worker inherits."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Link(ours), theirs

    @staticmethod
    def inherited(descriptor: int) -> Link:
        """The worker's end."""
        return Link(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=descriptor))

    def send(self, do: str, descriptor: int | None = None, **arguments: Any) -> bool:
        """One message; False where the other end is gone, as the reader of this link will notice, too."""
        data = msgpack.packb({"do": do, **arguments})
        try:
            with self._lock:
                socket.send_fds(self._sock, [data], [] if descriptor is None else [descriptor])
        except OSError as error:
            log.debug("%r wasn't sent: %s", do, error)
            return False
        return True

    def receive(self) -> tuple[dict[str, Any] | None, int | None]:
        """The next message and its descriptor; (None, None) when the other end is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, MAX_MESSAGE, 1)
        except OSError:
            return None, None
        if not data:
            return None, None
        message: dict[str, Any] = msgpack.unpackb(data)
        return message, descriptors[0] if descriptors else None

    def close(self) -> None:
        """Ends the link; the other end reads its end."""
        self._sock.close()
