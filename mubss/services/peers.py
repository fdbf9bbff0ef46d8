"""Which peers are connected, to which process: noted by each mubss-gy, read by `mubss peers`."""

from __future__ import annotations

from mubss.storage import peers
from mubss.storage.database import Doc, Store

NOTE_SECONDS = 10  # a process notes its connections at least so often
STALE_S = 3 * NOTE_SECONDS  # what was noted longer ago is a dead process's


def connected(store: Store, now_s: int) -> list[Doc]:
    """The connections that live, by name."""
    found = (doc for doc in peers.all_of(store) if doc["seen_s"] > now_s - STALE_S)
    return sorted(found, key=lambda doc: (doc["host"].lower(), doc["since_s"]))


def forget_stale(store: Store, now_s: int) -> None:
    """Takes out what dead processes left."""
    stale = [doc["_id"] for doc in peers.all_of(store) if doc["seen_s"] <= now_s - STALE_S]
    if stale:
        peers.note(store, [], stale)
