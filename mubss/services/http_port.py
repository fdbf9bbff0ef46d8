"""A small HTTP server for monitoring: some pages, asked for by GET or HEAD, each answer the last of its connection.

Plain threading on purpose: in a gevent process it is patched, so callers are served by greenlets; elsewhere by threads.
A caller has SECONDS for all it says and reads, and there are MAX_CALLERS at most: who is slow costs only itself.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from mubss.core.errors import ConfigError, PortInUse

log = logging.getLogger(__name__)

SECONDS = 10
MAX_CALLERS = 16
MAX_HEAD = 8192
BACKLOG = 64
TEXT = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """An answer."""

    body: bytes
    kind: str = TEXT
    status: HTTPStatus = HTTPStatus.OK


Pages = Mapping[str, Callable[[str], Page]]  # path → what answers, given the Accept header


class HttpPort:
    """Answers on one port; `option` is the name of its setting, for who must mend it."""

    def __init__(self, host: str, port: int, option: str, pages: Pages) -> None:
        self._host = host
        self._pages = pages
        self._callers = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise PortInUse(f"{option}: {host} port {port} is in use; expected a free one, or 0 for none") from None
            raise ConfigError(f"{option}: {host} port {port} can't be listened on: {reason}") from None
        self.port = int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Answers from now on."""
        threading.Thread(target=self._accept, name="http", daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # a native thread sleeps in accept() through a mere close()
        except OSError:
            pass
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOBUFS, errno.ENOMEM):
                    time.sleep(0.1)
                    continue
                return  # stopped
            if self._callers >= MAX_CALLERS:
                caller.close()
            else:
                self._callers += 1
                threading.Thread(target=self._serve, args=(caller,), name="http", daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        try:
            with caller:
                deadline = time.monotonic() + SECONDS
                head = _read_head(caller, deadline)
                page, is_head = self._answer(head)
                caller.settimeout(max(0.1, deadline - time.monotonic()))
                caller.sendall(_rendered(page, with_body=not is_head))
        except OSError as error:
            log.debug("a caller of the metrics port: %s", error)
        except Exception:
            log.exception("a caller of the metrics port can't be served")
        finally:
            self._callers -= 1

    def _answer(self, head: bytes) -> tuple[Page, bool]:
        """What to say, and whether only its headers are wanted."""
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return Page(b"expected a request of HTTP/1.1\n", status=HTTPStatus.BAD_REQUEST), False
        method, path = words[0], words[1].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return Page(b"expected GET or HEAD\n", status=HTTPStatus.METHOD_NOT_ALLOWED), False
        answer = self._pages.get(path)
        if answer is None:
            known = ", ".join(self._pages)
            return Page(f"expected one of {known}\n".encode(), status=HTTPStatus.NOT_FOUND), method == "HEAD"
        accept = next((line[7:].strip() for line in lines[1:] if line[:7].lower() == "accept:"), "")
        return answer(accept), method == "HEAD"


def _read_head(caller: socket.socket, deadline: float) -> bytes:
    """Up to the empty line; what comes too late or is too long is cut, and so no request."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < MAX_HEAD:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("it didn't say what it wants")
        caller.settimeout(left_s)
        more = caller.recv(MAX_HEAD)
        if not more:
            break
        data += more
    head, end, _ = data.partition(b"\r\n\r\n")
    return head if end else b""


def _rendered(page: Page, *, with_body: bool) -> bytes:
    headers = [
        f"HTTP/1.1 {int(page.status)} {page.status.phrase}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append("Allow: GET, HEAD")
    return "\r\n".join([*headers, "", ""]).encode() + (page.body if with_body else b"")
