"""What a licence says, its one form in octets, what it allows, and whether the clock can be believed. Pure.

The canonical form is a JSON object in ASCII: keys in order, no white space, integers for numbers, `\\uXXXX` for other
letters. No other form of the same facts is taken, so that what was signed and what is read can't differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import Enum, IntFlag
from typing import Any

from mubss.core.errors import LicenceError
from mubss.core.wording import counted

DAY_S = 86_400
WARN_DAYS = 30  # before the end
DEMO_DAYS = 30
DEMO_SUBSCRIBERS = 100_000
CLOCK_TOLERANCE_S = 300  # NTP steps a clock by less than that on a machine that is looked after
MAX_DOCUMENT_OCTETS = 16_384
MAX_MACHINES = 64
MAX_SUBSCRIBERS = 10**12
MAX_TIME_S = 253_402_300_799  # the end of the year 9999
MASK_BITS = 32
FORMAT = 1
PLATFORM, DEMO = "platform", "demo"

_MACHINE = re.compile(r"[0-9a-f]{32}")  # machine-id(5)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Feature(IntFlag):
    """Bits of the feature mask; those above stay free for what is to come."""

    PREPAID = 1
    CDR_LOADER = 2
    STATS = 4
    BILLING = 8
    BILL_FMT = 16
    CRM = 32
    DIAMETER = 64


ALL_FEATURES = sum(Feature)

NEEDS: dict[str, Feature] = {
    "mubss-gy": Feature.PREPAID | Feature.DIAMETER,
    "mubss-cdr": Feature.CDR_LOADER,
    "mubss-stats": Feature.STATS,
    "mubss-billing": Feature.BILLING,
    "mubss-billfmt": Feature.BILL_FMT,
    "mubss-crm": Feature.CRM,
}


class State(Enum):
    """Where a moment stands in the life of a licence."""

    NOT_YET = "not yet valid"
    VALID = "valid"
    EXPIRING = "expiring"
    GRACE = "grace"
    EXPIRED = "expired"


USABLE = frozenset((State.VALID, State.EXPIRING, State.GRACE))


@dataclass(frozen=True, slots=True)
class Licence:
    """The document that is signed. Times in seconds since 1970; `expires_s` is the first second past it."""

    serial: str
    licensee: str
    machine_ids: tuple[str, ...]
    issued_s: int
    expires_s: int
    subscribers: int  # the most there may be
    features: int  # a mask of 32 bits
    key_id: str  # of the key that signs
    kind: str = PLATFORM
    format: int = FORMAT


_FIELDS = tuple(sorted(one.name for one in fields(Licence)))


def canonical(licence: Licence) -> bytes:
    """The octets that are signed; LicenceError where a field holds what none may."""
    for name in _FIELDS:
        _check(name, getattr(licence, name))
    _check_whole(licence)
    return _encode(asdict(licence))


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parse(octets: bytes) -> Licence:
    """The licence of a document; LicenceError names the field, the shape of its value and what was expected."""
    if not 0 < len(octets) <= MAX_DOCUMENT_OCTETS:
        raise LicenceError(f"licence: {counted(len(octets), 'octet')}; expected 1 to {MAX_DOCUMENT_OCTETS}")
    try:
        document = json.loads(octets.decode("ascii"))
    except (ValueError, RecursionError):
        raise LicenceError("licence: no JSON in ASCII; expected an object of a licence") from None
    if not isinstance(document, dict):
        raise LicenceError(f"licence: {_shape(document)}; expected an object")
    if missing := [name for name in _FIELDS if name not in document]:
        raise LicenceError(f"licence.{missing[0]}: missing; expected it in every licence")
    if strange := [name for name in document if name not in _FIELDS]:
        raise LicenceError(f"licence: a field {strange[0][:40]!r}; expected {', '.join(_FIELDS)} alone")
    if isinstance(document["machine_ids"], list):
        document["machine_ids"] = tuple(document["machine_ids"])
    for name in _FIELDS:
        _check(name, document[name])
    licence = Licence(**document)
    _check_whole(licence)
    if canonical(licence) != octets:
        raise LicenceError("licence: not in its canonical form; expected sorted keys, each once, and no white space")
    return licence


def _shape(value: Any) -> str:
    """A value as errors show it: bounded, on one line."""
    if isinstance(value, str):
        return f"text of {counted(len(value), 'letter')} {value[:40]!r}"
    if isinstance(value, list | tuple | dict):
        return f"{'object' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**20 else f"integer of {counted(value.bit_length(), 'bit')}"
    return type(value).__name__


def _check(name: str, value: Any) -> None:
    expected = _expected(name, value)
    if expected:
        raise LicenceError(f"licence.{name}: {_shape(value)}; expected {expected}")


def _expected(name: str, value: Any) -> str:
    """What a field takes, where it isn't `value`."""
    if name in ("serial", "key_id"):
        is_right = isinstance(value, str) and _NAME.fullmatch(value) is not None
        return "" if is_right else "1 to 40 letters, digits, points and dashes"
    if name == "licensee":
        is_right = isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()
        return "" if is_right else "1 to 200 printable letters"
    if name == "kind":
        return "" if isinstance(value, str) and value in (PLATFORM, DEMO) else f"{PLATFORM} or {DEMO}"
    if name == "machine_ids":
        is_right = isinstance(value, tuple) and 0 < len(value) <= MAX_MACHINES and all(map(is_machine_id, value))
        sorted_once = is_right and list(value) == sorted(set(value))
        return "" if sorted_once else f"1 to {MAX_MACHINES} ids of 32 hexadecimal digits, in order, each once"
    lowest, highest = {
        "issued_s": (1, MAX_TIME_S),
        "expires_s": (1, MAX_TIME_S),
        "subscribers": (0, MAX_SUBSCRIBERS),
        "features": (0, 2**MASK_BITS - 1),
        "format": (FORMAT, FORMAT),
    }[name]
    return "" if type(value) is int and lowest <= value <= highest else f"an integer from {lowest} to {highest}"


def _check_whole(licence: Licence) -> None:
    """What fields may say together."""
    if licence.expires_s <= licence.issued_s:
        raise LicenceError(f"licence.expires_s: {licence.expires_s}; expected a time after issued_s")
    if licence.kind != DEMO:
        return
    if licence.expires_s - licence.issued_s > DEMO_DAYS * DAY_S:
        raise LicenceError(f"licence.expires_s: {licence.expires_s}; expected a demo of up to {DEMO_DAYS} days")
    if licence.subscribers > DEMO_SUBSCRIBERS:
        raise LicenceError(f"licence.subscribers: {licence.subscribers}; expected up to {DEMO_SUBSCRIBERS} in a demo")
    if len(licence.machine_ids) != 1:
        raise LicenceError(f"licence.machine_ids: {len(licence.machine_ids)}; expected one machine in a demo")


def is_machine_id(value: Any) -> bool:
    """32 hexadecimal digits in lower case, not all zero (machine-id(5))."""
    return isinstance(value, str) and _MACHINE.fullmatch(value) is not None and value.strip("0") != ""


def missing(program: str, features: int) -> list[str]:
    """The features that a program needs and a mask lacks, by name; none for a program that needs none."""
    need = NEEDS.get(program, Feature(0))
    return [feature.name or "" for feature in Feature if feature & need and not feature & features]


def feature_names(features: int) -> list[str]:
    """The known bits of a mask by name."""
    return [feature.name or "" for feature in Feature if feature & features]


def mask_of(names: Iterable[str]) -> int:
    """The mask of features by name; LicenceError where there is none of a name."""
    mask = 0
    for name in names:
        if name not in Feature.__members__:
            known = ", ".join(Feature.__members__)
            raise LicenceError(f"feature: {name[:40]!r}; expected one of {known}")
        mask |= Feature[name]
    return mask


def state(licence: Licence, now_s: int, grace_s: int) -> State:
    """Where `now_s` stands; a clock that is a little slow doesn't make a new licence wait."""
    if now_s < licence.issued_s - CLOCK_TOLERANCE_S:
        return State.NOT_YET
    if now_s >= licence.expires_s + grace_s:
        return State.EXPIRED
    if now_s >= licence.expires_s:
        return State.GRACE
    return State.EXPIRING if now_s >= licence.expires_s - WARN_DAYS * DAY_S else State.VALID


def days_left(licence: Licence, now_s: int) -> int:
    """Whole days to the end; negative once it is past."""
    return (licence.expires_s - now_s) // DAY_S


def is_rolled_back(now_s: int, known_s: int) -> bool:
    """The clock stands before a time that was already reached, by more than NTP sets clocks back."""
    return now_s < known_s - CLOCK_TOLERANCE_S


def is_ahead(now_s: int, known_s: int) -> bool:
    """The clock stands further than NTP sets clocks forward: the machine was off since, or the clock is wrong."""
    return now_s > known_s + CLOCK_TOLERANCE_S


def advanced(known_s: int, now_s: int, elapsed_s: int) -> int:
    """The last known good time after `elapsed_s` of running: it never falls.

    A clock set back doesn't stop it. A clock set forward while we run takes it no further than time went by, or a clock
    wrong for a minute would lock the system out once it is right again.
    """
    by_us_s = known_s + elapsed_s
    if is_rolled_back(now_s, known_s) or is_ahead(now_s, by_us_s):
        return by_us_s
    return max(known_s, now_s)
