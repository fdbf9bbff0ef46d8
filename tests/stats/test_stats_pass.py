"""Passes of statistics: figures against sums by hand, late documents, leases, kills, retention."""

from __future__ import annotations

from typing import Any

import pytest

from mubss.core.errors import Busy, InputError
from mubss.core.periods import Periods
from mubss.refdata.live import operator_calendar
from mubss.storage import stats as storage
from mubss.storage import stats_sources as sources
from stats_times import DAY_S, HOUR_S, NOON
from stats_world import ZONE, StatsWorld

EURO = 1_000_000


def test_usage_and_money_by_hour_day_and_month(world: StatsWorld) -> None:
    one, other = world.account("a1", NOON - 40 * DAY_S), world.account("b2", NOON - 40 * DAY_S, plan="Q")
    world.use(one, NOON - 10, 100, 3 * EURO)
    world.use(one, NOON, 50, EURO, bundle_units=20)
    world.use(other, NOON - 86_400, 7, EURO)
    world.use(one, NOON - 40 * DAY_S, 1, 1)
    world.post(one, NOON, 5 * EURO)
    world.post(one, NOON, -4 * EURO, kind="session", service="DATA")  # usage has its record
    world.post(other, NOON - 1, -2 * EURO, kind="bundle", cause_bundle="B")
    world.post(other, NOON - 1, 0, kind="bundle", cause_bundle="B", bucket="B#1", units=500)
    passed = world.run()
    assert (passed.documents, passed.missing, passed.finished) == (8, 0, True)
    names = ("records", "units", "free_units", "bundle_units", "charge_micros")

    def used(*figures: int) -> dict[str, int]:
        return dict(zip(names, figures, strict=True))

    found = world.figures("usage")
    assert found["usage", "hour", "2026-11-29 11:00+01:00", "DATA", "P", "home", "EUR"] == used(1, 100, 0, 0, 3 * EURO)
    assert found["usage", "hour", "2026-11-29 12:00+01:00", "DATA", "P", "home", "EUR"] == used(1, 50, 0, 20, EURO)
    assert found["usage", "day", "2026-11-29", "DATA", "P", "home", "EUR"] == used(2, 150, 0, 20, 4 * EURO)
    assert found["usage", "day", "2026-11-28", "DATA", "Q", "home", "EUR"] == used(1, 7, 0, 0, EURO)
    assert found["usage", "month", "2026-11", "DATA", "P", "home", "EUR"] == used(2, 150, 0, 20, 4 * EURO)
    assert found["usage", "month", "2026-10", "DATA", "P", "home", "EUR"] == used(1, 1, 0, 0, 1)
    assert len(found) == 10
    money = {key[3:]: value for key, value in world.figures("money").items() if key[1] == "month"}
    assert money == {
        ("topup", "", "P", "EUR"): {"count": 1, "amount_micros": 5 * EURO},
        ("bundle", "B", "Q", "EUR"): {"count": 1, "amount_micros": -2 * EURO},
    }
    before = world.figures("usage", "money")
    assert world.run().documents == 0
    assert world.figures("usage", "money") == before, "a pass without anything new changes nothing"


def test_what_comes_late_corrects_the_period_of_its_own_time(world: StatsWorld) -> None:
    key = world.account("a1", NOON - 90 * DAY_S)
    world.use(key, NOON, 10, EURO)
    world.run()
    world.use(key, NOON - 60 * DAY_S, 5, EURO)  # a CDR of September
    world.use(key, NOON - 60 * DAY_S, 0, -EURO)  # and its correction
    world.now_s += HOUR_S
    assert world.run().documents == 2
    months = {key[2]: one for key, one in world.figures("usage").items() if key[1] == "month"}
    assert months["2026-09"] == {"records": 2, "units": 5, "free_units": 0, "bundle_units": 0, "charge_micros": 0}
    assert months["2026-11"]["units"] == 10


def test_bills_by_their_counters(world: StatsWorld) -> None:
    world.account("a1", NOON)
    for number in range(1, 6):
        bill = {"kind": "postpaid", "cycle": 3, "currency": "EUR", "decimals": 2, "issued_s": NOON}
        bill |= {"net": 100 * number, "tax": 19 * number, "total": 119 * number, "state": "BILL_STATUS_NEW"}
        world.put("bills", [{"_id": f"bill{number}", "number": f"INV-2026-{number:07}", **bill}])
        if number != 4:
            world.put("counters", [{"_id": "bill:INV:2026", "version": number}])
            assert world.run().documents == (2 if number == 5 else 1)
    [figures] = [one for key, one in world.figures("bills").items() if key[1] == "month"]
    cent = EURO // 100
    assert figures == {
        "count": 5, "net_micros": 1500 * cent, "tax_micros": 285 * cent, "total_micros": 1785 * cent,
    }  # fmt: skip


def test_changes_of_accounts(world: StatsWorld) -> None:
    key = world.account("a1", NOON - 3 * DAY_S)
    world.run()
    world.change(key, NOON - 2 * DAY_S, state="suspended")
    world.change(key, NOON - DAY_S, state="active")
    world.run()
    world.change(key, NOON - 100, plan="Q")
    world.change(key, NOON - 50, state="terminated")
    world.run()
    days = {key[2:]: one["count"] for key, one in world.figures("changes").items() if key[1] == "day"}
    assert days == {
        ("2026-11-26", "opened", "P"): 1,
        ("2026-11-27", "suspended", "P"): 1,
        ("2026-11-28", "reactivated", "P"): 1,
        ("2026-11-29", "plan", "Q"): 1,
        ("2026-11-29", "terminated", "Q"): 1,
    }


def test_levels_are_as_last_seen_in_each_period(world: StatsWorld) -> None:
    world.account("a1", NOON, balance_micros=7, members={"e164:1": "a1", "e164:2": "m"}, member_states={"m": "barred"})
    key = world.account("b2", NOON, type="postpaid", balance_micros=-9, reserved_micros=2)
    open_bill = {"currency": "EUR", "decimals": 2, "state": "BILL_STATUS_UNPAID", "settled": {"open": 500}}
    due = ("2026-11-29", "2026-11-28", "2026-10-30", "2026-10-29", "2026-08-31", "2026-08-30")
    world.put("bills", [{"_id": f"b{place}", "due_day": day, **open_bill} for place, day in enumerate(due)])
    world.put("bills", [{"_id": "paid", "due_day": "2026-01-01", **open_bill, "state": "BILL_STATUS_PAID"}])
    world.run()

    def month(metric: str) -> dict[Any, Any]:
        return {key[3:]: one for key, one in world.figures(metric).items() if key[1:3] == ("month", "2026-11")}

    assert month("subscribers") == {
        ("active", "P", "prepaid"): {"count": 1},
        ("barred", "P", "prepaid"): {"count": 1},
        ("active", "P", "postpaid"): {"count": 1},
    }
    assert month("balances")["postpaid", "EUR"] == {"accounts": 1, "balance_micros": -9, "reserved_micros": 2}
    assert {key[0]: one["bills"] for key, one in month("receivables").items()} == {
        "not due": 1, "1-30 days": 2, "31-60 days": 1, "61-90 days": 1, "over 90 days": 1,
    }  # fmt: skip
    world.change(key, NOON + 1, state="terminated")
    world.put("bills", [{"_id": f"b{place}", **open_bill, "state": "BILL_STATUS_PAID"} for place in range(6)])
    world.now_s += DAY_S
    world.run()
    assert ("active", "P", "postpaid") not in month("subscribers")
    assert month("subscribers")["terminated", "P", "postpaid"] == {"count": 1} and not month("receivables")
    days = {key[2:] for key in world.figures("subscribers") if key[1] == "day"}
    assert ("2026-11-29", "active", "P", "postpaid") in days and ("2026-11-30", "terminated", "P", "postpaid") in days


def test_minutes_of_gy_are_counted_once(world: StatsWorld) -> None:
    minute = {"_id": "m1", "minute_s": NOON, "counted": 0, "counts": {"1 2001": 5, "3 4012": 1}}
    for _ in range(3):
        sources.add_minute(world.store, minute)
        world.run()
    hours = {key[3:]: one["count"] for key, one in world.figures("answers").items() if key[1] == "hour"}
    assert hours == {("initial", "2001"): 5, ("termination", "4012"): 1}
    world.now_s += 3 * DAY_S
    world.run()
    assert world.store.run(lambda session: session.collection("gy_answers").count()) == 0


def test_one_pass_at_a_time_and_who_lost_the_lease_writes_nothing(world: StatsWorld) -> None:
    key = world.account("a1", NOON)
    world.use(key, NOON, 10, EURO)
    storage.take(world.store, "somebody:else", world.now_s, world.now_s + 60)
    with pytest.raises(Busy, match="somebody:else counts for 60 s yet"):
        world.run()
    world.now_s += 60
    assert world.run().documents == 1

    lost = world.counter()
    world.use(key, NOON, 10, EURO)
    taking = lost._count  # another takes over between reading and writing, as after a long sleep

    def late(*arguments: Any) -> None:
        world.now_s += 3600
        storage.take(world.store, "b:1", world.now_s, world.now_s + 60)
        taking(*arguments)

    lost._count = late  # type: ignore[method-assign]
    with pytest.raises(Busy, match="another process counts"):
        lost.run(world.now_s)
    month = [one for key, one in world.figures("usage").items() if key[1] == "month"]
    assert month[0]["records"] == 1


def test_retention(world: StatsWorld) -> None:
    key = world.account("a1", NOON - 800 * DAY_S)
    for days in (0, 1, 2, 40, 70, 800):
        world.use(key, NOON - days * DAY_S, 1, EURO)
    world.run(keep_hours_days=2, keep_days_months=1)
    kept = {period: sum(key[1] == period for key in world.figures("usage")) for period in ("hour", "day", "month")}
    assert kept == {"hour": 3, "day": 4, "month": 4}, "late ones aren't kept that wouldn't be"
    world.now_s += 31 * DAY_S
    world.run(keep_hours_days=2, keep_days_months=1)
    kept = {period: sum(key[1] == period for key in world.figures("usage")) for period in ("hour", "day", "month")}
    assert kept == {"hour": 0, "day": 3, "month": 4}
    world.run(keep_hours_days=0, keep_days_months=0)


def test_another_time_zone_needs_a_rebuild(world: StatsWorld) -> None:
    key = world.account("a1", NOON)
    world.use(key, NOON, 10, EURO)
    sources.add_minute(world.store, {"_id": "m", "minute_s": NOON, "counted": 0, "counts": {"1 2001": 5}})
    world.run()
    tokyo = {"timezone": "Asia/Tokyo", "periods": Periods(operator_calendar("Asia/Tokyo"))}
    with pytest.raises(InputError, match=f"expected {ZONE}, .*`mubss stats rebuild`"):
        world.run(**tokyo)
    storage.ask_rebuild(world.store)
    assert world.run(**tokyo).documents == 1
    months = [one for key, one in world.figures("usage").items() if key[1] == "month"]
    assert [one["records"] for one in months] == [1]
    assert world.figures("answers"), "what can't be counted again stays"


def test_a_document_that_is_gone_holds_nobody_up(world: StatsWorld) -> None:
    key = world.account("a1", NOON, sequence=3, usage_sequence=1)
    world.post(key, NOON, EURO)
    passed = world.run()
    assert (passed.documents, passed.missing) == (1, 4)
    assert world.run().missing == 0


def test_a_document_that_is_no_such_keeps_nobody_up(world: StatsWorld, caplog: pytest.LogCaptureFixture) -> None:
    one, bad, odd = (world.account(key, NOON) for key in ("a1", "b2", "c3"))
    world.use(one, NOON, 10, EURO)
    for fields in ({"zone": 7}, {"plan": None}, {"bundle_units": "many"}, {"charge_micros": 1.5}):
        world.use(bad, NOON, 10, **{"charge": EURO, **fields})
    world.use(bad, 1 << 44, 10, EURO)  # the year 559444
    world.post(bad, NOON, EURO, cause_what=7)
    world.account(odd, NOON, balance_micros="much")
    passed = world.run()
    assert (passed.faults, passed.finished) == (6, True)
    assert len([line for line in caplog.messages if "can't be counted" in line]) == 6
    used = [value for key, value in world.figures("usage").items() if key[1] == "month"]
    assert [value["records"] for value in used] == [1]
    assert [one["count"] for key, one in world.figures("money").items() if key[1] == "month"] == [1]
    assert world.run().faults == 1, "only what is looked at in each pass"


def test_a_pass_that_is_told_to_stop_goes_on_later(world: StatsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PAGE", 2)
    for place in range(6):
        world.use(world.account(f"a{place}", NOON), NOON, 1, 1)
    looks = iter([False, True])
    assert not world.run(is_stopping=lambda: next(looks)).finished
    assert sum(one["records"] for key, one in world.figures("usage").items() if key[1] == "month") == 2
    assert not world.figures("subscribers"), "half of them are no level"
    assert world.run().documents == 4


def test_a_long_account_comes_in_parts(world: StatsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mubss.services.stats_pass.DOCUMENTS", 3)
    monkeypatch.setattr(sources, "PAGE", 2)
    one, other = world.account("a1", NOON), world.account("b2", NOON)
    for _ in range(7):
        world.use(one, NOON, 1, 1)
        world.post(one, NOON, 1)
        world.post(other, NOON, 1)
    assert world.run().documents == 21
    used, moved = world.figures("usage").values(), world.figures("money").values()
    assert {one["records"] for one in used} == {7} and {one["count"] for one in moved} == {14}
