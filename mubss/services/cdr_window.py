"""A window of a CDR file: its records judged, then charged by several lanes at once, each account by one of them."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from mubss.cdr.reader import Entry
from mubss.cdr.records import to_cdr
from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.cdr import (
    FAULT,
    SUSPENDED,
    UNKNOWN_SUBSCRIBER,
    Cdr,
    CdrFault,
    CdrItem,
    ChargeCdrs,
    Verdict,
    call_key,
    record_key,
)
from mubss.core.errors import UnknownAccount
from mubss.core.model import OPEN
from mubss.services.cdr_payers import Payers
from mubss.storage import cdr as storage
from mubss.storage.database import Doc, Store, StoreError, StoreUnavailable, UnknownCommit

log = logging.getLogger(__name__)

Under = Callable[[], list[Order]]  # a window under way: waits for its orders

DUPLICATE = "duplicate"
_TRIES = 5  # where nobody knows whether a transaction was done: what was is known by its records


class Judged(NamedTuple):
    """The records of a window: those to be charged, by the identity and account that pay, and those that can't be."""

    end: int  # where the next window begins
    entries: list[Entry]
    items: dict[tuple[str, str], list[CdrItem]]  # by account, and the identity that leads to it
    cdrs: dict[int, Cdr]  # of those that are right in themselves, by offset
    faults: list[tuple[Entry, CdrFault]]


def judge(source: str, entries: list[Entry], payers: Payers, now_s: int) -> Judged:
    """Checks each record, and finds who pays for it."""
    judged = Judged(entries[-1].end, entries, {}, {}, [])
    for entry in entries:
        try:
            judged.cdrs[entry.offset] = to_cdr(entry.record, now_s)
        except CdrFault as fault:
            judged.faults.append((entry, fault))
    payers.look_up(judged.cdrs.values())
    for entry in entries:
        cdr = judged.cdrs.get(entry.offset)
        if cdr is None:
            continue
        try:
            identity, payer = payers.find(cdr)
        except CdrFault as fault:
            judged.faults.append((entry, fault))
            continue
        item = CdrItem(record_key(source, cdr.record_id), cdr, call_key(source, cdr, payer.account), entry.offset)
        judged.items.setdefault((payer.account, identity), []).append(item)
    return judged


class Lanes:
    """Threads that charge windows; an account is always the same one's, so that none waits for another's locks.

    With one lane the caller's own thread does it: beside one that decodes, a thread that mostly holds the
    interpreter gains nothing (embedded store: 21 s for what takes 19).
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._threads = [ThreadPoolExecutor(1, f"cdr-{number}") for number in range(count)] if count > 1 else []

    def close(self) -> None:
        """Waits for what is under way."""
        for thread in self._threads:
            thread.shutdown()

    def submit(self, file_id: str, judged: Judged, *, charges_prepaid: bool) -> Under:
        """Charges a window's records; what is returned waits for that."""
        shares: list[list[Order]] = [[] for _ in self._threads or (None,)]
        # In the order of accounts, so is what is written of them: a page of the store is met once in a window.
        for (account, identity), items in sorted(judged.items.items(), key=itemgetter(0)):
            command = ChargeCdrs(file_id, items, charges_prepaid)
            order = Order(command, account=account, identities=[identity])
            shares[crc32(account.encode()) % len(shares)].append(order)
        if not self._threads:
            done = charge(self._engine, shares[0])
            return lambda: done
        futures = [
            thread.submit(charge, self._engine, share) for thread, share in zip(self._threads, shares, strict=True)
        ]
        return lambda: [order for future in futures for order in future.result()]


def charge(engine: Engine, orders: list[Order]) -> list[Order]:
    """Does orders until each is done or refused; StoreError where the store can't be written."""
    pending = orders
    for _ in range(_TRIES):
        engine.execute(pending)
        lost = [order for order in pending if isinstance(order.error, UnknownCommit)]
        for order in orders:
            if isinstance(order.error, StoreError) and order not in lost:
                raise order.error
        if not lost:
            return orders
        pending = lost  # a record that was charged all the same is known, and moves nothing
    raise StoreUnavailable("the store: nobody knows whether a transaction was done; a repeat is welcome")


def settle(judged: Judged, orders: Sequence[Order], file: Doc, store: Store, now_s: int) -> Counter[str]:
    """Puts into suspense what couldn't be charged; returns how many records came to which state."""
    rejected = {entry.offset: fault for entry, fault in judged.faults}
    counts: Counter[str] = Counter()
    for order in orders:
        for item, verdict in _told(order):
            if verdict.state == SUSPENDED and not verdict.before:
                rejected[item.offset] = CdrFault(verdict.reason, verdict.text)
            else:
                counts[_state(verdict, file, item.offset)] += 1
    entries = [
        suspended(file, entry, judged.cdrs.get(entry.offset), rejected[entry.offset], now_s)
        for entry in judged.entries
        if entry.offset in rejected
    ]
    notes = storage.suspend(store, entries) if entries else {}
    for entry in entries:
        note = notes[entry["_id"]]
        taken = Verdict(note["state"], before=True, file=note["file"], offset=note["at"])
        counts[_state(taken, file, entry["offset"])] += 1
    return counts


def _told(order: Order) -> Iterator[tuple[CdrItem, Verdict]]:
    """What became of each record of an order; where that failed as a whole, they go into suspense."""
    assert isinstance(order.command, ChargeCdrs)
    if order.error is None:
        yield from zip(order.command.items, order.verdicts, strict=True)
        return
    if isinstance(order.error, UnknownAccount):
        text = "its subscriber has gone meanwhile; expected one that exists"
        verdict = Verdict(SUSPENDED, UNKNOWN_SUBSCRIBER, text)
    else:
        log.error("records of account %s can't be charged: %r", order.account, order.error)
        text = f"charging failed: {type(order.error).__name__}; expected none, so this is a fault of the program"
        verdict = Verdict(SUSPENDED, FAULT, text)
    for item in order.command.items:
        yield item, verdict


def _state(verdict: Verdict, file: Doc, offset: int) -> str:
    """A record that was taken before from this very place is counted as it was then: the file is resumed."""
    is_ours = not verdict.before or (verdict.file, verdict.offset) == (file["_id"], offset)
    return verdict.state if is_ours else DUPLICATE


def suspended(file: Doc, entry: Entry, cdr: Cdr | None, fault: CdrFault, now_s: int) -> Doc:
    """The document of a record in suspense, with all of the record, to be read again when it is tried again."""
    record = entry.record
    identity = record.record_id or f"at byte {entry.offset} of file {file['_id']}"
    return {
        "_id": record_key(file["source"], identity),
        "version": 1,
        "state": OPEN,
        "reason": fault.reason,
        "text": str(fault),
        "at_s": now_s,
        "source": file["source"],
        "file": file["_id"],
        "offset": entry.offset,
        "record_id": record.record_id[:64],
        "identities": cdr.identities if cdr else [],
        "service": cdr.service if cdr else "",
        "record": b64encode(record.SerializeToString()).decode(),
    }
