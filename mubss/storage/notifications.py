"""`notifications`: what subscribers are to be told. An entry commits with what caused it, as a guarded document."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from mubss.xdev.api import Doc

NOTIFICATIONS = "notifications"
NEW = "new"


def make(kind: str, subscriber: str, language: str, cause: str, values: Mapping[str, Any], now_s: int) -> Doc:
    """One notification, due at once. The same kind, subscriber and cause ("bill …") are the same notification."""
    return {
        "_id": blake2b(f"{kind}\0{subscriber}\0{cause}".encode(), digest_size=16).hexdigest(),
        "version": 1,
        "kind": kind,
        "subscriber": subscriber,
        "language": language,
        "values": dict(values),
        "made_s": now_s,
        "state": NEW,
        "tries": 0,
        "due_s": now_s,
    }
