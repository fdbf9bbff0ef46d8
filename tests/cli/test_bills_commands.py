"""`mubss-billing --once` on the demo, and `mubss bills`: what an operator sees."""

from __future__ import annotations

import pytest

from billing_process import billing, let_be_old
from cli_tools import Shell
from mubss.runtime import ExitCode


@pytest.fixture
def desk(demo_shell: Shell) -> Shell:
    """The demo's subscribers, with usage in the last closed period."""
    return demo_shell


def test_the_demos_cycle_is_billed_once(desk: Shell) -> None:
    planned = {one["account"]: one["bill"]["due"] for one in desk.json("bills", "preview", "--cycle", 3)}
    assert len(planned) == 10
    assert "10 bills of" in desk.ok("bills", "preview", "--cycle", 3).out
    for _ in range(2):
        assert billing("--cycle", "3", "--once")[0] == ExitCode.OK
        assert {bill["account"]: bill["due"] for bill in desk.json("bills", "list")} == planned
    assert "0 bills of" in desk.ok("bills", "preview", "--cycle", 3).out
    [mine] = desk.json("bills", "list", "--subscriber", "999700000110")
    shown = desk.ok("bills", "show", mine["number"]).out
    for text in ("999700000110", "fee demo-postpaid", " days", "usage VOICE", "VAT 20 %", "due now"):
        assert text in shown
    assert f"-{mine['due'] // 100}.{mine['due'] % 100:02} EUR" in desk.ok("balance", "999700000110").out
    assert desk.json("bills", "list", "--cycle", 15) == []
    assert len(desk.json("bills", "list", "--period", mine["period"], "--limit", 4)) == 4
    assert "all add up" in desk.ok("ledger", "check").out


def test_a_prepaid_subscriber_gets_a_statement(desk: Shell) -> None:
    who = "4915112345678"
    desk.ok("subscriber", "add", who, "--plan", "demo-prepaid", "--balance", "5", "--bill-cycle", 15)
    let_be_old(desk, who)
    assert desk("billing", "run", "--cycle", 15, "--subscriber", who, "--json").json["kind"] == "SINGLE_BILLING"
    assert billing("--cycle", "15", "--once")[0] == ExitCode.OK
    [mine] = desk.json("bills", "list", "--subscriber", who)
    assert mine["number"].startswith("STM-")
    shown = desk.ok("bills", "show", mine["number"]).out
    for text in (who, "opening balance", "closing balance", "charges"):
        assert text in shown
    assert "due now" not in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("bills", "preview", "--cycle", "99"), "cycle: 99; expected one of"),
        (("bills", "preview", "--cycle", "3", "--period", "soon"), "period: 'soon'; expected a month like 2026-11"),
        (("bills", "list", "--period", "2026"), "period: '2026'; expected a month"),
        (("bills", "show", "INV-1"), "number: 'INV-1'; expected that of a bill"),
        (("bills", "list", "--subscriber", "x"), "subscriber: 'x'"),
    ],
)
def test_mistakes(desk: Shell, arguments: tuple[str, ...], text: str) -> None:
    done = desk(*arguments)
    assert done.code == ExitCode.INPUT and text in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cycle", "99", "--once"),
        ("--cycle", "3", "--once", "--period", "2999-01"),
        ("--cycle", "3", "--period", "2026-01"),
    ],
)
def test_a_run_that_cant_be(desk: Shell, arguments: tuple[str, ...]) -> None:
    assert billing(*arguments)[0] == ExitCode.INPUT
    assert desk.json("bills", "list") == []
