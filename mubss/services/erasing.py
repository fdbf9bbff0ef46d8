"""A person is erased, and the books stay: who used what is nobody's, what it cost is as it was.

In pages, each a transaction, in an order that makes a repeat go on where a break was: the number leads to the
subscriber until the last step.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, Order
from mubss.core.errors import LedgerError
from mubss.core.model import DISCARDED, OPEN, TERMINATED, Account, ForgetPerson, state_of
from mubss.services.lifecycle import find_account, find_subscriber, run
from mubss.storage import erasing as storage
from mubss.storage import subscribers
from mubss.storage.database import Doc, Store

# What an erased subscriber's document keeps; whatever else is known of a person goes.
_KEPT = ("_id", "account", "type", "plan", "state", "bill_cycle", "created_s")
_PERSONAL_USAGE = ("called", "calling", "imei", "cell", "network", "call_id", "charging_id", "session_id", "facts")
_PERSONAL_REPORT = ("called", "calling", "network", "facts")
_REASON = "the subscriber was erased"


class Erased(NamedTuple):
    """How many documents were changed or removed."""

    subscriber: str
    usage: int
    suspense: int
    notifications: int
    bills: int
    identities: int


def erase(engine: Engine, store: Store, identity: str, now_s: int, invoices: Path | None = None) -> Erased:
    """Erases a terminated subscriber; LedgerError for another. Again, it finds what is left to do.

    Bills stay as they were issued unless `invoices`, the folder of their PDFs, is given: then those are removed, and
    the bills keep figures alone.
    """
    person = find_subscriber(store, identity)
    account = find_account(store, person)
    if person["state"] != TERMINATED and state_of(account, person["_id"]) != TERMINATED:
        raise LedgerError(f"state: {person['state']}; expected a terminated subscriber")
    own = _identities(store, person, account)
    command = ForgetPerson(person["_id"], own)
    if any(session.get("member", account["_id"]) == person["_id"] for session in account["sessions"].values()):
        raise LedgerError("sessions: one is open; expected none: its client ends it, or `mubss sessions abort --here`")
    usage = storage.change_usage(store, account["_id"], lambda record: _without_person(record, person))
    named = tuple(own)
    suspense = storage.change_named(store, storage.SUSPENSE, named, lambda entry: _nameless(entry, named))
    suspense += storage.change_named(store, storage.CDR_SUSPENSE, named, lambda entry: _closed(entry, now_s))
    notices = storage.remove_notifications(store, person["_id"])
    bills = 0
    if invoices is not None:
        bills = _erase_bills(store, person, invoices)
    if not person.get("erased_s"):
        kept = {name: person[name] for name in _KEPT if name in person}
        after = {**kept, "msisdn": "", "imsi": "", "language": "", "erased_s": now_s, "erasing": own}
        after["version"] = person["version"] + 1
        guard = Guard(subscribers.SUBSCRIBERS, after, person["version"])
        run(engine, Order(command, account=account["_id"], guards=[guard]))
    return Erased(person["_id"], usage, suspense, notices, bills, storage.finish(store, person["_id"], own))


def _identities(store: Store, person: Doc, account: Account) -> list[str]:
    """What leads to the person, also where an earlier try broke off before its last step."""
    known = dict.fromkeys([*account["identities"], *person.get("erasing", ())])
    return storage.identities_of(store, account["_id"], list(known), person["_id"])


def _without_person(record: Doc, person: Doc) -> Doc:
    if record.get("member", person["account"]) != person["_id"]:
        return record
    return {name: value for name, value in record.items() if name not in _PERSONAL_USAGE}


def _nameless(entry: Doc, identities: tuple[str, ...]) -> Doc:
    """A report in suspense without the person; its units and what they cost stay, and so does its state."""
    rest = {name: value for name, value in entry.items() if name not in _PERSONAL_REPORT}
    others = [one for one in entry["identities"] if one not in identities]
    return {**rest, "identities": others, "session_id": "", "version": entry.get("version", 0) + 1}


def _closed(entry: Doc, now_s: int) -> Doc:
    """A record in suspense without its content; one that waited can't be charged any more."""
    after = {**entry, "identities": [], "record": "", "text": "", "version": entry["version"] + 1}
    if entry["state"] == OPEN:
        after |= {"state": DISCARDED, "settled_s": now_s, "discard_reason": _REASON}
    return after


def _erase_bills(store: Store, person: Doc, invoices: Path) -> int:
    """Figures stay; number, name, address and the PDF go. Of a shared account all bills name the first subscriber."""
    paths: list[str] = []

    def change(bill: Doc) -> Doc:
        document = bill.get("document")
        if document is not None:
            paths.append(document["path"])
            facts = {name: value for name, value in document.get("facts", {}).items() if name != "members"}
            document = {**document, "facts": facts}
        rest = {name: value for name, value in bill.items() if name != "customer"}
        after = {**rest, "msisdn": "", **({"document": document} if document is not None else {})}
        return {**after, "version": bill["version"] + 1} if after != bill else bill

    if person["_id"] != person["account"]:
        return 0
    changed = storage.change_bills(store, person["account"], change)
    for path in dict.fromkeys(paths):
        (invoices / path).unlink(missing_ok=True)
    return changed
