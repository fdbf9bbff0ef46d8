"""`mubss outage report`: sums, requests, what waits; over what a replay writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from cli_tools import Shell
from mubss.charging.journal import create
from mubss.config import load
from mubss.storage import outage
from mubss.storage.database import open_database

DAY_S = 86_400
FIRST_S = 1_795_000_000  # 2026-11-18 11:06:40 UTC
ONE, TWO = "1" * 24, "2" * 24


def record(journal: str, number: int, state: str, granted: int, charged: int, **more: Any) -> dict[str, Any]:
    return {
        "_id": f"{journal}{number:08x}",
        "journal": journal,
        "at_s": FIRST_S + number + (DAY_S if journal == TWO else 0),
        "replayed_s": FIRST_S + 100,
        "account": "acc1",
        "session": "5" * 32,
        "type": 2,
        "number": number,
        "peer": "pgw.example",
        "currency": "EUR",
        "granted_micros": granted,
        "charged_micros": charged,
        "short_micros": 0,
        "suspended": 0,
        "result": 2001,
        "state": state,
        **more,
    }


@pytest.fixture
def after_outages(demo_shell: Shell) -> Iterator[Shell]:
    with closing(open_database(load(None).store_url)) as store:
        docs = [
            record(ONE, 0, "charged", 20_000, 0),
            record(ONE, 1, "charged", 20_000, 20_000, short_micros=5_000),
            record(ONE, 2, "refused", 70_000, 0, result=4010, suspended=1),
            record(ONE, 3, "repeat", -20_000, 0),
            record(TWO, 0, "failed", 30_000, 0, result=0, error="too large"),
        ]
        outage.put(store, docs)
    yield demo_shell


def test_sums_by_journal(after_outages: Shell) -> None:
    found = after_outages.json("outage", "report")
    assert found["waiting"] == []
    one, two = found["reconciled"]
    assert (one["requests"], one["charged"], one["refused"], one["repeat"], one["failed"]) == (4, 2, 1, 1, 0)
    assert (one["granted_micros"], one["charged_micros"], one["refused_micros"]) == (90_000, 20_000, 70_000)
    assert (one["difference_micros"], one["short_micros"], one["suspended"]) == (0, 5_000, 1)
    assert (two["failed"], two["refused_micros"], two["difference_micros"]) == (1, 30_000, 0)
    shown = after_outages.ok("outage", "report").out
    assert "0.09 EUR" in shown and "0.005 EUR" in shown and ONE in shown and TWO in shown


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (("--requests",), [0, 1, 2, 3, 0]),
        (("--state", "refused"), [2]),
        (("--requests", "--journal", TWO), [0]),
        (("--requests", "--since", "2026-11-19"), [0]),
        (("--requests", "--journal", "3"), []),
    ],
)
def test_each_request(after_outages: Shell, options: tuple[str, ...], numbers: list[int]) -> None:
    assert [one["number"] for one in after_outages.json("outage", "report", *options)] == numbers
    shown = after_outages.ok("outage", "report", *options).out
    assert shown.count("UPDATE") == len(numbers)


def test_without_an_outage_there_is_nothing(demo_shell: Shell) -> None:
    assert demo_shell.json("outage", "report") == {"reconciled": [], "waiting": []}
    assert demo_shell.ok("outage", "report").out


def test_a_journal_that_waits_is_told_and_the_exit_code_says_so(demo_shell: Shell) -> None:
    folder = demo_shell.folder / "var/outage"
    journal = create(folder)
    journal.append([b"a request", b"another"])
    done = demo_shell("outage", "report")
    assert (done.code, done.err) == (1, f"{journal.name}: 2 requests, not done yet\n")
    journal.keeps = True
    journal.remove()
    done = demo_shell("outage", "report", "--json")
    assert done.code == 1 and "damaged" in done.err
    assert done.json["waiting"] == [{"journal": journal.name, "requests": 2, "damaged_octets": 0, "is_kept": True}]
