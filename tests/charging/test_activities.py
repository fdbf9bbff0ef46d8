"""The queue of activities on both stores: each is queued once and taken by one, whoever looks at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from charging_world import World
from mubss.core import activity
from mubss.core.activity import CANCELLED, DONE, FULL_BILLRUN, NEW, RUNNING
from mubss.core.errors import InputError
from mubss.services.activities import cancel
from mubss.storage import activities as storage
from mubss.storage.database import open_database
from mubss.workers.claims import Claims

NOW, LEASE = 1_000_000, 30


def queued(world: World, cycle: int = 3, now_s: int = NOW, **wanted: str) -> str:
    new = activity.make(FULL_BILLRUN, cycle, now_s, "test", **wanted)
    storage.change(world.store, new["_id"], lambda stored: activity.queue(stored, new))
    return new["_id"]


def side_by_side(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_due_ones_of_a_cycle_in_their_order(world: World) -> None:
    late, early = queued(world, now_s=NOW + 1, period="b"), queued(world, period="a")
    queued(world, cycle=4)
    queued(world, now_s=NOW + 9, period="c")
    assert [doc["_id"] for doc in storage.find_due(world.store, 3, NOW + 1)] == [early, late]
    assert len(storage.find(world.store, {}, 10)) == 4
    assert len(storage.find(world.store, {"billcycle": 3, "state": NEW}, 2)) == 2


def test_one_of_many_takes_it(world: World) -> None:
    queued(world)
    [doc] = storage.find_due(world.store, 3, NOW)
    won: list[int] = []

    def work(number: int) -> None:
        store = open_database(world.url)
        try:
            if Claims(store, LEASE).take(doc, NOW) is not None:
                won.append(number)
        finally:
            store.close()

    side_by_side(4, work)
    assert len(won) == 1
    assert storage.find_due(world.store, 3, NOW) == []
    assert [one["state"] for one in storage.find_running(world.store, 3)] == [RUNNING]


def test_its_owner_ends_it(world: World) -> None:
    activity_id = queued(world)
    mine, other = Claims(world.store, LEASE), Claims(world.store, LEASE)
    [doc] = storage.find_due(world.store, 3, NOW)
    claim = mine.take(doc, NOW)
    assert claim is not None
    claim.progress = {"done": 5, "of": 9}
    mine.beat(claim, NOW + 10)
    stored = storage.get(world.store, activity_id)
    assert stored is not None and stored["progress"] == claim.progress and not claim.is_lost
    assert other.finish(claim, {}, NOW + 10) is None
    assert mine.finish(claim, {"parked": []}, NOW + 11) is not None
    stored = storage.get(world.store, activity_id)
    assert stored is not None and (stored["state"], stored["ended_s"]) == (DONE, NOW + 11)


def test_one_that_was_taken_over_is_lost_to_its_first_owner(world: World) -> None:
    activity_id = queued(world)
    first, second = Claims(world.store, LEASE), Claims(world.store, LEASE)
    [doc] = storage.find_due(world.store, 3, NOW)
    mine = first.take(doc, NOW)
    assert mine is not None
    [overdue] = storage.find_due(world.store, 3, NOW + LEASE)
    theirs = second.take(overdue, NOW + LEASE)
    assert theirs is not None
    first.beat(mine, NOW + LEASE)
    assert mine.is_lost and first.finish(mine, {}, NOW + LEASE) is None
    assert second.give_back(theirs, NOW + LEASE) is not None
    stored = storage.get(world.store, activity_id)
    assert stored is not None and (stored["state"], stored["attempts"]) == (NEW, 2)


def test_one_that_is_cancelled_while_it_runs(world: World) -> None:
    activity_id = queued(world)
    claims = Claims(world.store, LEASE)
    [doc] = storage.find_due(world.store, 3, NOW)
    claim = claims.take(doc, NOW)
    assert claim is not None
    assert cancel(world.store, activity_id, NOW)["state"] == CANCELLED
    claims.beat(claim, NOW)
    assert claim.is_lost
    with pytest.raises(InputError, match="CANCELLED; expected one that waits or runs"):
        cancel(world.store, activity_id, NOW)


def test_work_of_a_process_that_is_no_more_is_taken_at_once(world: World) -> None:
    queued(world)
    dead = Claims(world.store, LEASE)
    host = dead.owner.partition(":")[0]
    dead.owner = f"{host}:{2**22 + 1}:x"  # no process has such a number
    [doc] = storage.find_due(world.store, 3, NOW)
    assert dead.take(doc, NOW) is not None
    [running] = storage.find_running(world.store, 3)
    assert Claims(world.store, LEASE).take(running, NOW + 1) is not None
