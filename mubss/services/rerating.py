"""Re-rating a range of stored usage: what each subscriber would have paid, and the corrections that make it so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.corrections import Rerate
from mubss.core.errors import InputError
from mubss.core.model import Account
from mubss.core.rerating import PlanOf, Repriced, UsageChanged, plans, reprice
from mubss.core.tariff import Tables
from mubss.services import lifecycle
from mubss.storage import archives, subscribers
from mubss.storage.database import Store, StoreUnavailable, UnknownCommit

_TRIES = 10  # against usage that comes meanwhile


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which usage is priced again, and by what: usage that begins within [from_s, until_s), UTC seconds."""

    from_s: int
    until_s: int
    plan: str = ""  # only usage of this plan; "" of every one
    by: str = ""  # code of the plan, or CODE@DAY of its version, that prices it; "" its own plan, as it is now
    subscriber: str = ""  # only this one's


class Rerated(NamedTuple):
    """What came of one account's usage; `fault` says why nothing was written where something should have been."""

    account: Account
    repriced: Repriced
    fault: str = ""


def check(tables: Tables, wanted: Wanted) -> None:
    """InputError for a range or a plan that there isn't."""
    if wanted.from_s >= wanted.until_s:
        raise InputError("to: not behind from; expected a later time")
    known = ", ".join(sorted(tables.plans)) or "none"
    for name, code in (("plan", wanted.plan), ("by", wanted.by.partition("@")[0])):
        if code and code not in tables.plans:
            raise InputError(f"{name}: {code[:40]!r}; expected one of {known}")
    code, _, day = wanted.by.partition("@")
    days = [tables.calendar.at(one.valid_from_s).day for one in tables.versions.get(code, ())]
    if day and day not in days:
        there = ", ".join(f"{code}@{one}" for one in days) or f"{code}: it has one version"
        raise InputError(f"by: {wanted.by[:60]!r}; expected one of {there}")


def rerate(
    store: Store, tables: Tables, wanted: Wanted, engine: Engine | None = None, run: str = ""
) -> Iterator[Rerated]:
    """Goes through the accounts, and yields those that have such usage; without an engine nothing is written.

    Each account is corrected in a transaction of its own: a re-rating that was cut off is simply done again.
    """
    check(tables, wanted)
    plan_of = plans(tables, wanted.by)
    for account in _accounts(store, wanted):
        if account["usage_sequence"]:
            found = _one(store, tables, wanted, plan_of, account, engine, run)
            if found.repriced.records or found.repriced.kept:
                yield found


def _accounts(store: Store, wanted: Wanted) -> Iterator[Account]:
    if wanted.subscriber:
        yield lifecycle.find_account(store, lifecycle.find_subscriber(store, wanted.subscriber))
    else:
        yield from (cast(Account, account) for account in subscribers.all_accounts(store))


def _one(
    store: Store, tables: Tables, wanted: Wanted, plan_of: PlanOf, account: Account, engine: Engine | None, run: str
) -> Rerated:
    for _ in range(_TRIES):
        usage = subscribers.usage(store, account["_id"])
        _check_archived(store, wanted)  # behind the reading: from before its documents leave the store it is noted
        repriced = reprice(account, usage, tables, plan_of, wanted.from_s, wanted.until_s, wanted.plan)
        fault = _currency_fault(tables, wanted, account) if repriced.corrections else ""
        sequence = usage[-1]["sequence"] if usage else 0
        if engine is None or not repriced.corrections or fault:
            return Rerated(account, repriced, fault)
        if sequence == account["usage_sequence"]:
            [order] = engine.execute([Order(Rerate(run, sequence, repriced.corrections), account=account["_id"])])
            if order.error is None:
                return Rerated(order.account_after or account, repriced)
            if isinstance(order.error, StoreUnavailable):
                raise order.error
            if not isinstance(order.error, UsageChanged | UnknownCommit):
                return Rerated(account, repriced, str(order.error))
        account = cast(Account, subscribers.get_account(store, account["_id"]))  # it has more usage now
    return Rerated(account, repriced, "its usage changes all the time; try again")


def _check_archived(store: Store, wanted: Wanted) -> None:
    """InputError where usage of the range may be in the archive: what is left of it isn't all."""
    end_s = archives.ends(store)[subscribers.USAGE]
    if wanted.from_s < end_s:
        end = datetime.fromtimestamp(end_s, UTC)
        raise InputError(
            f"from: {wanted.from_s}; expected {end_s} ({end:%Y-%m-%d %H:%M}Z) or later: usage before it is archived"
        )


def _currency_fault(tables: Tables, wanted: Wanted, account: Account) -> str:
    if not wanted.by:
        return ""
    plan = tables.plans[wanted.by.partition("@")[0]]
    if plan.currency == account["currency"]:
        return ""
    return f"currency: {account['currency']}; expected {plan.currency}, that of {plan.code}"
