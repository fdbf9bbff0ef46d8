"""Dunning: a pass over the bills of a cycle that are overdue, up the ladder of the reference data.

A step is one transaction: the bill says that it is done, the notification waits to be sent, the fee is posted, the
account is suspended. So each is done once, whatever is killed when and however many processes make passes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.core.dunning import days_overdue, dunned, next_step
from mubss.core.errors import InputError
from mubss.core.issuing import DunBill
from mubss.core.model import ACTIVE, SUSPENDED
from mubss.core.tariff import SUSPEND, DunningStep, Tables
from mubss.services.bill_corrections import settle_account
from mubss.services.lifecycle import run, set_state
from mubss.storage import bills, notifications, subscribers
from mubss.storage.database import Doc, Store

REASON = "dunning"  # how the reason begins of a subscriber who is suspended by it
_PAGE = 200


class Dunned(NamedTuple):
    """What a pass did for a bill, or why it couldn't."""

    number: str
    account: str
    step: int = 0
    action: str = ""
    fault: str = ""


def dun(
    store: Store,
    engine: Engine,
    tables: Tables,
    cycle: int,
    now_s: int,
    is_stopping: Callable[[], bool] = lambda: False,
    reactivates: bool = False,
) -> list[Dunned]:
    """One pass over a cycle's bills; what it did. StoreError ends it: done again, it goes on.

    What was paid without a bill settles the oldest ones first. `reactivates`: an account that dunning suspended, and
    that owes nothing any more, is active again.
    """
    today = datetime.fromtimestamp(now_s, tables.calendar.zone).date()
    found: list[Dunned] = []
    after = ""
    while page := bills.overdue(store, today.isoformat(), cycle, after, _PAGE):
        after = page[-1]["_id"]
        for bill in page:
            if is_stopping():
                return found
            step = next_step(bill, tables.dunning, today)
            waits = reactivates and any(one["action"] == SUSPEND for one in bill.get("dunned", ()))
            if step is None and not waits:
                continue
            try:
                done = _dun(store, engine, tables, bill, today, now_s, reactivates)
            except GuardConflict:
                continue  # somebody else changed the bill: the next pass sees it as it is then
            except (InputError, KeyError) as fault:
                done = Dunned(bill["number"], bill["account"], fault=f"{type(fault).__name__}: {fault}")
            if done is not None:
                found.append(done)
    return found


def _dun(
    store: Store, engine: Engine, tables: Tables, bill: Doc, today: date, now_s: int, reactivates: bool
) -> Dunned | None:
    if settle_account(engine, store, tables, bill["account"]):
        fresh = bills.get_many(store, [bill["_id"]]).get(bill["_id"])
        if fresh is None or fresh["settled"]["open"] <= 0:
            if reactivates:
                reactivate_if_paid(engine, store, bill["account"])
            return None
        bill = fresh
    step = next_step(bill, tables.dunning, today)
    if step is None:
        return None
    person = subscribers.get(store, bill["account"])
    if person is None:
        raise InputError(f"subscriber: {bill['account']}; expected the one of {bill['number']}")
    run(engine, _order(bill, person, step, today, now_s))
    return Dunned(bill["number"], bill["account"], step.step, step.action)


def _order(bill: Doc, person: Doc, step: DunningStep, today: date, now_s: int) -> Order:
    """A step with all that commits with it."""
    fee_micros = step.fee_micros if step.currency == bill["currency"] else 0
    values = {
        "number": bill["number"],
        "due_day": bill["due_day"],
        "days": days_overdue(bill, today),
        "open": bill["settled"]["open"],
        "currency": bill["currency"],
        "decimals": bill["decimals"],
        "step": step.step,
        "name": step.name,
        "fee_micros": fee_micros,
    }
    cause = f"bill {bill['number']} step {step.step}"
    told = notifications.make(f"dunning_{step.action}", person["_id"], person["language"], cause, values, now_s)
    guards = [
        Guard(bills.BILLS, dunned(bill, step, fee_micros, today), bill["version"]),
        Guard(notifications.NOTIFICATIONS, told),
    ]
    suspends = step.action == SUSPEND and person["state"] == ACTIVE
    if suspends:
        version = person["version"]
        reason = f"{REASON}: {bill['number']}"
        after = {**person, "state": SUSPENDED, "state_reason": reason, "version": version + 1}
        guards.append(Guard(subscribers.SUBSCRIBERS, after, version))
    command = DunBill(bill["_id"], bill["number"], step.step, fee_micros, suspends)
    return Order(command, account=bill["account"], guards=guards)


def reactivate_if_paid(engine: Engine, store: Store, account_id: str) -> bool:
    """Makes an account active again that dunning suspended and that owes nothing for its bills; whether it did."""
    person, account = subscribers.get(store, account_id), subscribers.get_account(store, account_id)
    if person is None or account is None or account.get("billing", {}).get("open", 0) > 0:
        return False
    if person["state"] != SUSPENDED or not str(person.get("state_reason", "")).startswith(f"{REASON}:"):
        return False
    set_state(engine, store, person["msisdn"], ACTIVE, "paid")
    return True
