"""`mubss ref` as an operator calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mubss.cli.main import main
from mubss.cli.ref_versions import change_text
from mubss.refdata.load import RowChange
from mubss.runtime import ExitCode
from mubss.storage.database import Store
from refdata_samples import TARIFF


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Answer]


def table(out: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in out.splitlines()]


@pytest.fixture
def ref(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setenv("MUBSS_STORE__URL", store_url)

    def call(*arguments: str) -> Answer:
        code = main(["ref", *arguments])
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture
def tariff(tmp_path: Path) -> str:
    (tmp_path / "tariffs.toml").write_text(TARIFF)
    return str(tmp_path / "tariffs.toml")


def test_load_list_show(ref: Call, tariff: str) -> None:
    assert "No reference data was ever loaded" in ref("list").out
    assert "on top of version 0 they would change this. Nothing was written." in ref("load", "--check", tariff).out
    assert "Reference data is now version 1" in ref("load", tariff).out
    assert ref("load", tariff).out == "Nothing to change: version 1 says the same.\n"
    assert "Version 1, loaded " in ref("list").out
    assert ["destination", "prefixes", "2"] in table(ref("list").out)
    listed = ref("list", "--json").json
    assert (listed["version"]["number"], listed["tables"]["services"], listed["prefixes"]) == (1, 2, 2)
    assert ["EUR", "978", "2"] in table(ref("show", "currencies").out)
    assert [row["_id"] for row in ref("show", "services", "--json").json] == ["DATA", "VOICE"]
    rates = table(ref("show", "price_plans", "basic").out)
    assert ["DATA", "any", "any", "0.02", "1000000", "0.00", "0.00"] in rates
    assert ref("show", "destinations", "home", "--json").json["prefixes"] == ["49", "49170"]


def test_every_table_can_be_shown(ref: Call, tariff: str) -> None:
    ref("load", tariff)
    for table, key in {
        "currencies": "EUR",
        "taxes": "VAT",
        "services": "DATA",
        "bands": "peak",
        "destinations": "home",
        "price_plans": "basic",
        "service_map": "32251",
        "bill_cycles": "3",
    }.items():
        assert key in ref("show", table).out
        one = ref("show", table, key)
        assert (one.code, one.err) == (0, "")
        assert key in one.out


def test_faults_are_one_line_each(ref: Call, tariff: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[taxes]]\ncode = "VAT"\nrate_percent = 0.2\n[[planz]]\n')
    answer = ref("load", tariff, str(bad))
    assert (answer.code, answer.out) == (ExitCode.INPUT, "")
    assert [line.removeprefix(f"mubss: {bad}: ").partition(":")[0] for line in answer.err.splitlines()] == [
        "planz",
        "taxes[VAT].rate_percent",
        "taxes[VAT]",
    ]
    assert "No reference data" in ref("list").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["load"], ExitCode.USAGE, "Missing argument 'FILE...'"),
        (["load", "none.toml"], ExitCode.INPUT, "none.toml: can't be read: No such file or directory"),
        (["show", "plans"], ExitCode.USAGE, "Invalid value for 'TABLE': 'plans' is not one of"),
        (["show", "taxes", "X"], ExitCode.INPUT, "taxes: 'X'; there is none"),
    ],
)
def test_calls_that_are_wrong(ref: Call, arguments: list[str], code: int, said: str) -> None:
    answer = ref(*arguments)
    assert answer.code == code
    assert said in answer.err


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ({"rate_ppm": 200_000}, {"rate_ppm": 195_000}, "rate percent: 20 → 19.5"),
        ({"monthly_fee_micros": 5_000_000}, {}, "monthly fee: 5.00 → none"),
        ({"validity_s": 0}, {"validity_s": 259_200}, "validity: month → 3d"),
        ({"rates": []}, {"rates": [{"service": "DATA"}]}, "rates: 0 rows → 1"),
        (
            {"rates": [{"service": str(n), "price_micros": 1} for n in range(5)]},
            {"rates": [{"service": str(n), "price_micros": 20_000} for n in range(5)]},
            "rates: 0 (price: 0.000001 → 0.02), 1 (price: 0.000001 → 0.02), 2 (price: 0.000001 → 0.02), 2 more",
        ),
    ],
)
def test_a_difference_is_shown_as_people_write_it(before: dict[str, Any], after: dict[str, Any], shown: str) -> None:
    assert change_text(RowChange("any", "A", before, after)) == shown


def test_versions_diff_rollback(ref: Call, tariff: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(ref("versions", "--json").out) == []
    ref("load", tariff)
    Path(tariff).write_text(
        TARIFF.replace('price = "0.02"', 'price = "0.03"') + '[[taxes]]\ncode = "T"\nrate_percent = "1"\n'
    )
    ref("load", tariff)
    assert [line[0] for line in table(ref("versions").out)[-2:]] == ["2", "1"]
    listed = ref("versions", "--json").json
    assert [(one["version"], one["what"]) for one in listed] == [(2, "ref load"), (1, "ref load")] and listed[0]["who"]
    assert [one["version"] for one in ref("versions", "--before", "2", "--json").json] == [1]
    told = ref("diff", "1").out
    assert "2 rows differ from version 1 to 2" in told and ["taxes", "T", "added"] in table(told) and "rates: " in told
    assert "price: 0.02 → 0.03)" in told, told
    found = ref("diff", "2", "1", "--json").json
    assert (found["version"]["number"], found["other"]["number"], len(found["rows"])) == (2, 1, 2)
    assert ref("diff", "2").out == "Nothing differs from version 2 to 2\n"
    assert "The rows of version 1 are right; on top of version 2" in ref("rollback", "1", "--check").out
    assert "Reference data is now version 3" in ref("rollback", "1").out
    assert ref("rollback", "1").out == "Nothing to change: version 3 says the same.\n"
    assert "ref rollback to 1" in " ".join(ref("versions").out.split())
    assert ref("rollback", "9") == (65, "", "mubss: version: 9; expected 1 to 3, the one in force\n")
    monkeypatch.setenv("MUBSS_REFDATA__KEEP_VERSIONS", "1")
    assert [one["version"] for one in ref("versions", "--json").json] == [3, 2]
    assert ref("rollback", "2").code == 0
    assert ref("diff", "1") == (65, "", "mubss: version: 1; expected one that is kept; `mubss ref versions` has them\n")
