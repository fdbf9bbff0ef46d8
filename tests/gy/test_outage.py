"""The store goes away from a running mubss-gy: what it grants meanwhile, and what is in the store afterwards."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from gy_wire import WAIT_SECONDS, Raw
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.gy.codec import Ccr, Mscc, Units
from mubss.services.audit_ledger import check
from mubss.services.outage import report
from proxy import Proxy

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


class Shop(NamedTuple):
    """A store that can go away from a server that has these options."""

    options: dict[str, Any]
    away: Callable[[], AbstractContextManager[None]]


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    """SQLite's lock is another's; MySQL can't be reached."""
    if world.url.startswith("sqlite"):
        yield Shop(ON, world.locked)
        return
    port = urlsplit(world.url).port
    assert port
    with Proxy(port) as proxy:
        yield Shop(ON | {"store__url": world.url.replace(f":{port}", f":{proxy.port}")}, proxy.away)


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
    world: World, shop: Shop, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    stranger, another, sms = world.person(), world.session_id(), world.session_id()
    with GyServer(world, **shop.options) as server, Raw(server.port).open() as pgw:
        assert granted(pgw.charge(initial(session_id, person))) == MB
        with shop.away():
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
        server.wait_for("done in the store now: [0-9]+, waiting: 0")
    assert world.spent(person) == 5 * MB_MICROS + 80_000
    [row] = report(world.store)
    assert (row["requests"], row["charged"], row["refused"]) == (5, 5, 0)
    assert row["charged_micros"] == 3 * MB_MICROS + 80_000
    assert row["difference_micros"] == row["granted_micros"] - row["charged_micros"]
    sound(world)


def test_killed_in_the_outage_it_loses_nothing_that_was_answered(
    world: World, shop: Shop, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    another = world.session_id()
    with ExitStack() as outage:
        with GyServer(world, **shop.options) as server, Raw(server.port).open() as pgw:
            assert granted(pgw.charge(initial(session_id, person))) == MB
            outage.enter_context(shop.away())
            assert granted(pgw.charge(update(1, session_id, person))) == MB
            assert granted(pgw.charge(initial(another, person))) == MB
            server.kill()
        [journal] = journals(world)
    with GyServer(world, **shop.options) as server, Raw(server.port).open() as pgw:
        server.wait_for("2 requests granted in an outage, done now")
        answer = until_taken(pgw, update(1, another, person))
        assert granted(answer) == MB
        assert pgw.charge(update(1, session_id, person)).answer.result_code == 2001, "a repeat from before the crash"
        assert pgw.charge(last(2, session_id, person)).answer.result_code == 2001
        assert pgw.charge(last(2, another, person, 1)).answer.result_code == 2001
        assert not journals(world)
    assert world.spent(person) == 4 * MB_MICROS
    [row] = report(world.store, journal=journal.stem)
    assert (row["requests"], row["charged"]) == (2, 2)
    assert world.suspense(another) == []
    sound(world)


def until_taken(pgw: Raw, ccr: Ccr) -> Any:
    """Asks again, as a client does, until the answer is another than 3004."""
    return until(lambda: answer if (answer := pgw.charge(ccr)).answer.result_code != 3004 else None)


def test_what_a_killed_worker_granted_is_done_and_its_session_goes_on_with_another(
    world: World, shop: Shop, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    with GyServer(world, "--workers", "2", general__log_format="json", **shop.options) as server:
        pgw = Raw(server.port).open("pgw-outage.example")
        assert granted(pgw.charge(initial(session_id, person))) == MB
        with shop.away():
            assert granted(pgw.charge(update(1, session_id, person))) == MB
            server.wait_for(f'"{pgw.host} at 127.0.0.1 is open')
            os.kill(int(json.loads(server.find(f"{pgw.host} at 127.0.0.1 is open")[-1])["pid"]), signal.SIGKILL)
            pgw.sock.close()
            with Raw(server.port).open("pgw-outage.example") as pgw:
                assert pgw.charge(update(2, session_id, person)).answer.result_code == 3004
        with Raw(server.port).open("pgw-outage.example") as pgw:
            assert granted(until_taken(pgw, update(2, session_id, person))) == MB
            assert pgw.charge(last(3, session_id, person)).answer.result_code == 2001
    assert world.spent(person) == 3 * MB_MICROS
    assert world.suspense(session_id) == []
    sound(world)


def test_told_to_drain_in_the_outage_it_leaves_its_journal_to_the_next(
    world: World, shop: Shop, asked: tuple[Person, str]
) -> None:
    person, session_id = asked
    with ExitStack() as outage:
        with GyServer(world, **shop.options, drain_seconds=1) as server, Raw(server.port).open() as pgw:
            assert granted(pgw.charge(initial(session_id, person))) == MB
            outage.enter_context(shop.away())
            assert pgw.charge(last(1, session_id, person)).answer.result_code == 2001
            server.terminate()
        assert len(journals(world)) == 1
    with GyServer(world, **shop.options):
        until(lambda: not journals(world))
    assert world.spent(person) == MB_MICROS
    sound(world)


def test_a_folder_that_cannot_be_written_grants_nothing(world: World, shop: Shop, asked: tuple[Person, str]) -> None:
    person, session_id = asked
    (world.folder / "a-file").write_text("no folder")
    options = shop.options | {"outage__folder": "a-file"}
    with GyServer(world, **options) as server, Raw(server.port).open() as pgw:
        assert granted(pgw.charge(initial(session_id, person))) == MB
        with shop.away():
            assert pgw.charge(update(1, session_id, person)).answer.result_code == 3004
            assert pgw.charge(update(1, session_id, person)).answer.result_code == 3004
        assert granted(until_taken(pgw, update(1, session_id, person))) == MB
        server.wait_for("outage mode grants nothing")
    assert world.spent(person) == MB_MICROS
