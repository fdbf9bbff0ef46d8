"""Nothing hangs on the order of a document's keys: MySQL's JSON sorts them, whatever order they came in."""

from __future__ import annotations

from core_builders import (
    DATA,
    INITIAL,
    NOW_S,
    PEAK,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.tariff import ANY

TABLES = make_tables(
    plan("calls", plan_service(VOICE, ("any", "peak", 100_000, 60, 9_000_000, 0), (ANY, ANY, 10_000, 60, 1_000, 0))),
    bands=(PEAK,),
)


def test_the_setup_fee_stays_that_of_the_first_rate_used() -> None:
    """A call that begins in the peak and goes on after it: `any` sorts before `peak`."""
    world = World(TABLES, make_account("calls", "100"))
    before_eight = NOW_S + 7 * 3600 - 60  # 19:59 in Berlin
    world.ask(ccr(TABLES, INITIAL, 0, mscc(asks=60, service="VOICE")), now_s=before_eight)
    world.ask(ccr(TABLES, UPDATE, 1, mscc(used=60, asks=60, service="VOICE")), now_s=before_eight + 60)
    world.ask(ccr(TABLES, UPDATE, 2, mscc(used=60, asks=60, service="VOICE")), now_s=before_eight + 120)
    world.ask(ccr(TABLES, TERMINATE, 3, mscc(used=60, service="VOICE")), now_s=before_eight + 180)
    assert 100_000_000 - world.account["balance_micros"] == 9_000_000 + 100_000 + 2 * 10_000


def test_free_units_that_are_gone_are_missed_by_the_same_session_in_any_store() -> None:
    """10 of 20 promised free units are left: which session gets them decides how many blocks are reserved."""
    tables = make_tables(plan("free", plan_service(DATA, flat(1, 10), free_units=100)))
    first, second = sorted(("s1", "s2"), key=session_hash, reverse=True)
    reserved = []
    for through_json in (True, False):
        world = World(tables, make_account("free"), through_json=through_json)
        world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=5), session=first))
        world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=15), session=second))
        world.ask(ccr(tables, INITIAL, 0, mscc(1, asks=1), session="s3"))
        world.ask(ccr(tables, UPDATE, 1, mscc(1, used=90, wants=False), session="s3"))
        reserved.append(world.account["reserved_micros"])
    assert reserved == [2, 2]  # 10 free and 5 to pay, and 5 to pay; the other way round it were one block
