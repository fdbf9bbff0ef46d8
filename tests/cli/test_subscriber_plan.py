"""`mubss subscriber plan`: another plan, at once or from the next bill period on."""

from __future__ import annotations

import pytest

from cli_tools import Shell
from mubss.config import data_path
from mubss.runtime import ExitCode

FIRST = "999700000001"


@pytest.fixture
def with_plans(demo_shell: Shell) -> Shell:
    """The demo with one more prepaid plan."""
    more = demo_shell.folder / "more.toml"
    demo = data_path("conf/refdata/demo.toml").read_text()
    more.write_text(demo.replace('"demo-prepaid"', '"other-prepaid"'))
    demo_shell.ok("ref", "load", more)
    return demo_shell


def test_it_is_ordered_shown_replaced_and_called_off(with_plans: Shell) -> None:
    done = with_plans.ok("subscriber", "plan", FIRST, "other-prepaid", "--at-next-cycle")
    assert done.out.startswith(f"{FIRST} has plan demo-prepaid, and other-prepaid from "), done.out
    found = with_plans.json("subscriber", "show", FIRST)
    assert (found["plan"], found["next_plan"]) == ("demo-prepaid", "other-prepaid")
    assert found["next_plan_from_s"] > found["created_s"]
    assert "other-prepaid from " in with_plans.ok("subscriber", "show", FIRST).out
    listed = with_plans.json("subscriber", "list", "--plan", "demo-prepaid")
    assert FIRST in [one["msisdn"] for one in listed]
    assert with_plans.json("subscriber", "list", "--plan", "other-prepaid") == []
    assert with_plans.ok("subscriber", "plan", FIRST, "--cancel-next").out == (
        f"{FIRST} keeps plan demo-prepaid; other-prepaid is called off\n"
    )
    assert "next_plan" not in with_plans.json("subscriber", "show", FIRST)
    again = with_plans.json("subscriber", "plan", FIRST, "other-prepaid", "--at-next-cycle")
    assert (again["plan_before"], again["next_plan"]) == ("demo-prepaid", "other-prepaid")
    assert with_plans.ok("subscriber", "plan", FIRST, "demo-prepaid").out == (
        f"{FIRST} has plan demo-prepaid already; other-prepaid is called off\n"
    )
    with_plans.ok("subscriber", "plan", FIRST, "other-prepaid", "--at-next-cycle")
    assert with_plans.ok("subscriber", "plan", FIRST, "other-prepaid").out == (
        f"{FIRST} has plan other-prepaid now; had demo-prepaid; other-prepaid is called off\n"
    )
    assert with_plans("ledger", "check").code == 0


def test_reference_data_keeps_it(with_plans: Shell) -> None:
    with_plans.ok("subscriber", "plan", FIRST, "other-prepaid", "--at-next-cycle")
    done = with_plans("ref", "load", "--replace", data_path("conf/refdata/demo.toml"))
    assert done.code == ExitCode.INPUT and "price_plans[other-prepaid]" in done.err
    with_plans.ok("subscriber", "plan", FIRST, "--cancel-next")
    with_plans.ok("ref", "load", "--replace", data_path("conf/refdata/demo.toml"))


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        ((), ExitCode.USAGE, "PLAN"),
        (("--at-next-cycle",), ExitCode.USAGE, "PLAN"),
        (("demo-prepaid", "--cancel-next"), ExitCode.USAGE, "--cancel-next"),
        (("--at-next-cycle", "--cancel-next"), ExitCode.USAGE, "--cancel-next"),
        (("--cancel-next",), ExitCode.INPUT, "next_plan: none"),
        (("nope", "--at-next-cycle"), ExitCode.INPUT, "plan: 'nope'"),
        (("demo-postpaid", "--at-next-cycle"), ExitCode.INPUT, "plan: demo-postpaid is postpaid"),
    ],
)
def test_what_cant_be(demo_shell: Shell, options: tuple[str, ...], code: int, named: str) -> None:
    done = demo_shell("subscriber", "plan", FIRST, *options)
    assert done.code == code and named in done.err, done.err
