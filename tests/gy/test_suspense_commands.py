"""`mubss gy suspense`: what clients reported and nobody could charge is found, charged once, or discarded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gy_desk import Desk
from gy_wire import Raw
from gy_world import INITIAL, TERMINATION, UPDATE, VOICE, GyServer, Person, World, data, octets
from mubss.core.identity import session_hash
from mubss.gy.codec import Mscc, UsedUnits
from mubss.runtime import ExitCode

MB = 1_000_000


def report(peer: Raw, kind: int, number: int, session: str, person: Person | None, *msccs: Mscc, **more: Any) -> int:
    code = peer.charge(data(kind, number, session, person, *msccs, **more)).answer.result_code
    assert code is not None
    return code


def used(megabytes: int, group: int = 1) -> Mscc:
    return Mscc(group, used=octets(megabytes * MB))


def ids(desk: Desk, *options: object) -> list[str]:
    return [entry["id"] for entry in desk.json("gy", "suspense", "list", *options)]


def test_rule_12_a_session_never_seen_is_listed_and_charged_once(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    assert report(pgw, UPDATE, 1, session, person, used(3)) == 5002
    assert report(pgw, TERMINATION, 2, session, person, used(2)) == 5002
    for _ in range(2):
        assert report(pgw, TERMINATION, 2, session, person, used(2)) == 5002, "sent again: the entry is the same"
    listed = desk("gy", "suspense", "list", "--session", session)
    for text in ("UNKNOWN_SESSION_ID", person.msisdn, f"{session} #1", "3,000,000", "2,000,000", "DATA"):
        assert text in listed
    would = desk("gy", "suspense", "charge", "--session", session, "--dry-run")
    assert "nothing was written; it would be: 2 charged" in would and world.spent(person) == 0
    done = desk.json("gy", "suspense", "charge", "--session", session)
    assert sorted((one["state"], one["charge_micros"]) for one in done) == [("charged", 40_000), ("charged", 60_000)]
    assert world.spent(person) == 100_000
    assert [posting["cause"]["kind"] for posting in world.postings(person)] == ["suspense", "suspense"]
    assert sorted(record["units"] for record in world.usage(person)) == [2 * MB, 3 * MB]
    assert report(pgw, TERMINATION, 2, session, person, used(2)) == 2001, "it is in the history now"
    assert "2 settled before" in desk("gy", "suspense", "charge", *[one["id"] for one in done])
    assert world.spent(person) == 100_000
    assert ids(desk, "--session", session) == []
    assert len(ids(desk, "--session", session, "--state", "charged")) == 2
    assert "findings" in desk("ledger", "check", "--json")


def test_rule_12_charging_what_is_in_the_sessions_history_moves_nothing(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    assert report(pgw, UPDATE, 1, session, person, used(3)) == 5002
    [waits] = ids(desk, "--session", session)
    assert report(pgw, INITIAL, 0, session, person) == 2001
    assert report(pgw, UPDATE, 1, session, person, used(3)) == 2001, "its client sent it again, and it was charged"
    assert world.spent(person) == 60_000
    assert "already charged in its session" in desk("gy", "suspense", "charge", waits)
    assert report(pgw, TERMINATION, 2, session, person, used(1)) == 2001
    assert world.spent(person) == 80_000
    assert desk.json("gy", "suspense", "charge", waits)[0]["state"] == "already"
    assert world.spent(person) == 80_000


def test_entries_are_in_the_order_they_came_in(world: World, pgw: Raw, desk: Desk) -> None:
    """They are many to a second; their ids, hashes, are in no order."""
    person, session = world.person(), world.session_id()
    for number in range(1, 9):
        assert report(pgw, UPDATE, number, session, person, used(1)) == 5002
    asked = ("--subscriber", person.msisdn)
    entries = desk.json("gy", "suspense", "list", *asked)
    assert [one["number"] for one in entries] == [*range(1, 9)]
    found: list[str] = []
    while page := ids(desk, *asked, "--limit", 3, *(("--after", found[-1]) if found else ())):
        found += page
    assert found == [one["id"] for one in entries]
    assert not {"_id", "version", "kind"} & set(entries[0])


def test_a_report_that_comes_again_reopens_nothing(world: World, pgw: Raw, desk: Desk) -> None:
    session = world.session_id()
    assert report(pgw, TERMINATION, 1, session, None, used(3), subscription_ids=[(0, "49999")]) == 5030
    [entry] = ids(desk, "--session", session)
    discarded = desk("gy", "suspense", "discard", entry, "--reason", "a test of theirs")
    assert "1 discarded" in discarded
    assert report(pgw, TERMINATION, 1, session, None, used(3), subscription_ids=[(0, "49999")]) == 5030
    [after] = desk.json("gy", "suspense", "list", "--session", session, "--state", "all")
    assert (after["state"], after["discard_reason"]) == ("discarded", "a test of theirs")


def test_a_subscriber_nobody_knew_is_named_by_the_operator(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    report(pgw, TERMINATION, 1, session, None, used(1), used(2, 2), subscription_ids=[(0, "49998")])
    first, second = ids(desk, "--session", session)
    refused = desk.json("gy", "suspense", "list", "--subscriber", "49998")
    assert {one["id"] for one in refused} == {first, second}
    nobody = desk("gy", "suspense", "charge", first, code=ExitCode.FAILURE)
    assert nobody == ""
    assert "1 charged" in desk("gy", "suspense", "charge", first, "--subscriber", person.msisdn)
    assert "1 charged" in desk("gy", "suspense", "charge", second, "--subscriber", person.msisdn)
    assert world.spent(person) == 60_000


def test_units_without_a_price_are_charged_as_another_service(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    report(pgw, INITIAL, 0, session, person)
    report(pgw, UPDATE, 1, session, person, used(1), Mscc(999, used=octets(4 * MB)))
    assert world.spent(person) == 20_000
    [entry] = ids(desk, "--session", session)
    desk("gy", "suspense", "charge", entry, code=ExitCode.FAILURE)
    assert "0.08 EUR" in desk("gy", "suspense", "charge", entry, "--service", "DATA")
    assert world.spent(person) == 100_000
    report(pgw, TERMINATION, 2, session, person, used(1))
    assert world.spent(person) == 120_000


def test_seconds_are_charged_from_when_the_call_was(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    call = Mscc(7, used=[UsedUnits(time_s=90)])
    assert report(pgw, TERMINATION, 1, session, person, call, service_context_id=VOICE) == 5002
    desk("gy", "suspense", "charge", "--session", session)
    assert world.spent(person) == 180_000
    [record] = world.usage(person)
    assert record["until_s"] - record["from_s"] == 90


def test_two_operators_at_once_charge_once(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    for number in range(1, 6):
        report(pgw, UPDATE, number, session, person, used(1))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: desk("gy", "suspense", "charge", "--session", session), range(4)))
    assert world.spent(person) == 100_000
    assert sum("5 charged" in text for text in runs) == 1, runs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("charge",), "name ids, --session or --all-of"),
        (("charge", "0" * 32), "expected that of an entry"),
        (("charge", "nonsense"), "expected that of an entry"),
        (("charge", "--session", "x", "--service", "GOLD"), "service: 'GOLD'; expected one of DATA, SMS, VOICE"),
        (("discard", "0" * 32), "Missing option '--reason'"),
        (("discard", "0" * 32, "--reason", "x"), "expected that of an entry"),
        (("list", "--after", "0" * 32), "expected that of an entry"),
    ],
)
def test_what_cant_be_done(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    code = ExitCode.USAGE if "name ids" in said or "Missing" in said else ExitCode.INPUT
    assert said in desk("gy", "suspense", *arguments, code=code)


def test_a_page_goes_on_behind_the_last(world: World, pgw: Raw, desk: Desk) -> None:
    person, session = world.person(), world.session_id()
    for number in range(1, 6):
        report(pgw, UPDATE, number, session, person, used(1))
    found: list[str] = []
    while page := ids(desk, "--session", session, "--limit", 2, *(["--after", found[-1]] if found else [])):
        found += page
    assert len(set(found)) == len(found) == 5
    assert ids(desk, "--session", session_hash(session)) == found


def waiting(desk: Desk, server: GyServer) -> int:
    return int(desk.json("status", "--port", server.port)["suspense"])


def test_status_counts_what_waits(world: World, pgw: Raw, server: GyServer, desk: Desk) -> None:
    before = waiting(desk, server)
    person, session = world.person(), world.session_id()
    report(pgw, TERMINATION, 1, session, person, used(1))
    assert waiting(desk, server) == before + 1
    desk("gy", "suspense", "charge", "--all-of", person.msisdn)
    assert waiting(desk, server) == before
