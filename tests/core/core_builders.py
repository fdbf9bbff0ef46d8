"""Reference data, accounts and requests built by hand, without any IO: what the tests of the core stand on."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from mubss.core.calendar import OperatorCalendar
from mubss.core.identity import session_hash
from mubss.core.model import ACTIVE, Account, Action, CreditControl, RequestType, UnitRequest
from mubss.core.money import parse_amount
from mubss.core.rates import Rate
from mubss.core.tariff import ANY, Band, Currency, Plan, PlanService, Quota, Service, ServiceRule, Tables, Unit

INITIAL, UPDATE, TERMINATE, EVENT = RequestType.INITIAL, RequestType.UPDATE, RequestType.TERMINATION, RequestType.EVENT
MB = 1_000_000  # octets in a block of the demo's price
EUR = Currency("EUR", 978, 2)
BERLIN = ZoneInfo("Europe/Berlin")

DATA = Service("DATA", Unit.OCTETS, "Mobile data", Quota(10 * MB, 100 * MB, 3600))
VOICE = Service("VOICE", Unit.SECONDS, "Calls", Quota(300, 3600, 600))
SMS = Service("SMS", Unit.EVENTS, "Short messages", Quota(1, 100, 3600))
SERVICES = {service.code: service for service in (DATA, VOICE, SMS)}
RULES = (
    ServiceRule("32251", (1, 99), None, True, "DATA"),
    ServiceRule("32260", None, None, True, "VOICE"),
    ServiceRule("32274", None, None, True, "SMS"),
)

ALL_WEEK = frozenset(range(7))
PEAK = Band("peak", frozenset(range(5)), 8 * 4, 20 * 4)  # working days, 08:00 to 20:00
NIGHT = Band("night", ALL_WEEK, 0, 6 * 4)  # every day, 00:00 to 06:00

RateRow = tuple[str, str, int, int, int, int]  # zone, band, price, block, setup, minimum


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """UTC seconds."""
    return calendar.timegm((year, month, day, hour, minute, second))


NOW_S = utc(2026, 11, 16, 12)  # a Monday, 13:00 in Berlin


def flat(price_micros: int, block_units: int, setup_micros: int = 0, minimum_micros: int = 0) -> RateRow:
    """The same rate everywhere and always."""
    return ANY, ANY, price_micros, block_units, setup_micros, minimum_micros


def plan_service(service: Service, *rows: RateRow, free_units: int = 0) -> PlanService:
    """How a plan prices a service."""
    rates = {(row[0], row[1]): Rate(service.code, *row) for row in rows}
    return PlanService(service, rates, {at: rate.key for at, rate in rates.items()}, free_units, service.quota)


def plan(code: str, *services: PlanService, type: str = "prepaid", **more: Any) -> Plan:
    """A price plan in EUR."""
    return Plan(code, code, type, "EUR", {one.service.code: one for one in services}, **more)


def make_tables(
    *plans: Plan,
    bands: Sequence[Band] = (),
    prefixes: Mapping[str, str] | None = None,
    zone: Any = BERLIN,
    services: Mapping[str, Service] = SERVICES,
    networks: Mapping[str, str] | None = None,
) -> Tables:
    """One version of reference data."""
    prefixes = dict(prefixes or {})
    return Tables(
        version=1,
        calendar=OperatorCalendar(zone),
        services=services,
        plans={one.code: one for one in plans},
        bands=tuple(bands),
        prefixes=prefixes,
        longest_prefix=max(map(len, prefixes), default=0),
        networks=networks or {},
        service_rules=RULES,
        currencies={"EUR": EUR},
    )


def demo_tables() -> Tables:
    """The demo's plans: 0.02 a MB, 0.09 a minute, 0.08 an SMS; `demo-postpaid` has free units."""
    prices = {"DATA": flat(20_000, MB), "VOICE": flat(90_000, 60), "SMS": flat(80_000, 1)}
    free = {"DATA": 1_000 * MB, "VOICE": 6_000, "SMS": 50}
    return make_tables(
        plan("demo-prepaid", *(plan_service(SERVICES[code], row) for code, row in prices.items())),
        plan(
            "demo-postpaid",
            *(plan_service(SERVICES[code], row, free_units=free[code]) for code, row in prices.items()),
            type="postpaid",
            monthly_fee_micros=15_000_000,
            credit_limit_micros=100_000_000,
        ),
    )


def make_account(
    plan: str = "demo-prepaid", balance: str = "10.00", credit: str = "0", account_id: str = "acc1", state: str = ACTIVE
) -> Account:
    """An account with nothing going on."""
    balance_micros = parse_amount(balance)
    return {
        "_id": account_id,
        "version": 1,
        "type": "prepaid",
        "state": state,
        "plan": plan,
        "currency": "EUR",
        "identities": [f"e164:{account_id}"],
        "balance_micros": balance_micros,
        "credit_limit_micros": parse_amount(credit),
        "reserved_micros": 0,
        "sequence": 1 if balance_micros else 0,
        "usage_sequence": 0,
        "counters": {},
        "sessions": {},
    }


def mscc(
    rating_group: int | None = None,
    used: int | None = None,
    asks: int | None = None,
    *,
    service: str | None = "DATA",
    wants: bool = True,
    key: str | None = None,
    **more: Any,
) -> UnitRequest:
    """One MSCC as the Gy side hands it over; `asks` are its requested units."""
    if key is None:
        key = "" if rating_group is None else str(rating_group)
    return UnitRequest(key, service, rating_group, wants_grant=wants, requested_units=asks, used_units=used, **more)


def ccr(
    tables: Tables, type: RequestType, number: int, *requests: UnitRequest, session: str = "s1", **more: Any
) -> CreditControl:
    """A credit-control request."""
    return CreditControl(type, session, session_hash(session), number, ["e164:acc1"], tables, list(requests), **more)


def event(tables: Tables, *requests: UnitRequest, action: int = Action.DIRECT_DEBITING, **more: Any) -> CreditControl:
    """A one-time event, number 0 of its session unless told otherwise."""
    return ccr(tables, EVENT, more.pop("number", 0), *requests, action=action, **more)
