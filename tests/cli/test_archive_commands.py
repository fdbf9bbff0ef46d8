"""`mubss archive`: what goes, what is told of it, and what is refused."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode

ONE = "999700000001"
MONTH = (date.today().replace(day=1) - timedelta(1)).isoformat()[:7]


def test_a_month_goes_and_is_shown(demo_shell: Shell) -> None:
    shell = demo_shell
    assert shell.json("archive", "list") == []
    postings = shell.json("ledger", "postings", ONE)
    told = shell.json("archive", "run", "--month", MONTH, "--dry-run")
    look = told["would_go"]
    assert [one["kind"] for one in look] and not (shell.folder / "archive").exists()
    stays = {(one["kind"], one["why"]): one["rows"] for one in told["stays"]}
    assert all(rows > 0 for rows in stays.values()) and ("usage", "on no bill yet") in stays, stays
    shown = shell.ok("archive", "run", "--month", MONTH, "--dry-run").out
    assert "Would stay" in shown and "on no bill yet" in shown
    moved = shell.json("archive", "run", "--month", MONTH)
    assert [(one["kind"], one["month"], one["rows"]) for one in moved] == [
        (one["kind"], one["month"], one["rows"]) for one in look
    ]
    assert "nothing that may leave" in shell.ok("archive", "run", "--month", MONTH).out
    assert shell.json("archive", "verify") == {"files": len(moved), "faults": []}
    assert "as they were written" in shell.ok("archive", "verify").out
    assert [one["_id"] for one in shell.json("archive", "list")] and "done" in shell.ok("archive", "list").out
    archived = shell.json("archive", "show", ONE, "--kind", "postings")
    assert archived + shell.json("ledger", "postings", ONE) == postings and archived
    assert shell.json("archive", "show", ONE, "--kind", "postings", "--month", "2001-01") == []
    assert "opening" in shell.ok("archive", "show", ONE, "--kind", "postings").out
    assert f"mubss archive show {ONE} --kind postings" in shell.ok("ledger", "postings", ONE).out
    assert "Archived usage" in shell.ok("archive", "show", ONE).out
    assert "all add up" in shell.ok("ledger", "check").out


def test_a_file_that_is_gone_is_told(demo_shell: Shell) -> None:
    demo_shell.ok("archive", "run", "--month", MONTH)
    next((demo_shell.folder / "archive").rglob("*.parquet")).unlink()
    done = demo_shell("archive", "verify", "--json")
    assert done.code == ExitCode.FAILURE and len(done.json["faults"]) == 1
    assert "isn't there: put its copy back" in demo_shell("archive", "verify").out


def test_nothing_is_shown_of_a_file_that_is_not_as_it_was_written(demo_shell: Shell) -> None:
    demo_shell.ok("archive", "run", "--month", MONTH)
    [file] = (demo_shell.folder / "archive").rglob("*.parquet")
    octets = bytearray(file.read_bytes())
    octets[len(octets) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(octets)
    refused = demo_shell("archive", "show", ONE, "--kind", "postings")
    assert refused.code == ExitCode.INPUT and refused.out == ""
    assert refused.err == f"mubss: {file}: not as it was written; expected its copy: nothing is shown of it\n"
    file.unlink()
    refused = demo_shell("archive", "show", ONE, "--kind", "postings")
    assert refused.code == ExitCode.INPUT
    assert refused.err.startswith(f"mubss: {file}: isn't there; expected the file of the archive, or its copy")


def test_retention_says_what_goes(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    done = demo_shell("archive", "run")
    assert done.code == ExitCode.INPUT and "[retention] keeps all for ever" in done.err
    monkeypatch.setenv("MUBSS_RETENTION__POSTINGS_MONTHS", "600")
    assert "nothing that may leave" in demo_shell.ok("archive", "run").out


@pytest.mark.parametrize("month", [date.today().isoformat()[:7], "2026-13", "9999-12", "never"])
def test_months_that_cannot_go(demo_shell: Shell, month: str) -> None:
    done = demo_shell("archive", "run", "--month", month)
    assert done.code == ExitCode.INPUT and done.err.startswith("mubss: ")
    if month in ("2026-13", "never"):
        assert demo_shell("archive", "show", "999700000001", "--month", month).code == ExitCode.INPUT
