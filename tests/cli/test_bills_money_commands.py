"""`mubss bills void`, `pay`, `credit` as a clerk uses them, from a run to a paid bill."""

from __future__ import annotations

from contextlib import closing

import pytest

from billing_process import billing
from cli_tools import Shell
from mubss.cli.bill_view import amount
from mubss.config import load
from mubss.storage.bills import by_number
from mubss.storage.database import How, Session, Write, open_database

WHO = "999700000110"


@pytest.fixture
def number(demo_shell: Shell) -> str:
    """The number of a bill."""
    assert billing("--cycle", "3", "--once")[0] == 0
    [mine] = demo_shell.json("bills", "list", "--subscriber", WHO)
    return str(mine["number"])


def test_void_pay_and_what_is_shown(demo_shell: Shell, number: str) -> None:
    assert demo_shell.ok("bills", "void", number, "--reason", "test").out.startswith(
        f"{number} is void; the next run of "
    )
    assert billing("--cycle", "3", "--once")[0] == 0
    mine, old = demo_shell.json("bills", "list", "--subscriber", WHO)
    assert (old["number"], old["state"], mine["total"]) == (number, "BILL_STATUS_VOID", old["total"])
    part, rest = amount(mine, 100).split()[0], amount(mine, mine["total"] - 100)
    for text in (f"{mine['number']} is BILL_STATUS_NEW: {rest} open\n", "a was recorded before, for "):
        assert demo_shell.ok("bills", "pay", mine["number"], part, "--reference", "a").out.startswith(text)
    shown = demo_shell.ok("bills", "show", mine["number"]).out
    assert "paid of it" in shown and "open of it" in shown and rest in shown
    done = demo_shell.json("bills", "pay", mine["number"], amount(mine, mine["total"]).split()[0], "--reference", "b")
    assert (done["paid"], done["open"], done["before"]) == (mine["total"], 0, False)
    assert "all add up" in demo_shell.ok("ledger", "check").out


def change(number: str, **fields: object) -> None:
    """Changes a bill past everything."""
    with closing(open_database(load().store_url)) as store:
        doc = by_number(store, number)
        assert doc is not None

        def work(session: Session) -> None:
            session.begin([])
            session.finish([Write("bills", [{**doc, **fields, "version": doc["version"] + 1}], How.PUT)])

        store.run(work)


def test_overdue_credit_and_payment(demo_shell: Shell, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo_shell.json("bills", "overdue") == []
    done = [{"step": 2, "action": "warn", "day": "2026-01-20", "fee_micros": 0}]
    change(number, state="BILL_STATUS_UNPAID", due_day="2026-01-05", dunned=done)
    [row] = demo_shell.json("bills", "overdue", "--cycle", 3)
    total = demo_shell.json("bills", "show", number)["total"]
    assert (row["number"], row["open"], row["step"], row["action"]) == (number, total, 2, "warn") and row["days"] > 300
    assert "warn" in demo_shell.ok("bills", "overdue").out
    assert demo_shell.json("bills", "overdue", "--cycle", 15) == []
    note = demo_shell.ok("bills", "credit", number, "--reason", "sorry", "--amount", "1.00").out
    assert note.startswith("CRN-") and f"gives back 1.00 EUR of {number}" in note
    shown = demo_shell.ok("bills", "show", note.split()[0]).out
    assert f"a credit note for {number}: sorry" in shown and f"open of {number}" in shown
    demo_shell.ok("subscriber", "suspend", WHO, "--reason", f"dunning: {number}")
    monkeypatch.setenv("MUBSS_BILLING__REACTIVATE_PAID", "true")
    demo_shell.ok("bills", "pay", number, "500", "--reference", "all of it")
    assert demo_shell.json("subscriber", "show", WHO)["state"] == "active"
    assert demo_shell.json("bills", "overdue") == []
    assert "all add up" in demo_shell.ok("ledger", "check").out


def test_mistakes(demo_shell: Shell, number: str) -> None:
    for arguments, text in (
        (("void", "INV-1", "--reason", "x"), "number: 'INV-1'; expected that of a bill"),
        (("void", number), "Missing option '--reason'"),
        (("pay", number, "5"), "Missing option '--reference'"),
        (("pay", number, "0.001", "--reference", "x"), "amount: '0.001'; expected an amount like 10 or 10.50"),
        (("pay", number, "-5", "--reference", "x"), "amount: -5.00; expected a multiple of 0.01 EUR above 0"),
        (("credit", number, "--reason", "x"), "expected a bill that is issued; void it instead"),
    ):
        done = demo_shell("bills", *arguments)
        assert done.code and text in done.err, done
