"""What carries a connection's bytes: TCP, TLS over it, or SCTP (RFC 6733 §2.1)."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from gevent.socket import IPPROTO_TCP, TCP_NODELAY, socket

from mubss.gy.tls import Certificates
from mubss.gy.tls_socket import TlsSocket

IPPROTO_SCTP = 132
_SCTP_NODELAY = 3  # linux/sctp.h


class Transport(Enum):
    """Of a connection, and of the socket that it was accepted on."""

    TCP = "tcp"
    TLS = "tls"
    SCTP = "sctp"


class PlainSocket:
    """A connected socket whose `sendall` is one `send` nearly always.

    gevent's own asks the kernel for its buffer's size, each time: 1 of the 65 µs of CPU that a CCR takes.
    """

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self.recv = sock.recv
        self.shutdown = sock.shutdown
        self.setsockopt = sock.setsockopt
        self.close = sock.close

    def sendall(self, data: bytes) -> None:
        """Waits until the kernel has it all."""
        sent = self._sock.send(data)
        if sent < len(data):
            self._sock.sendall(memoryview(data)[sent:])


class SctpSocket(PlainSocket):
    """One whose `sendall` takes whole messages, many at a time, and sends each by itself.

    Over SCTP each DIAMETER message is a user message. What comes in needs no such care: the Framer cuts it by the
    messages' own lengths.
    """

    def sendall(self, data: bytes) -> None:
        """Waits until the kernel has all the messages."""
        pos = 0
        while pos < len(data):
            end = pos + int.from_bytes(data[pos + 1 : pos + 4], "big")  # Message Length
            super().sendall(data[pos:end])
            pos = end


Stream: TypeAlias = PlainSocket | TlsSocket


def prepare(sock: socket, transport: Transport, certificates: Certificates | None) -> Stream:
    """An accepted socket as its connection uses it; nothing is sent yet, and nothing waited for."""
    if transport is Transport.SCTP:
        sock.setsockopt(IPPROTO_SCTP, _SCTP_NODELAY, 1)
        return SctpSocket(sock)
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    if transport is Transport.TLS:
        assert certificates is not None, "nobody listens for TLS without"
        return TlsSocket(sock, certificates.context)
    return PlainSocket(sock)


def remote_port(sock: socket) -> int:
    """The peer's port; 0 where the peer has gone already."""
    try:
        port: int = sock.getpeername()[1]
    except OSError:
        return 0
    return port
