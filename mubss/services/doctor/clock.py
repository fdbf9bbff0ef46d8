"""The clock: kept by NTP, not far from the store's, and not before what it has said already."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.storage import audit, refdata
from mubss.storage.database import Store, StoreError

TOLERATED_S = 5  # that a last known time may be ahead: another machine's clock wrote it
_TIMEX_OCTETS = 208  # struct timex (adjtimex(2)); more than any ABI's
_TIME_ERROR = 5  # adjtimex: the clock isn't synchronised


def check(scene: Scene) -> Iterator[Finding]:
    """NTP, the store's clock where it has one, and the last times that were written."""
    yield _kept()
    try:
        known_s, off_ms = scene.look(_look)
    except StoreError as error:
        yield warn(f"the store's times can't be read: {error}", "see what is said of the store")
        return
    if off_ms is not None:
        yield distance(off_ms, scene.config.doctor.clock_warn_ms)
    if known_s > scene.now_s + TOLERATED_S:
        do = "set the clock right: money is charged by it, and bills are made by it"
        yield fail(f"{_utc(scene.now_s)} is before {_utc(known_s)}, which the store has already", do)
    else:
        yield ok(f"{_utc(scene.now_s)}; the last time in the store is {_utc(known_s) if known_s else 'none'}")


def _kept() -> Finding:
    """What the kernel says; asking changes nothing and needs no right."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    if state < 0:
        text = f"whether NTP keeps the clock can't be read: {os.strerror(ctypes.get_errno())}"
        return warn(text, "look outside of this container")
    if state == _TIME_ERROR:
        return warn("nothing keeps the clock: the kernel says it isn't synchronised", "run chrony or systemd-timesyncd")
    return ok("the clock is synchronised, the kernel says")


def _look(store: Store) -> tuple[int, int | None]:
    """(the last time that was written, how far the store's clock is off), in seconds and milliseconds."""
    before_ms = time.time_ns() // 1_000_000
    clock_ms = store.run(lambda session: session.inspect({})).clock_ms
    after_ms = time.time_ns() // 1_000_000
    off_ms = None
    if clock_ms:  # within the answer's own time nothing is off
        off_ms = min(0, clock_ms - before_ms) or max(0, clock_ms - after_ms)
    last = audit.find(store, audit.Wanted(), 1)
    known_ms = max([int(entry["at_ms"]) for entry in last], default=0)
    return max(known_ms // 1000, store.run(refdata.read_version).loaded_s), off_ms


def distance(off_ms: int, limit_ms: int) -> Finding:
    """How it is that the store's clock is so far off; behind where it is negative."""
    text = f"the store's clock is {abs(off_ms)} ms {'behind' if off_ms < 0 else 'ahead of'} this machine's"
    do = "have NTP keep both machines' clocks"
    if abs(off_ms) > 10 * limit_ms:
        return fail(text, do)
    return warn(text, do) if abs(off_ms) > limit_ms else ok(text)


def _utc(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
