"""A session costs what its usage costs, in whatever steps and rating groups it was reported."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import (
    INITIAL,
    NOW_S,
    TERMINATE,
    UPDATE,
    ccr,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)
from core_steps import DATA, SMS, TABLES, VOICE
from core_world import World
from mubss.core.allowance import Allowance
from mubss.core.model import Account
from mubss.core.rater import rate_usage
from mubss.core.tariff import Service, Tables

SETTINGS = settings(max_examples=150)
Report = tuple[int, int]  # rating group, units


def rich(counted: int = 0, service: str = "VOICE") -> Account:
    """An account of the plan with everything, that used some of November's free units elsewhere."""
    account = make_account("rich", "100", account_id="acc1")
    if counted:
        account["counters"] = {"2026-11": {service: counted}}
        account["sequence"] = 2
    return account


def world_of(tables: Tables, account: Account) -> World:
    """The account in a world, with the posting that its counters stand for."""
    world = World(tables, account)
    for month, services in account["counters"].items():
        for service, units in services.items():
            world.postings["acc1"].append(
                {"account": "acc1", "sequence": 2, "amount_micros": 0, "balance_micros": account["balance_micros"],
                 "month": month, "service": service, "free_units": units}
            )  # fmt: skip
    return world


def run(world: World, service: Service, reports: list[Report], steps_s: list[int], ring_s: int = 0) -> int:
    """Plays a session that reports so many units after so many seconds each; what it cost in micros."""
    tables, code, before = world.tables, service.code, world.account["balance_micros"]
    world.ask(ccr(tables, INITIAL, 0, mscc(1, service=code), called="49"))
    now_s = world.now_s + ring_s
    for number, ((group, units), step_s) in enumerate(zip(reports, steps_s, strict=True), 1):
        kind = TERMINATE if number == len(reports) else UPDATE
        now_s += step_s
        world.ask(ccr(tables, kind, number, mscc(group, used=units, service=code), called="49"), now_s=now_s)
    assert world.account["reserved_micros"] == 0 and not world.account["sessions"]
    assert sum(record["units"] for record in world.usage) == sum(units for _, units in reports)
    assert sum(record["charge_micros"] for record in world.usage) == before - world.account["balance_micros"]
    return before - world.account["balance_micros"]


REPORTS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 400)), min_size=1, max_size=12)


@pytest.mark.conforms("Rule 5", "what is reported is charged in full")
@SETTINGS
@given(
    REPORTS,
    st.sampled_from([DATA, VOICE, SMS]),
    st.integers(0, 50),
    st.integers(1, 60),
    st.sampled_from([0, 17]),
    st.sampled_from([0, 333]),
    st.sampled_from([0, 0, 1, 500]),
    st.sampled_from(["0", "0.0005", "100"]),
)
def test_reported_usage_is_charged_in_full(
    reports: list[Report],
    service: Service,
    price_micros: int,
    block_units: int,
    setup_micros: int,
    minimum_micros: int,
    free_units: int,
    balance: str,
) -> None:
    """One rate: the closed form of the total, whatever the splits, groups, grants and balance."""
    row = flat(price_micros, block_units, setup_micros, minimum_micros)
    tables = make_tables(plan("one", plan_service(service, row, free_units=free_units)))
    cost = run(World(tables, make_account("one", balance)), service, reports, [60] * len(reports))
    paid = max(0, sum(units for _, units in reports) - free_units)
    blocks = (paid + block_units - 1) // block_units
    assert cost == (max(minimum_micros, setup_micros + blocks * price_micros) if paid else 0)


@pytest.mark.conforms("Rule 5", "a call in any split of updates costs the same")
@SETTINGS
@given(
    st.one_of(
        st.integers(utc(2026, 11, 29), utc(2026, 12, 2)),  # over the turn of a month
        st.integers(utc(2026, 10, 24), utc(2026, 10, 27)),  # over the end of daylight saving
        st.sampled_from([utc(2026, 11, 30, 22, 59, 59), utc(2026, 11, 16, 6, 59, 30), utc(2026, 11, 16, 19)]),
    ),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 30_000)), min_size=1, max_size=8),
    st.integers(0, 600),
    st.integers(0, 120),
)
def test_a_call_in_any_split_costs_what_one_cdr_costs(
    start_s: int, reports: list[Report], ring_s: int, counted: int
) -> None:
    """Across bands and months, free units of both months included: seconds are laid end to end."""
    if reports[0][1] == 0:
        reports = [(1, 1), *reports]  # the meter starts with the first second reported
    total = sum(units for _, units in reports)
    account = rich(counted)
    world = world_of(TABLES, account)
    world.now_s = start_s - ring_s
    cost = run(world, VOICE, reports, [units for _, units in reports], ring_s)
    used = {"2026-11": counted} if counted else {}
    cdr = rate_usage(TABLES, TABLES.plans["rich"].services["VOICE"], "home", total, start_s, {}, Allowance(used))
    assert cost == cdr.charge_micros
    drawn = {month: services["VOICE"] for month, services in world.account["counters"].items()}
    assert {month: units - used.get(month, 0) for month, units in drawn.items() if units > used.get(month, 0)} == (
        cdr.free_units
    )


@pytest.mark.conforms("Rule 5", "volume in any split costs the same")
@SETTINGS
@given(REPORTS, st.sampled_from([DATA, SMS]), st.integers(0, 80), st.data())
def test_volume_in_any_split_within_a_band_costs_the_same(
    reports: list[Report], service: Service, counted: int, data: st.DataObject
) -> None:
    """Six hours of one peak; the setup fee, the minimum and free units are there once."""
    steps_s = data.draw(st.lists(st.integers(0, 1500), min_size=len(reports), max_size=len(reports)))
    cost = run(world_of(TABLES, rich(counted, service.code)), service, reports, steps_s)
    used = {"2026-11": counted} if counted else {}
    total = sum(units for _, units in reports)
    cdr = rate_usage(TABLES, TABLES.plans["rich"].services[service.code], "home", total, NOW_S, {}, Allowance(used))
    assert cost == cdr.charge_micros


@SETTINGS
@given(REPORTS)
def test_two_sessions_pay_for_their_own_blocks_and_share_the_free_units(reports: list[Report]) -> None:
    """Reports of one session and another taken in turns."""
    tables = make_tables(plan("one", plan_service(DATA, flat(7, 10), free_units=200)))
    world = World(tables, make_account("one", "1"))
    left, paid = 200, {"s1": 0, "s2": 0}
    for session in paid:
        world.ask(ccr(tables, INITIAL, 0, mscc(1), session=session))
    for number, (group, units) in enumerate(reports, 1):
        session = "s1" if group == 1 else "s2"
        world.ask(ccr(tables, UPDATE, number, mscc(group, used=units), session=session))
        drawn = min(left, units)
        left, paid[session] = left - drawn, paid[session] + units - drawn
    assert 1_000_000 - world.account["balance_micros"] == sum((units + 9) // 10 * 7 for units in paid.values())
