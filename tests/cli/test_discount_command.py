"""`mubss subscriber discount`: what a clerk takes off a subscriber's bills."""

from __future__ import annotations

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode

OFF = '[[bill_discounts]]\ncode = "OFF"\nname = "Off"\non = ["fees"]\npercent = "50"\n'
WHO = "999700000101"


def due(shell: Shell) -> int:
    who = shell.json("subscriber", "show", WHO)["account"]
    found = shell.json("bills", "preview", "--cycle", 3)
    return next(one["bill"]["net"] for one in found if one["account"] == who)


def test_a_discount_is_on_the_next_bill(demo_shell: Shell) -> None:
    (demo_shell.folder / "off.toml").write_text(OFF)
    demo_shell.ok("ref", "load", "off.toml")
    before = due(demo_shell)
    assert demo_shell.ok("subscriber", "discount", WHO, "OFF").out == f"{WHO}'s discounts: OFF\n"
    assert "OFF" in demo_shell.ok("subscriber", "show", WHO).out
    assert before - due(demo_shell) in (750, 751), "half of the fee of 15.00, or of a part of it"
    assert demo_shell.json("subscriber", "discount", WHO, "--none")["discounts"] == []
    assert due(demo_shell) == before


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("OFF",), ExitCode.INPUT, "discount: 'OFF'; expected one of none: none is loaded"),
        ((), ExitCode.USAGE, "expected codes"),
        (("OFF", "--none"), ExitCode.USAGE, "expected codes"),
    ],
)
def test_mistakes(demo_shell: Shell, arguments: tuple[str, ...], code: int, text: str) -> None:
    done = demo_shell("subscriber", "discount", WHO, *arguments)
    assert done.code == code and text in done.err
