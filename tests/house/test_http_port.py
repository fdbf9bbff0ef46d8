"""The port of metrics takes what callers of any kind throw at it, and costs nobody else their answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from monitoring import NOBODY, WAIT_SECONDS, get, until
from mubss.config import load
from mubss.core.errors import ConfigError, PortInUse
from mubss.services.control import GY
from mubss.services.http_port import MAX_CALLERS, MAX_HEAD, HttpPort, Page
from mubss.services.inside import Inside
from ports import free_port


def _broken(_accept: str) -> Page:
    raise ValueError("a fault of ours")


@pytest.fixture
def port() -> Iterator[int]:
    pages = {
        "/fine": lambda accept: Page(f"fine {accept}".encode()),
        "/away": lambda _accept: Page(b"away", status=HTTPStatus.SERVICE_UNAVAILABLE),
        "/broken": _broken,
    }
    served = HttpPort("127.0.0.1", 0, "metrics.x_port", pages)
    served.start()
    yield served.port
    served.stop()
    assert get(served.port, "/fine")[0] == NOBODY


def say(port: int, data: bytes) -> bytes:
    """All that is answered to these octets, after which nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as sock:
        answer = b""
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(4096):
                answer += more
        except TimeoutError:
            raise
        except OSError:
            pass  # it was closed with octets unread, or before we said anything
        return answer


SAID = [
    (b"GET /fine HTTP/1.1\r\naccept:  a, b \r\n\r\n", "200 OK", b"fine a, b"),
    (b"GET /fine?x=1 HTTP/1.0\r\n\r\n", "200 OK", b"fine "),
    (b"HEAD /fine HTTP/1.1\r\n\r\n", "200 OK", b""),
    (b"GET /away HTTP/1.1\r\n\r\n", "503 Service Unavailable", b"away"),
    (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found", b"expected one of /fine, /away, /broken\n"),
    (b"GET /fine/ HTTP/1.1\r\n\r\n", "404 Not Found", b"expected one of /fine, /away, /broken\n"),
    (b"HEAD /../fine HTTP/1.1\r\n\r\n", "404 Not Found", b""),
    (b"POST /fine HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "405 Method Not Allowed", b"expected GET or HEAD\n"),
    (b"GET /fine\r\n\r\n", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"GET /fine HTTP/2\r\n\r\n", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"\x16\x03\x01\x00\xff\r\n\r\n", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"\r\n\r\n", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"GET /fine HTTP/1.1\r\n", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"", "400 Bad Request", b"expected a request of HTTP/1.1\n"),
    (b"GET /broken HTTP/1.1\r\n\r\n", "", b""),
]


@pytest.mark.parametrize(("data", "status", "body"), SAID)
def test_what_is_said_and_answered(port: int, data: bytes, status: str, body: bytes) -> None:
    head, _, found = say(port, data).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert (lines[0], found) == (f"HTTP/1.1 {status}" if status else "", body)
    if status:
        assert "Connection: close" in lines and any(line.startswith("Content-Length: ") for line in lines)
    assert get(port, "/fine")[0] == 200


def test_a_head_without_end_is_cut(port: int) -> None:
    assert say(port, b"GET /fine HTTP/1.1\r\nx: " + b"x" * 20 * MAX_HEAD)[:12] in (b"HTTP/1.1 400", b"")
    assert get(port, "/fine")[0] == 200


def test_who_says_nothing_takes_one_of_few_places(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) for _ in range(MAX_CALLERS)]
    assert say(port, b"GET /fine HTTP/1.1\r\n\r\n") == b""
    for sock in silent:
        sock.close()
    deadline = time.monotonic() + WAIT_SECONDS
    while get(port, "/fine")[0] != 200:
        assert time.monotonic() < deadline


def test_a_port_that_cannot_be_had_is_named(port: int) -> None:
    with pytest.raises(PortInUse, match=f"^metrics.x_port: 127.0.0.1 port {port} is in use; expected a free one, or 0"):
        HttpPort("127.0.0.1", port, "metrics.x_port", {})
    for host in ("192.0.2.1", "no.such.host.invalid", "x" * 70 + ".example"):
        with pytest.raises(ConfigError, match=r"^metrics\.x_port: \S+ port \d+ can't be listened on: .+"):
            HttpPort(host, free_port(), "metrics.x_port", {})


def test_who_takes_over_waits_for_the_port() -> None:
    first = HttpPort("127.0.0.1", 0, "metrics.gy_port", {"/healthz": lambda _accept: Page(b"the first")})
    first.start()
    config = load(None, {"MUBSS_METRICS__ENABLED": "true", "MUBSS_METRICS__GY_PORT": str(first.port)})
    second = Inside(GY, config, lambda: "starting")
    with pytest.raises(PortInUse):
        second.start()
    second.start(is_patient=True)
    assert get(first.port, "/healthz") == (200, "the first")
    first.stop()
    assert until(first.port, "/healthz", lambda answer: answer[0] == 200) == (200, "alive\n")
    assert get(first.port, "/readyz") == (503, "starting\n")
    second.stop()
    assert get(first.port, "/healthz")[0] == NOBODY
