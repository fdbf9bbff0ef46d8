"""The sweep ends what clients abandoned, leaves what lives, and forgets what nobody can ask for again."""

from __future__ import annotations

from charging_world import World
from core_builders import INITIAL, TERMINATE, UPDATE, ccr, mscc
from mubss.charging.order import Order
from mubss.core.model import Rules
from mubss.services.audit_ledger import check
from mubss.services.sweep import LEAP_S, REST_S, Leaps, sweep

MSISDN = "999700000001"
RULES = Rules(supervision_s=7200, replay_s=86_400)


def send(world: World, type: object, number: int, *requests: object, session: str = "s1") -> int:
    command = ccr(world.tables, type, number, *requests, session=session)  # type: ignore[arg-type]
    [order] = world.engine(rules=RULES).execute([Order(command, identities=[f"e164:{MSISDN}"])])
    assert order.outcome is not None
    return order.outcome.result


def swept(world: World, seconds: int) -> tuple[int, int]:
    world.clock.now_ms += seconds * 1000
    return sweep(world.engine(rules=RULES), world.store, world.clock.now_ms // 1000)


def account(world: World) -> dict:
    [found] = world.all("accounts")
    return found


def test_an_abandoned_session_ends_with_what_it_reported_and_nothing_more(world: World) -> None:
    world.account(MSISDN)
    send(world, INITIAL, 0, mscc(1))
    send(world, UPDATE, 1, mscc(1, 1_500_000))
    assert account(world)["reserved_micros"] > 0
    assert swept(world, 7199) == (0, 0)
    assert swept(world, 1) == (1, 0)
    assert account(world)["sessions"] == {} and account(world)["reserved_micros"] == 0
    assert account(world)["balance_micros"] == 10_000_000 - 40_000
    assert [record["units"] for record in world.all("usage")] == [1_500_000]
    assert swept(world, 0) == (0, 0)
    assert send(world, UPDATE, 2, mscc(1, 4711)) == 5002  # its client was only asleep: what it used is kept
    assert [doc["units"] for doc in world.all("suspense")] == [4711]
    assert check(world.store) == (1, [])


def test_a_session_that_goes_on_is_looked_at_again_later(world: World) -> None:
    world.account(MSISDN)
    send(world, INITIAL, 0, mscc(1))
    world.clock.now_ms += 5_000_000
    send(world, UPDATE, 1, mscc(1, 1_000_000))
    assert swept(world, 2200) == (0, 0)  # due by its record, alive by its account
    [record] = world.all("gy_sessions")
    assert record["open"] and record["due_s"] == account(world)["sessions"][record["_id"]]["expires_s"]
    assert swept(world, 5000) == (1, 0)


def test_an_ended_session_is_replayed_for_a_day_and_then_forgotten(world: World) -> None:
    world.account(MSISDN)
    send(world, INITIAL, 0, mscc(1))
    send(world, TERMINATE, 1, mscc(1, 1_000_000))
    assert swept(world, 86_399) == (0, 0)
    assert send(world, TERMINATE, 1, mscc(1, 1_000_000)) == 2001
    assert len(world.all("postings")) == 2
    assert swept(world, 1) == (0, 1)
    assert world.all("gy_sessions") == []


def test_many_due_records_are_done_page_by_page(world: World) -> None:
    world.account(MSISDN)
    for number in range(90):
        send(world, INITIAL, 0, mscc(1, asks=1), session=f"s{number}")

    def old_ones(session: object) -> None:
        records = session.collection("gy_sessions")  # type: ignore[attr-defined]
        template = records.scan(limit=1)[0]
        records.add_many([{**template, "_id": f"old{n:04d}", "open": False, "due_s": 1} for n in range(450)])

    world.store.run(old_ones)
    assert swept(world, 7200) == (90, 450)
    assert account(world)["sessions"] == {} and len(world.all("gy_sessions")) == 90


def test_a_clock_that_leapt_ahead_is_not_believed_for_a_while() -> None:
    day_s, noon_s = 86_400, 1_795_000_000
    leaps = Leaps()
    for steady_s, off_s, rests in (
        (0, 0, False),
        (1, LEAP_S, False),  # as NTP steps it
        (2, 0, False),
        (3, -3600, False),  # set back: nothing is due early
        (4, 0, True),  # and right again, which is a leap of an hour
        (3 + REST_S, 0, True),
        (4 + REST_S, 0, False),
        (2000, day_s, True),
        (2001, day_s + 5, True),
        (2002, 0, False),  # somebody set it right
        (2003, day_s, True),
        (2002 + REST_S, day_s, True),
        (2003 + REST_S, day_s, False),  # nobody did: it is right
        (2004 + REST_S, day_s, False),
        (3000 + REST_S, day_s + LEAP_S + 1, True),
    ):
        assert leaps.rests(noon_s + steady_s + off_s, steady_s) == rests, (steady_s, off_s)
