"""One-time events: debit, refund, balance check, price enquiry (RFC 8506 §6)."""

from __future__ import annotations

from typing import Any

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    PEAK,
    SMS,
    VOICE,
    ccr,
    demo_tables,
    event,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.model import Action, Outcome, Result, UnitAnswer, UnitRequest
from mubss.core.tariff import ANY

DEMO = demo_tables()
S1 = session_hash("s1")
FREE = make_tables(
    plan(
        "free",
        plan_service(SMS, flat(80_000, 1), free_units=5),
        plan_service(VOICE, flat(90_000, 60), free_units=600),
        plan_service(DATA, flat(20_000, MB)),
    )
)
DEBIT, REFUND, CHECK, PRICE = (
    Action.DIRECT_DEBITING,
    Action.REFUND_ACCOUNT,
    Action.CHECK_BALANCE,
    Action.PRICE_ENQUIRY,
)


def sms(count: int | None = None, **more: Any) -> UnitRequest:
    """Short messages asked for."""
    return mscc(asks=count, service="SMS", **more)


@pytest.mark.conforms("RFC 8506 §6.3", "DIRECT_DEBITING")
def test_a_debit() -> None:
    world = World(DEMO, make_account())
    applied = world.do(event(DEMO, sms(2), number=7, end_to_end=70, peer="smsc", facts={"called": "49"}))
    answer = UnitAnswer(False, None, [], Result.SUCCESS, "events", 2)
    assert applied.outcome == Outcome(4 << 32 | 7, 70, Result.SUCCESS, [answer])
    assert world.account["balance_micros"] == 9_840_000
    assert applied.postings[0]["cause"] == {"kind": "event", "session": S1, "number": 7}
    assert applied.usage == [
        {
            "_id": "acc1000000000001",
            "account": "acc1",
            "sequence": 1,
            "source": "gy",
            "session": S1,
            "session_id": "s1",
            "peer": "smsc",
            "called": "49",
            "plan": "demo-prepaid",
            "service": "SMS",
            "zone": "any",
            "from_s": NOW_S,
            "until_s": NOW_S,
            "units": 2,
            "free_units": 0,
            "charge_micros": 160_000,
            "rates": ["SMS/any/any/80000/1/0/0"],
        }
    ]
    assert world.records[S1] == {
        "_id": S1,
        "account": "acc1",
        "open": False,
        "due_s": NOW_S + 86_400,
        "seen": [[4 << 32 | 7] * 2],
        "outcomes": [applied.outcome.to_list()],
        "services": ["SMS"],
    }
    assert world.account["sessions"] == {}


@pytest.mark.conforms("RFC 8506 §6.3", "debits with and without enough")
@pytest.mark.parametrize(
    ("balance", "requests", "result", "results", "left"),
    [
        ("0.08", [sms(1)], 2001, [2001], "0"),
        ("0.079999", [sms(1)], 4012, [4012], "0.079999"),
        ("0.08", [sms()], 2001, [2001], "0"),  # one, where nothing is said
        ("0.16", [sms(3)], 4012, [4012], "0.16"),  # all or nothing
        ("0.10", [mscc(used=2, service="SMS")], 2001, [2001], "-0.06"),  # used: charged whatever the balance
        ("0.10", [sms(1, key="a"), sms(1, key="b")], 2001, [2001, 4012], "0.02"),
        ("1", [mscc(asks=1, service=None)], 5031, [5031], "1"),
        ("1", [mscc(asks=1, service=None, key="a"), sms(1)], 2001, [5031, 2001], "0.92"),
        ("1", [mscc(asks=61, service="VOICE")], 2001, [2001], "0.82"),
        ("1", [mscc(asks=MB + 1)], 2001, [2001], "0.96"),
        ("1", [], 2001, [], "1"),
    ],
)
def test_debits(balance: str, requests: list[UnitRequest], result: int, results: list[int], left: str) -> None:
    world = World(DEMO, make_account(balance=balance))
    outcome = world.ask(event(DEMO, *requests))
    assert (outcome.result, [answer.result for answer in outcome.answers]) == (result, results)
    assert world.account["balance_micros"] == make_account(balance=left)["balance_micros"]


def test_a_debit_beyond_the_balance_is_marked() -> None:
    world = World(DEMO, make_account(balance="0.10"))
    world.ask(event(DEMO, mscc(used=2, service="SMS")))
    assert world.postings["acc1"][-1]["overrun_micros"] == 60_000


def test_a_debit_leaves_what_is_reserved() -> None:
    world = World(DEMO, make_account(balance="0.10"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=4 * MB), session="data"))
    assert world.ask(event(DEMO, sms(1))).result == Result.CREDIT_LIMIT_REACHED


def test_used_units_of_an_event_that_fails_are_kept() -> None:
    world = World(DEMO, make_account())
    outcome = world.ask(event(DEMO, mscc(used=3, service=None, key="a"), mscc(asks=1, service=None, key="b")))
    assert outcome.result == Result.RATING_FAILED
    assert [(entry["units"], entry["reason"]) for entry in world.suspense.values()] == [(3, "RATING_FAILED")]


def test_a_debit_takes_free_units_first() -> None:
    world = World(FREE, make_account("free"))
    world.ask(event(FREE, sms(3)))
    assert (world.account["balance_micros"], world.account["counters"]) == (10_000_000, {"2026-11": {"SMS": 3}})
    world.ask(event(FREE, sms(3), session="e2"))
    assert (world.account["balance_micros"], world.account["counters"]) == (9_920_000, {"2026-11": {"SMS": 5}})
    assert [(record["units"], record["free_units"]) for record in world.usage] == [(3, 3), (3, 2)]
    assert world.usage[0]["rates"] == []


def test_free_units_that_a_session_was_promised_are_then_reserved_as_money() -> None:
    world = World(FREE, make_account("free"))
    world.ask(ccr(FREE, INITIAL, 0, sms(4), session="s2"))
    assert world.account["reserved_micros"] == 0
    world.ask(event(FREE, sms(3)))
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (10_000_000, 160_000)
    world.ask(event(FREE, sms(3), session="e2", action=REFUND))
    assert world.account["reserved_micros"] == 0


def test_a_debit_of_seconds_over_the_turn_of_a_month() -> None:
    world = World(FREE, make_account("free"))
    world.ask(event(FREE, mscc(asks=1200, service="VOICE")), now_s=utc(2026, 11, 30, 22, 50))
    assert world.account["counters"] == {"2026-11": {"VOICE": 600}, "2026-12": {"VOICE": 600}}
    assert world.account["balance_micros"] == 10_000_000


@pytest.mark.parametrize("action", [DEBIT, REFUND, CHECK, PRICE])
@pytest.mark.parametrize(
    "request_",
    [sms(0), sms(None, foreign_units=("seconds", 5)), mscc(used=0, service="SMS")],
    ids=["none", "other", "used"],
)
def test_an_event_of_no_units_or_of_another_kind_is_refused(action: Action, request_: UnitRequest) -> None:
    """Only where nothing is said of units, one is meant."""
    world = World(DEMO, make_account())
    outcome = world.ask(event(DEMO, request_, action=action))
    assert outcome.result == Result.INVALID_AVP_VALUE
    assert len(world.postings["acc1"]) == 1, "the opening balance"


def test_what_an_event_used_of_another_kind_is_kept() -> None:
    world = World(DEMO, make_account())
    applied = world.do(event(DEMO, mscc(service="SMS", foreign_units=("seconds", 1 << 70))))
    [entry] = applied.suspense
    assert (entry["unit"], entry["units"], entry["reported"]) == ("seconds", (1 << 63) - 1, str(1 << 70))


@pytest.mark.conforms("RFC 8506 §6.4", "REFUND_ACCOUNT")
@pytest.mark.parametrize(
    ("sent", "refunded", "balance", "free_used"),
    [
        (0, 2, "10.16", None),
        (3, 2, "10", 1),
        (3, 4, "10.08", 0),
        (7, 2, "9.84", 3),  # free units are given back before money
        (7, 7, "10", 0),  # five free ones, and the two that were paid
    ],
)
def test_a_refund(sent: int, refunded: int, balance: str, free_used: int | None) -> None:
    world = World(FREE, make_account("free"))
    if sent:
        world.ask(event(FREE, sms(sent)))
    outcome = world.ask(event(FREE, sms(refunded), session="e2", action=REFUND))
    assert outcome.answers == [UnitAnswer(False, None, [], Result.SUCCESS, "events")]
    used = world.account["counters"].get("2026-11", {}).get("SMS")
    assert used == free_used
    assert world.account["balance_micros"] == make_account(balance=balance)["balance_micros"]
    record = world.usage[-1]
    assert (record["units"], record["free_units"]) == (-refunded, -min(refunded, sent, 5))


def test_a_refund_of_seconds_over_the_turn_of_a_month_takes_no_free_units() -> None:
    world = World(FREE, make_account("free"))
    world.ask(event(FREE, mscc(asks=1200, service="VOICE"), action=REFUND), now_s=utc(2026, 11, 30, 22, 50))
    assert world.account["balance_micros"] == 10_000_000 + 20 * 90_000
    assert world.account["counters"] == {}


def test_a_refund_mirrors_a_debit() -> None:
    world = World(DEMO, make_account())
    world.ask(event(DEMO, mscc(asks=90, service="VOICE")))
    world.ask(event(DEMO, mscc(asks=90, service="VOICE"), session="e2", action=REFUND))
    assert world.account["balance_micros"] == 10_000_000
    assert [posting["cause"]["kind"] for posting in world.postings["acc1"]] == ["opening", "event", "refund"]
    assert sum(record["charge_micros"] for record in world.usage) == 0


@pytest.mark.conforms("RFC 8506 §6.2", "CHECK_BALANCE")
@pytest.mark.parametrize(
    ("balance", "request_", "enough"),
    [
        ("0.08", sms(1), 0),
        ("0.07", sms(1), 1),
        ("0.07", sms(), 1),
        ("0.09", mscc(asks=60, service="VOICE"), 0),
        ("0.09", mscc(asks=61, service="VOICE"), 1),
        ("1", sms(money_micros=1_000_000), 0),
        ("1", sms(money_micros=1_000_001), 1),
    ],
)
def test_a_balance_check(balance: str, request_: UnitRequest, enough: int) -> None:
    world = World(DEMO, make_account(balance=balance))
    applied = world.do(event(DEMO, request_, action=CHECK, end_to_end=3))
    assert applied.outcome == Outcome(4 << 32, 3, Result.SUCCESS, [], None, "EUR", enough)
    assert applied.account is None and not applied.records


def test_a_balance_check_agrees_with_the_debit() -> None:
    """An overdrawn account still has its free units."""
    for balance, credit, count in [("-1", "0", 5), ("-1", "0", 6), ("-1", "2", 6), ("0.08", "0", 6), ("0.08", "0", 7)]:
        world = World(FREE, make_account("free", balance, credit))
        check = world.ask(event(FREE, sms(count), action=CHECK)).check_balance
        debit = world.ask(event(FREE, sms(count))).result
        assert (check == 0) == (debit == Result.SUCCESS), (balance, credit, count)


@pytest.mark.conforms("RFC 8506 §6.1", "PRICE_ENQUIRY")
@pytest.mark.parametrize(
    ("requests", "cost"),
    [
        ([sms(1)], 80_000),
        ([sms(3)], 240_000),
        ([mscc(asks=61, service="VOICE")], 180_000),
        ([sms(2, key="a"), mscc(asks=MB)], 180_000),
        ([sms(money_micros=5, key="a"), sms(1)], 80_005),
        ([], 0),
    ],
)
def test_a_price_enquiry(requests: list[UnitRequest], cost: int) -> None:
    world = World(DEMO, make_account())
    applied = world.do(event(DEMO, *requests, action=PRICE))
    assert applied.outcome == Outcome(4 << 32, 0, Result.SUCCESS, [], cost, "EUR")
    assert applied.account is None


@pytest.mark.conforms("RFC 8506 §6.1", "a price told is the price taken")
def test_a_price_enquiry_says_what_the_debit_then_costs() -> None:
    world = World(FREE, make_account("free"))
    requests = [sms(4, key="a"), sms(4, key="b"), mscc(asks=700, service="VOICE", key="c")]
    cost = world.ask(event(FREE, *requests, action=PRICE)).cost_micros
    world.ask(event(FREE, *requests))
    assert cost == 10_000_000 - world.account["balance_micros"] == 3 * 80_000 + 2 * 90_000


@pytest.mark.parametrize("action", [PRICE, CHECK])
def test_an_enquiry_for_what_nobody_sells(action: Action) -> None:
    world = World(DEMO, make_account())
    assert world.ask(event(DEMO, mscc(asks=1, service=None), action=action)).result == Result.RATING_FAILED


@pytest.mark.conforms("RFC 8506 §8.22", "amounts of CC-Money, in the account's currency alone")
@pytest.mark.parametrize(
    ("action", "micros", "currency", "result", "balance"),
    [
        (DEBIT, 1_500_000, 978, 2001, "8.50"),
        (DEBIT, 1_500_000, None, 2001, "8.50"),
        (DEBIT, 10_000_000, None, 2001, "0"),
        (DEBIT, 10_000_001, None, 4012, "10"),
        (DEBIT, 1, 840, 5004, "10"),
        (REFUND, 1_500_000, 978, 2001, "11.50"),
        (REFUND, 1, 840, 5004, "10"),
        (CHECK, 1, 840, 5004, "10"),
        (PRICE, 1, 840, 5004, "10"),
    ],
)
def test_money(action: Action, micros: int, currency: int | None, result: int, balance: str) -> None:
    world = World(DEMO, make_account())
    outcome = world.ask(event(DEMO, sms(money_micros=micros, currency=currency), action=action))
    assert outcome.result == result
    assert world.account["balance_micros"] == make_account(balance=balance)["balance_micros"]
    if action in (DEBIT, REFUND) and result == Result.SUCCESS:
        assert (world.usage[0]["units"], world.usage[0]["charge_micros"]) == (0, 10_000_000 - world.available_micros)


BANDS = make_tables(
    plan(
        "zones",
        plan_service(SMS, ("home", "peak", 10, 1, 0, 0), ("home", ANY, 5, 1, 0, 0), (ANY, ANY, 100, 1, 7, 500)),
        plan_service(VOICE, ("home", ANY, 5, 1, 0, 0)),
    ),
    bands=(PEAK,),
    prefixes={"49": "home"},
)


@pytest.mark.parametrize(
    ("called", "at_s", "count", "cost"),
    [
        ("4930", NOW_S, 3, 30),
        ("4930", NOW_S + 8 * 3600, 3, 15),
        ("3312", NOW_S, 3, 500),
        ("3312", NOW_S, 5, 507),
        ("", NOW_S, 5, 507),
    ],
)
def test_zones_bands_setup_and_minimum(called: str, at_s: int, count: int, cost: int) -> None:
    world = World(BANDS, make_account("zones"))
    command = event(BANDS, sms(count), called=called)
    priced = world.ask(event(BANDS, sms(count), called=called, action=PRICE), now_s=at_s)
    assert priced.cost_micros == cost
    world.ask(command)
    assert 10_000_000 - world.account["balance_micros"] == cost
    assert world.usage[0]["zone"] == ("home" if called.startswith("49") else ANY)


@pytest.mark.parametrize("action", list(Action))
def test_a_zone_that_is_not_sold(action: Action) -> None:
    world = World(BANDS, make_account("zones"))
    asked = mscc(asks=1, service="VOICE")
    assert world.ask(event(BANDS, asked, called="33", action=action)).result == Result.RATING_FAILED
