"""Logging in: the three mechanisms of the X Protocol, as pure functions of user, password and challenge.

PLAIN sends the password itself and is for TLS and unix sockets. SHA256_MEMORY proves it to a server that has it cached,
that is after one login by PLAIN since the server started. MYSQL41 is for accounts of mysql_native_password, which
MySQL 9 has no more.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1, sha256

PLAIN, SHA256_MEMORY, MYSQL41 = "PLAIN", "SHA256_MEMORY", "MYSQL41"
MECHANISMS = (PLAIN, SHA256_MEMORY, MYSQL41)
CHALLENGE_OCTETS = 20


def plain(user: str, password: str) -> bytes:
    """auth_data of PLAIN: schema, user and password with NULs between; the schema stays empty."""
    return b"\0" + user.encode() + b"\0" + password.encode()


def respond(mechanism: str, challenge: bytes, user: str, password: str) -> bytes:
    """The response to a challenge of SHA256_MEMORY or MYSQL41: schema, user and scramble with NULs between."""
    star, scramble = _SCRAMBLES[mechanism]
    proof = star + scramble(password.encode(), challenge).hex().upper().encode() if password else b""
    return b"\0" + user.encode() + b"\0" + proof


def _sha256(password: bytes, challenge: bytes) -> bytes:
    """SHA256(password) xor SHA256(SHA256(SHA256(password)) + challenge)."""
    once = sha256(password).digest()
    return _xor(once, sha256(sha256(once).digest() + challenge).digest())


def _sha1(password: bytes, challenge: bytes) -> bytes:
    """SHA1(password) xor SHA1(challenge + SHA1(SHA1(password)))."""
    once = sha1(password).digest()
    return _xor(once, sha1(challenge + sha1(once).digest()).digest())


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


_SCRAMBLES: dict[str, tuple[bytes, Callable[[bytes, bytes], bytes]]] = {
    SHA256_MEMORY: (b"", _sha256),
    MYSQL41: (b"*", _sha1),
}
