"""Vouchers: what a batch is worth, how serials are written, and how long wrong PINs keep a door shut. Pure.

A voucher's document never holds its PIN, only a hash of it as `_id`. A serial is no secret: it stands on the card, in
postings and in logs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mubss.core.errors import InputError

MAKING, ACTIVE, BLOCKED = "making", "active", "blocked"  # of a batch
BATCH_STATES = (MAKING, ACTIVE, BLOCKED)
UNUSED, USED = "unused", "used"  # of a voucher, which may be BLOCKED by itself, too
MIN_LENGTH, MAX_LENGTH = 10, 30  # digits of a PIN
MAX_COUNT = 1_000_000  # vouchers in a batch
MAX_BATCH = 999_999
GUESSES = 1_000_000  # a PIN guessed at random is one of a batch once in so many guesses, or more
_SERIAL = re.compile(r"([0-9]{6})-?([0-9]{7})", re.ASCII)
_MAX_DOUBLINGS = 40  # past any limit that a configuration may set

Doc = dict[str, Any]


def serial_of(batch: int, number: int) -> str:
    """What is printed beside the PIN: "000012-0000345"."""
    return f"{batch:06}-{number:07}"


def parse_serial(text: str) -> str:
    """A serial as it is stored; the dash may be left out."""
    match = _SERIAL.fullmatch(text.strip())
    if match is None:
        raise InputError(f"serial: {text[:40]!r}; expected 6 digits, a dash and 7 digits")
    return f"{match[1]}-{match[2]}"


def check_size(count: int, length: int) -> None:
    """Refuses a batch whose PINs would be too easy to guess."""
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"count: {count}; expected 1 to {MAX_COUNT}")
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise InputError(f"length: {length}; expected {MIN_LENGTH} to {MAX_LENGTH} digits")
    if count * GUESSES > 10**length:
        least = len(str(count * GUESSES - 1))
        raise InputError(f"length: {length}; expected {least} or more for {count} vouchers: PINs must be hard to guess")


def is_redeemable(voucher: Doc | None, batch: Doc | None, length: int, now_s: int) -> bool:
    """Whether a PIN of that many digits may be redeemed; all is looked at, whatever is wrong first."""
    known, held = voucher or {}, batch or {}
    answers = (
        known.get("state") == UNUSED,
        held.get("state") == ACTIVE,
        held.get("length") == length,
        held.get("expires_s", 0) > now_s,
    )
    return all(answers)


@dataclass(frozen=True, slots=True)
class LockRules:
    """When wrong PINs shut a door: after `wrong`, for `first_s`, twice as long with each one more, up to `limit_s`.

    One wrong PIN is forgiven every `forgive_s`.
    """

    wrong: int
    first_s: int
    limit_s: int
    forgive_s: int


def tried(door: Doc | None, door_id: str, rules: LockRules, now_s: int) -> Doc | None:
    """The door after one more try, counted as wrong until `taken_back`; None while it is shut.

    A try is counted before its PIN is looked at, so those that come at once are no more than those in turn.
    """
    before = door or {"_id": door_id, "version": 0, "wrong": 0, "counted_s": now_s, "shut_until_s": 0}
    if before["shut_until_s"] > now_s:
        return None
    forgiven = max(0, now_s - before["counted_s"]) // rules.forgive_s
    wrong = max(0, before["wrong"] - forgiven) + 1
    shut_s = 0
    if wrong >= rules.wrong:
        shut_s = min(rules.limit_s, rules.first_s << min(wrong - rules.wrong, _MAX_DOUBLINGS))
    return {
        **before,
        "version": before["version"] + 1,
        "wrong": wrong,
        "counted_s": now_s if wrong == 1 else before["counted_s"] + forgiven * rules.forgive_s,
        "shut_until_s": now_s + shut_s if shut_s else 0,
    }


def taken_back(door: Doc, rules: LockRules) -> Doc:
    """The door once a try turned out to be right: that one isn't counted, what came of it neither."""
    wrong = max(0, door["wrong"] - 1)
    shut_until_s = 0 if wrong < rules.wrong else door["shut_until_s"]
    return {**door, "version": door["version"] + 1, "wrong": wrong, "shut_until_s": shut_until_s}
