"""`mubss-cdr --once` on the demo, then `mubss cdr files` and `mubss cdr suspense`: what an operator sees and does."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli_tools import Shell
from mubss.runtime import ExitCode
from mubss.workers.cdr_loader import cli

SAMPLE = Path(__file__).parents[2] / "conf" / "cdr" / "sample.csv"
HEAD = "record_id,type,service,served_msisdn,called,start,duration_s\n"
ROWS = (
    "r1,VOICE,,999700000101,4915,2026-11-20T10:00:00+01:00,61\n",
    "r2,VOICE,,123456789012,4915,2026-11-20T10:00:00+01:00,61\n",
    "r3,OTHER,GOLD,999700000101,,2026-11-20T10:00:00+01:00,61\n",
)


@pytest.fixture
def desk(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The demo's store; a file may have any number of rejects."""
    monkeypatch.setenv("MUBSS_CDR__MAX_REJECT_PERCENT", "100")
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    shell.ok("init", "--demo")
    (shell.folder / "var" / "cdr").mkdir()
    return shell


def drop(shell: Shell, sequence: int, *rows: str, name: str = "") -> None:
    table = shell.folder / "rows.csv"
    table.write_text(HEAD + "".join(rows))
    made = ("--from", table, "--source", "pgw1", "--sequence", sequence)
    shell.ok("cdr", "make", *made, "--out", shell.folder / "var" / "cdr" / f"{name or sequence}.cdr")


def once() -> int:
    return CliRunner().invoke(cli, ["--once"]).exit_code


def entries(shell: Shell, *options: object) -> list[dict[str, Any]]:
    return list(shell.json("cdr", "suspense", "list", *options))


def test_the_sample_file_is_loaded(desk: Shell) -> None:
    made = ("--from", SAMPLE, "--source", "msc1", "--sequence", 1, "--out", desk.folder / "var" / "cdr" / "s.cdr")
    desk.ok("cdr", "make", *made)
    assert once() == ExitCode.OK
    [doc] = desk.json("cdr", "files")["files"]
    assert doc["counts"] == {"charged": 11, "online": 9}
    assert "11 charged, 9 online" in desk.ok("cdr", "files").out


def test_missing_files_are_told(desk: Shell) -> None:
    for sequence in (3, 4, 7, 9):
        drop(desk, sequence, ROWS[0].replace("r1", f"n{sequence}"))
    assert once() == ExitCode.OK
    assert "missing of pgw1: 5 to 6, 8\n" in desk.ok("cdr", "files").out
    assert desk.json("cdr", "files")["missing"] == {"pgw1": [[5, 6], [8, 8]]}
    assert len(desk.json("cdr", "files", "--limit", 2)["files"]) == 2


def test_a_refused_file_shows_in_the_exit_code(desk: Shell) -> None:
    (desk.folder / "var" / "cdr" / "x.cdr").mkdir()
    drop(desk, 1, ROWS[0])
    assert once() == ExitCode.INPUT
    assert len(desk.json("cdr", "files")["files"]) == 1


def test_records_in_suspense_are_tried_again_and_discarded(desk: Shell) -> None:
    drop(desk, 1, *ROWS)
    assert once() == ExitCode.OK
    second, third = entries(desk)
    assert (second["reason"], third["reason"]) == ("unknown-subscriber", "no-price")
    assert [one["_id"] for one in entries(desk, "--reason", "no-price")] == [third["_id"]]
    assert [one["_id"] for one in entries(desk, "--subscriber", "123456789012")] == [second["_id"]]
    shown = desk.ok("cdr", "suspense", "list", "--limit", 5).out
    assert "service: GOLD; expected one that the plan demo-postpaid sells" in shown and "pgw1 r3" in shown
    assert desk("cdr", "suspense", "list", "--limit", 1).err == f"more: --after {second['_id']}\n"
    assert [one["_id"] for one in entries(desk, "--after", second["_id"])] == [third["_id"]]

    done = desk("cdr", "suspense", "reprocess", "--all")
    assert done.code == ExitCode.FAILURE and "2 can't be charged and stay" in done.out
    desk.ok("subscriber", "add", "123456789012", "--plan", "demo-postpaid", "--bill-cycle", 3)
    assert "1 settled\n" in desk.ok("cdr", "suspense", "reprocess", "--reason", "unknown-subscriber").out
    assert "1 settled before" in desk.ok("cdr", "suspense", "reprocess", second["_id"]).out
    [usage] = [one for one in desk.json("usage", "123456789012") if one["source"] == "cdr"]
    assert (usage["record_id"], usage["units"]) == ("r2", 61)

    assert desk("cdr", "suspense", "discard", third["_id"], "--reason", " ").code == ExitCode.INPUT
    assert "discarded" in desk.ok("cdr", "suspense", "discard", third["_id"], "--reason", "a test").out
    assert "1 settled before" in desk.ok("cdr", "suspense", "reprocess", third["_id"]).out
    assert entries(desk) == []
    drop(desk, 2, *ROWS)
    assert once() == ExitCode.OK
    assert desk.json("cdr", "files")["files"][0]["counts"] == {"duplicate": 3}
    assert "all add up" in desk.ok("ledger", "check").out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("reprocess",), ExitCode.USAGE, "name ids, --all, or --reason and --subscriber"),
        (("reprocess", "x", "--all"), ExitCode.USAGE, "name ids, --all"),
        (("reprocess", "nobody"), ExitCode.INPUT, "id: 'nobody'; expected that of a record"),
        (("reprocess", "x" * 500), ExitCode.INPUT, "id: 'xxx"),
        (("discard", "nobody", "--reason", "x"), ExitCode.INPUT, "expected that of a record"),
        (("list", "--after", "nobody"), ExitCode.INPUT, "expected that of a record"),
        (("list", "--reason", "weather"), ExitCode.USAGE, "unknown-subscriber"),
    ],
)
def test_mistakes(desk: Shell, arguments: tuple[str, ...], code: ExitCode, text: str) -> None:
    done = desk("cdr", "suspense", *arguments)
    assert done.code == code and text in done.err
