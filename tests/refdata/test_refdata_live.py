"""The tables of running processes: new versions are picked up, broken ones are not."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from mubss.core.errors import ConfigError, RefdataError
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.storage.database import Store
from refdata_samples import CALENDAR, TARIFF, source


def put(store: Store, text: str) -> None:
    """Makes text the whole reference data."""
    load(store, [source(text)], CALENDAR, 1000, replace=True)


def price(refdata: Refdata) -> str | None:
    return refdata.tables.plans["basic"].services["DATA"].rate_key("any", "any")


def test_a_store_without_reference_data_sells_nothing(store: Store) -> None:
    refdata = Refdata(store, "Europe/Berlin")
    assert refdata.load().version == 0
    assert refdata.tables.plans == {}
    assert refdata.poll() is False


def test_poll_swaps_the_tables_when_the_version_changed(store: Store) -> None:
    put(store, TARIFF)
    refdata = Refdata(store, "Europe/Berlin")
    before = refdata.load()
    assert (before.version, price(refdata)) == (1, "DATA/any/any/20000/1000000/0/0")
    assert refdata.poll() is False
    assert refdata.tables is before
    put(store, TARIFF.replace("0.02", "0.03"))
    assert refdata.poll() is True
    assert (refdata.tables.version, price(refdata)) == (2, "DATA/any/any/30000/1000000/0/0")
    assert refdata.tables.calendar is before.calendar  # its memo is worth keeping
    assert before.version == 1
    assert before.plans["basic"].services["DATA"].rate_key("any", "any") == "DATA/any/any/20000/1000000/0/0"
    assert refdata.poll() is False


POLLER = """
import sys
from mubss.refdata.live import Refdata
from mubss.storage.database import open_database
refdata = Refdata(open_database(sys.argv[1]), "UTC")
refdata.load()
print(refdata.tables.version, flush=True)
for _ in sys.stdin:
    print(refdata.poll(), refdata.tables.version, refdata.tables.services["DATA"].quota.validity_s, flush=True)
"""


def test_another_process_picks_a_version_up(store: Store, store_url: str) -> None:
    put(store, TARIFF)
    process = subprocess.Popen(
        [sys.executable, "-c", POLLER, store_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask() -> str:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        return process.stdout.readline()  # type: ignore[union-attr]

    try:
        assert process.stdout.readline() == "1\n"
        assert ask() == "False 1 60\n"
        put(store, TARIFF.replace("validity_seconds = 60", "validity_seconds = 61"))
        assert ask() == "True 2 61\n"
        assert ask() == "False 2 61\n"
    finally:
        process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("collection", "path", "value", "said"),
    [
        ("ref_price_plans", "$.rates", "?", "TypeError"),
        ("ref_price_plans", "$.currency", "XXX", "stored: price_plans[basic].currency: 'XXX'; expected one of EUR"),
        ("ref_services", "$.unit", "bytes", "'bytes' is not a valid Unit"),
        ("ref_bill_cycles", "$._closing", 1, ""),
        ("ref_destinations", "$.prefixes", None, "TypeError"),
    ],
)
def test_a_version_that_cannot_be_used_is_logged_once_and_left(
    store: Store, caplog: pytest.LogCaptureFixture, collection: str, path: str, value: object, said: str
) -> None:
    """Documents that somebody edited by hand, or that another version of the system wrote."""
    put(store, TARIFF)
    refdata = Refdata(store, "UTC")
    before = refdata.load()
    store.run(lambda session: session.collection(collection).modify("true").set(path, value).execute())
    store.run(lambda session: session.collection("meta").modify("_id = 'refdata'").set("$.version", 2).execute())
    if not said:  # a field more harms nobody
        assert refdata.poll() is True
        return
    assert [refdata.poll(), refdata.poll()] == [False, False]
    assert refdata.tables is before
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "version 1 stays in force" in record.getMessage()
    assert said in record.getMessage()
    with pytest.raises(RefdataError):
        Refdata(store, "UTC").load()
    put(store, TARIFF)
    assert refdata.poll() is True
    assert refdata.tables.version == 3


def test_a_store_that_is_away_leaves_the_tables(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    put(store, TARIFF)
    refdata = Refdata(store, "UTC")
    before = refdata.load()
    store.close()
    assert refdata.poll() is False
    assert refdata.tables is before
    assert "version 1 stays in force" in caplog.text


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "", "../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin\0", "E" * 10_000]
)
def test_a_time_zone_that_there_is_not(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        operator_calendar(name)
    assert str(caught.value) == f"general.timezone: {name[:60]!r}; expected an IANA time zone like Europe/Berlin"
