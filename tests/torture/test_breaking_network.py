"""The network of scripts/breaking/proxy.py: what each way of it passes on."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from breaking.proxy import Network, Way

SOON_S, NEVER_S = 10.0, 0.3


@pytest.fixture
def network() -> Iterator[tuple[Network, socket.socket, socket.socket]]:
    """One with a client and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Network()
        port = one.lead_to(listener.getsockname()[1])
        one.start()
        with socket.create_connection(("127.0.0.1", port), SOON_S) as client:
            server, _ = listener.accept()
            with server:
                server.settimeout(SOON_S)
                yield one, client, server
        one.stop()


def comes(at: socket.socket, seconds: float) -> bool:
    return bool(select.select([at], [], [], seconds)[0])


@pytest.mark.parametrize(
    ("way", "to_server", "to_client"),
    [
        (Way.OPEN, True, True),
        (Way.SLOW, True, True),
        (Way.FROZEN, False, False),
        (Way.MUTE, False, True),
        (Way.DEAF, True, False),
    ],
    ids=lambda one: one.name if isinstance(one, Way) else str(one),
)
def test_what_passes_and_all_of_it_once_it_is_mended(
    network: tuple[Network, socket.socket, socket.socket], way: Way, to_server: bool, to_client: bool
) -> None:
    one, client, server = network
    one.set(way, 0.05)
    one.turned()
    client.sendall(b"request")
    server.sendall(b"answer")
    for at, passes in ((server, to_server), (client, to_client)):
        assert comes(at, SOON_S if passes else NEVER_S) == passes
    one.set(Way.OPEN)
    assert (server.recv(100), client.recv(100)) == (b"request", b"answer")


def test_a_cut_ends_what_is_there_and_lets_none_in(network: tuple[Network, socket.socket, socket.socket]) -> None:
    one, client, server = network
    one.set(Way.CUT)
    for at in (client, server):
        with pytest.raises(ConnectionResetError):
            at.recv(1)
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", one.ports[0]), SOON_S) as refused,
    ):
        refused.recv(1)


def test_a_reset_ends_what_is_there_and_lets_others_in(network: tuple[Network, socket.socket, socket.socket]) -> None:
    one, client, server = network
    one.reset()
    for at in (client, server):
        with pytest.raises(ConnectionResetError):
            at.recv(1)
    with socket.create_connection(("127.0.0.1", one.ports[0]), SOON_S) as again:
        assert not comes(again, NEVER_S)  # it stands


def test_an_end_comes_after_what_was_sent_before_it(network: tuple[Network, socket.socket, socket.socket]) -> None:
    one, client, server = network
    one.set(Way.SLOW, 0.1)
    one.turned()
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert server.recv(100) == b"last words" and server.recv(100) == b""
