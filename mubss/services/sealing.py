"""Files of PINs, encrypted to the printer's public key: age (age-encryption.org/v1), or RSA.

With RSA: MAGIC, two octets that say how long the wrapped key is, the key (RSA-OAEP with SHA-256), twelve octets of
nonce, and the content under AES-256-GCM, whose associated data is all that stands before the nonce.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from mubss.core.errors import InputError

MAGIC = b"mubss-sealed-rsa-1\n"
LEAST_RSA_BITS, MAX_RSA_BITS = 2048, 16_384
MAX_KEY_OCTETS = 65_536
_AGE = "age1"
_NONCE_OCTETS = 12
_EXPECTED = "expected an age public key (age1…), or a file with one or with an RSA public key in PEM"


class Recipient:
    """Whom a file is for."""

    def __init__(self, key: RSAPublicKey | str) -> None:
        self._key = key

    def seal(self, content: bytes) -> bytes:
        """The content, for whoever has the private key alone."""
        if isinstance(self._key, str):
            import pyrage  # a library in Rust that only this needs

            return bytes(pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(self._key)]))
        key = AESGCM.generate_key(256)
        wrapped = self._key.encrypt(key, _oaep())
        head = MAGIC + len(wrapped).to_bytes(2, "big") + wrapped
        nonce = secrets.token_bytes(_NONCE_OCTETS)
        return head + nonce + AESGCM(key).encrypt(nonce, content, head)


def read_recipient(text: str) -> Recipient:
    """A recipient by the age key itself, or by the file that holds an age or RSA key."""
    if text.startswith(_AGE):
        return recipient_of(text.encode(), repr(text[:12]) + "…")
    return recipient_of(_read(text, "recipient"), text)


def recipient_of(octets: bytes, name: str) -> Recipient:
    """A recipient by an age key, with comments or without, or by an RSA key in PEM; `name` is how errors call it."""
    if octets.lstrip().startswith(b"-----BEGIN"):
        return Recipient(_rsa_key(name, octets))
    lines = [line.strip() for line in octets.decode(errors="replace").splitlines()]
    text = next((line for line in lines if line and not line.startswith("#")), "")
    import pyrage

    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise InputError(f"recipient: {name}; {_EXPECTED}") from None
    return Recipient(text)


def _rsa_key(name: str, octets: bytes) -> RSAPublicKey:
    try:
        key = load_pem_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(f"recipient: {name}; {_EXPECTED}") from None
    if not isinstance(key, RSAPublicKey) or not LEAST_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise InputError(f"recipient: {name}; expected an RSA key of {LEAST_RSA_BITS} to {MAX_RSA_BITS} bits")
    return key


def unseal(sealed: bytes, key_file: str, password: str = "") -> bytes:
    """What was sealed to an RSA key; InputError where that isn't it, or where a single bit was changed."""
    octets = _read(key_file, "key")
    try:
        key = load_pem_private_key(octets, password.encode() or None)
    except (ValueError, TypeError):
        raise InputError(
            f"key: {key_file}; expected an RSA private key in PEM, and its password if it has one"
        ) from None
    start = len(MAGIC) + 2
    if not isinstance(key, RSAPrivateKey) or not sealed.startswith(MAGIC):
        raise InputError("file: expected one that `mubss vouchers make` sealed to an RSA key; age's are for `age -d`")
    end = start + int.from_bytes(sealed[len(MAGIC) : start], "big")
    try:
        content_key = key.decrypt(sealed[start:end], _oaep())
        nonce = sealed[end : end + _NONCE_OCTETS]
        return AESGCM(content_key).decrypt(nonce, sealed[end + _NONCE_OCTETS :], sealed[:end])
    except (ValueError, InvalidTag):
        raise InputError(f"file: it can't be opened with {key_file}: another key's, or changed") from None


def is_locked(key_file: str) -> bool:
    """Whether a private key needs a password."""
    octets = _read(key_file, "key")
    return b"ENCRYPTED" in octets


def _oaep() -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), None)


def _read(name: str, field: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_KEY_OCTETS)
    except (OSError, ValueError) as error:
        raise InputError(f"{field}: {name[:80]} can't be read: {getattr(error, 'strerror', None) or error}") from None
