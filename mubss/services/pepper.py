"""The pepper: the secret under which PINs of vouchers are hashed.

The store keeps a fingerprint of it from the first batch on: with another pepper no PIN would be known, and nobody would
know why.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from mubss.core.errors import ConfigError
from mubss.services.secret_files import make_secret, read_secret
from mubss.storage import vouchers as storage
from mubss.storage.database import Store

OPTION = "vouchers.pepper_file"
_ID_OCTETS = 24  # of the hash's 32: as many as an `_id` of 32 letters can say (truncation: RFC 2104 §5)


class Pepper:
    """Hashes PINs; its text shows nothing."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def voucher_id(self, pin: str) -> str:
        """The `_id` of the voucher with this PIN: HMAC-SHA-256 under the pepper."""
        digest = hmac.digest(self._secret, b"pin\0" + pin.encode(errors="replace"), sha256)
        return urlsafe_b64encode(digest[:_ID_OCTETS]).decode()

    @property
    def fingerprint(self) -> str:
        """What tells one pepper from another, and nothing more."""
        return hmac.digest(self._secret, b"fingerprint\0", sha256).hex()[:32]


def read_pepper(path: Path, store: Store) -> Pepper:
    """The pepper of the store's vouchers; ConfigError where it is missing, short, readable for others, or another."""
    pepper = Pepper(read_secret(path, OPTION, "`mubss init` makes it, once"))
    known = storage.fingerprint(store)
    if known not in (None, pepper.fingerprint):
        raise ConfigError(f"{OPTION}: {path} isn't the pepper of this store's vouchers; expected that one, from a copy")
    return pepper


def make_pepper(path: Path, store: Store) -> bool:
    """Makes the pepper of a store that has no vouchers yet, unless there is one; whether it made one."""
    if not path.exists() and storage.fingerprint(store) is not None:
        raise ConfigError(f"{OPTION}: {path} is gone, and the store has vouchers; expected the file, from a copy")
    return make_secret(path)
