"""What an operator does with reports in suspense: look for them, charge them, discard them.

An entry is charged by the charging engine, in one transaction with the change of its state (mubss/core/suspense.py has
the rule of what moves money). So it doesn't matter how often, by how many, and between which crashes it is tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.core import ledger
from mubss.core.errors import InputError, LedgerError, UnknownAccount
from mubss.core.identity import session_hash
from mubss.core.model import DISCARDED, OPEN, Account, ChargeSuspense, Result, Rules, SessionRecord
from mubss.core.suspense import OF_TAKEN_REQUESTS, NotChargeable, request_key
from mubss.core.tariff import Tables
from mubss.services import lifecycle
from mubss.storage import sessions, subscribers, suspense
from mubss.storage.database import Doc, Store, StoreUnavailable
from mubss.storage.suspense import Wanted, state_of

TOGETHER = 200  # entries of a session in one transaction
MAX_IDS = 10_000
REASONS = (*OF_TAKEN_REQUESTS, *(one.name for one in Result if one not in (Result.SUCCESS, Result.TOO_BUSY)))
_TRIES = 20  # against others who change the same entries
_HASH = re.compile(r"[0-9a-f]{32}")


class Judged(NamedTuple):
    """What became of one entry: `done` if it happened here and now, else `fault` where it stays open."""

    entry: Doc
    done: bool
    fault: str = ""


Do = Callable[[Order], dict[str, Doc]]  # does an order; gives its entries as they are afterwards


def wanted(
    store: Store, *, state: str = "", reason: str = "", session: str = "", subscriber: str = "", since_s: int = 0
) -> Wanted:
    """The entries that an operator asks for: `session` is a Session-Id or its hash, `subscriber` an MSISDN or imsi:….

    A subscriber that nobody knows may have entries too: the request named it. InputError where no entry could have
    that reason.
    """
    if reason and reason not in REASONS and not suspense.find(store, Wanted(reason=reason), limit=1):
        raise InputError(f"reason: {reason[:40]!r}; expected one of {', '.join(REASONS)}")
    hashed = session if not session or _HASH.fullmatch(session) else session_hash(session)
    identities: tuple[str, ...] = ()
    account = ""
    if subscriber:
        identities = (lifecycle.normalised(subscriber),)
        try:
            found = lifecycle.find_account(store, lifecycle.find_subscriber(store, subscriber))
        except UnknownAccount:
            pass
        else:
            identities, account = tuple(found["identities"]), found["_id"]
    return Wanted(state, reason, hashed, identities, account, since_s)


def find(store: Store, asked: Wanted, *, after: str = "", limit: int = 100) -> list[Doc]:
    """Entries in the order of their time; `after` is the id of the last one of the page before."""
    last = entries_of(store, [after])[0] if after else None
    return suspense.find(store, asked, after=last, limit=limit)


def entries_of(store: Store, ids: Sequence[str]) -> list[Doc]:
    """The entries of these ids, in their order, each once; InputError names the first that isn't there."""
    if len(ids) > MAX_IDS:
        raise InputError(f"ids: {len(ids)}; expected up to {MAX_IDS}")
    for one in ids:
        if not _HASH.fullmatch(one):
            raise _no_entry(one)
    found = suspense.get(store, list(dict.fromkeys(ids)))
    for one in ids:
        if one not in found:
            raise _no_entry(one)
    return [found[one] for one in dict.fromkeys(ids)]


def _no_entry(one: str) -> InputError:
    return InputError(f"id: {one[:40]!r}; expected that of an entry; `mubss gy suspense list` shows them")


def charge(
    engine: Engine, store: Store, entries: Sequence[Doc], *, subscriber: str = "", service: str = ""
) -> list[Judged]:
    """Charges entries, session by session; `subscriber` and `service` are charged instead of those of the entries."""

    def do(order: Order) -> dict[str, Doc]:
        engine.execute([order])
        if order.error is not None:
            raise order.error
        return suspense.get(store, [guard.doc["_id"] for guard in order.guards])

    return _judge(store, entries, do, subscriber, service)


def preview(
    tables: Tables, store: Store, entries: Sequence[Doc], now_ms: int, *, subscriber: str = "", service: str = ""
) -> list[Judged]:
    """What `charge` would do at this moment; nothing is written."""
    accounts: dict[str, Account] = {}

    def do(order: Order) -> dict[str, Doc]:
        command = cast(ChargeSuspense, order.command)
        account = accounts.get(order.account) or cast(Account, subscribers.get_account(store, order.account))
        if account is None:
            raise UnknownAccount(f"account: {order.account}; expected an account that exists")
        record = cast("SessionRecord | None", sessions.get(store, command.session_hash))
        applied = ledger.apply(account, command, record, now_ms, Rules(), tables)
        accounts[order.account] = applied.account or account
        docs = [{**guard.doc, **applied.settled.get(guard.doc["_id"], {})} for guard in order.guards]
        return {doc["_id"]: doc for doc in docs}

    return _judge(store, entries, do, subscriber, service)


def discard(store: Store, entries: Sequence[Doc], reason: str, now_s: int) -> list[Judged]:
    """Closes entries without charging them; the reason is kept with each."""
    lifecycle.check_text("reason", reason)
    if not reason.strip():
        raise InputError("reason: ''; expected why these units are not to be charged")
    return [_discard(store, entry, reason, now_s) for entry in entries]


def _discard(store: Store, entry: Doc, reason: str, now_s: int) -> Judged:
    for _ in range(_TRIES):
        if state_of(entry) != OPEN:
            return Judged(entry, False)
        version = entry.get("version", 0)
        after = {
            **entry,
            "version": version + 1,
            "state": DISCARDED,
            "settled_s": now_s,
            "discard_reason": reason,
        }
        if suspense.replace(store, after, version):
            return Judged(after, True)
        [entry] = entries_of(store, [entry["_id"]])
    return Judged(entry, False, "others change it all the time; try again")


def _judge(store: Store, entries: Sequence[Doc], do: Do, subscriber: str, service: str) -> list[Judged]:
    """Charges by `do`, in the order of time within each session; the results are in the order of `entries`."""
    account = str(lifecycle.find_subscriber(store, subscriber)["account"]) if subscriber else ""
    judged: dict[str, Judged] = {}
    ordered = sorted(entries, key=lambda entry: (entry["session"], entry["at_s"], entry["number"], entry["_id"]))
    for _, group in groupby(ordered, key=lambda entry: str(entry["session"])):
        of_session = list(group)
        for start in range(0, len(of_session), TOGETHER):
            ids = [entry["_id"] for entry in of_session[start : start + TOGETHER]]
            for one in _charge_together(store, ids, do, account, service):
                judged[one.entry["_id"]] = one
    return [judged[entry["_id"]] for entry in entries]


def _charge_together(store: Store, ids: list[str], do: Do, account: str, service: str) -> Iterator[Judged]:
    """Entries of one session: those that can't be charged are left out, those that others changed are read again."""
    waiting = dict.fromkeys(ids)
    for _ in range(_TRIES + len(ids)):
        payers: dict[str, list[Doc]] = {}
        for entry in entries_of(store, list(waiting)):
            payer = account or _account_of(store, entry)
            if state_of(entry) != OPEN or not payer:
                yield Judged(entry, False, _nobody(entry) if state_of(entry) == OPEN else "")
                del waiting[entry["_id"]]
            else:
                payers.setdefault(payer, []).append(entry)
        if not payers:
            return
        payer, entries = next(iter(payers.items()))
        try:
            after = do(_order(store, entries, payer, service))
        except GuardConflict:
            continue
        except LedgerError as error:
            alone = error.entry_id if isinstance(error, NotChargeable) else ""
            done = [Judged(entry, False, str(error)) for entry in entries if alone in ("", entry["_id"])]
        else:
            done = [Judged(after[entry["_id"]], True) for entry in entries]
        yield from done
        for one in done:
            del waiting[one.entry["_id"]]
    raise StoreUnavailable("suspense: others change the same entries all the time; a repeat is welcome")


def _order(store: Store, entries: list[Doc], account: str, service: str) -> Order:
    chosen = {entry["_id"] for entry in entries}
    keys = {request_key(entry) for entry in entries}
    session = str(entries[0]["session"])
    waiting = suspense.find(store, Wanted(OPEN, session=session), limit=MAX_IDS)
    beside = [one for one in waiting if request_key(one) in keys and one["_id"] not in chosen]
    named = [{**entry, "service": service} for entry in entries] if service else entries
    guards = []
    for entry in [*named, *beside]:
        version = entry.get("version", 0)
        guards.append(Guard(suspense.COLLECTION, {**entry, "version": version + 1}, version))
    return Order(ChargeSuspense(session, named, beside), account=account, guards=guards)


def _account_of(store: Store, entry: Doc) -> str:
    """The account that an entry is for: its session's, else that of the first identity that has one; "" for none."""
    record = sessions.get(store, entry["session"])
    if record is not None:
        return str(record["account"])
    found = subscribers.accounts_of(store, entry["identities"])
    return next((found[identity] for identity in entry["identities"] if identity in found), "")


def _nobody(entry: Doc) -> str:
    named = ", ".join(entry["identities"]) or "nobody"
    return f"subscriber: the request named {named[:80]}; expected --subscriber with one that exists"
