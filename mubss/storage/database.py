"""The door to the store: opens it, knows every collection and index there is, and lends out the store's types.

Higher layers take the store's words from here, so that mubss.xdev is imported by storage alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mubss.xdev.api import Doc, How, Inspection, Lock, Read, Session, Store, Write, call_directly
from mubss.xdev.errors import (
    DuplicateId,
    NoSuchCollection,
    StoreAway,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    UnknownCommit,
)
from mubss.xdev.store import open_store

__all__ = [
    "Doc",
    "DuplicateId",
    "How",
    "Inspection",
    "Lock",
    "NoSuchCollection",
    "Read",
    "Schema",
    "Session",
    "Store",
    "StoreAway",
    "StoreConflict",
    "StoreError",
    "StoreUnavailable",
    "UnknownCommit",
    "Write",
    "create_collections",
    "open_database",
    "open_to_read",
    "read_schema",
]

SCHEMA_VERSION = 2  # of what stands in the collections; services/migrating.py has the steps between versions
OLDEST_SCHEMA = 2  # of a store that this program runs on; an older one must be migrated
META, SCHEMA = "meta", "schema"


class Schema(NamedTuple):
    """What a store says of itself; `version` is text where it is no number."""

    version: int | str
    least_reader: int  # the oldest program that may run on it, by its SCHEMA_VERSION


REFDATA = (
    "ref_currencies",
    "ref_services",
    "ref_price_plans",
    "ref_holidays",
    "ref_bundles",
    "ref_destinations",
    "ref_networks",
    "ref_bill_cycles",
    "ref_taxes",
    "ref_dunning",
    "ref_bill_discounts",
    "ref_service_map",
    "ref_bands",
)

# Collection → {index: paths}. `accounts` has none: every index costs each charge of an account.
COLLECTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "accounts": {},  # what prices a request: plan, state, balance, counters, open sessions
    "identities": {},  # _id "e164:…", "imsi:…" → account
    "subscribers": {
        "plan": ("$.plan",),
        "next_plan": ("$.next_plan",),
        "state": ("$.state",),
        "bill_cycle": ("$.bill_cycle",),
    },
    "gy_sessions": {"due": ("$.due_s",)},  # _id: hash of the Session-Id; due: look for abandonment, or purge
    "postings": {},  # _id: account + sequence, so an account's are one range
    "usage": {},  # _id: account + sequence
    "suspense": {"at": ("$.at_s",), "session": ("$.session",)},  # reported units that weren't charged
    "outbox": {"due": ("$.peer", "$.due_ms"), "made": ("$.made_s",)},  # what sessions' clients must be told
    "gy_peers": {},  # the connections of every mubss-gy, as each said of its own last
    "gy_origins": {},  # _id: hash of an Origin-Host and its agent; its highest Origin-State-Id
    # _id: hash of account, cycle and period
    "bills": {
        "account": ("$.account",),
        "run": ("$.cycle", "$.period"),
        "number": ("$.number",),
        "due": ("$.state", "$.due_day"),  # and those that wait for their document
    },
    "payments": {"account": ("$.account",)},  # _id: hash of account and reference; payments of bills
    "notifications": {"due": ("$.state", "$.due_s"), "subscriber": ("$.subscriber",)},  # what a subscriber is told
    "tokens": {"revoked": ("$.revoked_s", "$.expires_s"), "expires": ("$.expires_s",)},  # of the CRM's door
    "rpc_keys": {"at": ("$.at_s",)},  # _id: hash of who, what and idempotency key; what was answered
    # who did what; subscriber and at: to look for it, seq: its place in the chain, 0 before it has one
    "audit": {"seq": ("$.seq",), "subscriber": ("$.subscriber", "$.at_ms"), "at": ("$.at_ms",)},
    "audit_head": {},  # how far the chain of the audit goes
    "activities": {"due": ("$.billcycle", "$.due_s"), "made": ("$.made_s",)},  # the queue of mubss-billing
    "vouchers": {"serial": ("$.serial",), "batch": ("$.batch", "$.state")},  # _id: hash of the PIN
    "voucher_batches": {},  # _id: number; what its vouchers are worth, until when, whether they may be redeemed
    "voucher_doors": {},  # _id: hash of a subscriber or a channel; wrong PINs that came from there
    "counters": {},  # _id: what is counted; the last number given
    "cdr_files": {"started": ("$.started_ms",)},  # _id: hash of source, sequence and digest; how far it is taken
    "cdr_sources": {},  # _id: hash of a source; the sequence numbers of its files
    "cdr_records": {},  # _id: hash of source and record id, behind the day; what became of it
    "cdr_suspense": {"at": ("$.at_s",)},  # _id: the record's; records that couldn't be charged
    "cdr_calls": {"at": ("$.at_s",)},  # _id: hash of a call that comes in parts; what they were charged so far
    "archives": {},  # _id: kind, month and number; a file that holds what has left `postings` or `usage`
    "outage_records": {},  # _id: journal and place; what became of a request that was answered in an outage
    "carried": {},  # _id: the account's; sums of its postings that are in the archive
    # figures by metric, period and dimensions
    "stats": {"series": ("$.metric", "$.period", "$.start_s"), "old": ("$.period", "$.start_s")},
    "stats_cursors": {},  # _id: of an account, or of a counter of bills; what of it is counted
    "stats_pass": {},  # who counts
    "gy_answers": {"counted": ("$.counted",), "minute": ("$.minute_s",)},  # by process of mubss-gy and minute
    "meta": {},  # versions: the schema's, the reference data's
    "ref_versions": {},  # _id: number; who made which version of the reference data, and when
    "ref_changes": {},  # _id: number and count; what a version replaced, so that those before it can be read back
    **{name: {} for name in REFDATA},
}


def open_database(url: str, *, offload: Callable[[Callable[[], Any]], Any] = call_directly) -> Store:
    """A store by its URL; `offload` runs blocking work where the process has an event loop."""
    return open_store(url, offload=offload)


def open_to_read(url: str) -> Store:
    """A store by its URL for who only looks: the embedded one's files stay as they are, byte by byte."""
    return open_store(url, only_read=True)


def create_collections(store: Store) -> None:
    """Makes every collection and index that isn't there yet, and notes the version; safe to run again."""

    def work(session: Session) -> None:
        is_new = META not in session.list_collections()
        session.create_collections(COLLECTIONS)
        if session.collection(META).get_one(SCHEMA) is None:
            version = SCHEMA_VERSION if is_new else 1  # one from before stores said it has the steps before it
            session.collection(META).put_many([{"_id": SCHEMA, "version": version, "least_reader": version}])

    store.make()
    store.run(work)


def read_schema(store: Store) -> Schema:
    """What the store says of its schema; version 1 where it says nothing, as the first stores did."""
    doc = store.run(lambda session: session.collection(META).get_one(SCHEMA))
    if doc is None:
        return Schema(1, 1)
    version, reader = doc.get("version", "unknown"), doc.get("least_reader")
    if type(version) is not int:
        return Schema(repr(version)[:40], 0)
    return Schema(version, reader if type(reader) is int else version)
