"""Activities: who may take one, what keeps it, how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core import activity
from mubss.core.activity import CANCELLED, DONE, FAILED, FULL_BILLRUN, MAX_ATTEMPTS, NEW, RUNNING, Activity
from mubss.core.errors import InputError

NOW, LEASE = 1_000_000, 30
WANTED = {"period": "2026-11", "subscriber": "", "dry_run": False}


def new(**wanted: object) -> Activity:
    return activity.make(FULL_BILLRUN, 3, NOW, "test", **{**WANTED, **wanted})


def taken(owner: str = "a", now_s: int = NOW) -> Activity:
    doc = activity.take(new(), owner, now_s, LEASE)
    assert doc is not None
    return doc


def test_what_is_wanted_is_the_activity() -> None:
    assert new()["_id"] == activity.make(FULL_BILLRUN, 3, NOW + 9, "another", **WANTED)["_id"]
    others = [new(period="2026-10"), new(subscriber="x"), new(dry_run=True), activity.make(FULL_BILLRUN, 4, NOW, "")]
    assert len({doc["_id"] for doc in [new(), *others]}) == 5


def test_one_that_waits_or_runs_is_not_queued_again() -> None:
    assert activity.queue(None, new()) == new()
    assert activity.queue(new(), new()) is None
    assert activity.queue(taken(), new()) is None
    done = activity.finish(taken(), "a", {}, NOW)
    again = activity.queue(done, new())
    assert again is not None and again["state"] == NEW and again["attempts"] == 0 and again["version"] == 4


def test_it_is_taken_once_it_is_due() -> None:
    assert activity.take(None, "a", NOW, LEASE) is None
    assert activity.take(new(), "a", NOW - 1, LEASE) is None
    doc = taken()
    assert (doc["state"], doc["owner"], doc["attempts"], doc["due_s"]) == (RUNNING, "a", 1, NOW + LEASE)


@pytest.mark.parametrize(
    ("now_s", "gone", "is_had"),
    [(NOW + LEASE - 1, False, False), (NOW + LEASE, False, True), (NOW + 1, True, True)],
)
def test_a_dead_owners_work_is_taken_over(now_s: int, gone: bool, is_had: bool) -> None:
    doc = activity.take(taken(), "b", now_s, LEASE, gone)
    assert (doc is not None) == is_had
    if doc is not None:
        assert (doc["owner"], doc["attempts"]) == ("b", 2)


def test_a_heartbeat_keeps_it() -> None:
    doc = activity.beat(taken(), "a", {"done": 7}, NOW + 20, LEASE)
    assert doc is not None and (doc["due_s"], doc["progress"]) == (NOW + 20 + LEASE, {"done": 7})
    assert activity.take(doc, "b", NOW + LEASE, LEASE) is None


def test_only_its_owner_does_anything_to_it() -> None:
    for stored in (None, new(), taken("b"), activity.cancel(taken(), NOW)):
        assert activity.beat(stored, "a", {}, NOW, LEASE) is None
        assert activity.finish(stored, "a", {}, NOW) is None
        assert activity.fail(stored, "a", "x", NOW) is None


def test_it_is_tried_again_later_and_later() -> None:
    doc: Activity | None = new()
    waits, now_s = [], NOW
    for _ in range(MAX_ATTEMPTS):
        assert doc is not None
        running = activity.take(doc, "a", now_s, LEASE)
        doc = activity.fail(running, "a", "the reason", now_s)
        assert doc is not None and doc["error"] == "the reason"
        if doc["state"] == NEW:
            assert "owner" not in doc
            waits.append(doc["due_s"] - now_s)
            now_s = doc["due_s"]
    assert waits == [15, 30, 60, 120, 240, 480, 900]
    assert doc is not None and doc["state"] == FAILED and "due_s" not in doc


def test_a_fault_of_what_was_asked_fails_at_once() -> None:
    doc = activity.fail(taken(), "a", "cycle: 99", NOW, for_good=True)
    assert doc is not None and doc["state"] == FAILED


def test_what_is_done_isnt_due() -> None:
    doc = activity.finish(taken(), "a", {"progress": {"done": 1}}, NOW + 5)
    assert doc is not None and doc["state"] == DONE and doc["ended_s"] == NOW + 5 and "due_s" not in doc
    assert activity.take(doc, "b", NOW * 2, LEASE) is None


def test_cancelling() -> None:
    for stored in (new(), taken()):
        assert activity.cancel(stored, NOW)["state"] == CANCELLED
    for ended in (None, activity.cancel(new(), NOW)):
        with pytest.raises(InputError, match="activity: "):
            activity.cancel(ended, NOW)


@given(st.lists(st.sampled_from(["take a", "take b", "beat a", "beat b", "end a", "fail b", "wait", "cancel"])))
def test_there_is_one_owner_and_versions_count_up(steps: list[str]) -> None:
    doc, now_s, owner = new(), NOW, ""
    for step in steps:
        what, _, who = step.partition(" ")
        changed: Activity | None = None
        if what == "wait":
            now_s += LEASE
        elif what == "take":
            changed = activity.take(doc, who, now_s, LEASE)
            assert changed is None or owner == "" or now_s >= doc["due_s"], "taken from an owner who lives"
            owner = who if changed is not None else owner
        elif what == "beat":
            changed = activity.beat(doc, who, {}, now_s, LEASE)
        elif what == "end":
            changed = activity.finish(doc, who, {}, now_s)
        elif what == "fail":
            changed = activity.fail(doc, who, "x", now_s)
        elif doc["state"] not in activity.ENDED:
            changed = activity.cancel(doc, now_s)
        if changed is not None:
            assert changed["version"] == doc["version"] + 1
            assert what == "cancel" or who == owner
            doc = changed
        if doc["state"] != RUNNING:
            owner = ""
        assert ("due_s" in doc) == (doc["state"] in (NEW, RUNNING))
