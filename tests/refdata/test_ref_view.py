"""`mubss ref show` of the tariff that explains everything: readable, and nothing as it is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from mubss.cli.main import main
from mubss.storage.database import Store
from mubss.storage.refdata import TABLES

EXAMPLE = Path(__file__).parents[2] / "conf/refdata/example.toml"


@pytest.fixture
def show(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MUBSS_STORE__URL", store_url)
    assert main(["ref", "load", str(EXAMPLE)]) == 0
    capfd.readouterr()

    def call(*arguments: str) -> str:
        assert main(["ref", "show", *arguments]) == 0
        return "\n".join(" ".join(line.split()) for line in capfd.readouterr().out.splitlines())

    return call


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["price_plans"],
            [
                "DATA 2000000000 DATA 3000000000 5 0 12.5 % off VOICE after 60000",
                "start Start prepaid EUR 0.00 0.00 1.00 11 1",
            ],
        ),
        (["price_plans", "family"], ["rollover units DATA 2000000000", "VOICE any 60000 12.5"]),
        (
            ["price_plans", "start"],
            [
                "service zone network band price per units increments setup fee minimum maximum",
                "VOICE national roaming any 0.19 60 60/1 0.00 0.00 5.00",
                "DATA 5000000 redirect to https://top-up.example/",
            ],
        ),
        (["price_plans", "start@2027-04-01"], ["month 0.04 after 50, 0.02 after 200"]),
        (["bundles"], ["12000 month 100 yes", "DATA, MUSIC any, roaming 5000000000 3d 10"]),
        (["services"], ["1h 10 900s 1 restrict, allowed: permit in ip from any to 192.0.2.80 443; filter portal"]),
        (["destinations"], ["emergency Emergency and service numbers 0 3", "fraud Numbers known for fraud 1 yes"]),
        (["destinations", "emergency"], ["numbers 110, 112, 116117"]),
        (["networks", "roaming"], ["codes 208, 23415, 262"]),
    ],
)
def test_it_is_written_as_a_tariff_manager_would(show, arguments: list[str], lines: list[str]) -> None:  # type: ignore[no-untyped-def]
    said = show(*arguments)
    for line in lines:
        assert line in said


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_shown_as_it_is_stored(show, table: str) -> None:  # type: ignore[no-untyped-def]
    said = show(table)
    assert not {"{", "[", "_", "'"} & set(said), said
