"""What a bill's document says beside the bill's own figures: names, and units that are left.

They change with time, so they are kept in the bill when it is first rendered: rendered again it says the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from mubss.core.allowance import rolled_units
from mubss.core.next_plan import plan_at
from mubss.core.tariff import Tables

Doc = Mapping[str, Any]


def facts_of(
    bill: Doc,
    account: Doc | None,
    usage: Iterable[Doc],
    postings: Iterable[Doc],
    tables: Tables,
    members: Mapping[str, str],
    now_s: int,
) -> dict[str, Any]:
    """Names by code, and what the account has left of units that cost nothing; `members` are MSISDNs by subscriber."""
    lines = bill["lines"]
    plan_codes = {bill["plan"], *(line["code"] for line in lines if line["kind"] == "fee")} - {""}
    service_codes = {line["code"] for line in lines if line["kind"] == "usage"}
    service_codes |= {one["service"] for one in usage} | {one["service"] for one in postings if one.get("service")}
    bundle_codes = {line["code"] for line in lines if line["kind"] == "bundle"}
    bundle_codes |= {one["cause"]["bundle"] for one in postings if one["cause"].get("bundle")}
    left = _left(account, tables, now_s) if account is not None else []
    bundle_codes |= {row["code"] for row in left if row["kind"] == "bundle"}
    service_codes |= {code for row in left for code in row["services"]}
    plans = {code: plan.name or code for code in plan_codes if (plan := _plan(tables, code, bill)) is not None}
    services = {
        code: [service.name or code, service.unit.value]
        for code in service_codes
        if (service := tables.services.get(code)) is not None
    }
    bundles = {code: one.name or code for code in bundle_codes if (one := tables.bundles.get(code)) is not None}
    off = tables.bill_discounts
    discounts = {line["code"]: off[line["code"]].name for line in lines if line.get("code") in off}
    found: dict[str, Any] = {"plans": plans, "services": services, "bundles": bundles, "discounts": discounts}
    found |= {"left": left, "at_s": now_s}
    if members:
        found["members"] = dict(members)
    return found


def _plan(tables: Tables, code: str, bill: Doc) -> Any:
    return tables.plan_at(code, bill["issued_s"]) or tables.plans.get(code)


def _left(account: Doc, tables: Tables, now_s: int) -> list[dict[str, Any]]:
    """The month's free units, then bundles that aren't over; what isn't left at all of a bundle is none."""
    found: list[dict[str, Any]] = []
    plan = tables.plan_at(plan_at(account, now_s), now_s)
    month = tables.calendar.at(now_s).month
    counters = account["counters"]
    for code in sorted(plan.services) if plan is not None else ():
        sold = plan.services[code].at(now_s) if plan is not None else None
        if sold is None or not sold.free_units:
            continue
        used = {name: services.get(code, 0) for name, services in counters.items()}
        whole = sold.free_units
        if sold.rollover_units:
            whole += rolled_units(sold, month, used, tables.calendar.at(account.get("since_s", 0)).month)
        left = max(0, whole - used.get(month, 0))
        row = {"kind": "free", "code": code, "services": [code], "left": left, "units": whole}
        found.append({**row, "until_day": _last_day(month).isoformat()})
    for bucket in account.get("buckets", ()):
        if bucket["until_s"] > now_s and bucket["left"] > 0:
            day = tables.calendar.at(bucket["until_s"] - 1).day
            row = {"kind": "bundle", "code": bucket["id"].rpartition(":")[0], "services": list(bucket["services"])}
            found.append({**row, "left": bucket["left"], "units": bucket["units"], "until_day": day})
    return found


def _last_day(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(1)
