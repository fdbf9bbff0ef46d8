"""Bills in a world in memory: issuing, voiding, paying, as the programs do it with a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core_builders import BERLIN, SERVICES, flat, make_account, make_tables, plan, plan_service, utc
from core_world import World
from mubss.core.bill import Computed, compute
from mubss.core.bill_period import Period, period_of
from mubss.core.cdr import Cdr, CdrItem, ChargeCdrs
from mubss.core.model import Account
from mubss.core.tariff import Tables, Tax

MINUTE, DAY_S = 60, 86_400
SINCE_S = utc(2026, 9, 1)
LABELS = ("2026-11", "2026-12", "2027-01", "2027-02", "2027-03")
OCTOBER = period_of("2026-11", 3, BERLIN)  # 4 October to 3 November


def period(label: str) -> Period:
    """A period of cycle 3."""
    return period_of(label, 3, BERLIN)


def tables_of(fee: int = 30_000_000, call: int = 90_000, tax: str = "VAT", **more: Any) -> Tables:
    """Plans small and large, at one and two fees; `more` are fields of both."""
    rows = {"VOICE": flat(call, MINUTE), "SMS": flat(12_345, 1)}
    services = [replace(plan_service(SERVICES[code], row), tax=tax) for code, row in rows.items()]
    made = make_tables(
        plan("small", *services, type="postpaid", monthly_fee_micros=fee, tax=tax, **more),
        plan("large", *services, type="postpaid", monthly_fee_micros=2 * fee, tax=tax, **more),
    )
    return replace(made, taxes={"VAT": Tax("VAT", "VAT", 200_000), "CUT": Tax("CUT", "CUT", 75_000)})


def world_of(tables: Tables | None = None, since_s: int = SINCE_S) -> World:
    """A postpaid subscriber of the plan small."""
    account: Account = {**make_account("small", "0"), "type": "postpaid", "since_s": since_s}
    world = World(tables or tables_of(), account)
    world.now_s = since_s
    return world


def use(world: World, number: int, at_s: int, units: int = 60, service: str = "VOICE", now_s: int = 0) -> None:
    """A call or some messages, by a CDR."""
    counts = (units, 0, 0, 0) if service == "VOICE" else (0, 0, 0, units)
    one = Cdr(f"r{number}", service, service, "49", "", "", "", "", "", at_s, 60, *counts, 0, "", "", "", 0, False)
    world.do(ChargeCdrs("f", [CdrItem(f"k{number}", one)], True), now_s=now_s or max(world.now_s, at_s + units))


def bill(world: World, period: Period = OCTOBER) -> Computed:
    """A bill as it would be."""
    return compute(world.account, world.usage, world.postings["acc1"], world.tables, period, 3)


def issue(world: World, period: Period = OCTOBER, name: str = "") -> dict[str, Any]:
    """Issues it; its document."""
    found = bill(world, period)
    bill_id = name or f"bill {period.label}"
    world.do(found.command(bill_id), now_s=max(world.now_s, period.end_s))
    return {"_id": bill_id, **found.doc}
