"""`mubss bills void`, `pay`, `credit` as a clerk uses them, from a run to a paid bill."""

from __future__ import annotations

import pytest

from cli_tools import Shell
from mubss.cli.bill_view import amount
from test_bills_commands import billing, desk  # noqa: F401 - a fixture

WHO = "999700000110"


@pytest.fixture
def number(desk: Shell) -> str:  # noqa: F811
    """The number of a bill."""
    assert billing("--cycle", "3", "--once") == 0
    [mine] = desk.json("bills", "list", "--subscriber", WHO)
    return str(mine["number"])


def test_void_pay_and_what_is_shown(desk: Shell, number: str) -> None:  # noqa: F811
    assert desk.ok("bills", "void", number, "--reason", "test").out.startswith(f"{number} is void; the next run of ")
    assert billing("--cycle", "3", "--once") == 0
    mine, old = desk.json("bills", "list", "--subscriber", WHO)
    assert (old["number"], old["state"], mine["total"]) == (number, "BILL_STATUS_VOID", old["total"])
    part, rest = amount(mine, 100).split()[0], amount(mine, mine["total"] - 100)
    for text in (f"{mine['number']} is BILL_STATUS_NEW: {rest} open\n", "a was recorded before, for "):
        assert desk.ok("bills", "pay", mine["number"], part, "--reference", "a").out.startswith(text)
    shown = desk.ok("bills", "show", mine["number"]).out
    assert "paid of it" in shown and "open of it" in shown and rest in shown
    done = desk.json("bills", "pay", mine["number"], amount(mine, mine["total"]).split()[0], "--reference", "b")
    assert (done["paid"], done["open"], done["before"]) == (mine["total"], 0, False)
    assert "all add up" in desk.ok("ledger", "check").out


def test_mistakes(desk: Shell, number: str) -> None:  # noqa: F811
    for arguments, text in (
        (("void", "INV-1", "--reason", "x"), "number: 'INV-1'; expected that of a bill"),
        (("void", number), "Missing option '--reason'"),
        (("pay", number, "5"), "Missing option '--reference'"),
        (("pay", number, "0.001", "--reference", "x"), "amount: '0.001'; expected an amount like 10 or 10.50"),
        (("pay", number, "-5", "--reference", "x"), "amount: -5.00; expected a multiple of 0.01 EUR above 0"),
        (("credit", number, "--reason", "x"), "expected a bill that is issued; void it instead"),
    ):
        done = desk("bills", *arguments)
        assert done.code and text in done.err, done
