"""What the torture scripts play: a session that knows what it has used, and what that must cost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from mubss.gy.ccr_encode import encode_ccr
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits

PRICES = {"data": (20_000, 1_000_000), "voice": (90_000, 60), "sms": (80_000, 1)}  # micros per block of units
CONTEXTS = {"data": "32251@3gpp.org", "voice": "32260@3gpp.org", "sms": "32274@3gpp.org"}


@dataclass
class Play:
    """One session: what it has used, and what it does next."""

    slot: int
    session_id: str
    kind: str
    msisdn: int
    updates_left: int
    number: int = -1
    used: int = 0
    done: bool = False
    frame: bytes = b""  # under way
    sent: int = 0
    request_type: int = 0
    answered: int = 0  # requests
    results: list[int] = field(default_factory=list)

    def next_request(self, rng: random.Random) -> bytes:
        """The next CCR; its units count as used from now on, since it will be re-sent until it is answered."""
        self.number += 1
        service = {"data": "total_octets", "voice": "time_s", "sms": "service_specific_units"}[self.kind]
        used = rng.randrange(1, 3_000_000 if self.kind == "data" else 200)
        asked: Units | None = Units()
        reported: list[UsedUnits] = []
        if self.kind == "sms":
            request_type, asked, self.done = 4, Units(service_specific_units=1 + used % 3), True
            self.used = 1 + used % 3
        elif self.number == 0:
            request_type = 1
        else:
            self.done = self.updates_left == 0
            request_type, asked = (3, None) if self.done else (2, asked)
            self.updates_left -= 1
            self.used += used
            reported = [UsedUnits(**{service: used})]
        group = 1 if self.kind == "data" else None
        self.request_type = request_type
        ccr = Ccr(
            hop_by_hop=self.slot,
            end_to_end=rng.getrandbits(32),
            session_id=self.session_id,
            origin_host="torture.example",
            origin_realm="example",
            destination_realm="mubss.example",
            auth_application_id=4,
            service_context_id=CONTEXTS[self.kind],
            cc_request_type=request_type,
            cc_request_number=self.number,
            requested_action=0 if request_type == 4 else None,
            subscription_ids=[(0, str(self.msisdn))],
            msccs=[Mscc(group, [], asked, reported)],
        )
        self.frame, self.sent = encode_ccr(ccr), 0
        return self.frame

    @property
    def cost_micros(self) -> int:
        """What all the units cost together."""
        price, block = PRICES[self.kind]
        return -(-self.used // block) * price
