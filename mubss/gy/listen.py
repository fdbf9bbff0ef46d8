"""Where mubss-gy listens, on each address of gy.host for TCP, TLS and SCTP, and who accepts there."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple, Protocol

from gevent import socket
from gevent.server import StreamServer

from mubss.config import Config
from mubss.config_gy import GyOptions
from mubss.core.errors import ConfigError, PortInUse
from mubss.gy.server import plain_address
from mubss.gy.transport import IPPROTO_SCTP, Transport

log = logging.getLogger("mubss.gy")

BACKLOG = 1024
HANDED_OVER = 16  # connections at once: where workers are behind with them, the kernel keeps the rest
_PROTOCOLS = {Transport.TCP: socket.IPPROTO_TCP, Transport.TLS: socket.IPPROTO_TCP, Transport.SCTP: IPPROTO_SCTP}
_REMARKS = {Transport.TCP: "", Transport.TLS: ", TLS", Transport.SCTP: ", SCTP"}
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # an address of another machine, or IPv6 where there is none


class Listener(NamedTuple):
    """A listening socket, and what is spoken on it."""

    sock: socket.socket
    transport: Transport


class Adopter(Protocol):
    """Who serves what is accepted: the server in this process, or the parent of workers."""

    @property
    def connection_count(self) -> int:
        """Connections that it has."""
        ...

    def make_room(self) -> bool:
        """Closes a connection that hasn't said who it is, if there is one."""
        ...

    def adopt(self, number: int, sock: socket.socket, remote: str, transport: Transport) -> object:
        """Serves one connection."""
        ...


def listen(gy: GyOptions, taken: list[Listener] | None = None) -> list[Listener]:
    """All that is listened on, plain TCP first; ConfigError where an address or SCTP can't be had.

    `taken` are another process's: those that are wanted are used, and taken out of the list.
    """
    taken = [] if taken is None else taken
    wanted = [("gy.port", gy.port, Transport.TCP)]
    if gy.tls_port:
        wanted.append(("gy.tls_port", gy.tls_port, Transport.TLS))
    listeners = [Listener(sock, one[2]) for one in wanted for sock in _listen(gy, *one, taken)]
    if gy.sctp:
        port = listeners[0].sock.getsockname()[1]  # TCP's own, also where the system chose it
        sockets = _listen(gy, "gy.sctp", port, Transport.SCTP, taken)
        listeners += [Listener(sock, Transport.SCTP) for sock in sockets]
    return listeners


def _take(taken: list[Listener], transport: Transport, address: str, port: int) -> socket.socket | None:
    """Another process's socket for that address, taken out of the list; port 0 is any."""
    for one in taken:
        host, has_port = one.sock.getsockname()[:2]
        if one.transport is transport and host == address and port in (0, has_port):
            taken.remove(one)
            return one.sock
    return None


def _listen(
    gy: GyOptions, option: str, port: int, transport: Transport, taken: list[Listener]
) -> Iterator[socket.socket]:
    """A socket for each address; where the system chooses the port, for all of them the same."""
    addresses = [found for host in gy.hosts for found in _resolve(host, option, port)]
    has_ipv4 = any(family == socket.AF_INET for family, _, _ in addresses)
    last: ConfigError | None = None
    listening = False
    for family, address, named in dict.fromkeys(addresses):
        if (sock := _take(taken, transport, address, port)) is not None:
            listening = True
            port = sock.getsockname()[1]
            yield sock
            continue
        try:
            sock = _open(family, transport)
            if family == socket.AF_INET6:  # `::` takes IPv4, too, unless that has a socket of its own
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, has_ipv4)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen(BACKLOG)
        except OSError as error:
            text = f"gy.host, {option}: {address} port {port} can't be listened on: {error.strerror}"
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"{text}; `mubss-gy --take-over` takes it over from a mubss-gy that runs") from error
            last = ConfigError(text)
            if named and error.errno in _NOT_HERE:
                continue  # a name may have addresses that this machine hasn't, as long as it has one
            raise last from error
        listening = True
        port = sock.getsockname()[1]
        yield sock
    if last is not None and not listening:
        raise last


def _resolve(host: str, option: str, port: int) -> Iterator[tuple[int, str, bool]]:
    """Family and address of each that `host` stands for, and whether it is a name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"gy.host, {option}: {host} port {port} can't be listened on: {error.strerror}"
        raise ConfigError(text) from error
    for family, _, _, _, where in found:
        yield family, where[0], where[0] != host


def _open(family: int, transport: Transport) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM, _PROTOCOLS[transport])
    except OSError as error:
        if transport is Transport.SCTP and error.errno == errno.EPROTONOSUPPORT:
            text = "gy.sctp: this machine's kernel has no SCTP; load it (modprobe sctp), or set gy.sctp = false"
            raise ConfigError(text) from error
        raise


class _Acceptor(StreamServer):  # type: ignore[misc]
    """A StreamServer whose sockets are closed by whoever adopts them."""

    # Between two connections everybody else has a turn. With gevent's 100, an attacker who opened and closed 1,500 a
    # second left four good peers 3 answers in 3 s, up to 15 s late; so they have 495, at 10 ms (two shared cores).
    max_accept = 1

    def do_close(self, *_args: object) -> None:
        """Not here."""


class Acceptors:
    """Accept connections and hand them over, numbered. Where there are too many a silent one makes room."""

    def __init__(self, listeners: list[Listener], config: Config, adopter: Adopter) -> None:
        self._max_peers = config.gy.max_peers
        self._adopter = adopter
        self._numbers = count(1)
        self._servers = [self._start(listener) for listener in listeners]

    def close(self) -> None:
        """No more connections."""
        for server in self._servers:
            server.close()

    def _start(self, listener: Listener) -> StreamServer:
        def handle(sock: socket.socket, address: tuple[str, int]) -> None:
            self._accept(sock, plain_address(address[0]), listener.transport)

        server = _Acceptor(listener.sock, handle, spawn=HANDED_OVER)
        server.start()
        host, port = listener.sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info("listening on %s:%d%s", shown, port, _REMARKS[listener.transport])
        return server

    def _accept(self, sock: socket.socket, remote: str, transport: Transport) -> None:
        if self._adopter.connection_count >= self._max_peers and not self._adopter.make_room():
            log.warning("%s is closed: %d peers are connected, gy.max_peers", remote, self._max_peers)
            sock.close()
            return
        self._adopter.adopt(next(self._numbers), sock, remote, transport)
