"""Which layer of mubss-gy a sample of a profile belongs to. Pure: py-spy's raw lines in, shares out.

A sample is a stack. From its innermost frame outwards the first one that a rule names decides: an AVP's decoder is used
by requests and answers alike, so it has no rule, and who called it decides. Work in C counts for the Python that called
it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

READ, DECODE, CHARGE, STORE, ENCODE, WRITE, LOOP = "read", "decode", "charge", "store", "encode", "write", "loop"
LAYERS = (READ, DECODE, CHARGE, STORE, ENCODE, WRITE, LOOP)
REST = "unclassified"
MEANING = {
    READ: "reading the socket, cutting it into messages, the peer's state machine",
    DECODE: "from a message's octets to a request",
    CHARGE: "who pays, rating, the ledger, the batch about it",
    STORE: "documents read, made and written, the transaction, the wire to MySQL",
    ENCODE: "from an outcome to an answer's octets",
    WRITE: "the socket again",
    LOOP: "gevent's loop, switches between greenlets and threads",
    REST: "everything else: timers, metrics, the collector",
}

# (what the path of a module has in it, functions or () for all of them, layer); the first that fits counts.
RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("mubss/xdev/", (), STORE),
    ("mubss/storage/", (), STORE),
    ("mubss/core/", (), CHARGE),
    ("mubss/charging/", (), CHARGE),
    ("mubss/gy/connection.py", ("_write", "send", "_close_if_unread"), WRITE),
    ("mubss/gy/connection.py", ("_done", "_answer"), ENCODE),
    ("mubss/gy/connection.py", ("_charge", "_submit", "_sheds", "_state_is"), CHARGE),
    ("mubss/gy/connection.py", ("_give_way", "_wait_for_room"), LOOP),
    ("mubss/gy/connection.py", (), READ),
    ("mubss/gy/message.py", ("feed",), READ),
    ("mubss/gy/peer.py", (), READ),
    ("mubss/gy/ccr", (), DECODE),
    ("mubss/gy/grammar", (), DECODE),
    ("mubss/gy/credit_answer.py", (), ENCODE),
    ("mubss/gy/cca", (), ENCODE),
    ("mubss/gy/credit.py", (), CHARGE),
    ("mubss/gy/subscription.py", (), CHARGE),
    ("mubss/gy/routing.py", (), CHARGE),
)
LOOPS = ("gevent/", "threading.py", "greenlet")
_FRAME = re.compile(r"(?P<name>.+) \((?P<path>[^()]*?)(?::\d+)?\)$")


class Profile(NamedTuple):
    """How many samples each layer has, and the innermost frames of those that none has."""

    samples: Counter[str]
    strangers: Counter[str]

    @property
    def shares(self) -> dict[str, float]:
        """Of one, by layer; all of them are there."""
        total = max(1, self.samples.total())
        return {layer: self.samples[layer] / total for layer in (*LAYERS, REST)}


def profile_of(lines: Iterable[str]) -> Profile:
    """The profile of py-spy's raw lines: frames from the outermost, by semicolons, and how often it was seen."""
    samples: Counter[str] = Counter()
    strangers: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip("\n").rpartition(" ")
        if not stack or not count.isdecimal():
            continue
        frames = stack.split(";")
        layer = layer_of(frames)
        samples[layer] += int(count)
        if layer == REST:
            strangers[frames[-1]] += int(count)
    return Profile(samples, strangers)


def layer_of(frames: list[str]) -> str:
    """The layer of one stack."""
    parts = [(found["name"].rpartition(".")[2], found["path"]) for one in frames if (found := _FRAME.match(one))]
    for name, path in reversed(parts):
        for place, functions, layer in RULES:
            if place in path and (not functions or name in functions):
                return layer
    is_loop = parts and not any("mubss/" in path for _, path in parts) and any(one in parts[-1][1] for one in LOOPS)
    return LOOP if is_loop else REST
