"""What commands print on terminals of few columns: identifiers and amounts stay whole, whatever else gives way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli_tools import Done, Shell
from mubss.cli import output

PREPAID, POSTPAID = "999700000001", "999700000110"
COMMANDS = [
    ("subscriber", "list"),
    ("subscriber", "show", POSTPAID),
    ("balance", POSTPAID),
    ("usage", POSTPAID),
    ("ledger", "postings", PREPAID),
    ("ledger", "postings", POSTPAID),
    ("ref", "list"),
    ("ref", "show", "price_plans"),
    ("ref", "show", "price_plans", "demo-postpaid"),
    ("ref", "show", "services"),
    ("ref", "show", "bands"),
    ("config", "show"),
]


class Terminal:
    """A shell whose output takes itself for a terminal of so many columns."""

    def __init__(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shell = shell
        self._monkeypatch = monkeypatch

    def __call__(self, columns: int, *arguments: object) -> Done:
        """What one command prints there, without the terminal's codes."""
        with self._monkeypatch.context() as here:
            here.setenv("TTY_COMPATIBLE", "1")
            here.setenv("COLUMNS", str(columns))
            here.setenv("TERM", "xterm")
            done = self._shell(*arguments)
        assert done.code == 0, done
        return Done(done.code, re.sub(r"\x1b\[[0-9;]*m", "", done.out), done.err)


@pytest.fixture
def terminal(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(demo_shell, monkeypatch)


def words(text: str) -> set[str]:
    """Numbers, amounts, times, codes: what must stand whole to be copied."""
    return set(re.findall(r"[\w.,:+-]*\d[\w.,:+-]*", text))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", [80, 60, 40])
def test_nothing_that_is_copied_is_folded(
    terminal: Terminal, demo_shell: Shell, command: tuple[str, ...], columns: int
) -> None:
    found = terminal(columns, *command)
    lost = {word for word in words(demo_shell.ok(*command).out) - words(found.out) if len(word) <= 32}
    if "left out" in found.err:  # a whole column
        lost = {word for word in lost if len(word) >= 10}
    assert not lost
    assert "…" not in found.out


def test_eighty_columns_hold_the_lists_of_every_day(terminal: Terminal, demo_shell: Shell) -> None:
    demo_shell.ok("topup", PREPAID, "5", "--reference", "shop 12, till 3, and the lady who asked twice")
    for command in COMMANDS:
        if command not in {("config", "show"), ("ref", "list")}:  # which have paths, and a line with a digest
            assert max(map(len, terminal(80, *command).out.splitlines())) <= 80, command
    lines = terminal(80, "subscriber", "list").out.splitlines()
    assert len(lines) == 22  # a line each
    assert lines[2].split()[:2] == [PREPAID, "999700000000001"]


def test_what_is_left_out_is_said(terminal: Terminal) -> None:
    narrow = terminal(60, "subscriber", "list")
    assert narrow.err.startswith("left out at this width: ")
    assert "language" not in narrow.out
    assert terminal(120, "subscriber", "list").err == ""


def test_rows_that_do_not_fit_are_records(terminal: Terminal) -> None:
    lines = [" ".join(line.split()) for line in terminal(60, "ref", "show", "price_plans").out.splitlines()]
    assert "key: demo-prepaid" in lines
    assert "credit limit: 100.00" in lines


def test_no_rows_are_a_heading(terminal: Terminal) -> None:
    assert "msisdn" in terminal(80, "subscriber", "list", "--state", "terminated").out


@pytest.mark.parametrize("columns", [1, 7, 25, 79])
def test_any_width_prints_every_identifier(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [{"msisdn": "999700000001", "why": "words " * 20}, {"msisdn": "999700000002", "why": None}]
    output.print_table(rows, {"msisdn": "msisdn", "why": "why"}, fold=("why",))
    output.print_table([], {"msisdn": "msisdn", "why": "why"})
    assert {"999700000001", "999700000002"} <= set(capsys.readouterr().out.split())
