"""Peer profiles: what differs between the kinds of network elements that speak Gy. Pure.

`generic` takes what any of them sends and answers what all of them understand; every other profile
is `generic` but for what it names. An operator's `[[gy.profiles]]` change these or add some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

FAILOVER_SUPPORTED = 1
"""CC-Session-Failover (RFC 8506 §8.4): any server of the same store can go on with a session."""

TERMINATE, CONTINUE, RETRY_AND_TERMINATE = 0, 1, 2
"""Credit-Control-Failure-Handling (RFC 8506 §8.14)."""

ASKED, ALWAYS, NEVER = "asked", "always", "never"


@dataclass(frozen=True, slots=True)
class Profile:
    """How one kind of peer is understood and answered."""

    name: str = "generic"
    strict: bool = False  # holds the peer to the letter of RFC 6733 and RFC 8506

    # What a request means.
    subscription_order: tuple[str, ...] = ("e164", "imsi", "sip", "nai", "private")
    default_context: str = ""  # Service-Context-Id of a request that has none
    default_subscriber: str = ""  # an identity ("e164:…"), for a request that names nobody
    default_rating_group: int | None = None  # for units without Rating-Group and Service-Identifier
    charges_unknown_sessions: bool = False  # rather than keeping what they report in suspense, with 5002
    ends_sessions_at_reboot: bool = True  # a higher Origin-State-Id ends the sessions from before

    # What an answer holds.
    deadline_ms: int = 3000  # an answer later than that is dropped: the client has given up
    command_level_credit_limit: bool = False  # 4012 at command level, not in the MSCC, when all of them say so
    threshold_percent: int = 0  # of a grant, where the tariff sets no threshold; 0: none is sent
    holding_time_s: int = 0  # Quota-Holding-Time where the tariff sets none; 0: none is sent
    knows_tariff_change: bool = True  # Tariff-Time-Change; else Validity-Time ends where the tariff changes
    knows_pools: bool = False  # G-S-U-Pool-Reference
    balance_information: str = ASKED  # Cost-Information, Remaining-Balance: by AoC-Request-Type, or ALWAYS, NEVER
    session_failover: int | None = FAILOVER_SUPPORTED  # in the first answer; None: not sent
    failure_handling: int | None = RETRY_AND_TERMINATE  # the same


DATA, VOICE, MESSAGE = "32251@3gpp.org", "32260@3gpp.org", "32274@3gpp.org"

# Most clients step over a Tariff-Time-Change, and then report what they used around it as one.
BUILT_IN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "generic": {},
        "strict": {"strict": True},
        # Waits for 7.5 s. Any Result-Code but 2001 ends its session, wherever it stands.
        "open5gs": {
            "deadline_ms": 7000,
            "threshold_percent": 20,
            "knows_tariff_change": False,
            "default_context": DATA,
        },
        # 4012 in an MSCC suspends a rating group; at command level the session would be refused.
        "magma": {"knows_tariff_change": False, "default_context": DATA},
        # Reads CC-Time, Validity-Time and 868 alone; a refused MSCC under a 2001 confuses its first request.
        "kamailio": {
            "deadline_ms": 5000,
            "command_level_credit_limit": True,
            "threshold_percent": 10,
            "knows_tariff_change": False,
            "default_context": VOICE,
        },
        "ergw": {"default_context": DATA},
        "siphon": {"knows_tariff_change": False, "default_context": VOICE},
        # Names neither a subscriber nor a rating group: an operator does, in a profile of that name.
        "seagull": {"knows_tariff_change": False, "default_context": DATA},
        # Waits for 50 ms.
        "xk6": {"deadline_ms": 50, "knows_tariff_change": False, "default_context": DATA},
        # Needs 869 below the grant, and 871.
        "cisco-pgw": {"threshold_percent": 20, "holding_time_s": 600, "knows_pools": True, "default_context": DATA},
        "smsc": {"knows_tariff_change": False, "default_context": MESSAGE},
    }
)
"""What each profile has other than `generic`."""


class Change(NamedTuple):
    """What an operator sets of a profile: one of the built-in ones, or a new one that begins as `base`."""

    name: str
    base: str
    fields: Mapping[str, Any]


def make_profiles(generic: Profile, changes: Iterable[Change] = ()) -> dict[str, Profile]:
    """All profiles by name: `generic` as the configuration has it, what differs from it, and the operator's changes.

    A base must be built in, or stand before what is based on it; KeyError otherwise.
    """
    made = {name: replace(generic, name=name, **fields) for name, fields in BUILT_IN.items()}
    for change in changes:
        base = made[change.name if change.name in made else change.base]
        made[change.name] = replace(base, name=change.name, **change.fields)
    return made
