"""`suspense`: units that were reported and that no account could be charged for."""

from __future__ import annotations

from mubss.xdev.api import Store

COLLECTION = "suspense"


def count(store: Store) -> int:
    """How many reports wait there."""
    return store.run(lambda session: session.collection(COLLECTION).count())
