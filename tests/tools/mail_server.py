"""A real mail server and a real web server on this machine, which refuse as a test tells them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Mails:
    """The mails that came; of each that comes the next of `answers` is said, then 250."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)  # Message-ID of each, taken or not
    users: list[str] = field(default_factory=list)
    ciphers: list[Any] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, session: Session, envelope: Envelope) -> str:
        mail = message_from_bytes(envelope.content or b"")
        self.offered.append(str(mail["Message-ID"]))
        self.ciphers.append(session.ssl)
        if self.answers:
            return self.answers.pop(0)
        self.taken.append(mail)
        return "250 taken"

    def log_in(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.users.append(f"{data.login.decode()}:{data.password.decode()}")
        return AuthResult(success=data.password == b"correct", handled=False)


@contextmanager
def mail_server(context: ssl.SSLContext | None = None, *, login: bool = False) -> Iterator[Mails]:
    """A mail server; with a context it wants STARTTLS."""
    mails = Mails()
    more: dict[str, Any] = {"tls_context": context, "require_starttls": context is not None}
    if login:
        more |= {"authenticator": mails.log_in, "auth_required": True}
    loop = asyncio.new_event_loop()  # aiosmtpd's own controllers want to know the port beforehand
    making = loop.create_server(lambda: SMTP(mails, loop=loop, **more), "127.0.0.1", 0)
    server = loop.run_until_complete(making)
    mails.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield mails
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Posts:
    """The posts that came; each is answered by the next of `answers`, then by 204."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)  # path, headers, body
    first: threading.Event = field(default_factory=threading.Event)  # has come


@contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[Posts]:
    """A web server, over TLS if it gets a context."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.came.append((self.path, dict(self.headers), body))
            self.send_response(posts.answers.pop(0) if posts.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            posts.first.set()

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that doesn't like our certificate leaves; that is its right."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    posts.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def trickling_server(line: bytes) -> Iterator[int]:
    """A server that says the same line over and over, an octet at a time, and never comes to an end; its port."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        link, _ = listener.accept()
        try:
            for octet in cycle(line):
                if stopping.wait(0.02):
                    break
                link.sendall(bytes([octet]))
        except OSError:
            pass  # the client has had enough
        finally:
            link.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stopping.set()
        thread.join()
        listener.close()
