"""The store goes away from a running mubss-gy: what it grants meanwhile, and what is in the store afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gy_wire import WAIT_SECONDS, Raw
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.gy.codec import Ccr, Mscc, Units
from mubss.services.audit_ledger import check
from mubss.services.outage import report

MB = 1_000_000
MB_MICROS = 20_000
ON = {"outage__enabled": "true", "outage__octets_at_once": MB}


def until(found: Callable[[], Any]) -> Any:
    """Waits until it is there."""
    deadline = time.monotonic() + 2 * WAIT_SECONDS
    while not (it := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return it


def journals(world: World) -> list[Path]:
    return sorted((world.folder / "var/outage").glob("*.journal"))


def initial(session_id: str, person: Person, number: int = 0) -> Ccr:
    return data(INITIAL, number, session_id, person, Mscc(1, requested=Units(total_octets=MB)))


def update(number: int, session_id: str, person: Person, used: int = MB) -> Ccr:
    return data(UPDATE, number, session_id, person, Mscc(1, requested=Units(total_octets=MB), used=octets(used)))


def last(number: int, session_id: str, person: Person, used: int = MB) -> Ccr:
    return data(TERMINATION, number, session_id, person, Mscc(1, used=octets(used)))


def granted(cca: Any) -> int | None:
    """Octets of the answer's MSCC."""
    [mscc] = cca.answer.msccs
    return None if mscc.granted is None else mscc.granted.total_octets


@pytest.fixture
def asked(world: World) -> Iterator[tuple[Person, str]]:
    """Somebody with 10 EUR, and a Session-Id."""
    yield world.person(), world.session_id()


def sound(world: World) -> None:
    """No account is other than its postings."""
    assert check(world.store)[1] == []


def test_without_it_nothing_new_begins_and_open_sessions_keep_what_they_have(
    world: World, server: GyServer, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    with Raw(server.port).open() as pgw:
        assert granted(pgw.charge(initial(session_id, person))) == MB
        before = world.account(person)
        with world.locked():
            assert pgw.charge(initial(world.session_id(), person)).answer.result_code == 3004
            assert pgw.charge(update(1, session_id, person)).answer.result_code == 3004
        after = world.account(person)
        assert after["sessions"] == before["sessions"] and after["reserved_micros"] == MB_MICROS
        assert not journals(world)
        assert pgw.charge(update(1, session_id, person)).answer.result_code == 2001, "the repeat, afterwards"
        assert pgw.charge(last(2, session_id, person)).answer.result_code == 2001
    assert world.spent(person) == 2 * MB_MICROS


def test_a_known_subscriber_goes_on_and_all_is_charged_when_the_store_is_back(
    world: World, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    stranger, another, sms = world.person(), world.session_id(), world.session_id()
    with GyServer(world, **ON) as server, Raw(server.port).open() as pgw:
        assert granted(pgw.charge(initial(session_id, person))) == MB
        with world.locked():
            assert granted(pgw.charge(update(1, session_id, person))) == MB
            first = pgw.charge(initial(another, person))
            assert granted(first) == MB
            again = pgw.charge(initial(another, person))
            assert granted(again) == MB, "a repeat is answered the same"
            event = data(EVENT, 0, sms, person, Mscc(None, [1]), service_context_id=SMS)
            assert pgw.charge(event).answer.result_code == 2001
            assert pgw.charge(initial(world.session_id(), stranger)).answer.result_code == 3004
            assert pgw.charge(update(1, another, person)).answer.result_code == 2001
            assert pgw.charge(last(2, session_id, person)).answer.result_code == 2001
            assert len(journals(world)) == 1
        until(lambda: not journals(world))
        assert granted(pgw.charge(update(2, another, person))) == MB, "it goes on afterwards"
        assert pgw.charge(last(3, another, person, 500_000)).answer.result_code == 2001
        server.wait_for("requests are in the store now, 0 wait")
    assert world.spent(person) == 5 * MB_MICROS + 80_000
    [row] = report(world.store)
    assert (row["requests"], row["charged"], row["refused"]) == (5, 5, 0)
    assert row["charged_micros"] == 3 * MB_MICROS + 80_000
    assert row["difference_micros"] == row["granted_micros"] - row["charged_micros"]
    sound(world)
