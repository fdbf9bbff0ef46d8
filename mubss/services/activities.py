"""Queues work for mubss-billing, and cancels it. What is asked is checked before it is queued."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from mubss.core import activity
from mubss.core.activity import FULL_BILLRUN, MASS_PREPAID_RATING, SINGLE_BILLING, Activity
from mubss.core.errors import InputError
from mubss.core.tariff import Tables
from mubss.services.billing import check_over, period_for
from mubss.services.control import BILLING, ask_all
from mubss.services.lifecycle import find_subscriber
from mubss.storage import activities as storage
from mubss.storage.database import Doc, Store


class Queued(NamedTuple):
    """An activity, and whether this call queued it: it may wait or run already."""

    activity: Activity
    is_new: bool


class BillingWanted(NamedTuple):
    """Which bills somebody wants: of a cycle, or of one subscriber (its number) in it."""

    cycle: int
    period: str = ""  # "2026-11"; the last that is over by default
    subscriber: str = ""
    dry_run: bool = False


class MassRatingWanted(NamedTuple):
    """How many prepaid charges are to be played, over which subscribers (numbers, the second included)."""

    cycle: int  # whose mubss-billing does it
    charges: int
    first: str
    last: str
    at_once: int = 256


def queue_billing(store: Store, tables: Tables, wanted: BillingWanted, by: str, now_s: int) -> Queued:
    """Queues a bill run; one that waits or runs for the same cycle, period and subscriber is that one."""
    period = period_for(tables, wanted.cycle, wanted.period, now_s)
    check_over(period, now_s)
    account = _payer(store, wanted) if wanted.subscriber else ""
    kind = SINGLE_BILLING if account else FULL_BILLRUN
    new = activity.make(kind, wanted.cycle, now_s, by, period=period.label, subscriber=account, dry_run=wanted.dry_run)
    return _queue(store, new)


def _payer(store: Store, wanted: BillingWanted) -> str:
    """The account that a subscriber's bill is of."""
    person: Doc = find_subscriber(store, wanted.subscriber)
    if person.get("bill_cycle") != wanted.cycle or person["_id"] != person["account"]:
        text = f"{person['type']}, bill cycle {person.get('bill_cycle')}"
        shares = ", on another's account" if person["_id"] != person["account"] else ""
        raise InputError(f"subscriber: {text}{shares}; expected one that is billed in cycle {wanted.cycle}")
    return str(person["_id"])


def queue_mass_rating(store: Store, wanted: MassRatingWanted, *, allowed: bool, by: str, now_s: int) -> Queued:
    """Queues charges for load: real ones, on real accounts; InputError unless the configuration allows it."""
    if not allowed:
        raise InputError("billing.developer_mode: false; expected true: this charges subscribers for nothing they did")
    for name in ("first", "last"):
        if not (value := getattr(wanted, name)).isdecimal() or len(value) > 15:
            raise InputError(f"{name}: {value[:20]!r}; expected a number of up to 15 digits")
    if int(wanted.first) > int(wanted.last):
        raise InputError(f"first: {wanted.first}; expected {wanted.last} or less, the last")
    values = {name: getattr(wanted, name) for name in ("charges", "first", "last", "at_once")}
    return _queue(store, activity.make(MASS_PREPAID_RATING, wanted.cycle, now_s, by, **values))


def _queue(store: Store, new: Activity) -> Queued:
    written = storage.change(store, new["_id"], lambda stored: activity.queue(stored, new))
    if written is not None:
        return Queued(written, True)
    there = storage.get(store, new["_id"])
    assert there is not None
    return Queued(there, False)


def cancel(store: Store, activity_id: str, now_s: int) -> Activity:
    """Cancels one that waits or runs; bills that it issued stay. InputError for one that has ended."""
    cancelled = storage.change(store, activity_id, partial(activity.cancel, now_s=now_s))
    assert cancelled is not None
    return cancelled


def nudge(folder: Path, cycle: int) -> bool:
    """Each mubss-billing whose socket is in `folder` looks at the queue now; whether one of them has the cycle."""
    return any(answer.get("cycle") == cycle for answer in ask_all(folder, BILLING, "nudge").values())
