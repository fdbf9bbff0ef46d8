"""`mubss rate` on the sample tariff: what it shows, and what it says of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode

EXAMPLE = Path(__file__).parents[2] / "conf" / "refdata" / "example.toml"


@pytest.fixture
def tariff(shell: Shell) -> Shell:
    """The example is in force."""
    shell.ok("init")
    shell.ok("ref", "load", EXAMPLE)
    return shell


def test_a_call_over_midnight_has_two_prices(tariff: Shell) -> None:
    call = ("rate", "--plan", "start", "--service", "VOICE", "--to", "+4915112345678", "--units", 400)
    said = tariff.ok(*call, "--at", "2026-11-27T23:58:00+00:00").out.splitlines()
    assert said[0] == "VOICE in seconds, plan start, zone national"
    assert [line.split()[2:4] + line.split()[-1:] for line in said[3:5]] == [
        ["120", "0.09", "0.18"],
        ["280", "0.05", "0.25"],
    ]
    assert said[-1] == "charge: 0.43 EUR"
    assert tariff.json(*call, "--at", "2026-11-27T23:58:00")["charge_micros"] == 430_000


@pytest.mark.parametrize(
    ("arguments", "charge", "kinds"),
    [
        (("family", "VOICE", 61, "--to", "4990012345", "--free-used", 11_990), "0.99", ["free", "rate", "minimum"]),
        (("start", "VOICE", 9_000, "--to", "4915", "--network", "26201"), "5.00", ["rate", "maximum"]),
        (("start", "VOICE", 61, "--to", "33123"), "0.416", ["rate", "setup"]),
        (("start", "SMS", 10, "--at", "2027-05-01", "--paid-used", 45), "0.50", ["rate", "rate"]),
        (("family", "VOICE", 60, "--to", "4915", "--free-used", 12_000, "--paid-used", 60_000), "0.06125", ["rate"]),
        (("start", "VOICE", 60, "--to", "112"), "0.00", ["rate"]),
    ],
)
def test_steps(tariff: Shell, arguments: tuple[object, ...], charge: str, kinds: list[str]) -> None:
    plan, service, units, *more = arguments
    asked = ("rate", "--plan", plan, "--service", service, "--units", units, *more)
    if "--at" not in more:
        asked += ("--at", "2026-11-25T12:00")
    assert [step["kind"] for step in tariff.json(*asked)["steps"]] == kinds
    assert tariff.ok(*asked).out.endswith(f"charge: {charge} EUR\n")


def test_a_blocked_zone_has_no_price(tariff: Shell) -> None:
    done = tariff("rate", "--plan", "start", "--service", "VOICE", "--units", 5, "--to", "882991")
    assert (done.code, done.err) == (0, "5 units have no price there: such a request is refused\n")


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--plan", "gold", "plan: 'gold'; expected one of family, start"),
        ("--service", "FAX", "service: 'FAX'; expected one of DATA, MMS, SMS, VOICE"),
        ("--at", "yesterday", "at: 'yesterday'; expected a time like"),
        ("--at", "0001-01-01T00:00+14:00", "at: '0001-01-01T00:00+14:00'; expected a time like"),
        ("--to", "49x", "to: '49x'; expected 1 to 15 digits"),
        ("--network", "2", "network: '2'; expected an MCC and MNC like 26201"),
    ],
)
def test_mistakes(tariff: Shell, option: str, value: str, text: str) -> None:
    options = {"--plan": "start", "--service": "VOICE", "--units": "5", option: value}
    done = tariff("rate", *(part for pair in options.items() for part in pair))
    assert done.code == ExitCode.INPUT
    assert text in done.err
