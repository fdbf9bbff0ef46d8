"""`mubss subscriber number`: another number, another SIM."""

from __future__ import annotations

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode

FIRST, SECOND, NEW = "999700000001", "999700000002", "999700000999"


def test_another_number_and_another_sim(demo_shell: Shell) -> None:
    before = demo_shell.json("subscriber", "show", FIRST)
    done = demo_shell("subscriber", "number", FIRST, "--msisdn", f"+{NEW}", "--imsi", "999700000000999")
    assert (done.code, done.out) == (0, f"{FIRST} is {NEW} now, IMSI 999700000000999\n")
    assert demo_shell("subscriber", "show", FIRST).code == ExitCode.INPUT
    assert demo_shell.json("subscriber", "show", NEW)["account"] == before["account"]
    back = demo_shell.json("subscriber", "number", NEW, "--msisdn", FIRST, "--imsi", "")
    assert (back["msisdn"], back["imsi"]) == (FIRST, "")
    assert demo_shell("ledger", "check").code == 0


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        ((), ExitCode.USAGE, "--msisdn"),
        (("--msisdn", SECOND), ExitCode.INPUT, "msisdn: "),
        (("--msisdn", "x"), ExitCode.INPUT, "msisdn: "),
        (("--imsi", "1"), ExitCode.INPUT, "imsi: "),
    ],
)
def test_what_cant_be(demo_shell: Shell, options: tuple[str, ...], code: int, named: str) -> None:
    done = demo_shell("subscriber", "number", FIRST, *options)
    assert done.code == code and named in done.err
