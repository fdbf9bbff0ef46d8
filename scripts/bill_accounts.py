"""Postpaid accounts of a bill cycle with a month of usage, for load and torture."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from cdr_files import FIRST, PLAN, make_store, mixed
from mubss.cdr.writer import writing
from mubss.charging.engine import Engine, wall_clock_ms
from mubss.core.identity import ordered_id, sequence_id
from mubss.core.model import Rules
from mubss.refdata.live import Refdata
from mubss.services.billing import period_for
from mubss.services.cdr_load import Loader, LoadRules
from mubss.services.cdr_pass import Pass
from mubss.storage.database import Doc, Session, Store

CYCLE, OTHER_CYCLE = 3, 28
_FEW = 20  # accounts that are charged for real
_CHUNK = 200
_PREFIXES = 200


def make_cycle(url: str, accounts: int, records: int, folder: Path, seed: int = 7) -> Store:
    """A store with so many accounts of cycle 3, each with so many usage records in the period that is over."""
    store = make_store(url, min(accounts, _FEW), _PREFIXES, folder)
    _charge(store, min(accounts, _FEW), records, folder, seed)
    if accounts > _FEW:
        _copy(store, accounts)
    return store


def _charge(store: Store, accounts: int, records: int, folder: Path, seed: int) -> None:
    """Charges CDRs of the period that is over, by the loader itself."""
    now_s = int(time.time())
    refdata = Refdata(store, "UTC")
    refdata.load()
    end_s = period_for(refdata.tables, CYCLE, "", now_s).end_s - 4 * 3_600
    rng = random.Random(seed)
    drop = folder / "seed"
    drop.mkdir(exist_ok=True)
    with writing(drop / "1.cdr", "seed", 1, now_s) as writer:
        for account in range(accounts):
            for number in range(records):
                record = mixed(rng, account * records + number, 1, _PREFIXES, end_s)
                record.calling = record.served_msisdn = str(FIRST + account)
                writer.write(record)
    engine = Engine(store, lambda: refdata.tables, Rules())
    rules = LoadRules(500, 100, False, 1)
    loader = Loader(store, engine, lambda: refdata.tables, rules, wall_clock_ms, lambda *_: None, lambda: False)
    Pass(drop, loader, 0, lambda: False).run(now_s)
    backdate(store, [account["_id"] for account in _all(store, "accounts")], end_s)


def backdate(store: Store, accounts: list[str], end_s: int) -> None:
    """Has their plan begin before the period that is over at `end_s`: fees are for all of it. Nobody else uses them."""
    found = store.run(lambda session: session.collection("accounts").get_many(accounts))
    _put(store, "accounts", [{**account, "since_s": end_s - 40 * 86_400} for account in found if account])


def leave_cycle(store: Store) -> None:
    """All subscribers of the cycle go to another: its next run is theirs who come after."""

    def work(session: Session) -> None:
        found = session.collection("subscribers")
        people = found.find("$.bill_cycle = :cycle").bind("cycle", CYCLE).execute()
        found.put_many([{**person, "bill_cycle": OTHER_CYCLE} for person in people])

    store.run(work)


def _copy(store: Store, accounts: int) -> None:
    """Copies of the accounts with their postings, usage and subscribers, under ids of their own."""
    originals = _all(store, "accounts")
    parts = {one["_id"]: (_of(store, "postings", one), _of(store, "usage", one)) for one in originals}
    now_ms = wall_clock_ms()
    for start in range(len(originals), accounts, _CHUNK):
        docs: dict[str, list[Doc]] = {name: [] for name in ("accounts", "subscribers", "postings", "usage")}
        for number in range(start, min(start + _CHUNK, accounts)):
            original = originals[number % len(originals)]
            account_id, msisdn = ordered_id(now_ms, number << 30), str(FIRST + number)
            docs["accounts"].append({**original, "_id": account_id, "identities": [f"e164:{msisdn}"]})
            docs["subscribers"].append(_person(account_id, msisdn))
            for name, part in zip(("postings", "usage"), parts[original["_id"]], strict=True):
                for doc in part:
                    key = sequence_id(account_id, doc["sequence"])
                    docs[name].append({**doc, "_id": key, "account": account_id})
        for name, part in docs.items():
            store.run(lambda session, name=name, part=part: session.collection(name).add_many(part))


def _person(account_id: str, msisdn: str) -> dict[str, Any]:
    return {
        "_id": account_id,
        "version": 1,
        "account": account_id,
        "type": "postpaid",
        "plan": PLAN,
        "state": "active",
        "msisdn": msisdn,
        "language": "en",
        "bill_cycle": CYCLE,
    }


def unbill(store: Store) -> None:
    """Takes all bills back as if they had never been, with what they posted."""
    after = ""
    while page := _page(store, "accounts", after):
        after = page[-1]["_id"]
        fresh, gone = [], []
        for account in page:
            billing = account.pop("billing", None)
            if billing is None:
                continue
            posted = [doc for doc in _of(store, "postings", account) if doc["cause"]["kind"] == "bill"]
            gone += [doc["_id"] for doc in posted]
            account["sequence"] -= len(posted)
            account["balance_micros"] -= sum(doc["amount_micros"] for doc in posted)
            fresh.append(account)
        _put(store, "accounts", fresh)
        store.run(lambda session, gone=gone: session.collection("postings").remove_many(gone))
    for name in ("bills", "counters"):
        while page := _page(store, name, ""):
            ids = [doc["_id"] for doc in page]
            store.run(lambda session, name=name, ids=ids: session.collection(name).remove_many(ids))


def _all(store: Store, name: str) -> list[Doc]:
    return store.run(lambda session: session.collection(name).scan(limit=1_000_000))


def _page(store: Store, name: str, after: str) -> list[Doc]:
    return store.run(lambda session: session.collection(name).scan(after=after, limit=500))


def _of(store: Store, name: str, account: Doc) -> list[Doc]:
    first, last = account["_id"], account["_id"] + "~"
    return store.run(lambda session: session.collection(name).scan(after=first, until=last, limit=100_000))


def _put(store: Store, name: str, docs: list[Doc]) -> None:
    store.run(lambda session: session.collection(name).put_many(docs))
