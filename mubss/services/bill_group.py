"""Bills a group of accounts: reads and computes them with nothing locked, then issues them in one transaction.

An account that changed meanwhile is read and computed anew; where another process took the numbers, the group takes the
next. A number is given in the transaction that issues its bill, so there is no gap. A bad account is parked with its
reason, and the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, GuardConflict, Order
from mubss.config_billing import BillingOptions
from mubss.core.bill import Computed, compute
from mubss.core.bill_period import Period
from mubss.core.errors import AccountChanged, InputError
from mubss.core.model import POSTPAID, PREPAID, TERMINATED, Account
from mubss.core.settling import NEW, VOID
from mubss.core.statement import compute_statement
from mubss.core.tariff import Tables
from mubss.storage import bills
from mubss.storage.database import Doc, Store, StoreError, UnknownCommit

_TRIES = 20  # of a bill whose account changes all the time


@dataclass(frozen=True, slots=True)
class Run:
    """Which bills are wanted."""

    cycle: int
    period: Period
    series: str = "INV"
    due_days: int = 14
    skips_zero: bool = False  # no bill for an account that has nothing on it
    statement_series: str = "STM"
    statements: bool = True  # for prepaid subscribers

    @property
    def types(self) -> tuple[str, ...]:
        """Of which types the subscribers are that it is for."""
        return (POSTPAID, PREPAID) if self.statements else (POSTPAID,)

    def series_of(self, kind: str) -> str:
        """What the numbers of a kind of document begin with."""
        return self.statement_series if kind == PREPAID else self.series


def run_for(options: BillingOptions, cycle: int, period: Period) -> Run:
    """The run that the configuration says."""
    skips_zero, statements = options.zero_bills == "skip", options.prepaid_statements
    return Run(cycle, period, options.series, options.due_days, skips_zero, options.statement_series, statements)


class Billed(NamedTuple):
    """What came of one account: its bill, or why it has none."""

    account: str
    bill: Doc | None
    fault: str = ""  # neither: nothing is on it, and such bills are skipped
    before: bool = False  # it had that bill already


class Drawn(NamedTuple):
    """A bill that is computed and not issued, with the account as it was read for it."""

    person: Doc
    account: Account
    bill: Computed
    wanted: bills.Wanted


class Issuer:
    """Bills groups of subscribers for one run; groups may be under way side by side, but one alone takes numbers."""

    def __init__(self, store: Store, tables: Tables, run: Run) -> None:
        self._store = store
        self._tables = tables
        self._run = run
        self._numbers = threading.Lock()  # or groups of one process would take each other's

    def draw(self, people: Sequence[Doc]) -> tuple[list[Billed], list[Drawn]]:
        """Computes bills: of each subscriber what is settled (billed before, or at fault), or the bill."""
        run = self._run
        ids, period = [one["_id"] for one in people], run.period
        unbilled = bills.read_unbilled(self._store, ids, run.cycle, period.label, period.end_s)
        settled: list[Billed] = []
        drawn: list[Drawn] = []
        for person in people:
            account_id = person["_id"]
            if (bill := unbilled.bills.get(account_id)) is not None:
                settled.append(Billed(account_id, bill, before=True))
                continue
            try:
                found = self._compute(person, unbilled)
                if self._is_skipped(found):
                    settled.append(Billed(account_id, None))
                else:
                    drawn.append(found)
            except (KeyError, ValueError, InputError) as fault:
                settled.append(Billed(account_id, None, _told(fault)))
        return settled, drawn

    def _is_skipped(self, found: Drawn) -> bool:
        """Whether there is no bill: of an account that is younger than the period, or of nothing."""
        if found.account.get("since_s", 0) >= self._run.period.end_s:
            return True
        is_over = found.account["state"] == TERMINATED and found.bill.has_nothing_new
        return is_over or (self._run.skips_zero and found.bill.is_zero)

    def _compute(self, person: Doc, unbilled: bills.Unbilled) -> Drawn:
        account: Any = unbilled.accounts.get(person["_id"])
        if account is None:
            raise InputError("account: there is none; expected the subscriber's: `mubss ledger check` knows")
        last = account.get("billing", {}).get("period", "")
        if last > self._run.period.label:
            raise InputError(
                f"period: {self._run.period.label}; expected one behind {last}, which is billed: void that first"
            )
        usage, postings = unbilled.usage[person["_id"]], unbilled.postings[person["_id"]]
        reckon = compute_statement if account["type"] == PREPAID else compute
        bill = reckon(account, usage, postings, self._tables, self._run.period, self._run.cycle)
        return Drawn(person, account, bill, unbilled.wanted[person["_id"]])

    def preview(self, people: Sequence[Doc]) -> list[Billed]:
        """What the bills would be; nothing is written, and nothing has a number."""
        settled, drawn = self.draw(people)
        return settled + [Billed(one.person["_id"], one.bill.doc) for one in drawn]

    def issue(self, people: Sequence[Doc], engine: Engine, now_s: int) -> list[Billed]:
        """Issues the bills of a group; StoreError where the store is away: done again, it goes on."""
        found: list[Billed] = []
        drawn: list[Drawn] = []
        waiting: Sequence[Doc] = people
        for _ in range(_TRIES):
            settled, more = self.draw(waiting)
            found += settled
            with self._numbers:
                orders = self._orders([*drawn, *more], now_s)
                engine.execute([order for _, order in orders])
            waiting, drawn = [], []
            for one, order in orders:
                if isinstance(order.error, AccountChanged | UnknownCommit) or _was_voided(order.error):
                    waiting.append(one.person)
                elif isinstance(order.error, GuardConflict) and order.error.collection == bills.COUNTERS:
                    drawn.append(one)  # it only needs another number
                else:
                    found.append(_outcome(one, order))
            if not (waiting or drawn):
                return found
        late = [*(one["_id"] for one in waiting), *(one.person["_id"] for one in drawn)]
        return found + [Billed(account_id, None, "it changes all the time; try again") for account_id in late]

    def _orders(self, drawn: Sequence[Drawn], now_s: int) -> list[tuple[Drawn, Order]]:
        """An order for each bill, with its document and the counter at its number."""
        if not drawn:
            return []
        run, today = self._run, datetime.fromtimestamp(now_s, self._tables.calendar.zone).date()
        counters: dict[str, str] = {}
        last: dict[str, int] = {}
        for series in {run.series_of(one.bill.doc["kind"]) for one in drawn}:
            counters[series] = bills.counter_id(series, str(today.year))
            last[series] = bills.last_number(self._store, counters[series])
        orders = []
        for one in drawn:
            series = run.series_of(one.bill.doc["kind"])
            number = last[series] = last[series] + 1
            doc: dict[str, Any] = {
                "_id": one.wanted.id,
                "version": 1,
                "number": f"{series}-{today.year}-{number:07}",
                "state": NEW,
                "issued_s": now_s,
                "due_day": (today + timedelta(run.due_days)).isoformat(),
                "msisdn": one.person["msisdn"],
                "language": one.person["language"],
                **customer_of(one.person),
                **one.bill.doc,
            }
            if one.wanted.attempt:
                doc["attempt"] = one.wanted.attempt
            counter = Guard(bills.COUNTERS, {"_id": counters[series], "version": number}, number - 1 or None)
            guards = [Guard(bills.BILLS, doc), counter]
            orders.append((one, Order(one.bill.command(doc["_id"]), account=one.account["_id"], guards=guards)))
        return orders


def _was_voided(error: Exception | None) -> bool:
    """Whether the bill that is there already was voided meanwhile: the next one has another id."""
    if not isinstance(error, GuardConflict) or error.collection != bills.BILLS:
        return False
    return (error.stored or {}).get("state") == VOID


def customer_of(person: Doc) -> Doc:
    """Whom a bill is addressed to, as it stands when it is issued; nothing where that isn't known."""
    known = {name: person[name] for name in ("name", "address") if person.get(name)}
    return {"customer": known} if known else {}


def _outcome(one: Drawn, order: Order) -> Billed:
    error = order.error
    account_id = one.account["_id"]
    if error is None:
        return Billed(account_id, order.guards[0].doc)
    if isinstance(error, GuardConflict):
        return Billed(account_id, error.stored, before=True)  # by another process
    if isinstance(error, StoreError):
        raise error
    return Billed(account_id, None, _told(error))


def _told(fault: Exception) -> str:
    return str(fault) if isinstance(fault, InputError) else f"{type(fault).__name__}: {fault}"
