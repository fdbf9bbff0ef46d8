"""The chain of the audit: entries get their places one after the other, and it is proved that nobody touched them."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from mubss.core.audit import START, Fault, first_fault
from mubss.core.wording import counted
from mubss.storage import audit as storage
from mubss.storage.database import Store, StoreConflict, StoreUnavailable

_TRIES = 5


class Verified(NamedTuple):
    """The chain's head, how many entries wait for their place, and what is wrong, if anything."""

    seq: int
    hash: str
    unsealed: int
    fault: Fault | None


def seal(store: Store) -> int:
    """Gives all unsealed entries their places; how many. Any number of sealers may: they take turns at the head."""
    if not storage.is_unsealed(store):  # mostly, and then nothing is locked
        return 0
    storage.make_head(store)
    count = 0
    while done := _page(store):
        count += done
    return count


def seal_if_may(store: Store) -> None:
    """As `seal`, for who goes on to read: where the store can't be written, what waits stays waiting."""
    with suppress(StoreUnavailable):
        seal(store)


def _page(store: Store) -> int:
    for _ in range(_TRIES - 1):
        try:
            return storage.seal_page(store)
        except StoreConflict:
            continue
    return storage.seal_page(store)


def verify(store: Store) -> Verified:
    """Seals what waits, then walks the whole chain to its head."""
    seal_if_may(store)
    known = storage.count(store)
    fault, seq, last = first_fault(storage.chain(store, known.seq), 0, START)
    if fault is None and seq < known.seq:
        fault = Fault(seq + 1, f"entry {seq + 1} is missing: it was removed")
    if fault is None and last != known.hash:
        fault = Fault(seq, f"entry {seq} isn't the one that was sealed last: it was changed")
    outside = known.entries - known.seq - known.unsealed
    if fault is None and outside:
        who = counted(outside, "entry stands", "entries stand")
        fault = Fault(known.seq + 1, f"{who} outside the chain: added, or its head was changed")
    return Verified(known.seq, known.hash, known.unsealed, fault)
