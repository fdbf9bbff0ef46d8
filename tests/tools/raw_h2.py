"""A server of HTTP/2 over TLS that says exactly what a test wants, right or wrong, one script for each request.

It reads just enough of RFC 9113 to find the requests and their bodies; headers are answered without compression.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1

Part = Callable[[int], bytes]  # what is sent on the stream of this number
Script = list[Part]  # its end closes the connection where the last part is `closed`


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _text(text: bytes) -> bytes:
    """A string of HPACK, without Huffman: RFC 7541 section 5.2."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest, length = len(text) - 127, b"\x7f"
    while rest >= 128:
        length += bytes((rest % 128 + 128,))
        rest //= 128
    return length + bytes((rest,)) + text


def headers(*fields: tuple[str, str], ends: bool = False) -> Part:
    """Headers, or trailers where they end the stream."""
    block = b"".join(b"\0" + _text(name.encode()) + _text(value.encode()) for name, value in fields)
    return lambda stream: frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def data(octets: bytes, ends: bool = False) -> Part:
    """A piece of the body."""
    return lambda stream: frame(DATA, END_STREAM if ends else 0, stream, octets)


def reset(code: int) -> Part:
    """The stream's end by an error."""
    return lambda stream: frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def raw(octets: bytes) -> Part:
    """Whatever it is."""
    return lambda _stream: octets


def closed(_stream: int) -> bytes:
    """The connection's end."""
    return b""


class RawH2:
    """Answers the n-th request by the n-th script, further ones by the last."""

    def __init__(self, tls: ssl.SSLContext, *scripts: Script) -> None:
        self._tls = tls
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://localhost:{self._listener.getsockname()[1]}"
        self.bodies: list[bytes] = []  # of requests
        self.connections = 0
        self._links: list[ssl.SSLSocket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> None:
        """Ends the connections that there are."""
        for link in self._links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self._tls.wrap_socket(client, server_side=True) as link, link.makefile("rb") as incoming:
                self._links.append(link)
                self._talk(link, incoming)
        except OSError:
            pass  # the client has gone

    def _talk(self, link: socket.socket, incoming: BinaryIO) -> None:
        body = b""
        incoming.read(len(PREFACE))
        link.sendall(frame(SETTINGS, 0, 0))
        while len(head := incoming.read(9)) == 9:
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = incoming.read(int.from_bytes(head[:3], "big"))
            if kind in (SETTINGS, PING) and not flags & ACK:
                link.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                self.bodies.append(body)
                body = b""
                if not self._answer(link, stream):
                    return

    def _answer(self, link: socket.socket, stream: int) -> bool:
        """Whether the connection goes on."""
        script = self._scripts[max(0, min(len(self.bodies), len(self._scripts)) - 1)]
        for part in script:
            if part is closed:
                return False
            link.sendall(part(stream))
        return True


class Http1(RawH2):
    """A server of HTTP/1.1 that answers a request without reading its body."""

    def _talk(self, link: socket.socket, incoming: BinaryIO) -> None:
        while incoming.readline().strip():
            pass
        self._answer(link, 1)
