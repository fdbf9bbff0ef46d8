"""The audit's entries: who did what, what changed, and the chain of hashes that they stand in.

An entry has no names, numbers or contact data of people: subscribers are their ids, so that a person can be erased
and the chain stays. Secrets are in none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

Doc = dict[str, Any]
START = "0" * 64  # what the first entry's `prev` is
MAX_DOCUMENTS = 200  # whose change one entry tells
MAX_TEXT_LETTERS, MAX_ITEMS = 200, 20

# What of each kind of document an entry tells; a kind that isn't here is told by no entry.
FIELDS: dict[str, tuple[str, ...]] = {
    "accounts": (
        "type",
        "plan",
        "next_plan",
        "next_plan_from_s",
        "state",
        "currency",
        "balance_micros",
        "credit_limit_micros",
        "discounts",
    ),
    "subscribers": (
        "account",
        "type",
        "plan",
        "next_plan",
        "next_plan_from_s",
        "state",
        "language",
        "bill_cycle",
        "erased_s",
    ),
    "bills": ("number", "kind", "state", "total", "settled", "currency"),
    "payments": ("number", "amount", "used", "currency"),
    "vouchers": ("serial", "state", "subscriber"),
    "voucher_batches": ("number", "state", "count", "value_micros", "currency", "bundle", "last_day"),
    "suspense": ("state", "charge_micros", "discard_reason"),
    "cdr_suspense": ("state", "charge_micros", "discard_reason"),
    "notifications": ("kind", "subscriber", "state"),
    "activities": ("kind", "billcycle", "period", "subscriber", "dry_run", "state"),
    "tokens": ("jti", "subject", "role", "kid", "expires_s", "revoked_s"),
    "meta": ("version", "digest"),
}
SECRETS = frozenset(("pin", "pins", "idempotency_key", "password", "pepper", "secret", "token", "key"))
PERSONAL = frozenset(
    ("msisdn", "imsi", "subscriber", "account", "all_of", "first", "last", "name", "address", "email", "called")
)
_OF_PEOPLE = ("msisdn", "imsi", "name", "address", "email")  # it is told that they changed, not from what to what
_ID = re.compile(r"id:[0-9a-z]{1,32}")
_MASK = "…"


class Fault(NamedTuple):
    """The first place at which the chain doesn't hold."""

    seq: int
    text: str


def changed(collection: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[Doc, Doc]:
    """The fields that differ, as they were and as they are; both are empty where nothing that is told differs."""
    old, new = _told(collection, before), _told(collection, after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if collection == "subscribers" and before is not None and after is not None:
        new["personal"] = [name for name in _OF_PEOPLE if (before.get(name) or "") != (after.get(name) or "")]
        names += ["personal"] if new["personal"] else []
    return {name: old[name] for name in names if name in old}, {name: new[name] for name in names if name in new}


def _told(collection: str, doc: Mapping[str, Any] | None) -> Doc:
    if doc is None or (collection == "voucher_batches" and doc["state"] == "making"):  # until its PINs are out
        return {}
    told = {name: doc[name] for name in FIELDS.get(collection, ()) if doc.get(name) is not None}
    if collection == "accounts" and doc.get("buckets"):
        told["buckets"] = {
            one["id"]: {"left": one["left"], "renews": one.get("renews", False)} for one in doc["buckets"]
        }
    return told


def identities_of(docs: Iterable[Mapping[str, Any] | None]) -> set[str]:
    """The digits that people are known by in these documents."""
    found: set[str] = set()
    for doc in docs:
        if doc is not None:
            found |= {str(doc[name]) for name in ("msisdn", "imsi") if doc.get(name)}
            found |= {one.partition(":")[2] for one in doc.get("identities", ())}
    return found


def cleaned(fields: Mapping[str, Any], identities: Iterable[str] = ()) -> Doc:
    """What was asked for, without secrets, and without numbers by which a person is known; long texts are cut."""
    known = sorted(identities, key=len, reverse=True)
    found = {}
    for name, value in fields.items():
        if name in SECRETS or isinstance(value, bytes) or value in (None, "", (), [], {}) or value is False:
            continue
        if name in PERSONAL:
            if isinstance(value, str) and _ID.fullmatch(value):
                found[name] = value
            continue
        found[name] = _short(value, known)
    return found


def _short(value: Any, identities: Sequence[str]) -> Any:
    if isinstance(value, str):
        for digits in identities:
            value = value.replace(digits, _MASK)
        return value if len(value) <= MAX_TEXT_LETTERS else value[:MAX_TEXT_LETTERS] + _MASK
    if isinstance(value, Mapping):
        return cleaned(dict(list(value.items())[:MAX_ITEMS]), identities)
    if isinstance(value, Sequence):
        return [_short(one, identities) for one in value[:MAX_ITEMS]]
    return value if isinstance(value, int) else str(value)[:MAX_TEXT_LETTERS]


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 over the hash before it and all that the entry says, as JSON of one form; 64 hex digits."""
    said = {name: value for name, value in entry.items() if name != "hash"}
    text = json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return sha256(f"{entry['prev']}\n{text}".encode()).hexdigest()


def sealed(entry: Mapping[str, Any], seq: int, prev: str) -> Doc:
    """The entry in its place in the chain."""
    placed = {**entry, "seq": seq, "prev": prev}
    return {**placed, "hash": digest(placed)}


def first_fault(entries: Iterable[Mapping[str, Any]], seq: int, prev: str) -> tuple[Fault | None, int, str]:
    """(what doesn't fit, or None; the number and hash up to which all does), from the entry behind `seq` on."""
    for entry in entries:
        number = entry["seq"]
        if number <= seq:
            return Fault(number, f"entry {number} is there twice: {entry['_id']} was added"), seq, prev
        if number > seq + 1:
            return Fault(seq + 1, f"entry {seq + 1} is missing: it was removed"), seq, prev
        if entry.get("prev") != prev:
            return Fault(number, f"entry {number} doesn't follow on the one before it: it was put there"), seq, prev
        if entry.get("hash") != digest(entry):
            return Fault(number, f"entry {number} isn't as it was sealed: it was changed"), seq, prev
        seq, prev = number, entry["hash"]
    return None, seq, prev
