"""Postpaid subscribers of a cycle in a real store, billed for two periods."""

from __future__ import annotations

from typing import Any

from charging_world import World
from core_builders import BERLIN
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.bill_period import Period, period_of
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run
from mubss.storage.bills import by_number
from mubss.storage.database import How, Write

CYCLE = 3
FIRST = period_of("2026-11", 3, BERLIN)
SECOND = period_of("2026-12", 3, BERLIN)


def people(world: World, count: int, type: str = "postpaid") -> list[str]:
    """So many subscribers of the cycle."""
    first = len(world.all("accounts"))
    new = [
        NewAccount(
            type,
            f"demo-{type}",
            "EUR",
            (f"e164:{4900000 + number}",),
            0,
            0,
            {"msisdn": str(4900000 + number), "language": "en", "bill_cycle": CYCLE},
        )
        for number in range(first, first + count)
    ]
    return open_accounts(world.store, new, (FIRST.start_s - 100) * 1000)


def run(world: World, period: Period = FIRST) -> dict[str, dict[str, Any]]:
    """A bill run just behind a period; the bill of each account."""
    now_s = period.end_s + 3_600
    world.clock.now_ms = max(world.clock.now_ms, now_s * 1000)
    found = list(bill_run(world.store, world.engine(), world.tables, Run(CYCLE, period), now_s))
    assert not any(one.fault for one in found)
    return {one.account: one.bill for one in found if one.bill is not None}


def bill(world: World, number: str) -> dict[str, Any]:
    """A bill as it stands."""
    found = by_number(world.store, number)
    assert found is not None
    return found


def format_all(world: World) -> None:
    """What the formatting of bills does to those that nobody has yet."""
    fresh = [one for one in world.all("bills") if one["state"] == "BILL_STATUS_NEW"]
    put(world, [{**one, "state": "BILL_STATUS_UNPAID", "version": one["version"] + 1} for one in fresh])


def put(world: World, docs: list[dict[str, Any]], collection: str = "bills") -> None:
    """Writes documents past everything."""

    def work(session: Any) -> None:
        session.begin([])
        session.finish([Write(collection, docs, How.PUT)])

    world.store.run(work)
