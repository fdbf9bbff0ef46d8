"""What the server asks of a session's client: RAR (RFC 6733 §8.3.1, RFC 8506 §5.5) and ASR (§8.5.1). Pure."""

from __future__ import annotations

from typing import Any

from mubss.core.outbox import ABORT
from mubss.gy.dictionary import CREDIT_CONTROL_APPLICATION
from mubss.gy.message import Identity, Part

_AUTHORIZE_ONLY = 0


def session_request(entry: dict[str, Any], identity: Identity, peer_realm: str) -> tuple[str, list[Part]]:
    """Name and AVPs of the request that an entry of the outbox stands for, to a client of the peer's realm."""
    parts: list[Part] = [
        ("Session-Id", entry["session_id"]),
        identity.encoded,
        ("Destination-Realm", entry.get("realm") or peer_realm),
        ("Destination-Host", entry["host"]),
        ("Auth-Application-Id", CREDIT_CONTROL_APPLICATION),
    ]
    if entry["kind"] == ABORT:
        return "ASR", [*parts, identity.encoded_state]
    parts += [("Re-Auth-Request-Type", _AUTHORIZE_ONLY), identity.encoded_state]
    if "group" in entry:
        parts.append(("Rating-Group", entry["group"]))
    return "RAR", parts
