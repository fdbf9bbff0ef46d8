"""Looking on beside the work: whether the store answers, what waits in it, how fast it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitoring import WAIT_SECONDS
from mubss import metrics
from mubss.config import load
from mubss.core.model import OPEN
from mubss.core.settling import NEW
from mubss.services import depths, watch
from mubss.services.watch import Watch
from mubss.storage.database import Session, Store, StoreUnavailable, create_collections, open_database


@pytest.fixture
def store(empty_store_url: str) -> Iterator[Store]:
    with closing(open_database(empty_store_url)) as opened:
        create_collections(opened)
        yield opened


CONFIG = load(None, {})  # looks every 30 s


@dataclass
class Gate:
    """A store between Watch and the real one, which a test closes."""

    store: Store
    before: Callable[[], None]
    url: str = ""
    side_by_side: bool = False

    def run(self, work: Callable[[Session], Any]) -> Any:
        self.before()
        return self.store.run(work)


def refuse() -> None:
    raise StoreUnavailable("nobody there")


def test_a_store_that_goes_away_and_comes_back_is_told(store: Store) -> None:
    gate = Gate(store, lambda: None)
    one = Watch(gate, CONFIG, None)  # type: ignore[arg-type]
    one.ask()
    assert (one.obstacle(), one.facts(), metrics.STORE_UP.values[()]) == ("", {}, 1)
    gate.before = refuse
    one.ask()
    told = "the store is away: nobody there"
    assert (one.obstacle(), one.facts(), metrics.STORE_UP.values[()]) == (told, {"store": told}, 0)
    gate.before = lambda: None
    one.ask()
    assert (one.obstacle(), metrics.STORE_UP.values[()]) == ("", 1)


def test_a_store_that_does_not_answer_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        answered.wait(WAIT_SECONDS)

    one = Watch(Gate(store, wait), CONFIG, None)  # type: ignore[arg-type]
    one.start()
    assert asked.wait(WAIT_SECONDS)
    assert one.obstacle() == ""  # it still may
    monkeypatch.setattr(watch, "HUNG_SECONDS", 0)
    assert one.obstacle() == "the store is away: it hasn't answered for 0 s"
    answered.set()
    deadline = time.monotonic() + WAIT_SECONDS
    while one.obstacle():
        assert time.monotonic() < deadline
    one.stop()


def test_rates_are_of_the_last_seconds(store: Store) -> None:
    count = 0
    one = Watch(store, CONFIG, None, ccr=lambda: count)
    assert one.per_second() == {"ccr_per_second": 0.0}
    for second in range(30):
        one.sample(100.0 + second)
        count += 5 if second < 15 else 20
    assert one.per_second() == {"ccr_per_second": 20.0}


def test_a_look_is_paced_by_what_it_costs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    opened: list[str] = []
    now_s = 1000.0

    def count(_counting: Store) -> dict[str, int]:
        nonlocal now_s
        looks.append(1)
        now_s += 2
        return {"waiting": len(looks)}

    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    one = Watch(store, CONFIG, count, lambda url: opened.append(url) or store)  # type: ignore[func-returns-value]
    one.look()
    assert "busy_timeout_ms=60000" in opened[0]
    assert (one.facts(), metrics.LOOK_SECONDS.values[()]) == ({"waiting": 1}, 2)
    now_s += watch.PAUSE * 2 - 1
    one.look()
    assert len(looks) == 1
    now_s += 1
    one.look()
    assert one.facts() == {"waiting": 2}


def test_what_waits_is_counted(store: Store, tmp_path: Path) -> None:
    account = {"currency": "EUR", "balance_micros": 5, "credit_limit_micros": 0, "reserved_micros": 0, "x": "x" * 100}
    docs: dict[str, list[dict[str, Any]]] = {
        "accounts": [
            {**account, "_id": "a"},
            {**account, "_id": "b", "reserved_micros": 3},
            {**account, "_id": "c", "reserved_micros": 4, "balance_micros": -7, "credit_limit_micros": 5},
            {**account, "_id": "d", "balance_micros": -9, "currency": "XAF"},
        ],
        "gy_sessions": [{"_id": "1", "open": True}, {"_id": "2", "open": False}, {"_id": "3", "open": True}],
        "outbox": [{"_id": "1", "state": "waiting"}, {"_id": "2", "state": "done"}],
        "suspense": [{"_id": "1"}, {"_id": "2", "state": "charged"}],
        "cdr_suspense": [{"_id": "1", "state": OPEN}, {"_id": "2", "state": "discarded"}],
        "activities": [
            {"_id": "1", "billcycle": 3, "due_s": 10},
            {"_id": "2", "billcycle": 3, "due_s": 11},
            {"_id": "3", "billcycle": 4, "due_s": 10},
            {"_id": "4", "billcycle": 3},
        ],
        "bills": [{"_id": "1", "state": NEW}, {"_id": "2", "state": "BILL_STATUS_FAILED"}, {"_id": "3", "state": NEW}],
        "notifications": [
            {"_id": "1", "state": "new", "due_s": 10},
            {"_id": "2", "state": "new", "due_s": 11},
            {"_id": "3", "state": "dead", "due_s": 5},
        ],
    }
    for name, some in docs.items():
        store.run(lambda session, name=name, some=some: session.collection(name).add_many(some))  # type: ignore[misc]
    for name in ("a.cdr", ".b.cdr", "c.txt"):
        (tmp_path / name).touch()
    assert depths.of_gy(store) == {"sessions": 2, "to_tell": 1, "suspense": 1, "overdrawn": 2}
    assert metrics.GY_RESERVED.values == {("EUR",): 7, ("XAF",): 0}
    assert metrics.GY_OVERDRAWN.values == {("EUR",): 2, ("XAF",): 9}
    assert depths.of_cdr(store, tmp_path) == {"files": 1, "suspense": 1}
    assert depths.of_cdr(store, tmp_path / "nowhere")["files"] == 0
    assert depths.of_billing(store, 3, lambda: 10) == {"jobs": 1}
    assert depths.of_billfmt(store) == {"bills": 2, "without_pdf": 1}
    assert depths.of_crm(store, lambda: 10) == {"notifications": 1, "dead": 1}
