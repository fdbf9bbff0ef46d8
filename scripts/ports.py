"""Ports for what scripts and tests start."""

from __future__ import annotations

import os
import socket
from random import Random

_RANGE = range(10_000, 32_000)  # below those that Linux draws for clients and for port 0 (ip_local_port_range)
_random = Random(os.urandom(8))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now, nor is likely to before a program that is told it does.

    A port drawn by the kernel would be one that it may give to a client's connection, or to another test, meanwhile.
    """
    for port in _random.sample(_RANGE, 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            continue
    raise OSError("no port of 127.0.0.1 is free")
