"""Loading a file, on both engines: each record once, whatever it comes in and wherever its loading was cut."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from cdr_samples import NOW_S, file_of, record
from cdr_world import POSTPAID, PREPAID, World
from core_builders import INITIAL, TERMINATE, UPDATE, ccr, mscc
from mubss.charging.order import Order
from mubss.core.cdr import NO_PRICE, UNKNOWN_SUBSCRIBER
from mubss.pb.cdr_pb2 import Record
from mubss.services.cdr_load import TooManyRejects
from mubss.storage import cdr as storage
from mubss.storage.cdr import DONE, LOADING
from mubss.storage.database import StoreUnavailable

MSISDNS = [f"9997000001{number:02}" for number in (1, 2, 3)]


def call(number: int, msisdn: str = POSTPAID, **fields: Any) -> Record:
    """A call of two minutes: 0.18 once the free ones are used."""
    return record(**{"record_id": f"r{number}", "calling": msisdn, "duration_s": 120, **fields})


def calls(count: int) -> list[Record]:
    return [call(number, MSISDNS[number % 3]) for number in range(count)]


def test_records_of_a_file_are_charged(world: World) -> None:
    sms = record(record_id="s1", type=Record.SMS, calling=POSTPAID, duration_s=0, events=60)
    data = record(record_id="d1", type=Record.DATA, calling="", imsi=f"999{POSTPAID}", octets_down=1, duration_s=9)
    doc = world.load(call(1, duration_s=6_060), sms, data, call(2))
    assert (doc["state"], doc["counts"], doc["records"]) == (DONE, {"charged": 4}, 4)
    assert world.spent() == 90_000 + 800_000 + 180_000
    assert world.used() == {"r1": 1, "s1": 1, "d1": 1, "r2": 1}
    assert sorted(usage["until_s"] - usage["from_s"] for usage in world.all("usage")) == [0, 9, 120, 6_060]
    world.add_up()


def test_usage_of_prepaid_accounts_is_charged_if_the_operator_says_so(world: World) -> None:
    assert world.load(call(1, PREPAID))["counts"] == {"online": 1}
    assert world.load(call(2, PREPAID), sequence=2, charges_prepaid=True)["counts"] == {"charged": 1}
    assert world.spent(PREPAID) == 180_000


def test_a_file_is_loaded_once(world: World) -> None:
    first = world.load(*calls(9))
    again = world.load(*calls(9), name="b.cdr")
    assert again == first, "whatever its name is"
    assert set(world.used().values()) == {1}


def test_overlapping_files_and_records_twice_in_one(world: World) -> None:
    world.load(*calls(6))
    doc = world.load(*calls(9)[3:], calls(9)[8], sequence=2)
    assert doc["counts"] == {"charged": 3, "duplicate": 4}
    assert world.used() == {f"r{number}": 1 for number in range(9)}


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_a_file_goes_on_where_it_was_stopped(world: World, windows: int) -> None:
    answers = iter([False] * (windows - 1) + [True] * 10)
    file = io.BytesIO(file_of(*calls(20), sequence=1))
    doc = world.loader(stop=lambda: next(answers)).load(file, "a.cdr")
    assert (doc["state"], doc["counts"]) == (LOADING, {"charged": 4 * windows})
    assert len(world.all("usage")) == 4 * windows
    doc = world.loader().load(file, "a.cdr")
    assert (doc["state"], doc["counts"]) == (DONE, {"charged": 20})
    assert set(world.used().values()) == {1} and len(world.used()) == 20


def test_what_was_charged_before_a_crash_is_counted_once(world: World) -> None:
    """Its windows were committed, and how far it is was not written yet."""
    stranger = call(99, "555500000000")
    records = [*calls(6), stranger, *calls(12)[6:]]
    done = world.load(*records)
    storage.put_file(world.store, {**done, "state": LOADING, "offset": 0, "counts": {}})
    doc = world.load(*records)
    assert doc["counts"] == done["counts"] == {"charged": 12, "suspended": 1}
    assert set(world.used().values()) == {1}


def test_the_store_is_away_for_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = world.engine()
    execute, calls_made = engine.execute, [0]

    def failing(orders: list[Order]) -> list[Order]:
        calls_made[0] += 1
        if calls_made[0] == 2:
            for order in orders:
                order.fail(StoreUnavailable("it is away"))
            return orders
        return execute(orders)

    monkeypatch.setattr(engine, "execute", failing)
    file = io.BytesIO(file_of(*calls(20)))
    with pytest.raises(StoreUnavailable):
        world.loader(engine, lanes=1).load(file, "a.cdr")
    assert world.loader().load(file, "a.cdr")["counts"] == {"charged": 20}
    assert set(world.used().values()) == {1}


# ── rejects ────────────────────────────────────────────────────────────────────────────────────────

BAD: dict[str, tuple[Callable[[], Record], str]] = {
    "unknown": (lambda: call(90, "555500000000"), UNKNOWN_SUBSCRIBER),
    "nobody": (lambda: call(91, ""), "no-subscriber-named"),
    "a service nobody sells": (lambda: call(92, service="GOLD"), NO_PRICE),
    "no number": (lambda: call(93, "+49 (x)"), "bad-number"),
    "1970": (lambda: call(94, start_s=1), "bad-time"),
    "2090": (lambda: call(95, start_s=3_786_912_000), "bad-time"),
    "negative": (lambda: call(96, duration_s=-1), "bad-units"),
    "no id": (lambda: record(record_id=""), "bad-field"),
    "long id": (lambda: record(record_id="x" * 60_000), "bad-field"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_goes_into_suspense_and_the_others_are_charged(world: World, name: str) -> None:
    make, reason = BAD[name]
    doc = world.load(call(1), make(), call(2))
    assert doc["counts"] == {"charged": 2, "suspended": 1}
    [entry] = world.all("cdr_suspense")
    assert (entry["reason"], entry["state"], entry["file"]) == (reason, "open", doc["_id"])
    assert Record.FromString(b64decode(entry["record"])) == make()
    assert world.used() == {"r1": 1, "r2": 1}


def test_a_file_with_too_many_rejects_is_refused_whole(world: World) -> None:
    strangers = [call(number, "555500000000") for number in (7, 8)]
    odd = call(9, service="GOLD")
    with pytest.raises(TooManyRejects, match=r"3 of 5 records can't be rated \(2 unknown-subscriber, 1 no-price\)"):
        world.load(call(1), *strangers, odd, call(2))
    assert not world.all("usage") and not world.all("cdr_suspense") and not world.all("cdr_records")
    [doc] = world.all("cdr_files")
    assert doc["state"] == "refused"
    world.add("555500000000")
    assert world.load(call(1), *strangers, odd, call(2), name="b.cdr")["counts"] == {"charged": 4, "suspended": 1}


def test_a_record_that_cant_be_charged_and_comes_twice_in_a_file(world: World) -> None:
    stranger = call(9, "555500000000")
    records = [call(1), stranger, stranger, call(2), call(3), stranger]
    doc = world.load(*records)
    assert doc["counts"] == {"charged": 3, "suspended": 1, "duplicate": 2}
    storage.put_file(world.store, {**doc, "state": LOADING, "offset": 0, "counts": {}})
    assert world.load(*records)["counts"] == doc["counts"], "as if it hadn't been begun"


def test_a_record_in_suspense_is_known_to_files_that_come_later(world: World) -> None:
    stranger = call(9, "555500000000")
    world.load(call(1), stranger)
    world.add("555500000000")
    assert world.load(call(2), stranger, sequence=2)["counts"] == {"charged": 1, "duplicate": 1}
    assert len(world.all("cdr_suspense")) == 1


def test_a_number_that_moved_while_its_file_was_read(world: World) -> None:
    """Whom a record is for was looked up before its account was locked: it is looked up again."""
    account = world.accounts[POSTPAID]

    def move(session: Any) -> None:
        accounts, identities = session.collection("accounts"), session.collection("identities")
        old, new = accounts.get_one(account), accounts.get_one(world.accounts[MSISDNS[1]])
        accounts.put_many([{**old, "identities": []}, {**new, "identities": [*new["identities"], f"e164:{POSTPAID}"]}])
        identities.put_many([{"_id": f"e164:{POSTPAID}", "account": new["_id"]}])

    engine = world.engine()
    execute = engine.execute

    def late(orders: list[Order]) -> list[Order]:
        world.store.run(move)
        return execute(orders)

    engine.execute = late  # type: ignore[method-assign]
    world.loader(engine).load(io.BytesIO(file_of(call(1))), "a.cdr")
    [usage] = world.all("usage")
    assert usage["account"] == world.accounts[MSISDNS[1]]


# ── matched with Gy ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ends", [True, False])
def test_a_session_that_gy_charged_is_matched(world: World, ends: bool) -> None:
    engine = world.engine(match_s=86_400)
    for kind, number, used in ((INITIAL, 0, None), (UPDATE, 1, 5_000), (TERMINATE, 2, 5_000))[: 3 if ends else 2]:
        command = ccr(world.tables, kind, number, mscc(1, used=used), facts={"charging_id": 77})
        engine.execute([Order(command, identities=[f"e164:{POSTPAID}"])])
    data = {"type": Record.DATA, "octets_down": 10_000, "duration_s": 0}
    doc = world.load(call(1, charging_id=77, **data), call(2, session_id="s1", **data), call(3, charging_id=78, **data))
    assert doc["counts"] == {"matched": 2, "charged": 1}
    assert world.used()["r3"] == 1


# ── what is known of sources ───────────────────────────────────────────────────────────────────────


def test_missing_numbers_of_a_source(world: World) -> None:
    for number in (3, 4, 9, 6):
        world.load(call(number), sequence=number)
    [source] = storage.find_sources(world.store)
    assert source["seen"] == [[3, 4], [6, 6], [9, 9]]
    assert [doc["sequence"] for doc in storage.find_files(world.store, 10)] != []


def test_calls_in_parts_over_files_and_forgotten_ones(world: World) -> None:
    """61 and 59 seconds are two minutes of one call."""
    part = {"call_id": "c1", "calling": POSTPAID}
    world.load(call(1, duration_s=6_000), call(2, duration_s=61, partial_sequence=1, **part))
    assert world.spent() == 180_000
    world.load(call(3, duration_s=59, partial_sequence=2, is_last_partial=True, **part), sequence=2)
    assert world.spent() == 180_000
    assert storage.forget_calls(world.store, NOW_S) == 0
    assert storage.forget_calls(world.store, NOW_S + 1) == 1
    assert world.all("cdr_calls") == []
