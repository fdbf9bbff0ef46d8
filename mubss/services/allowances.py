"""What an account has besides money: free units of the month."""

from __future__ import annotations

from typing import NamedTuple

from mubss.core.allowance import rolled_units
from mubss.core.model import Account
from mubss.core.next_plan import plan_at
from mubss.core.tariff import Tables


class FreeUnits(NamedTuple):
    """Free units of a service in a month, with those that rolled over."""

    unit: str
    units: int
    left_units: int


def free_units(tables: Tables, account: Account, now_s: int) -> dict[str, FreeUnits]:
    """Service → its free units of this month, of services that have some."""
    plan = tables.plan_at(plan_at(account, now_s), now_s)
    month = tables.calendar.at(now_s).month
    since_month = tables.calendar.at(account.get("since_s", 0)).month
    found = {}
    for code, one in plan.services.items() if plan else ():
        if one.free_units:
            of_service = {known: counters.get(code, 0) for known, counters in account["counters"].items()}
            units = one.free_units + rolled_units(one, month, of_service, since_month)
            found[code] = FreeUnits(one.service.unit.value, units, max(0, units - of_service.get(month, 0)))
    return found
