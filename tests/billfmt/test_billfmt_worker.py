"""`mubss-billfmt` and `mubss bills reformat` as processes: a pass, a stop, a kill, and what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bill_world import World
from mubss.runtime import ExitCode


def start(world: World, *arguments: str, module: str = "mubss.workers.billfmt", **more: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "MUBSS_GENERAL__DATA_DIR": str(world.folder), "MUBSS_STORE__URL": world.url, **more}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(world: World, *arguments: str, **more: Any) -> tuple[int, str, str]:
    process = start(world, *arguments, **more)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def until_files(world: World, count: int, process: subprocess.Popen[str]) -> None:
    """Waits for so many files, or for the process's end."""
    while process.poll() is None:
        if len([name for name in world.files() if name[0] != "."]) >= count:
            return
        time.sleep(0.002)


def test_a_pass_and_what_it_says(sqlite_world: World) -> None:
    good, bad = sqlite_world.add(), sqlite_world.add(currency=1)
    code, _, err = run(sqlite_world, "--once")
    assert code == ExitCode.FAILURE
    assert "bill INV-2026-0000002 can't be rendered: bill: TypeError" in err and "1 bill rendered, 1 can't be" in err
    assert [sqlite_world.get(one)["state"] for one in (good, bad)] == ["BILL_STATUS_UNPAID", "BILL_STATUS_FAILED"]
    assert run(sqlite_world, "--once")[0] == ExitCode.OK


def test_reformat_by_hand(sqlite_world: World) -> None:
    bill = sqlite_world.add()
    assert run(sqlite_world, "--once")[0] == ExitCode.OK
    before = sqlite_world.get(bill)
    arguments = ("bills", "reformat", bill["number"])
    code, out, err = run(sqlite_world, *arguments, module="mubss.cli.main")
    assert (code, err) == (ExitCode.OK, "") and "2 pages, BILL_STATUS_UNPAID" in out
    code, out, _ = run(sqlite_world, *arguments, "--json", module="mubss.cli.main")
    assert json.loads(out)["bill"]["document"] == before["document"]
    code, _, err = run(sqlite_world, "bills", "reformat", "INV-9", module="mubss.cli.main")
    assert code == ExitCode.INPUT and "number: 'INV-9'" in err


def test_all_that_failed_are_rendered_once_more(sqlite_world: World) -> None:
    bad, good = sqlite_world.add(), sqlite_world.add()
    doc = sqlite_world.get(bad)
    sqlite_world.put({**doc, "currency": 7, "version": doc["version"] + 1})
    assert run(sqlite_world, "--once")[0] == ExitCode.FAILURE
    failed = sqlite_world.get(bad)
    assert (failed["state"], sqlite_world.get(good)["state"]) == ("BILL_STATUS_FAILED", "BILL_STATUS_UNPAID")
    arguments = ("bills", "reformat", "--failed")
    assert run(sqlite_world, *arguments, module="mubss.cli.main")[0] == ExitCode.FAILURE
    again = sqlite_world.get(bad)
    sqlite_world.put({**again, "currency": "EUR", "version": again["version"] + 1})
    code, out, err = run(sqlite_world, *arguments, module="mubss.cli.main")
    assert (code, err) == (ExitCode.OK, "") and "2 pages, BILL_STATUS_UNPAID" in out
    assert run(sqlite_world, *arguments, module="mubss.cli.main")[1] == ""
    code, _, err = run(sqlite_world, "bills", "reformat", module="mubss.cli.main")
    assert code == ExitCode.USAGE and "NUMBER, or --failed" in err


def test_told_to_stop_it_finishes_what_is_under_way(sqlite_world: World) -> None:
    for _ in range(60):
        sqlite_world.add(count=3)
    process = start(sqlite_world)
    until_files(sqlite_world, 1, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.OK and "stopped" in err
    bills = sqlite_world.all("bills")
    assert all("lease" not in bill for bill in bills)
    assert len(sqlite_world.files()) == sum(bill["state"] == "BILL_STATUS_UNPAID" for bill in bills) >= 1


@pytest.mark.parametrize("at", [1, 9, 23])
def test_killed_it_loses_nothing(world: World, at: int) -> None:
    for _ in range(40):
        world.add(count=3)
    process = start(world, "--once")
    until_files(world, at, process)
    process.kill()
    process.communicate(timeout=60)
    done = {bill["_id"]: bill for bill in world.all("bills") if bill["state"] == "BILL_STATUS_UNPAID"}
    for bill in done.values():
        assert (world.folder / "invoices" / bill["document"]["path"]).stat().st_size == bill["document"]["octets"]
    world.now_s = int(time.time()) + 1000  # its leases are over
    assert all(one.fault == "" for one in world.run())
    bills = world.all("bills")
    assert len(bills) == 40 and {bill["state"] for bill in bills} == {"BILL_STATUS_UNPAID"}
    assert all(bill == done[bill["_id"]] for bill in bills if bill["_id"] in done), "none was done again"
    whole = [name for name in world.files() if name[0] != "."]
    assert sorted(bill["document"]["path"] for bill in bills) == whole


def test_two_processes_do_the_work_once(world: World) -> None:
    for _ in range(30):
        world.add(count=3)
    processes = [start(world, "--once") for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [ExitCode.OK, ExitCode.OK], said
    assert {bill["version"] for bill in world.all("bills")} == {3}
    assert len(world.files()) == 30


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("MUBSS_BILLFMT__ENGINE", "word", "billfmt.engine"),
        ("MUBSS_BILLFMT__TEMPLATES", "/nonexistent", "billfmt.templates: /nonexistent; expected a folder"),
        ("MUBSS_BILLFMT__IBAN", "DE00370400440532013000", "an IBAN whose check digits are right"),
        ("MUBSS_BILLFMT__PAYMENT_LINK", "javascript:x", "a link like"),
        ("MUBSS_BILLFMT__LOGO", "images/none.svg", "billfmt.logo: 'images/none.svg'; expected a file"),
    ],
)
def test_a_configuration_that_cant_be(sqlite_world: World, variable: str, value: str, text: str) -> None:
    code, _, err = run(sqlite_world, "--once", **{variable: value})
    assert code == ExitCode.CONFIG and text in err


def test_a_folder_in_the_way_is_for_another_time(sqlite_world: World, tmp_path: Path) -> None:
    bill = sqlite_world.add()
    (tmp_path / "invoices").write_text("")
    code, _, err = run(sqlite_world, "--once")
    assert code == ExitCode.TRY_AGAIN and "bills wait: " in err
    assert sqlite_world.get(bill)["state"] == "BILL_STATUS_NEW"
