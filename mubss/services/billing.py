"""A bill run: every account of a cycle gets one bill for a period, once, whatever is killed when.

    find      the cycle's subscribers, TOGETHER at a time
    draw      their bills, from what no bill has                        nothing is locked
    issue     in a transaction: accounts, bills and the counter of numbers, last

Groups may be under way side by side (`spread`), and in several processes (`Share`); a run that is broken off goes on
where it was, since what has its bill keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

from mubss.charging.engine import Engine
from mubss.core.bill_period import Period, last_closed, period_of
from mubss.core.errors import InputError
from mubss.core.tariff import Tables
from mubss.services.bill_group import Billed, Issuer, Run
from mubss.storage import subscribers
from mubss.storage.database import Doc, Store

TOGETHER = 64  # bills in a transaction
_PAGE = 512
Spread = Callable[[Callable[[list[Doc]], list[Billed]], Iterable[list[Doc]]], Iterable[list[Billed]]]


@dataclass(frozen=True, slots=True)
class Share:
    """One of several parts of a cycle, by a hash of the account: each process of a run has another."""

    index: int = 0
    of: int = 1

    def has(self, account_id: str) -> bool:
        """Whether an account is in it."""
        return self.of == 1 or crc32(account_id.encode()) % self.of == self.index


WHOLE = Share()


def period_for(tables: Tables, cycle: int, label: str, now_s: int) -> Period:
    """A cycle's period by its label, or the last that is over; InputError for a cycle that there isn't."""
    known = tables.bill_cycles.get(cycle)
    if known is None:
        cycles = ", ".join(map(str, sorted(tables.bill_cycles))) or "none: none is loaded"
        raise InputError(f"cycle: {cycle}; expected one of {cycles}")
    zone = tables.calendar.zone
    return period_of(label, known.closing_day, zone) if label else last_closed(known.closing_day, now_s, zone)


def check_over(period: Period, now_s: int) -> None:
    """InputError for a period that isn't over."""
    if period.end_s > now_s:
        raise InputError(f"period: {period.label} isn't over yet; expected one that is")


def bill_run(
    store: Store,
    engine: Engine,
    tables: Tables,
    run: Run,
    now_s: int,
    is_stopping: Callable[[], bool] = lambda: False,
    spread: Spread = map,
    share: Share = WHOLE,
) -> Iterator[Billed]:
    """Issues the bills of a cycle; yields what came of each account. StoreError ends it: done again, it goes on.

    `spread` calls a function for each group, as `map` does, or for several at once. What is begun when `is_stopping`
    says so is finished.
    """
    check_over(run.period, now_s)
    issuer = Issuer(store, tables, run)
    groups = _groups(store, run, share, is_stopping)
    for billed in spread(lambda people: issuer.issue(people, engine, now_s), groups):
        yield from billed


def preview(store: Store, tables: Tables, run: Run) -> Iterator[Billed]:
    """What the bills would be; nothing is written, and nothing has a number."""
    issuer = Issuer(store, tables, run)
    for people in _groups(store, run, WHOLE, lambda: False):
        yield from issuer.preview(people)


def bill_one(store: Store, engine: Engine | None, tables: Tables, run: Run, subscriber_id: str, now_s: int) -> Billed:
    """Issues one subscriber's bill; without an engine, what it would be."""
    check_over(run.period, now_s)
    person = subscribers.get(store, subscriber_id)
    if person is None:
        raise InputError(f"subscriber: {subscriber_id[:40]!r}; expected the id of one")
    if person["type"] not in run.types:
        raise InputError(f"subscriber: {subscriber_id} is {person['type']}; expected {' or '.join(run.types)}")
    issuer = Issuer(store, tables, run)
    [billed] = issuer.preview([person]) if engine is None else issuer.issue([person], engine, now_s)
    return billed


def count(store: Store, run: Run) -> int:
    """How many bills a run has to see to."""
    return sum(map(len, _pages(store, run)))


def _groups(store: Store, run: Run, share: Share, is_stopping: Callable[[], bool]) -> Iterator[list[Doc]]:
    waiting: list[Doc] = []
    for people in _pages(store, run):
        waiting += [one for one in people if share.has(one["_id"])]
        while len(waiting) >= TOGETHER:
            if is_stopping():
                return
            yield waiting[:TOGETHER]
            del waiting[:TOGETHER]
    if waiting and not is_stopping():
        yield waiting


def _pages(store: Store, run: Run) -> Iterator[list[Doc]]:
    """The cycle's subscribers that have an account of their own; those on another's are on its bill."""
    types = run.types
    after = ""
    while page := subscribers.find(store, {"bill_cycle": run.cycle}, after=after, limit=_PAGE):
        after = page[-1]["_id"]
        yield [one for one in page if one["type"] in types and one["_id"] == one["account"]]
