"""Attacks on a port of mubss-gy: who says nothing, who says it slowly, who comes by the thousand, who sends too much.

Each runs until it is told to stop, in one thread, and holds so many connections at most. What it did is counted.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from typing import NamedTuple

from mubss.gy.avp import raw_avp
from mubss.gy.codec import Ccr, Mscc, Units, encode_ccr
from mubss.gy.message import encode_request

MEGABYTE = 1 << 20
STEP_S = 0.02  # between two rounds of who is slow
WAIT_S = 5
USER_NAME = 1  # the code of an AVP that may be any text
PARTIAL_OCTETS = 65_532  # of a message whose last octets never come: as many as gy.max_message_octets lets through
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset


def cer(host: str) -> bytes:
    """A CER that is taken."""
    avps = [("Origin-Host", host), ("Origin-Realm", "flood.example"), ("Host-IP-Address", "127.0.0.1")]
    more = [("Vendor-Id", 0), ("Product-Name", "flood"), ("Auth-Application-Id", 4)]
    return encode_request("CER", 1, 1, [*avps, *more])


def ccr(octets: int) -> bytes:
    """A CCR of a session that nobody knows, with one AVP of so many octets."""
    message = encode_ccr(
        Ccr(
            session_id="flood.example;1;1",
            origin_host="flood.example",
            origin_realm="flood.example",
            auth_application_id=4,
            service_context_id="32251@3gpp.org",
            cc_request_type=2,
            cc_request_number=1,
            subscription_ids=[(0, "1")],
            msccs=[Mscc(1, [], Units())],
        )
    )
    message += raw_avp(USER_NAME, 0, b"x" * octets)
    return message[:1] + len(message).to_bytes(3, "big") + message[4:]


class Flood:
    """What an attack works with: where to, how much, and when to stop."""

    def __init__(self, port: int, places: int, seed: int) -> None:
        self.port = port
        self.places = places
        self.rng = random.Random(seed)
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.begun = threading.Event()  # the attack is at its height
        self._names = count(1)

    def connect(self) -> socket.socket | None:
        """A connection that never waits; None where none can be had now."""
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), WAIT_S)
        except OSError:
            self.counts["refused"] += 1
            return None
        self.counts["opened"] += 1
        sock.setblocking(False)
        return sock

    def peer(self) -> socket.socket | None:
        """One that has exchanged capabilities under a name of its own, with timeouts; None where it may not."""
        sock = self.connect()
        if sock is None:
            return None
        sock.settimeout(WAIT_S)
        try:
            sock.sendall(cer(f"flood{next(self._names)}.example"))
            if sock.recv(4096):
                return sock
        except OSError:
            pass
        sock.close()
        return None

    def send(self, sock: socket.socket, data: bytes) -> bool:
        """Whether the connection lives; what the kernel doesn't take now is left out."""
        try:
            sock.send(data)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.counts["octets"] += len(data)
        return True

    def rest(self) -> None:
        """A pause between two rounds."""
        self.stop.wait(STEP_S)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


def silent(flood: Flood) -> None:
    """All places taken by connections that say nothing; one that is closed comes again at once."""
    held: list[socket.socket] = []
    while not flood.stop.is_set():
        for sock in [one for one in held if _is_closed(one)]:
            held.remove(sock)
            sock.close()
            flood.counts["closed"] += 1
        while len(held) < flood.places and not flood.stop.is_set() and (fresh := flood.connect()):
            held.append(fresh)
        flood.begun.set()
        flood.rest()
    for sock in held:
        sock.close()


def slow(flood: Flood) -> None:
    """Slow loris: as many connections, each of which sends a CER an octet at a time and never its last."""
    whole = cer("slow.example")[:-1]
    held: list[tuple[socket.socket, int]] = []
    while not flood.stop.is_set():
        living = []
        for sock, at in held:
            if _is_closed(sock) or not flood.send(sock, whole[at : at + 1]):
                sock.close()
                flood.counts["closed"] += 1
            else:
                living.append((sock, min(at + 1, len(whole))))
        held = living
        while len(held) < flood.places and not flood.stop.is_set() and (fresh := flood.connect()):
            held.append((fresh, 0))
        flood.begun.set()
        flood.rest()
    for sock, _ in held:
        sock.close()


def many(flood: Flood) -> None:
    """Connections without end, each gone at once: silent, with a part of a CER, with noise, by a reset."""
    whole = cer("many.example")
    while not flood.stop.is_set():
        sock = flood.connect()
        if sock is None:
            flood.rest()
            continue
        what = flood.rng.randrange(4)
        if what == 1:
            flood.send(sock, whole[: flood.rng.randrange(1, len(whole))])
        elif what == 2:
            flood.send(sock, flood.rng.randbytes(flood.rng.randrange(1, 2000)))
        elif what == 3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()
        if flood.counts["opened"] >= flood.places:
            flood.begun.set()


def partial(flood: Flood) -> None:
    """Peers that are let in, and send all but the end of the largest message that may be: memory held for nothing."""
    message = b"\1" + (PARTIAL_OCTETS + 4).to_bytes(3, "big") + b"\xc0\0\1\x10\0\0\0\4" + bytes(PARTIAL_OCTETS - 12)
    with ExitStack() as stack:
        for _ in range(flood.places // 2):
            sock = flood.peer()
            if sock is not None:
                stack.enter_context(sock)
                sock.sendall(message[:PARTIAL_OCTETS])
                flood.counts["octets"] += PARTIAL_OCTETS
        flood.begun.set()
        flood.stop.wait()


def large(flood: Flood) -> None:
    """A peer whose every CCR has an AVP of 1 MB, one after the other, as fast as they are answered."""
    message = ccr(MEGABYTE)
    while not flood.stop.is_set():
        sock = flood.peer()
        if sock is None:
            flood.rest()
            continue
        with sock:
            try:
                while not flood.stop.is_set():
                    sock.sendall(message)
                    flood.counts["octets"] += len(message)
                    if not sock.recv(65_536):
                        break
                    flood.counts["answered"] += 1
                    flood.begun.set()
            except OSError:
                pass
        flood.counts["closed"] += 1
        flood.begun.set()


class Attack(NamedTuple):
    """An attack, and the options of [gy] that it is tried under."""

    run: Callable[[Flood], None]
    options: dict[str, str]


ATTACKS = {
    "silent": Attack(silent, {}),
    "slow": Attack(slow, {}),
    "many": Attack(many, {}),
    "partial": Attack(partial, {}),
    "large": Attack(large, {}),  # refused as soon as the header is there
    "large-taken": Attack(large, {"max_message_octets": str(2 * MEGABYTE)}),
}
