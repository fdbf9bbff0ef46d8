"""What a server answered, by minute: each answer in one, whatever the store does, and a real server's at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gy_wire import Raw
from gy_world import EVENT, SMS, GyServer, World, data
from mubss import metrics
from mubss.gy import answer_minutes
from mubss.gy.answer_minutes import AnswerMinutes
from mubss.gy.codec import Mscc
from mubss.storage import stats_sources as storage
from mubss.storage.database import Doc, Store, StoreError, create_collections, open_database

MINUTE_S = 1_795_950_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One without any collection."""
    made = open_database(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def minutes(store: Store) -> dict[int, Doc]:
    docs = store.run(lambda session: session.collection("gy_answers").scan())
    return {(one["minute_s"] - MINUTE_S) // 60: one["counts"] for one in docs}


def test_an_answer_is_of_one_minute(store: Store) -> None:
    create_collections(store)
    metrics.GY_ANSWERS.inc("a", "1", "2001")  # before it began
    found = AnswerMinutes(store, MINUTE_S)
    metrics.GY_ANSWERS.inc("a", "1", "2001", by=2)
    metrics.GY_ANSWERS.inc("b", "1", "2001")
    metrics.GY_LATE_ANSWERS.inc("b")
    found.look(MINUTE_S + 59)
    assert not minutes(store)
    found.look(MINUTE_S + 60)
    found.look(MINUTE_S + 120)  # nothing: no document
    metrics.GY_ANSWERS.inc("b", "3", "5030")
    found.look(MINUTE_S + 300)
    metrics.GY_ANSWERS.inc("b", "3", "5030", by=3)
    found.finish()
    assert minutes(store) == {0: {"1 2001": 3, "- late": 1}, 2: {"3 5030": 1}, 5: {"3 5030": 3}}


def test_a_store_that_is_away_is_waited_for(store: Store) -> None:
    found = AnswerMinutes(store, MINUTE_S)
    for minute in range(1, 4):
        metrics.GY_ANSWERS.inc("a", "2", "2001", by=minute)
        with pytest.raises(StoreError):
            found.look(MINUTE_S + 60 * minute)
        with pytest.raises(StoreError):  # it is tried at every look, so that its end is told once
            found.look(MINUTE_S + 60 * minute + 1)
    create_collections(store)
    found.look(MINUTE_S + 60 * 3 + 2)
    assert minutes(store) == {0: {"2 2001": 1}, 1: {"2 2001": 2}, 2: {"2 2001": 3}}


def test_one_that_was_written_unheard_is_there_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    create_collections(store)
    found = AnswerMinutes(store, MINUTE_S)
    metrics.GY_ANSWERS.inc("a", "2", "2001")
    add = storage.add_minute

    def unheard(store: Store, minute: Doc) -> None:
        add(store, minute)
        raise StoreError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "add_minute", unheard)
        with pytest.raises(StoreError):
            found.look(MINUTE_S + 60)
    found.look(MINUTE_S + 120)
    assert minutes(store) == {0: {"2 2001": 1}}


def test_what_waits_is_bounded_and_what_nobody_counts_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_minutes, "MAX_WAITING", 20)
    found = AnswerMinutes(store, MINUTE_S)
    for minute in range(1, 30):
        metrics.GY_ANSWERS.inc("a", "2", "2001")
        with pytest.raises(StoreError):
            found.look(MINUTE_S + 60 * minute)
    create_collections(store)
    storage.add_minute(store, {"_id": "old", "minute_s": MINUTE_S - 32 * 86_400, "counted": 0, "counts": {}})
    found.finish()
    assert sorted(minutes(store)) == list(range(9, 29))


def test_a_server_writes_its_last_minute(world: World) -> None:
    before = world_minutes(world)
    person = world.person()
    with GyServer(world) as server:
        with Raw(server.port).open() as peer:
            for _ in range(3):
                peer.charge(data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS))
        server.terminate()
    grown = [counts for key, counts in world_minutes(world).items() if key not in before]
    assert sum(counts.get("4 2001", 0) for counts in grown) == 3


def world_minutes(world: World) -> dict[str, Doc]:
    docs = world.store.run(lambda session: session.collection("gy_answers").scan())
    return {one["_id"]: one["counts"] for one in docs}
