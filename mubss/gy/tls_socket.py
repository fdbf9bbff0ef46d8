"""A connection's socket in TLS, with as much of a socket's face as connection.py needs.

Not gevent's SSLSocket: there a reader that must write (a TLS 1.3 key update) and a writer that is already waiting to
are an error, which a peer could bring about. Here OpenSSL works on memory, and only we wait for the socket.
"""

from __future__ import annotations

import ssl

from gevent.lock import RLock
from gevent.socket import socket

from mubss.gy.certificate_names import names_in
from mubss.gy.tls import why

PIECE = 65_536  # is encrypted at a time: what waits for a peer that doesn't read isn't held twice
PLAIN_DIAMETER = b"\x01"  # the version, first octet of every message; TLS begins with 22


class TlsError(OSError):
    """The peer broke the rules of TLS, or isn't trusted; the text is for the log."""


class TlsSocket:
    """The server's end; `handshake` comes first, then recv and sendall may wait in a greenlet each."""

    def __init__(self, sock: socket, context: ssl.SSLContext) -> None:
        self.is_secure = False  # the handshake is done
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._lock = RLock()  # records leave in the order in which they were made

    def handshake(self) -> tuple[str, ...] | None:
        """The names in the peer's certificate, None where it showed none; TlsError if there can't be TLS with it."""
        first = b""
        while not self.is_secure:
            try:
                self._tls.do_handshake()
                self.is_secure = True
            except ssl.SSLWantReadError:
                self._flush()
                data = self._sock.recv(PIECE)
                if not data:
                    raise TlsError("the peer closed the connection") from None
                first = first or data[:1]
                self._incoming.write(data)
            except ssl.SSLError as error:
                self._flush_at_once()  # the alert, which tells the peer
                text = "it speaks plain DIAMETER; expected TLS" if first == PLAIN_DIAMETER else why(error)
                raise TlsError(text) from None
        self._flush()
        try:
            certificate = self._tls.getpeercert()
        except ValueError as error:  # a name that isn't text
            raise TlsError(f"its certificate can't be read: {error}") from None
        return names_in(certificate) if certificate else None

    def recv(self, octets: int) -> bytes:
        """What has come, at most so much; empty at the end, whether the peer announced it or not."""
        while True:
            data, ended = self._decrypt(octets)
            if self._outgoing.pending:
                self._flush()
            if data or ended:
                return data
            if raw := self._sock.recv(octets):
                self._incoming.write(raw)
            else:
                self._incoming.write_eof()

    def _decrypt(self, octets: int) -> tuple[bytes, bool]:
        """What is there (a record has at most 16 KiB, so several of them), and whether that was all."""
        parts: list[bytes] = []
        while octets > 0:
            try:
                part = self._tls.read(octets)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b"".join(parts), True
            except ssl.SSLError as error:
                self._flush_at_once()
                raise TlsError(f"TLS: {why(error)}") from None
            if not part:
                return b"".join(parts), True
            parts.append(part)
            octets -= len(part)
        return b"".join(parts), False

    def sendall(self, data: bytes) -> None:
        """Waits until the kernel has it all."""
        whole = memoryview(data)
        while whole:
            written = self._tls.write(whole[:PIECE])
            whole = whole[written:]
            self._flush()

    def shutdown(self, how: int) -> None:
        """Ends it with TLS's own goodbye (close_notify), as far as that can be sent without waiting."""
        try:
            self._tls.unwrap()
        except (ssl.SSLError, ValueError):
            pass  # the peer's goodbye isn't waited for, and amid a handshake there is none
        self._flush_at_once()
        self._sock.shutdown(how)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """As of a socket."""
        self._sock.setsockopt(level, name, value)

    def close(self) -> None:
        """As of a socket."""
        self._sock.close()

    def _flush(self) -> None:
        with self._lock:
            while self._outgoing.pending:
                self._sock.sendall(self._outgoing.read())

    def _flush_at_once(self) -> None:
        """What the kernel takes now; nothing while a record is being sent."""
        if self._outgoing.pending and self._lock.acquire(blocking=False):
            try:
                self._sock.send(self._outgoing.read(), 0, 0.0)
            except OSError:
                pass  # the peer is gone, or doesn't read: it needn't know
            finally:
                self._lock.release()
