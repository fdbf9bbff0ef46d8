"""Sessions whose requests come twice, out of order, late, and after the end, and what each must have cost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

from gy_play import PRICES, Play

RETRANSMITTED = 0x10
SUCCESS, TOO_BUSY, UNKNOWN_SESSION = 2001, 3004, 5002


class Mischief(Enum):
    """What becomes of messages on their way."""

    NONE = "each once, in order"
    TWICE = "requests come twice"
    SWAPPED = "a session's requests come in another order"
    LATE = "requests come after the session's end"
    ECHOED = "what was answered comes again, past Tx"


@dataclass
class Request:
    """One CCR: sent until it is answered."""

    session: Session
    number: int
    frame: bytes
    hop_by_hop: int = 0
    again_s: float = 0.0  # when it is sent again, unless it is answered
    sent: int = 0
    result: int = 0
    was_held: bool = False  # back until its session was over
    is_flagged: bool = False  # sent with the T flag from the first time on

    def bytes(self) -> bytes:
        """What is sent now: with the T flag where it may have been done."""
        repeated = RETRANSMITTED if self.sent or self.is_flagged else 0
        return with_hop(self.frame, self.hop_by_hop, repeated)


@dataclass
class Session:
    """A session of gy_play, of which several requests may be under way."""

    play: Play
    kinds: set[str] = field(default_factory=set)  # the faults that fell into its life
    thinking_s: float = 0.0  # at most, from an answer to the next request
    next_s: float = 0.0
    under_way: list[Request] = field(default_factory=list)
    held: list[Request] = field(default_factory=list)
    done: list[Request] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Nothing more to send, nothing to be answered."""
        return self.play.done and not self.under_way and not self.held

    def next_requests(self, rng: random.Random, mischief: Mischief) -> list[Request]:
        """What is sent next, in the order of sending; nothing where it was held back, or all is sent."""
        play = self.play
        if play.done:
            late, self.held = self.held, []
            self.under_way += late
            return late
        made = [self._make(rng)]
        is_update = play.number > 0 and not play.done
        if mischief is Mischief.SWAPPED and is_update and play.updates_left > 0:
            made.insert(0, self._make(rng))
        elif mischief is Mischief.LATE and is_update and rng.random() < 0.4:
            made[0].was_held, made[0].is_flagged = True, rng.random() < 0.5
            self.held += made
            return []
        self.under_way += made
        return made

    def _make(self, rng: random.Random) -> Request:
        frame = self.play.next_request(rng)
        return Request(self, self.play.number, frame)

    def answered(self, request: Request, result: int) -> None:
        """One of those under way has its answer."""
        request.result = result
        self.under_way.remove(request)
        self.done.append(request)

    def cost_micros(self, units: int) -> int:
        """What so many units cost together."""
        price, block = PRICES[self.play.kind]
        return -(-units // block) * price


def with_hop(frame: bytes, hop_by_hop: int, flags: int = 0) -> bytes:
    """The message with another Hop-by-Hop identifier, and flags more."""
    return frame[:4] + bytes([frame[4] | flags]) + frame[5:12] + hop_by_hop.to_bytes(4, "big") + frame[16:]
