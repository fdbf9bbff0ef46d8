"""Random tariffs with everything that a rate and a plan may have, built of documents as a store keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st

from core_builders import BERLIN, make_account, make_tables
from core_world import World
from mubss.core.model import Account
from mubss.core.tariff import ANY, HOLIDAY, Band, Bundle, Quota, Service, Tables, Unit
from mubss.refdata.plan_build import build_plans

OCTETS = Service("DATA", Unit.OCTETS, "", Quota(300, 900, 3600))
SECONDS = Service("VOICE", Unit.SECONDS, "", Quota(300, 900, 3600))
EVENTS = Service("SMS", Unit.EVENTS, "", Quota(300, 900, 3600))
SERVICES = {one.code: one for one in (OCTETS, SECONDS, EVENTS)}
DAY_S = 86_400
SPECIAL = Band("special", frozenset([5, 6, HOLIDAY]), 0, 96)
Counted = dict[str, int]  # units by month


class Tariff(NamedTuple):
    """A plan "one" for one service, and bundles of it."""

    service: Service
    tables: Tables


def _tiers(steps: Sequence[tuple[int, int]]) -> list[dict[str, int]]:
    found, after = [], 0
    for length, price in steps:
        after += length
        found.append({"after_units": after, "price_micros": price})
    return found


def _row(
    band: str, price: int, block: int, setup: int, minimum: int, above_micros: int, increments: Sequence[int],
    tiers_by: str, steps: Sequence[tuple[int, int]],
) -> dict[str, Any]:  # fmt: skip
    row: dict[str, Any] = {
        "service": "", "zone": ANY, "band": band, "price_micros": price, "block_units": block,
        "setup_micros": setup, "minimum_micros": minimum,
    }  # fmt: skip
    if above_micros:
        row["maximum_micros"] = minimum + above_micros
    if increments:
        row["increments"] = list(increments)
    if tiers_by and steps:
        row |= {"tiers_by": tiers_by, "tiers": _tiers(steps)}
    return row


def _rows(band: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        _row,
        st.just(band),
        st.integers(0, 500),
        st.sampled_from([1, 7, 60]),
        st.sampled_from([0, 0, 70]),
        st.sampled_from([0, 0, 300]),
        st.sampled_from([0, 0, 900, 5_000]),
        st.sampled_from([(), (60, 1), (30, 6), (1, 1)]),
        st.sampled_from(["", "session", "volume", "month"]),
        st.lists(st.tuples(st.integers(1, 400), st.integers(0, 500)), max_size=3),
    )


_DISCOUNTS = st.lists(
    st.builds(
        lambda zone, after, ppm: {"zone": zone, "after_units": after, "ppm": ppm},
        st.sampled_from([ANY, "home"]),
        st.sampled_from([0, 0, 100, 450]),
        st.sampled_from([50_000, 333_333, 1_000_000]),
    ),
    max_size=2,
)
_BUNDLES = st.lists(
    st.builds(
        lambda zones, units, validity_s, priority: Bundle("", "", "EUR", 10, (), zones, units, validity_s, priority),
        st.sampled_from([(), (), ("home",), ("far",)]),
        st.integers(1, 900),
        st.sampled_from([DAY_S, 3 * DAY_S, 0]),
        st.sampled_from([1, 2]),
    ),
    max_size=3,
)


def _tariff(
    service: Service, rows: list[dict[str, Any]], free: int, rolls: int, discounts: list[dict[str, Any]],
    bundles: list[Bundle], holidays: frozenset[str],
) -> Tariff:  # fmt: skip
    code = service.code
    doc = {
        "_id": "one", "name": "", "type": "prepaid", "currency": "EUR", "monthly_fee_micros": 0, "tax": "",
        "credit_limit_micros": 0, "free_units": {code: free} if free else {},
        "rates": [{**row, "service": code} for row in rows],
        "rollover_units": {code: rolls} if free and rolls else {},
        "discounts": [{**one, "service": code} for one in discounts],
    }  # fmt: skip
    named = [replace(one, code=f"B{number}", services=(code,)) for number, one in enumerate(bundles)]
    tables = make_tables(
        *build_plans({"one": doc}, SERVICES, BERLIN).plans.values(),
        bands=[SPECIAL],
        prefixes={"49": "home"},
        services=SERVICES,
    )
    return Tariff(service, replace(tables, holidays=holidays, bundles={one.code: one for one in named}))


def tariffs(*services: Service) -> st.SearchStrategy[Tariff]:
    """Tariffs of one of the services, with a price on working days and, perhaps, another on special ones."""
    rows = st.tuples(_rows(ANY), st.none() | _rows(SPECIAL.code)).map(lambda pair: [row for row in pair if row])
    return st.builds(
        _tariff,
        st.sampled_from(services),
        rows,
        st.sampled_from([0, 0, 200, 1_000]),
        st.sampled_from([0, 300]),
        _DISCOUNTS,
        _BUNDLES,
        st.sampled_from([frozenset[str](), frozenset(["2026-11-16"]), frozenset(["12-01"])]),
    )


def a_world(tariff: Tariff, now_s: int, free_used: Counted, paid_used: Counted, since_s: int) -> World:
    """An account of the plan that used units before, and has bought every bundle there is."""
    code = tariff.service.code
    account: Account = make_account("one", "1000000")
    account["since_s"] = since_s
    account["counters"] = {month: {code: units} for month, units in free_used.items()}
    if paid_used:
        account["paid"] = {month: {code: units} for month, units in paid_used.items()}
    drawn = [{"month": month, "free_units": units} for month, units in free_used.items()]
    drawn += [{"month": month, "paid_units": units} for month, units in paid_used.items()]
    account["sequence"] += len(drawn)
    world = World(tariff.tables, account)
    world.now_s = now_s
    for sequence, fields in enumerate(drawn, 2):
        world.postings["acc1"].append(
            {"account": "acc1", "sequence": sequence, "amount_micros": 0, "service": code,
             "balance_micros": account["balance_micros"], **fields}
        )  # fmt: skip
    return world
