"""`mubss rerate` on the demo, whose tariff is put right afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli_tools import Shell
from mubss.config import data_path
from mubss.runtime import ExitCode

RANGE = ("--from", "2020-01-01", "--to", "2100-01-01")


@pytest.fixture
def dearer(shell: Shell, tmp_path: Path) -> Shell:
    """The demo's usage of last month, and a tariff in which messages cost 0.10 instead of 0.08."""
    shell.ok("init", "--demo")
    tariff = tmp_path / "dearer.toml"
    tariff.write_text(data_path("conf/refdata/demo.toml").read_text().replace('price = "0.08"', 'price = "0.10"'))
    shell.ok("ref", "load", tariff)
    return shell


def view(shell: Shell, *options: object) -> list[dict[str, Any]]:
    return list(shell.json("rerate", *RANGE, *options)["subscribers"])


def test_what_would_change_is_shown_and_then_done(dearer: Shell) -> None:
    planned = view(dearer, "--dry-run")
    more = {one["account"]: one["after_micros"] - one["before_micros"] for one in planned}
    assert sum(more.values()) > 0 and all(micros % 20_000 == 0 for micros in more.values())
    shown = dearer.ok("rerate", *RANGE, "--dry-run").out
    assert "nothing was written" in shown and "priced again" in shown
    assert view(dearer, "--dry-run") == planned

    done = dearer.ok("rerate", *RANGE).out
    assert "corrected; run " in done
    after = view(dearer)
    assert [one["corrections"] for one in after] == [0] * len(planned)
    assert [one["before_micros"] for one in after] == [one["after_micros"] for one in planned]
    assert "all add up" in dearer.ok("ledger", "check").out
    subscriber = max(planned, key=lambda one: one["after_micros"] - one["before_micros"])
    msisdn = subscriber["identities"][0].removeprefix("e164:")
    corrections = [one for one in dearer.json("usage", msisdn) if one["source"] == "rerate"]
    assert sum(one["charge_micros"] for one in corrections) == more[subscriber["account"]]
    assert "rerate" in dearer.ok("ledger", "postings", msisdn).out


def test_one_subscriber_one_plan_another_price(dearer: Shell) -> None:
    everybody = view(dearer, "--dry-run")
    [one] = view(dearer, "--dry-run", "--subscriber", "999700000101")
    assert one in everybody
    assert view(dearer, "--dry-run", "--plan", "demo-postpaid") == everybody
    assert view(dearer, "--dry-run", "--plan", "demo-prepaid") == []
    [other] = view(dearer, "--dry-run", "--subscriber", "999700000101", "--by", "demo-prepaid")
    assert other["after_micros"] > one["after_micros"], "it has no free units"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--plan", "gold"), ExitCode.INPUT, "plan: 'gold'; expected one of demo-postpaid, demo-prepaid"),
        (("--by", "gold"), ExitCode.INPUT, "by: 'gold'; expected one of"),
        (("--by", "demo-prepaid@2026-01-01"), ExitCode.INPUT, "expected one of demo-prepaid: it has one version"),
        (("--subscriber", "4915"), ExitCode.INPUT, "subscriber: '4915'; expected the MSISDN"),
        (("--from", "2026-01-02", "--to", "2026-01-02"), ExitCode.INPUT, "to: not behind from"),
        (("--from", "soon"), ExitCode.USAGE, "soon"),
    ],
)
def test_mistakes(dearer: Shell, arguments: tuple[str, ...], code: ExitCode, text: str) -> None:
    done = dearer("rerate", *RANGE, *arguments)
    assert done.code == code and text in done.err


def test_usage_says_what_a_correction_is(dearer: Shell) -> None:
    assert "note" not in dearer.ok("usage", "999700000110").out
    dearer.ok("rerate", *RANGE)
    assert "corrected by rerate" in dearer.ok("usage", "999700000110").out
