"""A subscriber's life: created, suspended, reactivated, terminated; and money moved by hand.

Every write goes through the charging engine; what the person's document says of it commits with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, Order
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.errors import InputError, UnknownAccount
from mubss.core.model import POSTPAID, PREPAID, Account, Movement, SetState
from mubss.core.tariff import Tables
from mubss.storage import subscribers
from mubss.storage.database import Doc, Store
from mubss.storage.database import StoreUnavailable

_MSISDN = re.compile(r"[1-9][0-9]{5,14}")
_IMSI = re.compile(r"[0-9]{14,15}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
MAX_OPENING_MICROS = 10**12


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """A subscriber to create. `balance_micros` opens the account; `bill_cycle` is for postpaid ones."""

    msisdn: str
    imsi: str = ""
    type: str = PREPAID
    plan: str = ""
    balance_micros: int = 0
    bill_cycle: int | None = None
    language: str = "en"


def checked(new: NewSubscriber, tables: Tables, now_s: int) -> NewAccount:
    """The account that a new subscriber gets; InputError names the field that can't be taken."""
    if not _MSISDN.fullmatch(new.msisdn):
        raise InputError(f"msisdn: {new.msisdn[:20]!r}; expected 6 to 15 digits of E.164, without +")
    if new.imsi and not _IMSI.fullmatch(new.imsi):
        raise InputError(f"imsi: {new.imsi[:20]!r}; expected 14 or 15 digits")
    if new.type not in (PREPAID, POSTPAID):
        raise InputError(f"type: {new.type[:20]!r}; expected {PREPAID} or {POSTPAID}")
    plan = tables.plans.get(new.plan)
    if plan is None:
        raise InputError(f"plan: {new.plan[:40]!r}; expected one of {', '.join(sorted(tables.plans)) or 'none loaded'}")
    if plan.type != new.type:
        raise InputError(f"plan: {new.plan!r} is {plan.type}; expected a plan for {new.type} subscribers")
    if new.bill_cycle is not None and new.bill_cycle not in tables.bill_cycles:
        known = ", ".join(map(str, sorted(tables.bill_cycles)))
        raise InputError(f"bill_cycle: {new.bill_cycle}; expected one of {known or 'none loaded'}")
    if not _LANGUAGE.fullmatch(new.language):
        raise InputError(f"language: {new.language[:20]!r}; expected a code like en or pt-BR")
    if abs(new.balance_micros) > MAX_OPENING_MICROS:
        raise InputError(f"balance: {new.balance_micros} micros; expected at most {MAX_OPENING_MICROS} either way")
    identities = (f"e164:{new.msisdn}", *((f"imsi:{new.imsi}",) if new.imsi else ()))
    person: dict[str, Any] = {
        "msisdn": new.msisdn,
        "imsi": new.imsi,
        "language": new.language,
        "bill_cycle": new.bill_cycle,
        "created_s": now_s,
    }
    limit = plan.credit_limit_micros
    return NewAccount(new.type, plan.code, plan.currency, identities, new.balance_micros, limit, person)


def create(
    store: Store,
    tables: Tables,
    new: Sequence[NewSubscriber],
    now_ms: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Creates subscribers and returns their ids; all are checked before the first is written."""
    return open_accounts(store, [checked(one, tables, now_ms // 1000) for one in new], now_ms, progress)


def normalised(identity: str) -> str:
    """What an operator types for a subscriber (an MSISDN, +MSISDN, imsi:…) as an identity."""
    text = identity.strip()
    return text if text.startswith(("e164:", "imsi:")) else "e164:" + text.removeprefix("+")


def find_subscriber(store: Store, identity: str) -> Doc:
    """The subscriber's document; UnknownAccount if there is none."""
    account_id = subscribers.account_of(store, normalised(identity))
    doc = subscribers.get(store, account_id) if account_id else None
    if doc is None:
        raise UnknownAccount(f"subscriber: {identity[:40]!r}; expected the MSISDN (or imsi:…) of a subscriber")
    return doc


def set_state(engine: Engine, store: Store, identity: str, state: str, reason: str = "") -> Account:
    """Suspends, reactivates ("active") or terminates; the account's state and the person's change together."""
    doc = find_subscriber(store, identity)
    version = doc["version"]
    after = {**doc, "state": state, "version": version + 1}
    guards = [Guard(subscribers.SUBSCRIBERS, after, version)]
    return _run(engine, Order(SetState(state, reason), account=doc["account"], guards=guards))


def move(engine: Engine, store: Store, identity: str, kind: str, amount_micros: int, reference: str = "") -> Account:
    """A top-up, adjustment or payment by hand; returns the account after it."""
    doc = find_subscriber(store, identity)
    return _run(engine, Order(Movement(kind, amount_micros, reference), account=doc["account"]))


def _run(engine: Engine, order: Order) -> Account:
    engine.execute([order])
    if order.error is not None:
        raise order.error
    if order.account_after is None:
        raise StoreUnavailable("the store gave no answer; nothing is known of the command")
    return order.account_after
