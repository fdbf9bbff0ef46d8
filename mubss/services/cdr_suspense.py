"""What an operator does with CDRs in suspense: look for them, try them again, discard them.

A record is tried again by the charging engine, in one transaction with the change of its entry and of the note that it
was taken. So it doesn't matter how often, by how many, and between which crashes it is tried.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import NamedTuple

from mubss.cdr.records import to_cdr
from mubss.charging.engine import Engine
from mubss.charging.order import Guard, Order
from mubss.core.cdr import CdrFault, CdrItem, ChargeCdrs, call_key
from mubss.core.errors import InputError, LedgerError
from mubss.core.model import DISCARDED, OPEN
from mubss.pb.cdr_pb2 import Record
from mubss.services import lifecycle
from mubss.services.cdr_payers import Payers
from mubss.storage import cdr as storage
from mubss.storage.database import Doc, Store

MAX_IDS = 10_000


class Judged(NamedTuple):
    """What became of one entry: `done` if it happened here and now, else `fault` where it stays open."""

    entry: Doc
    done: bool
    fault: str = ""


def find(
    store: Store, *, state: str = "", reason: str = "", subscriber: str = "", after: str = "", limit: int = 100
) -> list[Doc]:
    """Entries in the order of their time; `subscriber` is an MSISDN or imsi:…, `after` the id of the last one seen."""
    identities = (lifecycle.normalised(subscriber),) if subscriber else ()
    last = entries_of(store, [after])[0] if after else None
    return storage.find_suspense(store, storage.Wanted(state, reason, identities), after=last, limit=limit)


def entries_of(store: Store, ids: Sequence[str]) -> list[Doc]:
    """The entries of these ids, in their order, each once; InputError names the first that isn't there."""
    if len(ids) > MAX_IDS:
        raise InputError(f"ids: {len(ids)}; expected up to {MAX_IDS}")
    unlike = next((one for one in ids if not 0 < len(one) <= 32 or not one.isascii()), None)
    found = {} if unlike is not None else storage.get_suspense(store, list(dict.fromkeys(ids)))
    for one in ids:
        if one not in found:
            raise InputError(f"id: {one[:40]!r}; expected that of a record; `mubss cdr suspense list` shows them")
    return [found[one] for one in dict.fromkeys(ids)]


def reprocess(
    engine: Engine, store: Store, entries: Sequence[Doc], now_s: int, *, charges_prepaid: bool
) -> list[Judged]:
    """Tries records again, by the tariff and the subscribers there are now."""
    payers = Payers(store, now_s)
    return [_retry(engine, store, entry, payers, now_s, charges_prepaid=charges_prepaid) for entry in entries]


def _retry(engine: Engine, store: Store, entry: Doc, payers: Payers, now_s: int, *, charges_prepaid: bool) -> Judged:
    if entry["state"] != OPEN:
        return Judged(entry, False)
    try:
        cdr = to_cdr(Record.FromString(b64decode(entry["record"])), now_s)
        payers.look_up([cdr])
        identity, payer = payers.find(cdr)
    except CdrFault as fault:
        return Judged(entry, False, str(fault))
    item = CdrItem(entry["_id"], cdr, call_key(entry["source"], cdr, payer.account), entry["offset"])
    version = entry["version"]
    guard = Guard(storage.SUSPENSE, {**entry, "version": version + 1}, version)
    command = ChargeCdrs(entry["file"], [item], charges_prepaid, reprocesses=True)
    order = Order(command, account=payer.account, identities=[identity], guards=[guard])
    engine.execute([order])
    if isinstance(order.error, LedgerError):
        return Judged(entry, False, str(order.error))
    if order.error is not None:
        raise order.error
    return Judged(storage.get_suspense(store, [entry["_id"]])[entry["_id"]], True)


def discard(store: Store, entries: Sequence[Doc], reason: str, now_s: int) -> list[Judged]:
    """Closes entries without charging them; the reason is kept with each."""
    lifecycle.check_text("reason", reason)
    if not reason.strip():
        raise InputError("reason: ''; expected why these records are not to be charged")
    judged = []
    for entry in entries:
        if entry["state"] != OPEN:
            judged.append(Judged(entry, False))
            continue
        version = entry["version"]
        after = {**entry, "version": version + 1, "state": DISCARDED, "settled_s": now_s, "discard_reason": reason}
        done = storage.discard(store, after, version)
        judged.append(Judged(after, True) if done else Judged(entry, False, "another changed it; look again"))
    return judged
