"""The quota policy: how much is granted, for how long, with what advice, and what happens at the end."""

from __future__ import annotations

import pytest

from core_builders import (
    DATA,
    EVENT,
    INITIAL,
    MB,
    NOW_S,
    PEAK,
    SMS,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    demo_tables,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
    utc,
)
from core_world import World
from mubss.core.model import Movement, Result, UnitAnswer
from mubss.core.tariff import ANY, Final, FinalAction, PlanService, Quota, Service, Tables, Unit, parse_final

DEMO = demo_tables()
REDIRECT = Final(FinalAction.REDIRECT, "https://top-up.example/").key
RESTRICT = Final(FinalAction.RESTRICT, "", ("permit in ip from any to 192.0.2.1 443",), ("portal", "dns only")).key
EVENING_S = utc(2026, 11, 16, 18, 50)  # 19:50 in Berlin; peak ends at 20:00
PEAK_END_S = utc(2026, 11, 16, 19)


def sold(quota: Quota, unit: Unit = Unit.OCTETS, price: int = 20_000, block: int = MB) -> Tables:
    """Tables with one plan of one service that has this policy."""
    service = Service("DATA", unit, "", quota)
    return make_tables(plan("demo-prepaid", plan_service(service, flat(price, block))), services={"DATA": service})


def first(tables: Tables, balance: str = "10", asks: int | None = None) -> UnitAnswer:
    """The answer to the first request of an account with that balance."""
    return World(tables, make_account(balance=balance)).ask(ccr(tables, INITIAL, 0, mscc(1, asks=asks))).answers[0]


# ── what a grant says ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("TS 32.299 §7.2", "a threshold is a part of the grant")
@pytest.mark.parametrize(
    "percent, asks, threshold",
    [(0, 1_000, None), (20, 1_000, 200), (20, 4, None), (99, 1_000, 990), (1, 99, None)],
)
def test_a_threshold_is_a_part_of_the_grant(percent: int, asks: int, threshold: int | None) -> None:
    answer = first(sold(Quota(10 * MB, 100 * MB, 60, threshold_percent=percent, holding_time_s=9)), asks=asks)
    assert (answer.threshold_units, answer.holding_time_s, answer.validity_s) == (threshold, 9, 60)


def test_a_last_grant_has_no_threshold() -> None:
    answer = first(sold(Quota(10 * MB, 100 * MB, 60, threshold_percent=20)), balance="0.02")
    assert (answer.granted_units, answer.threshold_units, answer.final) == (MB, None, "terminate")


def test_a_plan_has_a_policy_of_its_own() -> None:
    service = plan_service(DATA, flat(20_000, MB))
    own = PlanService(service.service, service.rates, service.rate_keys, 0, Quota(7, 9, 11))
    tables = make_tables(plan("demo-prepaid", own), plan("other", service))
    assert first(tables)[5:7] == (7, 11)
    assert first(tables, asks=100)[5:7] == (9, 11)
    world = World(tables, make_account("other"))
    assert world.ask(ccr(tables, INITIAL, 0, mscc(1))).answers[0][5:7] == (10 * MB, 3600)


# ── the end of credit ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §5.6", "what comes after the last grant")
@pytest.mark.parametrize("final", ["terminate", REDIRECT, RESTRICT])
def test_the_last_grant_says_what_comes_then(final: str) -> None:
    answer = first(sold(Quota(10 * MB, 100 * MB, 60, final=final)), balance="0.03")
    assert (answer.result, answer.granted_units, answer.final) == (2001, MB, final)


@pytest.mark.conforms("RFC 8506 §5.6.2", "redirect and restrict at once, without a grant")
@pytest.mark.parametrize(
    "final, result, validity_s", [("terminate", 4012, None), (REDIRECT, 2001, 60), (RESTRICT, 2001, 60)]
)
def test_without_credit_the_action_is_at_once_or_there_is_none(final: str, result: int, validity_s: int | None) -> None:
    answer = first(sold(Quota(10 * MB, 100 * MB, 60, final=final)), balance="0")
    assert (answer.result, answer.granted_units, answer.validity_s) == (result, None, validity_s)
    assert answer.final == (final if result == 2001 else "")


def test_who_is_redirected_goes_on_after_a_top_up() -> None:
    tables = sold(Quota(10 * MB, 100 * MB, 60, final=REDIRECT))
    world = World(tables, make_account(balance="0.02"))
    assert world.ask(ccr(tables, INITIAL, 0, mscc(1))).answers[0].final == REDIRECT
    redirected = world.ask(ccr(tables, UPDATE, 1, mscc(1, used=MB))).answers[0]
    assert (redirected.result, redirected.granted_units, redirected.final) == (2001, None, REDIRECT)
    world.do(Movement("topup", 1_000_000))
    again = world.ask(ccr(tables, UPDATE, 2, mscc(1))).answers[0]
    assert (again.granted_units, again.final) == (10 * MB, "")


@pytest.mark.parametrize(
    "final",
    [
        Final(),
        Final(FinalAction.REDIRECT, "sip:help@example"),
        Final(FinalAction.RESTRICT, "", ("permit out ip from any to any",), ()),
        Final(FinalAction.RESTRICT, "", (), ("a b", "rule to id")),
        Final(FinalAction.REDIRECT, "https://a.example/?to=rule id", ("rule", "to me"), ("id",)),
    ],
)
def test_a_final_action_comes_back_from_its_key(final: Final) -> None:
    assert parse_final(final.key) == final


# ── sharing ────────────────────────────────────────────────────────────────────────────────────────


def units(answers: list[UnitAnswer]) -> list[tuple[int, bool]]:
    return [(answer.granted_units or 0, bool(answer.final)) for answer in answers]


@pytest.mark.conforms("RFC 8506 §5.1.2", "a balance that is too small for all is shared")
@pytest.mark.parametrize(
    "balance, asks, expected",
    [
        ("10", [4, 4], [(4, False), (4, False)]),  # enough for all
        ("0.10", [4, 4], [(2, False), (3, True)]),  # 5 MB: half of it, then what is left
        ("0.10", [1, 4], [(1, False), (4, False)]),
        ("0.06", [9, 9, 9], [(2, False), (1, True), (0, False)]),  # no less than an eighth of what was asked
        ("0.02", [4, 4], [(1, True), (0, False)]),  # too little to share
        ("0.12", [2, 2, 2, 2], [(1, False), (1, False), (2, False), (2, False)]),
    ],
)
def test_rating_groups_share_a_balance_that_is_too_small_for_all(
    balance: str, asks: list[int], expected: list[tuple[int, bool]]
) -> None:
    world = World(DEMO, make_account(balance=balance))
    requests = [mscc(group, asks=asked * MB) for group, asked in enumerate(asks, 1)]
    answers = world.ask(ccr(DEMO, INITIAL, 0, *requests)).answers
    assert [(got // MB, last) for got, last in units(answers)] == expected
    assert world.available_micros >= 0


def test_sessions_share_it_too_and_nobody_starves() -> None:
    world = World(DEMO, make_account(balance="0.16"))  # 8 MB
    granted = []
    for session in ("s1", "s2", "s3"):
        answer = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=6 * MB), session=session)).answers[0]
        granted.append((answer.granted_units or 0) // MB)
    assert granted == [6, 1, 1]
    for number in (1, 2):  # the first comes back again and again: it never gets the others' grants
        world.ask(ccr(DEMO, UPDATE, number, mscc(1, used=2 * MB, asks=6 * MB), session="s1"))
    held = {session["id"]: session["grants"][0]["units"] // MB for session in world.account["sessions"].values()}
    assert (held["s2"], held["s3"], world.available_micros >= 0) == (1, 1, True)


def test_a_request_that_wants_nothing_has_no_claim() -> None:
    world = World(DEMO, make_account(balance="0.10"))
    answers = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB), mscc(2, wants=False))).answers
    assert units(answers) == [(5 * MB, False), (0, False)]


# ── the tariff changes ─────────────────────────────────────────────────────────────────────────────

BANDED = make_tables(
    plan("banded", plan_service(DATA, (ANY, "peak", 50_000, MB, 0, 0), (ANY, ANY, 10_000, MB, 0, 0)),
         plan_service(VOICE, (ANY, "peak", 60_000, 60, 0, 0), (ANY, ANY, 6_000, 60, 0, 0)),
         plan_service(SMS, flat(80_000, 1))),
    bands=[PEAK],
)  # fmt: skip


@pytest.mark.conforms("RFC 8506 §8.20", "Tariff-Time-Change where the tariff changes within a grant")
@pytest.mark.parametrize(
    "now_s, service, change_s",
    [
        (EVENING_S, "DATA", PEAK_END_S),
        (PEAK_END_S - 3600, "DATA", None),  # the grant ends when the tariff changes, not after it
        (PEAK_END_S - 3599, "DATA", PEAK_END_S),
        (PEAK_END_S - 1, "DATA", PEAK_END_S),
        (PEAK_END_S, "DATA", None),
        (EVENING_S, "SMS", None),  # the same price in both
        (EVENING_S, "VOICE", None),  # seconds lie in time by themselves
    ],
)
def test_a_grant_says_when_the_tariff_changes(now_s: int, service: str, change_s: int | None) -> None:
    world = World(BANDED, make_account("banded"))
    answer = world.ask(ccr(BANDED, INITIAL, 0, mscc(1, service=service)), now_s=now_s).answers[0]
    assert answer.change_s == change_s
    assert answer.validity_s == BANDED.services[service].quota.validity_s


def test_who_doesnt_know_of_it_has_a_grant_that_ends_there() -> None:
    world = World(BANDED, make_account("banded"))
    answer = world.ask(ccr(BANDED, INITIAL, 0, mscc(1), knows_tariff_change=False), now_s=EVENING_S).answers[0]
    assert (answer.validity_s, answer.change_s) == (600, None)
    later = world.ask(ccr(BANDED, UPDATE, 1, mscc(1), knows_tariff_change=False), now_s=PEAK_END_S - 1).answers[0]
    assert later.validity_s == 1


@pytest.mark.conforms("RFC 8506 §8.27", "Tariff-Change-Usage: priced on both sides")
@pytest.mark.parametrize(
    "used, before, now_s, micros",
    [
        (4 * MB, 3 * MB, PEAK_END_S + 60, 160_000),  # 3 at 0.05, 1 at 0.01
        (4 * MB, 0, PEAK_END_S + 60, 40_000),  # all of it after
        (4 * MB, 4 * MB, PEAK_END_S + 60, 200_000),
        (4 * MB, 3 * MB, PEAK_END_S - 2, 160_000),  # the client's clock is ahead of ours
        (4 * MB, 0, PEAK_END_S - 2, 200_000),  # no word of before or after: as it is now
    ],
)
def test_usage_around_a_change_is_priced_on_both_sides(used: int, before: int, now_s: int, micros: int) -> None:
    world = World(BANDED, make_account("banded"))
    world.ask(ccr(BANDED, INITIAL, 0, mscc(1)), now_s=EVENING_S)
    world.ask(ccr(BANDED, UPDATE, 1, mscc(1, used=used, before_units=before)), now_s=now_s)
    assert 10_000_000 - world.account["balance_micros"] == micros


def test_units_from_before_a_change_that_nobody_announced_are_like_others() -> None:
    world = World(BANDED, make_account("banded"))
    world.ask(ccr(BANDED, INITIAL, 0, mscc(1)), now_s=PEAK_END_S)
    world.ask(ccr(BANDED, TERMINATE, 1, mscc(1, used=4 * MB, before_units=3 * MB)))
    assert 10_000_000 - world.account["balance_micros"] == 40_000


def test_free_units_of_both_months_count_around_the_turn() -> None:
    tables = make_tables(plan("free", plan_service(DATA, flat(20_000, MB), free_units=2 * MB)))
    turn_s = utc(2026, 11, 30, 23)  # midnight in Berlin
    world = World(tables, make_account("free"))
    answer = world.ask(ccr(tables, INITIAL, 0, mscc(1)), now_s=turn_s - 60).answers[0]
    assert answer.change_s == turn_s
    world.ask(ccr(tables, TERMINATE, 1, mscc(1, used=6 * MB, before_units=3 * MB)), now_s=turn_s + 60)
    assert world.account["counters"] == {"2026-11": {"DATA": 2 * MB}, "2026-12": {"DATA": 2 * MB}}
    assert 10_000_000 - world.account["balance_micros"] == 40_000


# ── credit pools ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §5.1.2", "what a unit is worth in a credit pool")
@pytest.mark.parametrize(
    "price, block, worth",
    [
        (20_000, MB, [3, 2, -2]),  # 0.02 micros an octet
        (90_000, 60, [3, 1_500, 0]),
        (1, 3, [3, 333_333_334, -9]),  # never less than it costs
        (0, 1, None),
    ],
)
def test_what_a_unit_is_worth_in_a_pool(price: int, block: int, worth: list[int] | None) -> None:
    tables = sold(Quota(MB, MB, 60, pool=3), price=price, block=block)
    world = World(tables, make_account())
    assert world.ask(ccr(tables, INITIAL, 0, mscc(1), knows_pools=True)).answers[0].pool == worth
    assert world.ask(ccr(tables, UPDATE, 1, mscc(1))).answers[0].pool is None


# ── roaming ────────────────────────────────────────────────────────────────────────────────────────

ROAMING = make_tables(
    plan("travel", plan_service(DATA, (ANY, ANY, 10_000, MB, 0, 0), ("eu", ANY, 70_000, MB, 0, 0))),
    networks={"262": "eu", "26299": "home"},
)


@pytest.mark.parametrize(
    "network, micros", [("", 10_000), ("99970", 10_000), ("26201", 70_000), ("262011", 70_000), ("26299", 10_000)]
)
def test_the_serving_network_prices_what_calls_nobody(network: str, micros: int) -> None:
    world = World(ROAMING, make_account("travel"))
    world.ask(ccr(ROAMING, INITIAL, 0, mscc(1), network=network))
    world.ask(ccr(ROAMING, TERMINATE, 1, mscc(1, used=1)))
    assert 10_000_000 - world.account["balance_micros"] == micros


def test_an_event_is_priced_like_a_session() -> None:
    tables = make_tables(
        plan("travel", plan_service(SMS, (ANY, ANY, 80_000, 1, 0, 0), ("eu", ANY, 300_000, 1, 0, 0))),
        networks={"262": "eu"},
    )
    world = World(tables, make_account("travel"))
    world.ask(ccr(tables, EVENT, 0, mscc(service="SMS", asks=1), network="26201"))
    assert [(one["zone"], one["charge_micros"]) for one in world.usage] == [("eu", 300_000)]


def test_a_session_that_moves_to_another_network_has_a_record_for_each() -> None:
    world = World(ROAMING, make_account("travel"))
    facts = {"sgsn_mcc_mnc": "99970"}
    world.ask(ccr(ROAMING, INITIAL, 0, mscc(1), network="99970", facts=facts))
    granted = world.ask(ccr(ROAMING, UPDATE, 1, mscc(1, used=2 * MB, asks=MB), network="26201")).answers[0]
    assert granted.granted_units == MB
    assert world.account["reserved_micros"] == 70_000
    world.ask(ccr(ROAMING, UPDATE, 2, mscc(1, used=MB, asks=MB), network="26201"))
    world.ask(ccr(ROAMING, TERMINATE, 3, mscc(1, used=MB), network="26201"))
    records = [(one["zone"], one["sgsn_mcc_mnc"], one["units"], one["charge_micros"]) for one in world.usage]
    assert records == [(ANY, "99970", 2 * MB, 20_000), ("eu", "26201", 2 * MB, 140_000)]


def test_a_call_keeps_the_zone_of_who_is_called() -> None:
    tables = make_tables(
        plan("travel", plan_service(VOICE, ("home", ANY, 60, 1, 0, 0), (ANY, ANY, 900, 1, 0, 0))),
        prefixes={"49": "home"},
        networks={"262": "eu"},
    )
    world = World(tables, make_account("travel"))
    facts = {"called": "4930123", "sgsn_mcc_mnc": "99970"}
    call = {"called": "4930123"}
    world.ask(ccr(tables, INITIAL, 0, mscc(service="VOICE"), network="99970", facts=facts, **call))
    world.ask(ccr(tables, UPDATE, 1, mscc(service="VOICE", used=10), network="26201", **call))
    world.ask(ccr(tables, TERMINATE, 2, mscc(service="VOICE", used=10), network="26201", **call), now_s=NOW_S + 60)
    assert [(one["zone"], one["charge_micros"]) for one in world.usage] == [("home", 1_200)]


# ── advice of charge ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("TS 32.299 §7.2", "AoC-Request-Type: cost and balance for who wants to know")
def test_a_client_that_wants_to_know_hears_cost_and_balance() -> None:
    tables = make_tables(
        plan("demo-prepaid", plan_service(DATA, flat(20_000, MB)), low_balance_micros=9_950_000),
    )
    world = World(tables, make_account())
    opened = world.ask(ccr(tables, INITIAL, 0, mscc(1), tells_balance=True))
    assert (opened.cost_micros, opened.balance_micros, opened.low_balance, opened.currency) == (
        0, 10_000_000, False, "EUR",
    )  # fmt: skip
    update = ccr(tables, UPDATE, 1, mscc(1, used=3 * MB), tells_balance=True)
    told = world.ask(update)
    assert (told.cost_micros, told.balance_micros, told.low_balance) == (60_000, 9_940_000, True)
    assert world.ask(update) == told, "a repeat says the same"
    silent = world.ask(ccr(tables, TERMINATE, 2, mscc(1, used=MB)))
    assert (silent.cost_micros, silent.balance_micros, silent.result) == (None, None, Result.SUCCESS)
