"""Sessions as clients run them, with the money to the micro. Prices are the demo's unless a test makes its own."""

from __future__ import annotations

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    PEAK,
    SERVICES,
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
)
from core_world import World
from mubss.core.identity import session_hash
from mubss.core.model import Movement, Result, UnitAnswer, UnitRequest
from mubss.core.money import parse_amount
from mubss.core.sessions import MAX_OPEN_SESSIONS
from mubss.core.tariff import ANY
from mubss.core.tariff import TERMINATE as FINAL

DEMO = demo_tables()
S1 = session_hash("s1")


def spent(world: World, began: str = "10.00") -> int:
    """Micros that usage took from the first account."""
    return parse_amount(began) - world.account["balance_micros"]


@pytest.mark.conforms("RFC 8506 §5.1", "first, intermediate and final interrogation of a data session")
def test_a_data_session() -> None:
    world = World(DEMO, make_account())
    first = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=5 * MB)))
    assert first.result == Result.SUCCESS
    assert first.answers == [UnitAnswer(False, 1, [], Result.SUCCESS, "octets", 5 * MB, 3600)]
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (10_000_000, 100_000)
    assert world.records[S1]["open"] and world.records[S1]["account"] == "acc1"
    assert world.records[S1]["due_s"] == NOW_S + 7200

    # 4.2 MB: five started blocks; 5 MB more are reserved from what the fifth has left.
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=4_200_000, asks=5 * MB)), now_s=NOW_S + 60)
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (9_900_000, 100_000)
    # 0.8 MB fill it: nothing to pay.
    world.ask(ccr(DEMO, UPDATE, 2, mscc(1, used=800_000, asks=5 * MB)), now_s=NOW_S + 120)
    assert world.account["balance_micros"] == 9_900_000

    last = world.ask(ccr(DEMO, TERMINATE, 3, mscc(1, used=1)), now_s=NOW_S + 180)
    assert last.answers == [UnitAnswer(False, 1, [], Result.SUCCESS, "octets", None, None)]
    assert (world.account["balance_micros"], world.account["reserved_micros"]) == (9_880_000, 0)
    assert world.account["sessions"] == {}
    assert [posting["amount_micros"] for posting in world.postings["acc1"]] == [10_000_000, -100_000, -20_000]
    assert world.postings["acc1"][2] == {
        "_id": "acc1000000000003",
        "account": "acc1",
        "sequence": 3,
        "at_ms": (NOW_S + 180) * 1000,
        "cause": {"kind": "session", "session": S1, "number": 3},
        "bucket": "main",
        "amount_micros": -20_000,
        "balance_micros": 9_880_000,
        "service": "DATA",
    }
    assert world.usage == [
        {
            "_id": "acc1000000000001",
            "account": "acc1",
            "sequence": 1,
            "source": "gy",
            "session": S1,
            "session_id": "s1",
            "peer": "",
            "plan": "demo-prepaid",
            "service": "DATA",
            "zone": "any",
            "from_s": NOW_S,
            "until_s": NOW_S + 180,
            "units": 5_000_001,
            "free_units": 0,
            "charge_micros": 120_000,
            "rates": ["DATA/any/any/20000/1000000/0/0"],
            "at_s": NOW_S + 60,  # when the first of them were reported
        }
    ]
    ended = world.records[S1]
    assert (ended["open"], ended["seen"], ended["due_s"]) == (
        False,
        [[1 << 32] * 2, [2 << 32 | 1, 2 << 32 | 2], [3 << 32 | 3] * 2],
        NOW_S + 180 + 86_400,
    )


@pytest.mark.conforms("RFC 8506 §5.1", "a call's session, to the micro")
def test_a_call_in_blocks_of_a_minute() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 1, mscc(asks=60, service="VOICE")))
    assert world.account["reserved_micros"] == 90_000
    world.ask(ccr(DEMO, UPDATE, 2, mscc(used=60, asks=60, service="VOICE")), now_s=NOW_S + 60)
    assert spent(world) == 90_000
    world.ask(ccr(DEMO, UPDATE, 3, mscc(used=1, asks=60, service="VOICE")), now_s=NOW_S + 61)
    assert spent(world) == 180_000
    world.ask(ccr(DEMO, TERMINATE, 4, mscc(used=59, service="VOICE")), now_s=NOW_S + 120)
    assert spent(world) == 180_000
    assert world.usage[0]["units"] == 120


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 119, 120, 121])
def test_a_call_that_is_reported_once(seconds: int) -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(asks=300, service="VOICE")))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(used=seconds, service="VOICE")), now_s=NOW_S + 200)
    assert spent(world) == -(-seconds // 60) * 90_000
    assert len(world.usage) == (1 if seconds else 0)


def test_quota_of_a_call_is_priced_from_where_its_usage_ends() -> None:
    """Reported at 20:00:10, the call has got to 19:59:30: the next minute is half a peak's."""
    rows = (ANY, "peak", 90_000, 60, 0, 0), (ANY, ANY, 30_000, 60, 0, 0)
    tables = make_tables(plan("calls", plan_service(VOICE, *rows)), bands=(PEAK,))
    world = World(tables, make_account("calls"))
    eight_pm = NOW_S + 7 * 3600
    world.ask(ccr(tables, INITIAL, 0, mscc(asks=60, service="VOICE")), now_s=eight_pm - 60)
    world.ask(ccr(tables, UPDATE, 1, mscc(used=60, asks=60, service="VOICE")), now_s=eight_pm)
    assert world.account["reserved_micros"] == 30_000
    world.ask(ccr(tables, INITIAL, 0, mscc(asks=60, service="VOICE"), session="s2"), now_s=eight_pm - 60)
    world.ask(ccr(tables, UPDATE, 1, mscc(used=30, asks=60, service="VOICE"), session="s2"), now_s=eight_pm - 30)
    world.ask(ccr(tables, UPDATE, 2, mscc(used=0, asks=60, service="VOICE"), session="s2"), now_s=eight_pm + 10)
    assert world.session(session_hash("s2"))["grants"][0]["rate"] == "VOICE/any/peak/90000/60/0/0"


@pytest.mark.conforms("Rule 11", "the session is kept for a top-up")
def test_out_of_credit_keeps_the_session_for_a_top_up() -> None:
    world = World(DEMO, make_account(balance="0.04"))
    first = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=2 * MB)))
    assert (first.answers[0].granted_units, first.answers[0].final) == (2 * MB, "")
    spent_all = world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=2 * MB, asks=2 * MB)))
    assert spent_all.result == Result.SUCCESS
    assert spent_all.answers == [UnitAnswer(False, 1, [], Result.CREDIT_LIMIT_REACHED, "octets", None, None)]
    assert S1 in world.account["sessions"]
    world.do(Movement("topup", 1_000_000, "voucher"))
    assert world.account["balance_micros"] == 1_000_000
    again = world.ask(ccr(DEMO, UPDATE, 2, mscc(1, asks=2 * MB)))
    assert again.answers[0].granted_units == 2 * MB


def test_a_broke_account_opens_its_session_without_a_grant() -> None:
    world = World(DEMO, make_account(balance="0"))
    outcome = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    assert (outcome.result, outcome.answers[0].result) == (Result.SUCCESS, Result.CREDIT_LIMIT_REACHED)
    assert S1 in world.account["sessions"] and world.records[S1]["open"]


@pytest.mark.conforms("RFC 8506 §5.6", "the last grant is what the balance covers")
def test_the_last_grant_is_what_the_balance_covers() -> None:
    world = World(DEMO, make_account(balance="0.05"))
    answer = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=10 * MB))).answers[0]
    assert (answer.result, answer.granted_units, answer.final, answer.validity_s) == (2001, 2 * MB, FINAL, 3600)
    assert world.available_micros == 10_000
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=500_000, asks=10 * MB)))
    assert world.session()["grants"][0]["units"] == 1_500_000  # what is left of the first block, and one more


@pytest.mark.conforms("RFC 8506 §5.1", "usage beyond a grant is charged")
def test_usage_beyond_a_grant_is_charged_and_marked() -> None:
    world = World(DEMO, make_account(balance="0.05"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=10 * MB)))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=10 * MB)))
    posting = world.postings["acc1"][-1]
    assert (posting["amount_micros"], posting["overrun_micros"]) == (-200_000, 150_000)
    assert world.account["balance_micros"] == -150_000


def test_usage_within_the_balance_is_no_overrun() -> None:
    world = World(DEMO, make_account(balance="0.05", credit="0.15"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=10 * MB)))
    assert "overrun_micros" not in world.postings["acc1"][-1]
    assert world.account["balance_micros"] == -150_000


def test_usage_that_eats_what_another_session_reserved_is_an_overrun() -> None:
    world = World(DEMO, make_account(balance="0.10"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=4 * MB)))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), session="s2"))
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=3 * MB), session="s2"))
    assert world.postings["acc1"][-1]["overrun_micros"] == 40_000  # 0.06 where 0.02 were available
    assert world.available_micros == -40_000


def test_an_overdrawn_account_owes_all_of_what_comes() -> None:
    world = World(DEMO, make_account(balance="0.01"))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB)))
    world.ask(ccr(DEMO, UPDATE, 2, mscc(1, used=MB)))
    assert [posting["overrun_micros"] for posting in world.postings["acc1"][1:]] == [10_000, 20_000]


def test_credit_is_available_too() -> None:
    world = World(DEMO, make_account(balance="0", credit="0.03"))
    assert world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=2 * MB))).answers[0].granted_units == MB


@pytest.mark.conforms("RFC 8506 §5.1.2", "Rating-Groups of one service are priced together")
def test_rating_groups_of_one_service_are_priced_together() -> None:
    world = World(DEMO, make_account())
    outcome = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=400_000), mscc(2, asks=400_000), mscc(3, asks=400_000)))
    assert [answer.rating_group for answer in outcome.answers] == [1, 2, 3]
    assert [answer.granted_units for answer in outcome.answers] == [400_000] * 3
    assert world.account["reserved_micros"] == 40_000  # 1.2 MB
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=300_000, wants=False), mscc(3, used=300_000, wants=False)))
    assert spent(world) == 20_000
    assert world.account["reserved_micros"] == 0  # 0.6 used + 0.4 of group 2 are one block
    assert [grant["key"] for grant in world.session()["grants"]] == ["2"]
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(2, used=500_000)))
    assert spent(world) == 40_000
    assert len(world.usage) == 1


def test_groups_report_for_themselves() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=3 * MB), mscc(2, asks=5 * MB)))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, wants=False)))
    grants = [(grant["key"], grant["units"]) for grant in world.session()["grants"]]
    assert grants == [("2", 5 * MB)]
    assert (spent(world), world.account["reserved_micros"]) == (20_000, 100_000)


def test_the_same_mscc_twice_reserves_twice() -> None:
    """Two grants went out, so both may be used; both end with the next report of their key."""
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=2 * MB), mscc(1, asks=2 * MB)))
    assert world.account["reserved_micros"] == 80_000
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=MB)))
    assert (spent(world), world.account["reserved_micros"]) == (20_000, 20_000)


@pytest.mark.conforms("RFC 8506 §5.1.2", "services of one session are priced apart")
def test_services_of_one_session_are_priced_apart() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), mscc(2, asks=60, service="VOICE")))
    assert world.account["reserved_micros"] == 110_000
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=1), mscc(2, used=1, service="VOICE")), now_s=NOW_S + 5)
    amounts = {posting.get("service"): posting["amount_micros"] for posting in world.postings["acc1"][1:]}
    assert amounts == {"DATA": -20_000, "VOICE": -90_000}
    world.ask(ccr(DEMO, TERMINATE, 2), now_s=NOW_S + 9)
    assert [(record["service"], record["charge_micros"]) for record in world.usage] == [
        ("DATA", 20_000),
        ("VOICE", 90_000),
    ]


@pytest.mark.conforms("RFC 8506 §5.1.2", "sessions share one balance")
def test_sessions_share_the_balance() -> None:
    world = World(DEMO, make_account(balance="0.10"))
    one = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=4 * MB)))
    two = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=4 * MB), session="s2"))
    three = world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=4 * MB), session="s3"))
    assert [(outcome.answers[0].granted_units, outcome.answers[0].final) for outcome in (one, two, three)] == [
        (4 * MB, ""),
        (MB, FINAL),
        (None, ""),
    ]
    world.ask(ccr(DEMO, TERMINATE, 1, mscc(1, used=MB)))
    assert world.ask(ccr(DEMO, UPDATE, 1, mscc(1, asks=4 * MB), session="s3")).answers[0].granted_units == MB  # half
    world.ask(ccr(DEMO, TERMINATE, 2, session="s3"))
    world.ask(ccr(DEMO, TERMINATE, 2, session="s2"))
    assert (spent(world, "0.10"), world.account["reserved_micros"]) == (20_000, 0)


FREE = make_tables(
    plan("free", plan_service(DATA, flat(20_000, MB), free_units=10 * MB), plan_service(VOICE, flat(90_000, 60)))
)


def test_free_units_go_first_and_raw() -> None:
    world = World(FREE, make_account("free", "0.02"))
    first = world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=12 * MB)))
    assert (first.answers[0].granted_units, first.answers[0].final) == (11 * MB, FINAL)
    assert world.account["reserved_micros"] == 20_000
    world.ask(ccr(FREE, UPDATE, 1, mscc(1, used=9_999_999, asks=MB)))
    assert world.account["counters"] == {"2026-11": {"DATA": 9_999_999}}
    assert spent(world, "0.02") == 0
    posting = world.postings["acc1"][-1]
    assert (posting["amount_micros"], posting["month"], posting["free_units"]) == (0, "2026-11", 9_999_999)
    world.ask(ccr(FREE, TERMINATE, 2, mscc(1, used=2)))
    assert world.account["counters"] == {"2026-11": {"DATA": 10 * MB}}
    assert spent(world, "0.02") == 20_000  # one octet of the second is not free
    assert (world.usage[0]["units"], world.usage[0]["free_units"]) == (10 * MB + 1, 10 * MB)


def test_two_sessions_share_the_free_units() -> None:
    world = World(FREE, make_account("free", "0.10"))
    world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=6 * MB)))
    world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=6 * MB), session="s2"))
    assert world.account["reserved_micros"] == 40_000  # 4 MB of the second were free
    # The first goes beyond its grant: what was promised to the second is gone, and reserved as money.
    world.ask(ccr(FREE, UPDATE, 1, mscc(1, used=9 * MB, wants=False)))
    assert (spent(world, "0.10"), world.account["reserved_micros"]) == (0, 100_000)
    # Both at once: 5 MB of the third's are covered by nothing.
    third = world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=6 * MB), session="s3"))
    assert third.answers[0].result == Result.CREDIT_LIMIT_REACHED
    world.ask(ccr(FREE, TERMINATE, 1, mscc(1, used=6 * MB), session="s2"))
    assert spent(world, "0.10") == 100_000
    assert world.account["reserved_micros"] == 0


def test_free_units_of_a_new_month_reach_open_grants() -> None:
    world = World(FREE, make_account("free"))
    world.account["counters"]["2026-11"] = {"DATA": 10 * MB}
    world.postings["acc1"].append(
        {"account": "acc1", "sequence": 2, "amount_micros": 0, "balance_micros": 10_000_000, "month": "2026-11",
         "service": "DATA", "free_units": 10 * MB}
    )  # fmt: skip
    world.account["sequence"] = 2
    before_turn = NOW_S + 14 * 86_400 + 10 * 3600  # 23:00 on 30 November in Berlin
    world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=2 * MB)), now_s=before_turn)
    assert world.account["reserved_micros"] == 40_000
    world.ask(ccr(FREE, UPDATE, 1, mscc(1, used=2 * MB, asks=2 * MB)), now_s=before_turn + 3600)
    assert (spent(world), world.account["reserved_micros"]) == (0, 0)
    assert world.account["counters"]["2026-12"] == {"DATA": 2 * MB}


@pytest.mark.conforms("RFC 8506 §9.2", "5031 for a Rating-Group that nobody sells")
@pytest.mark.parametrize("group", [0, 100])
def test_an_unknown_rating_group(group: int) -> None:
    """5031 in its MSCC, 2001 at command level; its usage isn't lost."""
    world = World(DEMO, make_account())
    unknown = mscc(group, asks=MB, service=None)
    first = world.ask(ccr(DEMO, INITIAL, 0, unknown, mscc(1, asks=MB)))
    assert first.result == Result.SUCCESS
    assert [(answer.rating_group, answer.result, answer.granted_units) for answer in first.answers] == [
        (group, Result.RATING_FAILED, None),
        (1, Result.SUCCESS, MB),
    ]
    second = world.ask(ccr(DEMO, UPDATE, 1, mscc(group, used=777, service=None)))
    assert second.answers[0].result == Result.RATING_FAILED
    assert [(entry["units"], entry["rating_group"]) for entry in world.suspense.values()] == [(777, group)]
    assert spent(world) == 0


def test_a_service_that_the_plan_does_not_have() -> None:
    world = World(FREE, make_account("free"))
    outcome = world.ask(ccr(FREE, INITIAL, 0, mscc(1, asks=1, service="SMS")))
    assert (outcome.result, outcome.answers[0].result) == (Result.SUCCESS, Result.RATING_FAILED)
    assert world.account["sessions"]


@pytest.mark.conforms("RFC 8506 §5.2.1", "units at command level")
def test_units_at_command_level() -> None:
    world = World(DEMO, make_account(balance="0.09"))
    first = world.ask(ccr(DEMO, INITIAL, 0, mscc(asks=60, service="VOICE", command_level=True)))
    assert first.answers == [UnitAnswer(True, None, [], Result.SUCCESS, "seconds", 60, 600)]
    second = world.ask(ccr(DEMO, UPDATE, 1, mscc(used=60, asks=60, service="VOICE", command_level=True)))
    assert second.result == Result.CREDIT_LIMIT_REACHED  # at command level, and the session goes on
    assert S1 in world.account["sessions"]
    last = world.ask(ccr(DEMO, TERMINATE, 2, mscc(used=0, service="VOICE", command_level=True)))
    assert (last.result, spent(world, "0.09")) == (Result.SUCCESS, 90_000)


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (mscc(asks=60, service="VOICE", command_level=True), Result.CREDIT_LIMIT_REACHED),
        (mscc(asks=60, service=None, command_level=True), Result.RATING_FAILED),
    ],
)
def test_a_session_refused_at_command_level_does_not_stay_open(request_: UnitRequest, result: Result) -> None:
    world = World(DEMO, make_account(balance="0"))
    command = ccr(DEMO, INITIAL, 0, request_)
    refused = world.ask(command)
    assert refused.result == result
    assert world.account["sessions"] == {}
    assert not world.records[S1]["open"]
    assert world.ask(command) == refused


def test_no_units_at_all() -> None:
    """Seagull's CCR-I has no MSCC; the session is open all the same."""
    world = World(DEMO, make_account())
    assert world.ask(ccr(DEMO, INITIAL, 0)).answers == []
    assert world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=MB, asks=MB))).answers[0].granted_units == MB
    assert spent(world) == 20_000


@pytest.mark.conforms("RFC 8506 §5.4", "a final interrogation is granted nothing")
def test_a_final_report_wants_no_grant() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB)))
    answer = world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=10, wants=False))).answers[0]
    assert (answer.result, answer.granted_units, answer.validity_s) == (Result.SUCCESS, None, None)
    assert world.account["reserved_micros"] == 0


@pytest.mark.conforms("Rule 12", "a first request may report")
def test_the_first_request_may_report() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, used=MB, asks=MB)))
    assert spent(world) == 20_000


def test_usage_without_a_price_here_is_kept_in_suspense() -> None:
    tables = make_tables(
        plan("abroad", plan_service(SERVICES["VOICE"], ("home", ANY, 90_000, 60, 0, 0))), prefixes={"49": "home"}
    )
    world = World(tables, make_account("abroad"))
    sold = world.ask(ccr(tables, INITIAL, 0, mscc(asks=60, service="VOICE"), called="4930123"))
    assert sold.answers[0].granted_units == 60
    other = world.ask(ccr(tables, INITIAL, 0, mscc(asks=60, service="VOICE"), called="33123", session="s2"))
    assert (other.result, other.answers[0].result) == (Result.SUCCESS, Result.RATING_FAILED)
    world.ask(ccr(tables, TERMINATE, 1, mscc(used=61, service="VOICE"), session="s2"))
    assert [(entry["reason"], entry["units"]) for entry in world.suspense.values()] == [
        ("no price in this zone and band", 61)
    ]
    world.ask(ccr(tables, UPDATE, 1, mscc(used=61, asks=60, service="VOICE"), called="33123"))
    assert spent(world) == 180_000  # the zone of a session is that of the party it began with


@pytest.mark.conforms("Rule 12", "a profile may charge sessions never seen")
def test_a_session_never_seen_may_begin_with_what_it_reports() -> None:
    world = World(DEMO, make_account())
    unknown = ccr(DEMO, UPDATE, 4, mscc(1, used=MB, asks=MB))
    assert world.ask(unknown).result == Result.UNKNOWN_SESSION_ID
    update = ccr(DEMO, UPDATE, 4, mscc(1, used=MB, asks=MB), opens_unknown=True)
    assert world.ask(update).answers[0].granted_units == MB
    world.ask(update)  # a repeat
    assert (spent(world), world.account["reserved_micros"]) == (20_000, 20_000)
    last = ccr(DEMO, TERMINATE, 9, mscc(1, used=3 * MB), session="s2", opens_unknown=True)
    assert world.ask(last).result == Result.SUCCESS
    assert world.ask(last).result == Result.SUCCESS
    assert (spent(world), list(world.account["sessions"])) == (80_000, [S1])
    again = ccr(DEMO, UPDATE, 10, mscc(1, used=MB), session="s2", opens_unknown=True)
    assert world.ask(again).result == Result.UNKNOWN_SESSION_ID, "it was seen, and has ended"
    assert spent(world) == 80_000


def test_a_call_never_seen_began_as_long_ago_as_it_lasted() -> None:
    tables = make_tables(
        plan("banded", plan_service(VOICE, (ANY, "peak", 10, 1, 0, 0), (ANY, ANY, 1, 1, 0, 0))), bands=[PEAK]
    )
    world = World(tables, make_account("banded"))
    peak_end_s = NOW_S + 7 * 3600  # 20:00 in Berlin
    call = mscc(service="VOICE", used=100)
    world.ask(ccr(tables, TERMINATE, 1, call, opens_unknown=True), now_s=peak_end_s + 40)
    assert spent(world) == 60 * 10 + 40 * 1


def test_the_last_word_of_a_session_never_seen_needs_no_room() -> None:
    world = World(DEMO, make_account())
    for number in range(MAX_OPEN_SESSIONS):
        world.ask(ccr(DEMO, INITIAL, 0, session=f"open{number}"))
    report = mscc(1, used=1)
    assert world.ask(ccr(DEMO, UPDATE, 1, report, session="u", opens_unknown=True)).result == 5006
    assert world.ask(ccr(DEMO, TERMINATE, 1, report, session="t", opens_unknown=True)).result == 2001


def test_the_quota_policy_of_a_service() -> None:
    world = World(DEMO, make_account(balance="100"))
    asked = [mscc(1), mscc(2, asks=0), mscc(3, asks=7), mscc(4, asks=10**12)]
    answers = world.ask(ccr(DEMO, INITIAL, 0, *asked)).answers
    assert [answer.granted_units for answer in answers] == [10 * MB, 10 * MB, 7, 100 * MB]


def test_facts_gather_on_the_usage_record() -> None:
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1), facts={"apn": "internet"}, peer="pgw.example"))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=1), facts={"charging_id": 5}, peer="pgw2.example"))
    world.ask(ccr(DEMO, TERMINATE, 2, peer="pgw2.example"))
    record = world.usage[0]
    assert (record["apn"], record["charging_id"], record["peer"]) == ("internet", 5, "pgw2.example")
