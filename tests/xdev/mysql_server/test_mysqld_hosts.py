"""Whoever answers at the address: what isn't MySQL is refused in one line, of several hosts one that works is found."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from mysqld_tools import Bench

from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.store import open_store
from mysqld.server import Server


@contextmanager
def stranger(
    greeting: bytes, *, reads_first: bool = False, closes: bool = False, asked: list[int] | None = None
) -> Iterator[int]:
    """Something else on a port: what it says, when, and whether it hangs up then."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, (_, its_port) = listener.accept()
                if asked is not None:
                    asked.append(its_port)
                if reads_first:
                    peer.recv(65_536)
                peer.sendall(greeting)
            except OSError:
                return
            if closes:
                peer.close()
            kept.append(peer)

    kept: list[socket.socket] = []
    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1])
    for one in (listener, *kept):
        one.close()


def refusal(hosts: str, query: str = "connect-timeout=300") -> str:
    store = open_store(f"mysqlx://u:secret@{hosts}/s?{query}")
    with pytest.raises(StoreUnavailable) as caught:
        Bench(store).ids()
    store.close()
    text = str(caught.value)
    assert "\n" not in text and "secret" not in text and len(text) < 400
    return text


HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
CLASSIC = bytes.fromhex("4a0000000a") + b"5.7.44-log\0" + bytes(60)
STRANGERS: dict[str, tuple[Callable[[], AbstractContextManager[int]], str]] = {
    "says nothing": (lambda: stranger(b""), "no answer within 0.3 s"),
    "HTTP": (lambda: stranger(HTTP, reads_first=True, closes=True), "X Protocol"),
    "SSH": (lambda: stranger(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "X Protocol"),
    "hangs up": (lambda: stranger(b"", closes=True), "closed the connection|broke"),
    "hangs up after the question": (
        lambda: stranger(b"", reads_first=True, closes=True),
        "closed the connection|broke",
    ),
    "MySQL's classic protocol": (lambda: stranger(CLASSIC), "X Protocol"),
    "a frame of 4 GB": (lambda: stranger(b"\xff\xff\xff\xff\x02"), "X Protocol|frame|octets"),
    "an endless frame": (lambda: stranger(b"\x00\x10\x00\x00\x02" + bytes(100)), "no answer within 0.3 s"),
    "zeros": (lambda: stranger(bytes(1000)), "X Protocol|frame|octets"),
}


@pytest.mark.parametrize(("serve", "expected"), STRANGERS.values(), ids=STRANGERS)
def test_what_is_not_mysql(serve: Callable[[], AbstractContextManager[int]], expected: str) -> None:
    with serve() as port:
        text = refusal(f"127.0.0.1:{port}")
    assert re.search(expected, text), text


def test_the_servers_own_classic_port_is_told_apart(mysql: Server) -> None:
    assert "33060" in refusal(f"127.0.0.1:{mysql.port('classic')}")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "Connection refused" in refusal(f"127.0.0.1:{port}")
    assert "no.such.host.invalid:33060: can't be connected to" in refusal("no.such.host.invalid")


def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_first_host_that_works_is_used(mysql: Server, url: str) -> None:
    good, dead = f"127.0.0.1:{mysql.port()}", f"127.0.0.1:{dead_port()}"
    for hosts in (f"{dead},{good}", f"{good},{dead}"):
        store = open_store(url.replace(good, f"[{hosts}]"))
        Bench(store).put({"_id": "a"})
        assert Bench(store).ids() == ["a"]
        store.close()


def test_priorities_say_who_is_tried_first(mysql: Server, url: str) -> None:
    """The first is one that never answers: it takes a connection, or none at all, by its priority."""
    good = f"127.0.0.1:{mysql.port()}"
    for silent, loud, is_asked in ((90, 10, True), (10, 90, False)):
        asked: list[int] = []
        with stranger(b"", asked=asked) as port:
            hosts = f"[(address={good},priority={loud}),(address=127.0.0.1:{port},priority={silent})]"
            store = open_store(f"{url.replace(good, hosts)}?connect-timeout=300")
            assert Bench(store).ids() == []
            store.close()
        assert bool(asked) is is_asked


def test_where_nobody_works_each_is_named_once() -> None:
    ports = [dead_port() for _ in range(3)]
    text = refusal(f"[{','.join(f'127.0.0.1:{port}' for port in ports)}]")
    assert all(text.count(f":{port}") == 1 for port in ports), text
