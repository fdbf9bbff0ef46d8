"""`mubss stats`: what real documents come to, drawn in a terminal and told as JSON; and passes by command."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from billing_process import billing
from cli_tools import Shell
from mubss.cli.stats_draw import bar, figure_text, spark
from mubss.config import load
from mubss.runtime import ExitCode
from mubss.storage import stats as storage
from mubss.storage.database import open_database
from mubss.workers.stats import cli

ONE, POST = "999700000001", "999700000101"
EURO = 1_000_000
WAIT_SECONDS = 60


def documents(shell: Shell, collection: str) -> list[dict[str, Any]]:
    with closing(open_database(load().store_url)) as store:
        return store.run(lambda session: session.collection(collection).scan(limit=100_000))


def test_figures_are_the_sums_of_all_documents(demo_shell: Shell) -> None:
    shell = demo_shell
    shell.ok("topup", ONE, 30)
    shell.ok("adjust", POST, "-2.50", "--reason", "case 7")
    assert billing("--cycle", "3", "--once")[0] == ExitCode.OK
    numbers = [one["number"] for one in shell.json("bills", "list")]
    shell.ok("bills", "void", numbers[0], "--reason", "wrong")
    shell.ok("bills", "pay", numbers[1], "1", "--reference", "bank 1")
    counted = shell.json("stats", "run")
    assert counted["missing"] == 0
    assert shell.json("stats", "run")["documents"] == 0

    since = ("--from", "2020-01", "--period", "month")
    money, usage = shell.json("stats", "show", "money", *since), shell.json("stats", "show", "usage", *since)
    charged = sum(one["charge_micros"] for one in usage)
    assert charged == sum(one["charge_micros"] for one in documents(shell, "usage")) > 0
    assert sum(one["amount_micros"] for one in money) - charged == sum(
        one["balance_micros"] for one in documents(shell, "accounts")
    ), "nothing that moved a balance is left out, or is there twice"
    [topup] = shell.json("stats", "show", "topups", "--where", "kind=topup", "--by", "plan")
    assert (topup["plan"], topup["count"], topup["amount_micros"]) == ("demo-prepaid", 1, 30 * EURO)
    bills = documents(shell, "bills")
    assert sum(one["count"] for one in shell.json("stats", "show", "bills")) == len(bills)
    sold = shell.json("stats", "show", "revenue", *since, "--by", "kind")
    revenue = {one["kind"]: one["amount_micros"] for one in sold if one["kind"] != "usage"}
    posted = [one for one in documents(shell, "postings") if one["cause"].get("what") == "fees"]
    assert revenue["fees"] == -sum(one["amount_micros"] for one in posted) > 0
    arpu = shell.json("stats", "show", "arpu", "--period", "month")[-1]
    assert arpu["subscribers"] == 20 and arpu["arpu_micros"] == arpu["revenue_micros"] // 20


def test_what_is_drawn(demo_shell: Shell) -> None:
    shell = demo_shell
    nothing = shell("stats", "show", "topups")
    assert nothing.code == 0 and "nothing is counted yet" in nothing.err
    shell.ok("topup", ONE, 5)
    assert shell.ok("stats", "run").out.endswith(" documents counted\n")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    shown = shell.ok("stats", "show", "topups", "--by", "kind", "--from", today).out
    assert f"topups by day, {today} to {today}" in shown
    assert "topup" in shown and "5.00 EUR" in shown and "█" in shown
    each = shell.ok("stats", "show", "topups", "--each", "--period", "hour").out
    assert f"{today} " in each and "█" * 24 in each
    overview = shell.ok("stats", "show").out
    assert "subscribers active" in overview and "topups" in overview and "5.00 EUR" in overview
    assert "churn_ppm" in shell.ok("stats", "metrics").out
    names = [one["metric"] for one in shell.json("stats", "metrics")]
    for name in names:
        shell.ok("stats", "show", name)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("show", "nope"), ExitCode.USAGE, "nope"),
        (("show", "usage", "--by", "state"), ExitCode.INPUT, "by: 'state'; expected any of "),
        (("show", "usage", "--by", ""), ExitCode.INPUT, "by: ''; expected any of "),
        (("show", "usage", "--by", ","), ExitCode.INPUT, "by: ','; expected any of "),
        (("show", "usage", "--where", "colour=red"), ExitCode.INPUT, "where: 'colour'; expected any of "),
        (("show", "overview", "--by", ""), ExitCode.INPUT, "by, where: "),
        (("show", "usage", "--where", "plan"), ExitCode.INPUT, "where: 'plan'"),
        (("show", "usage", "--from", "yesterday"), ExitCode.INPUT, "from: 'yesterday'; expected a day like"),
        (("show", "usage", "--until", "2026-02-30"), ExitCode.INPUT, "until: '2026-02-30'"),
        (
            ("show", "usage", "--from", "2027-01-01", "--until", "2026-01-01"),
            ExitCode.INPUT,
            "from: 2027-01-01; expected a day before the end, 2026-01-01, and up to ",
        ),
        (
            ("show", "usage", "--from", "1971-01-01", "--period", "hour"),
            ExitCode.INPUT,
            "from: 1971-01-01; expected a day before the end, now, and up to 10,000 periods (hour) in all",
        ),
        (("show", "overview", "--by", "plan"), ExitCode.INPUT, "by, where: "),
    ],
)
def test_refused(demo_shell: Shell, arguments: tuple[str, ...], code: ExitCode, named: str) -> None:
    done = demo_shell("stats", *arguments)
    assert done.code == code and named in done.err


def test_a_value_that_is_not_there_is_told_with_those_that_are(demo_shell: Shell) -> None:
    demo_shell.ok("stats", "run")
    since = ("show", "usage", "--from", "2020-01", "--period", "month", "--where")
    nothing = demo_shell("stats", *since, "plan=demo-prepayed")
    assert nothing.code == 0
    told = "where: plan=demo-prepayed has no figures here; there are demo-postpaid\n"
    assert nothing.err == told
    assert demo_shell("stats", *since, "plan=demo-postpaid").err == ""
    assert demo_shell("stats", *since, "plan=demo-prepayed", "--json").json == []


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_files_hold_what_is_shown(demo_shell: Shell) -> None:
    shell = demo_shell
    shell.ok("stats", "run")
    asked = ("usage", "--period", "month", "--from", "2020-01", "--by", "plan,zone")
    shown = shell.json("stats", "show", *asked)
    assert shown
    text = shell.ok("stats", "export", *asked, "--csv", "-").out
    assert [{name: str(value) for name, value in one.items()} for one in shown] == [
        {name: one[name] for name in shown[0]} for one in rows_of(text)
    ]
    file = shell.folder / "usage.csv"
    assert "rows in " in shell.ok("stats", "export", *asked, "--csv", file).out
    assert file.read_text() == text
    parquet = shell.folder / "usage.parquet"
    shell.ok("stats", "export", *asked, "--parquet", parquet)
    table = pyarrow.parquet.read_table(parquet)
    assert table.schema.field("charge_micros").type == pyarrow.int64()
    back = [{**one, "start_s": int(one["start"].timestamp())} for one in table.to_pylist()]
    assert [{name: one[name] for name in shown[0]} for one in back] == shown
    assert not list(shell.folder.glob("*.tmp"))
    empty = shell.ok("stats", "export", "vouchers", "--csv", "-").out
    assert empty == "period,start_s,end_s,currency,count,amount_micros\n"
    shell.ok("stats", "export", "vouchers", "--parquet", parquet)
    assert pyarrow.parquet.read_table(parquet).num_rows == 0


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        ("usage", ("--by", "plan,zone", "--figure", "units")),
        ("subscribers", ("--by", "state")),
        ("money", ("--by", "kind,what", "--period", "month", "--from", "2020-01")),
        ("churn", ("--period", "hour")),
        ("vouchers", ()),
    ],
)
def test_charts(demo_shell: Shell, metric: str, more: tuple[str, ...]) -> None:
    shell = demo_shell
    shell.ok("adjust", POST, "-2.50", "--reason", "case 7")
    shell.ok("stats", "run")
    png, svg, again = (shell.folder / name for name in ("a.png", "a.svg", "b.svg"))
    for file in (png, svg, again):
        shell.ok("stats", "chart", metric, *more, "--out", file)
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert svg.read_text().startswith("<?xml") and svg.read_bytes() == again.read_bytes()


def test_what_isnt_installed_is_named(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)  # as where there is none
    for arguments, extra in (
        (("export", "usage", "--parquet", "x.parquet"), "mubss[parquet]"),
        (("chart", "usage", "--out", "x.png"), "mubss[charts]"),
    ):
        done = demo_shell("stats", *arguments)
        assert done.code == ExitCode.INPUT and f"pip install '{extra}'" in done.err
    assert not list(demo_shell.folder.glob("x.*"))


def test_files_that_cant_be_written(demo_shell: Shell) -> None:
    for arguments, code, named in (
        (("export", "usage", "--csv", "no/where.csv"), ExitCode.INPUT, "no/where.csv: can't be written: No such file"),
        (("export", "usage"), ExitCode.USAGE, "expected one of --csv and --parquet"),
        (("export", "usage", "--csv", "-", "--parquet", "x"), ExitCode.USAGE, "expected one of"),
        (("chart", "usage", "--out", "x.gif"), ExitCode.INPUT, "out: 'x.gif'; expected a name that ends in .png"),
        (("chart", "usage", "--out", "x.png", "--figure", "y"), ExitCode.INPUT, "figure: 'y'; expected one of records"),
        (("chart", "usage", "--out", "no/x.svg"), ExitCode.INPUT, "no/x.svg: can't be written"),
    ):
        done = demo_shell("stats", *arguments)
        assert done.code == code and named in done.err, done


def test_passes_take_turns(demo_shell: Shell) -> None:
    assert CliRunner().invoke(cli, ["--once"]).exit_code == ExitCode.OK
    with closing(open_database(load().store_url)) as store:
        now_s = int(time.time())
        storage.take(store, "elsewhere:1", now_s, now_s + 60)
    busy = demo_shell("stats", "run")
    assert busy.code == ExitCode.TRY_AGAIN and "elsewhere:1 counts for" in busy.err
    assert CliRunner().invoke(cli, ["--once"]).exit_code == ExitCode.TRY_AGAIN


def test_a_process_that_goes_on_counts_what_comes(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUBSS_STATS__POLL_SECONDS", "1")
    process = subprocess.Popen([sys.executable, "-m", "mubss.workers.stats"])
    try:
        for count in (1, 2):
            demo_shell.ok("topup", ONE, 5)
            deadline = time.monotonic() + WAIT_SECONDS
            while [one["count"] for one in json.loads(demo_shell("stats", "show", "topups", "--json").out)] != [count]:
                assert time.monotonic() < deadline
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def test_all_is_counted_again(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo_shell.json("stats", "run")["documents"]
    monkeypatch.setenv("MUBSS_GENERAL__TIMEZONE", "Asia/Tokyo")
    refused = demo_shell("stats", "run")
    assert refused.code == ExitCode.INPUT and "mubss stats rebuild" in refused.err
    demo_shell.ok("stats", "rebuild")
    assert demo_shell.json("stats", "run")["documents"] == first


@pytest.mark.parametrize("day", ["9999-12-31", "9999-12", "0001-01-01"])
def test_days_at_the_ends_of_the_calendar(demo_shell: Shell, day: str) -> None:
    for option in ("--until", "--from"):
        refused = demo_shell("stats", "show", "usage", option, day)
        assert refused.code == ExitCode.INPUT and f"'{day}'; expected a day like" in refused.err


def test_what_is_no_file_is_not_replaced_by_one(demo_shell: Shell) -> None:
    pipe, file, link = (demo_shell.folder / name for name in ("pipe", "file.csv", "link.csv"))
    os.mkfifo(pipe)
    refused = demo_shell("stats", "export", "usage", "--csv", pipe)
    assert refused.code == ExitCode.INPUT and "is no plain file" in refused.err and pipe.is_fifo()
    file.touch(0o600)
    link.symlink_to(file)
    demo_shell.ok("stats", "export", "usage", "--csv", link)
    assert link.is_symlink() and file.read_text() and file.stat().st_mode & 0o777 == 0o600


def test_what_was_archived_is_not_counted_again_unasked(demo_shell: Shell) -> None:
    manifest = {"_id": "usage-2026-01-0001", "kind": "usage", "month": "2026-01", "state": "DONE"}
    with closing(open_database(load().store_url)) as store:
        store.run(lambda session: session.collection("archives").put_many([manifest]))
    refused = demo_shell("stats", "rebuild")
    assert refused.code == ExitCode.INPUT and "1 file that can't be counted again" in refused.err
    demo_shell.ok("stats", "rebuild", "--without-archived")


def test_lines_and_bars() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert spark([None, 5, 5, None, 0]) == " ██ ▁" and spark([]) == "" and spark([0, None]) == "▁ "
    assert spark([-4, 0, 4]) == "▁▅█" and spark([0, 1, 10**9]) == "▁▂█"
    assert [bar(figure, 24) for figure in (24, 12, 1, 0, -3)] == ["█" * 24, "█" * 12, "█", "", ""]
    assert bar(1, 10**9) == "▏"
    assert figure_text("units", 1234567, {}) == "1,234,567"
    assert figure_text("amount_micros", -1_500_000, {"currency": "EUR"}) == "-1.50 EUR"
    assert figure_text("churn_ppm", 12_345, {}) == "1.23 %"
