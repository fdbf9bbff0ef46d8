"""The demo's sample usage: when it lies, what it costs, and that a run that broke off is finished by the next."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cli_tools import Shell
from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.cli.init import set_up
from mubss.config import Config, load
from mubss.core.bill_period import last_closed
from mubss.core.calendar import OperatorCalendar
from mubss.core.tariff import BillCycle, Tables
from mubss.refdata.live import Refdata
from mubss.services import demo
from mubss.services.audit_ledger import check
from mubss.storage import subscribers
from mubss.storage.database import Doc, Store, open_database


@pytest.mark.parametrize(
    ("zone", "now", "start", "end"),
    [
        ("UTC", "2026-11-23 05:00", "2026-10-04 00:00", "2026-11-04 00:00"),
        ("UTC", "2026-11-03 23:59", "2026-09-04 00:00", "2026-10-04 00:00"),
        ("UTC", "2026-11-04 00:00", "2026-10-04 00:00", "2026-11-04 00:00"),
        ("UTC", "2026-01-20 12:00", "2025-12-04 00:00", "2026-01-04 00:00"),
        ("UTC", "2026-01-02 12:00", "2025-11-04 00:00", "2025-12-04 00:00"),
        ("Europe/Berlin", "2026-11-04 00:00", "2026-10-04 00:00", "2026-11-04 00:00"),  # winter time begins in it
        ("America/New_York", "2026-03-03 23:59", "2026-01-04 00:00", "2026-02-04 00:00"),
    ],
)
def test_the_last_closed_period(zone: str, now: str, start: str, end: str) -> None:
    clock = ZoneInfo(zone)
    tables = Tables(1, OperatorCalendar(clock), {}, {}, bill_cycles={3: BillCycle(3, 3, "third")})

    def seconds(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=clock).timestamp())

    assert last_closed(3, seconds(now), tables.calendar.zone)[1:3] == (seconds(start), seconds(end))


def made(folder: Path) -> Config:
    """A store with tariffs and collections, and nobody in it."""
    config = load(None, {"MUBSS_GENERAL__DATA_DIR": str(folder)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "make", lambda *_: demo.Made(0, 0, 0))
        set_up(config, with_demo=True)
    return config


def everything(store: Store) -> dict[str, tuple[list[Doc], list[Doc]]]:
    """Postings and usage of each demo subscriber, without the ids that differ from store to store."""
    found = {}
    for one in demo.demo_subscribers():
        account = subscribers.account_of(store, one.identities[0])
        assert account is not None
        histories = (subscribers.postings(store, account), subscribers.usage(store, account))
        for doc in (*histories[0], *histories[1]):
            assert doc.pop("_id").startswith(doc.pop("account"))
        found[one.msisdn] = histories
    return found


NOW_S = 1_795_412_000  # 2026-11-23


def test_sample_usage_lies_in_the_period_and_some_costs(tmp_path: Path) -> None:
    config = made(tmp_path)
    with closing(open_database(config.store_url)) as store:
        tables = Refdata(store, "UTC").load()
        assert demo.make(store, tables, NOW_S) == (10, 10, 150)
        period = last_closed(3, NOW_S, tables.calendar.zone)
        histories = everything(store)
        charges = {}
        for one in demo.demo_subscribers():
            postings, usage = histories[one.msisdn]
            assert all(period.start_s <= record["from_s"] <= record["until_s"] < period.end_s for record in usage)
            assert all(period.start_s * 1000 <= posting["at_ms"] < period.end_s * 1000 for posting in postings)
            charges[one.msisdn] = sum(record["charge_micros"] for record in usage)
        assert charges["999700000001"] == 0
        assert charges["999700000101"] == 0  # all of it is free
        # Data: 1,000,123,456 octets a session, the first 10^9 free: 1 + 3 × 1,001 blocks. Calls: 747 s of the last
        # one are not free: 13 blocks. SMS: 50 of 100.
        assert charges["999700000110"] == 3_004 * 20_000 + 13 * 90_000 + 50 * 80_000
        assert check(store)[1] == []


@pytest.mark.parametrize("calls", [0, 7, 60])
def test_a_run_that_breaks_off_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    with closing(open_database(made(tmp_path / "whole").store_url)) as store:
        demo.make(store, Refdata(store, "UTC").load(), NOW_S)
        whole = everything(store)
    with closing(open_database(made(tmp_path / "broken").store_url)) as store:
        tables = Refdata(store, "UTC").load()
        execute, left = Engine.execute, calls

        def break_off(engine: Engine, orders: list[Order]) -> list[Order]:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return execute(engine, orders)

        monkeypatch.setattr(Engine, "execute", break_off)
        with pytest.raises(KeyboardInterrupt):
            demo.make(store, tables, NOW_S)
        monkeypatch.setattr(Engine, "execute", execute)
        assert demo.make(store, tables, NOW_S)[:2] == (0, 0)
        assert everything(store) == whole
        assert demo.make(store, tables, NOW_S) == (0, 0, 0)


def test_the_store_is_its_owners_alone(demo_shell: Shell) -> None:
    demo_shell.ok("balance", "999700000001")
    files = [one for one in (demo_shell.folder / "var").glob("mubss.db*") if one.stat().st_size]  # locks are empty
    assert files and {one.stat().st_mode & 0o777 for one in files} == {0o600}


def test_tariffs_that_are_there_stay_as_they_are(demo_shell: Shell) -> None:
    file = demo_shell.folder / "dearer.toml"
    file.write_text('[[taxes]]\ncode = "VAT20"\nname = "VAT"\nrate_percent = "25"\n')
    version = demo_shell.json("ref", "load", file)["version"]["number"]
    again = demo_shell.json("init", "--demo")
    assert (again["refdata_version"], again["refdata_changed"]) == (version, False)
