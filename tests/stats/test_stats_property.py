"""However passes fall between documents, and wherever they are killed, the figures are those of one pass at the end."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.services import stats_pass
from mubss.storage import stats as storage
from mubss.storage import stats_sources as sources
from stats_times import DAY_S, NOON
from stats_world import StatsWorld

COUNTED = ("usage", "money", "changes", "bills", "answers")
TIMES = st.integers(NOON - 70 * DAY_S, NOON)
KEYS = st.sampled_from(["a1", "b2", "c3"])
STEPS = st.one_of(
    st.tuples(st.just("use"), KEYS, TIMES, st.integers(0, 9), st.sampled_from(["DATA", "VOICE"])),
    st.tuples(st.just("post"), KEYS, TIMES, st.integers(-9, 9), st.sampled_from(["topup", "voucher", "dunning"])),
    st.tuples(st.just("change"), KEYS, st.sampled_from(["P", "Q"]), st.sampled_from(["active", "suspended"])),
    st.tuples(st.just("bill"), TIMES, st.integers(0, 9)),
    st.tuples(st.just("minute"), TIMES, st.integers(1, 9)),
    # it is killed before, or just behind, its so manieth write; 0: it isn't
    st.tuples(st.just("pass"), st.integers(0, 6), st.booleans()),
)


class Killed(Exception):
    """As a kill -9: nothing of this process comes after it."""


def play(world: StatsWorld, steps: list[tuple[Any, ...]], *, with_passes: bool) -> dict[Any, Any]:
    for key in ("a1", "b2", "c3"):
        world.account(key, NOON - 80 * DAY_S)
    bills = minutes = 0
    for kind, *values in steps:
        if kind == "use":
            key, at_s, units, service = values
            world.use(key, at_s, units, units * 3, service)
        elif kind == "post":
            key, at_s, amount, what = values
            world.post(key, at_s, amount, what)
        elif kind == "change":
            key, plan, state = values
            world.change(key, world.now_s, plan, state)
        elif kind == "bill":
            at_s, total = values
            bills += 1
            doc = {"_id": f"b{bills}", "number": f"INV-2026-{bills:07}", "kind": "postpaid", "cycle": 3, "state": "x"}
            doc |= {"issued_s": at_s, "net": total, "tax": 0, "total": total, "currency": "EUR", "decimals": 2}
            world.put("bills", [doc])
            world.put("counters", [{"_id": "bill:INV:2026", "version": bills}])
        elif kind == "minute":
            at_s, count = values
            minutes += 1
            doc = {"_id": f"m{minutes}", "minute_s": at_s, "counted": 0, "counts": {"1 2001": count}}
            sources.add_minute(world.store, doc)
        elif with_passes:
            run_killed(world, *values)
        world.now_s += 61  # so that the lease of one that was killed is over
    world.now_s = NOON + 2 * DAY_S
    world.run(keep_hours_days=30)
    return world.figures(*COUNTED)


def run_killed(world: StatsWorld, at_write: int, is_done: bool) -> None:
    writes = 0
    count = storage.count

    def counting(*arguments: Any, **more: Any) -> None:
        nonlocal writes
        writes += 1
        if writes != at_write or is_done:
            count(*arguments, **more)
        if writes == at_write:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "count", counting)
        patch.setattr(sources, "PAGE", 2)
        patch.setattr(stats_pass, "DOCUMENTS", 2)
        counter = world.counter(keep_hours_days=30)
        if at_write:
            counter._leave = lambda _passed_s: None  # type: ignore[method-assign]
        try:
            counter.run(world.now_s)
        except Killed:
            pass


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=25))
def test_passes_anywhere_come_to_the_same(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for with_passes in (True, False):
            world = StatsWorld(f"sqlite:///{folder}/{with_passes}.db", NOON)
            found.append(play(world, steps, with_passes=with_passes))
            world.close()
    assert found[0] == found[1]
