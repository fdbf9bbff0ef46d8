"""Identifiers: time-ordered document ids, and the hash that a Session-Id is kept under."""

from __future__ import annotations

from hashlib import blake2b

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts as it counts


def ordered_id(now_ms: int, entropy: int) -> str:
    """A 20-character id that sorts by time: 50 bits of milliseconds, then 50 bits of `entropy`.

    20 leaves 12 of the 32 bytes of an `_id` for a sequence behind an account's id.
    """
    number = (now_ms << 50) | (entropy & ((1 << 50) - 1))
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(95, -1, -5))


def sequence_id(owner_id: str, sequence: int) -> str:
    """The `_id` of document number `sequence` of an account: sorts within it, and can't be there twice."""
    return f"{owner_id}{sequence:012x}"


def charging_link(account_id: str, charging_id: int) -> str:
    """Where it is noted that Gy charged an account's usage with a 3GPP-Charging-Id (TS 29.061 §16.4.7)."""
    return session_hash(f"{account_id}\0{charging_id}")


def session_hash(session_id: str) -> str:
    """128 bits of BLAKE2b of a Session-Id (RFC 6733 §8.8) as 32 hex digits: bounded, whatever a peer sends."""
    return blake2b(session_id.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
