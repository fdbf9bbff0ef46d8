"""One connection to one server: many messages out in one write, their answers read in order.

Plain `socket`: a greenlet waits under gevent's patches, a thread elsewhere.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Any

from mubss.xdev.errors import StoreAway, StoreUnavailable
from mubss.xdev.mysql import login, messages
from mubss.xdev.mysql.address import Address, Host
from mubss.xdev.mysql.compression import LEAST_OCTETS, Compression, choose
from mubss.xdev.mysql.errors import ACCESS_DENIED, ServerError, store_error
from mubss.xdev.mysql.frames import FrameReader, frame
from mubss.xdev.mysql.messages import Request
from mubss.xdev.mysql.replies import Replies, Reply
from mubss.xdev.mysql.tls import secure

_COMPRESSION = 46  # ClientMessages.COMPRESSION
_READ_OCTETS = 1 << 16
_MOST_READ_OCTETS = 1 << 22


class LinkLost(StoreAway):
    """The connection broke or the answer didn't come in time: what was sent may have been done, or not."""


class Link:
    """A connection that is logged in. After any error that it raises it is broken, and good for nothing."""

    def __init__(self, sock: socket.socket, host: Host, address: Address) -> None:
        self.host = host
        self.broken = False
        self.max_packet_octets = 1 << 26  # what the server says of itself comes with the first question
        self.prepared: dict[str, int] = {}  # SQL → the number it was prepared under
        self.may_prepare = True
        self._sock = sock
        self._answer_s = address.answer_timeout / 1000
        self._reader = FrameReader()
        self._compression: Compression | None = None
        self._in_block = False
        self._has_failed = False  # a message of the block that is open

    @property
    def is_secure(self) -> bool:
        """Whether nobody else can listen."""
        return self.host.is_socket or isinstance(self._sock, ssl.SSLSocket)

    def exchange(self, requests: Sequence[Request], timeout_s: float = 0) -> list[Reply]:
        """Sends all requests at once and returns their replies, in order.

        An Error in answer to one of them stands in its reply. LinkLost where an answer doesn't come, another
        StoreUnavailable where what comes is none.
        """
        first = [messages.CLOSE_BLOCK] if self._in_block else []
        self._in_block = self._has_failed = False
        return self._exchange([*first, *requests], timeout_s)[len(first) :]

    def exchange_in_block(self, requests: Sequence[Request], timeout_s: float = 0) -> list[Reply]:
        """The same, but nothing has effect after a request that fails: each of the rest gets error 5159.

        The block stays open for the next exchange, unless something failed in it. Opened and closed around every
        exchange, it was four of the 17 answers that a batch of charges got, each of which wakes this process.
        """
        first = [messages.CLOSE_BLOCK] if self._has_failed else []
        if self._has_failed or not self._in_block:
            first.append(messages.OPEN_BLOCK)
        self._in_block, self._has_failed = True, False
        replies = self._exchange([*first, *requests], timeout_s)
        if first and (refusal := replies[len(first) - 1].error) is not None:
            self.close()
            raise StoreUnavailable(f"{self.host}: it opens no block of messages: {refusal}")
        replies = replies[len(first) :]
        self._has_failed = any(reply.error is not None for reply in replies)
        return replies

    def _exchange(self, requests: Sequence[Request], timeout_s: float) -> list[Reply]:
        octets = b"".join([request.octets for request in requests])
        if self._compression is not None and len(octets) >= LEAST_OCTETS:
            octets = frame(_COMPRESSION, self._compression.pack(octets))
        replies = Replies([request.answer for request in requests])
        timeout_s = timeout_s or self._answer_s
        try:
            self._sock.settimeout(timeout_s)
            sent = self._sock.send(octets)
            if sent < len(octets):  # rarely; and gevent's sendall asks the kernel for its buffer's size, each time
                self._sock.sendall(memoryview(octets)[sent:])
            while not replies.complete:
                data = self._sock.recv(min(max(_READ_OCTETS, self._reader.missing()), _MOST_READ_OCTETS))
                if not data:
                    raise LinkLost(f"{self.host}: the server closed the connection")
                replies.take(self._reader.feed(data))
        except TimeoutError:
            self.close()
            raise LinkLost(f"{self.host}: no answer within {timeout_s:g} s") from None
        except OSError as error:
            self.close()
            raise LinkLost(f"{self.host}: the connection broke: {error.strerror or error}") from None
        except ServerError as error:
            self.close()
            raise LinkLost(f"{self.host}: the server ended the connection: {error}") from None
        except StoreUnavailable as error:
            self.close()
            raise error if isinstance(error, LinkLost) else StoreUnavailable(f"{self.host}: {error}") from None
        except (
            BaseException
        ):  # a greenlet that is killed leaves answers behind that the next one would take for its own
            self.close()
            raise
        return replies.replies

    def close(self) -> None:
        """Ends the connection; the server rolls an open transaction back."""
        self.broken = True
        try:
            self._sock.close()
        except OSError:
            pass

    def bid_farewell(self) -> None:
        """Closes in good order, so that the server doesn't count an aborted client."""
        if not self.broken:
            try:
                self._sock.settimeout(1)
                self._sock.sendall(messages.CLOSE_CONNECTION)
            except OSError:
                pass
        self.close()

    # ── the start ──────────────────────────────────────────────────────────────────────────────────

    def open(self, address: Address, context: ssl.SSLContext | None) -> None:
        """TLS, login and compression, as the address wants them; StoreUnavailable in one line."""
        try:
            [reply] = self.exchange([messages.GET_CAPABILITIES])
        except LinkLost as error:
            raise LinkLost(f"{error}; is there a MySQL server's X Protocol (port 33060 by default)?") from None
        if reply.error is not None:
            raise StoreUnavailable(f"{self.host}: it refuses the connection: {reply.error}")
        capabilities = _plain_capabilities(reply.capabilities)
        if context is not None and not self.host.is_socket:
            self._start_tls(address, context, "tls" in capabilities)
        algorithm = self._choose_compression(address, capabilities)
        self._log_in(address)
        if algorithm:
            self._compression = self._reader.compression = Compression(algorithm)

    def _start_tls(self, address: Address, context: ssl.SSLContext, is_offered: bool) -> None:
        refusal: object = "the server has no TLS"
        if is_offered:
            [reply] = self.exchange([messages.set_capability("tls", True)])
            refusal = reply.error
        if refusal is None:
            self._sock = secure(self._sock, self.host, context)
        elif address.ssl_mode != "preferred":
            raise StoreUnavailable(f"{self.host}: TLS can't be had: {refusal}; ssl-mode={address.ssl_mode} needs it")

    def _choose_compression(self, address: Address, capabilities: dict[str, Any]) -> str:
        if address.compression == "disabled":
            return ""
        offered = capabilities.get("compression", {}).get("algorithm", [])
        algorithm = choose(address.compression_algorithms, offered)
        if algorithm:
            [reply] = self.exchange([messages.set_capability("compression", {"algorithm": algorithm})])
            if reply.error is None:
                return algorithm
        if address.compression == "required":
            raise StoreUnavailable(
                f"{self.host}: no compression that both sides have: it offers {', '.join(offered) or 'none'}; "
                "zstd and lz4 need `pip install mubss[compression]`"
            )
        return ""

    def _log_in(self, address: Address) -> None:
        if address.auth == login.PLAIN and not self.is_secure:
            raise StoreUnavailable(
                f"{self.host}: auth=PLAIN would show the password to the network: use ssl-mode=required"
            )
        mechanisms = [address.auth] if address.auth else [login.SHA256_MEMORY, login.MYSQL41]
        if not address.auth and self.is_secure:
            mechanisms = [login.PLAIN]
        refusal: ServerError | None = None
        for mechanism in mechanisms:
            error = self._try_login(mechanism, address)
            if error is None:
                return
            refusal = refusal or error
        assert refusal is not None  # there is a mechanism, and it was refused
        hint = ""
        if refusal.code == ACCESS_DENIED and not self.is_secure:
            hint = (
                "; without TLS a server takes SHA256_MEMORY only after one login in TLS since it started: "
                "ssl-mode=required does that"
            )
        told = store_error(refusal, str(self.host))
        raise (StoreAway if isinstance(told, StoreAway) else StoreUnavailable)(f"{told}{hint}")

    def _try_login(self, mechanism: str, address: Address) -> ServerError | None:
        user, password = address.user, address.password
        data = login.plain(user, password) if mechanism == login.PLAIN else b""
        [reply] = self.exchange([messages.start_authentication(mechanism, data)])
        if reply.challenge is not None and mechanism != login.PLAIN:
            response = login.respond(mechanism, reply.challenge, user, password)
            [reply] = self.exchange([messages.continue_authentication(response)])
        return reply.error


def connect(host: Host, address: Address, context: ssl.SSLContext | None) -> Link:
    """A connection to one server, logged in; StoreUnavailable says in one line what stood in the way."""
    timeout_s = address.connect_timeout / 1000
    sock = _reach(host, timeout_s)
    link = Link(sock, host, address)
    link._answer_s = timeout_s
    try:
        link.open(address, context)
    except BaseException:
        link.close()
        raise
    link._answer_s = address.answer_timeout / 1000
    return link


def _reach(host: Host, timeout_s: float) -> socket.socket:
    try:
        if host.is_socket:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout_s)
            try:
                sock.connect(host.name)
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((host.name, host.port), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except TimeoutError:
        raise StoreAway(f"{host}: no connection within {timeout_s:g} s") from None
    except OSError as error:
        raise StoreAway(f"{host}: can't be connected to: {error.strerror or error}") from None
    except UnicodeError as error:  # a name that IDNA can't encode
        raise StoreUnavailable(f"{host}: can't be connected to: {error}") from None


def _plain_capabilities(message: Any) -> dict[str, Any]:
    """Name → value, of what is read here: `tls`, and the algorithms of `compression`."""
    found: dict[str, Any] = {}
    for capability in message.capabilities:
        value: Any = True
        if capability.value.HasField("obj"):
            value = {
                part.key: [item.scalar.v_string.value.decode("ascii", "replace") for item in part.value.array.value]
                for part in capability.value.obj.fld
            }
        found[capability.name] = value
    return found
