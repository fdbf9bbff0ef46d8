"""A bill run: every postpaid account of a cycle gets one bill for a period, once, whatever is killed when.

    find      the cycle's accounts that have no bill for the period yet
    compute   each one's, from what no bill has                          nothing is locked
    issue     TOGETHER of them in a transaction: accounts, bills and the counter of numbers, last

An account that changed meanwhile, or another run that took a number, sends bills back to be reckoned anew. A number is
given in the transaction that issues its bill, so there is no gap. A bad account is parked with its reason, and the run
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.core.bill import Computed, compute
from mubss.core.bill_period import Period, last_closed, period_of
from mubss.core.errors import AccountChanged, InputError
from mubss.core.issuing import IssueBill
from mubss.core.model import POSTPAID, Account
from mubss.core.tariff import Tables
from mubss.storage import bills, subscribers
from mubss.storage.database import Doc, Store, StoreError, UnknownCommit

TOGETHER = 64  # bills in a transaction
NEW = "BILL_STATUS_NEW"
_TRIES = 20  # of a bill whose account changes all the time
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Run:
    """Which bills are wanted."""

    cycle: int
    period: Period
    series: str = "INV"
    due_days: int = 14


class Billed(NamedTuple):
    """What came of one account: its bill, or why it has none."""

    account: str
    bill: Doc | None
    fault: str = ""
    before: bool = False  # it had that bill already


def period_for(tables: Tables, cycle: int, label: str, now_s: int) -> Period:
    """A cycle's period by its label, or the last that is over; InputError for a cycle that there isn't."""
    known = tables.bill_cycles.get(cycle)
    if known is None:
        cycles = ", ".join(map(str, sorted(tables.bill_cycles))) or "none: none is loaded"
        raise InputError(f"cycle: {cycle}; expected one of {cycles}")
    zone = tables.calendar.zone
    return period_of(label, known.closing_day, zone) if label else last_closed(known.closing_day, now_s, zone)


def bill_run(
    store: Store,
    engine: Engine,
    tables: Tables,
    run: Run,
    now_s: int,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Billed]:
    """Issues the bills of a cycle; yields what came of each account. StoreError ends it: done again, it goes on."""
    if run.period.end_s > now_s:
        raise InputError(f"period: {run.period.label} isn't over yet; expected one that is")
    waiting: list[Doc] = []
    for people in _pages(store, run.cycle):
        ids = {one["_id"]: bills.bill_id(one["_id"], run.cycle, run.period.label) for one in people}
        there = bills.get_many(store, list(ids.values()))
        for one in people:
            if (bill := there.get(ids[one["_id"]])) is not None:
                yield Billed(one["_id"], bill, before=True)
            else:
                waiting.append(one)
        while len(waiting) >= TOGETHER:
            if is_stopping():
                return
            yield from _issue(store, engine, tables, run, waiting[:TOGETHER], now_s)
            del waiting[:TOGETHER]
    if waiting and not is_stopping():
        yield from _issue(store, engine, tables, run, waiting, now_s)


def preview(store: Store, tables: Tables, run: Run) -> Iterator[Billed]:
    """What the bills would be; nothing is written, and nothing has a number."""
    for people in _pages(store, run.cycle):
        ids = {one["_id"]: bills.bill_id(one["_id"], run.cycle, run.period.label) for one in people}
        there = bills.get_many(store, list(ids.values()))
        for one in people:
            if (bill := there.get(ids[one["_id"]])) is not None:
                yield Billed(one["_id"], bill, before=True)
                continue
            try:
                yield Billed(one["_id"], _compute(store, tables, run, one["_id"])[1].doc)
            except (KeyError, ValueError, InputError) as fault:
                yield Billed(one["_id"], None, _told(fault))


def _pages(store: Store, cycle: int) -> Iterator[list[Doc]]:
    """The cycle's postpaid subscribers that have an account of their own; those on another's are on its bill."""
    after = ""
    while page := subscribers.find(store, {"bill_cycle": cycle}, after=after, limit=_PAGE):
        after = page[-1]["_id"]
        yield [one for one in page if one["type"] == POSTPAID and one["_id"] == one["account"]]


def _compute(store: Store, tables: Tables, run: Run, account_id: str) -> tuple[Account, Computed]:
    account = cast("Account | None", subscribers.get_account(store, account_id))
    if account is None:
        raise InputError("account: there is none; expected the subscriber's: `mubss ledger check` knows")
    billing = account.get("billing")
    ranges = billing["usage"] if billing else []
    first = ranges[0][1] if ranges and ranges[0][0] == 1 else 0  # all up to it is on bills
    usage = subscribers.usage(store, account_id, first)
    postings = subscribers.postings(store, account_id, billing["sequence"] if billing else 0)
    return account, compute(account, usage, postings, tables, run.period, run.cycle)


def _issue(store: Store, engine: Engine, tables: Tables, run: Run, people: list[Doc], now_s: int) -> Iterator[Billed]:
    waiting = {one["_id"]: one for one in people}
    for _ in range(_TRIES):
        computed: dict[str, tuple[Account, Computed]] = {}
        for account_id in waiting:
            try:
                computed[account_id] = _compute(store, tables, run, account_id)
            except (KeyError, ValueError, InputError) as fault:
                yield Billed(account_id, None, _told(fault))
        orders = _orders(store, tables, run, waiting, computed, now_s)
        engine.execute(list(orders.values()))
        again: dict[str, Doc] = {}
        for account_id, order in orders.items():
            error = order.error
            if error is None:
                yield Billed(account_id, order.guards[0].doc)
            elif isinstance(error, AccountChanged | GuardConflict | UnknownCommit):
                again[account_id] = waiting[account_id]
            elif isinstance(error, StoreError):
                raise error
            else:
                yield Billed(account_id, None, _told(error))
        there = bills.get_many(store, [bills.bill_id(one, run.cycle, run.period.label) for one in again])
        for bill in there.values():
            del again[bill["account"]]
            yield Billed(bill["account"], bill, before=True)  # by another run, or by a try that nobody heard of
        waiting = again
        if not waiting:
            return
    for account_id in waiting:
        yield Billed(account_id, None, "it changes all the time; try again")


def _orders(
    store: Store,
    tables: Tables,
    run: Run,
    people: dict[str, Doc],
    computed: dict[str, tuple[Account, Computed]],
    now_s: int,
) -> dict[str, Order]:
    """An order for each bill, with its document and the counter at its number."""
    today = datetime.fromtimestamp(now_s, tables.calendar.zone).date()
    counter_id = bills.counter_id(run.series, str(today.year))
    stored = bills.get_counter(store, counter_id)
    last = stored["version"] if stored is not None else 0
    orders: dict[str, Order] = {}
    for account_id, (account, bill) in computed.items():
        number = last + 1
        doc: dict[str, Any] = {
            "_id": bills.bill_id(account_id, run.cycle, run.period.label),
            "version": 1,
            "number": f"{run.series}-{today.year}-{number:07}",
            "state": NEW,
            "issued_s": now_s,
            "due_day": (today + timedelta(run.due_days)).isoformat(),
            "msisdn": people[account_id]["msisdn"],
            "language": people[account_id]["language"],
            **bill.doc,
        }
        command = IssueBill(
            doc["_id"],
            account["version"],
            account["sequence"],
            run.period.label,
            bill.fees_micros,
            bill.taxes_micros,
            bill.rounding_micros,
            bill.usage,
            bill.doc["due"],
        )
        counter = Guard(bills.COUNTERS, {"_id": counter_id, "version": number}, last or None)
        orders[account_id] = Order(command, account=account_id, guards=[Guard(bills.BILLS, doc), counter])
        last = number
    return orders


def _told(fault: Exception) -> str:
    return str(fault) if isinstance(fault, InputError) else f"{type(fault).__name__}: {fault}"
