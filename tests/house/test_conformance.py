"""docs/GY-CONFORMANCE.md is what the tests' marks say, and no rule and no client is without a test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import conformance_table
from tests.vectors.load import every

ROOT = Path(__file__).parents[2]
WRITTEN = (ROOT / "docs/GY-CONFORMANCE.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_script_writes(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    command = [sys.executable, "scripts/conformance_table.py", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.read_text(encoding="utf-8") == WRITTEN, "run scripts/conformance"


def test_every_rule_and_every_client_has_tests() -> None:
    for heading in [f"Rule {number}" for number in conformance_table.RULES] + sorted({one[0] for one in every()}):
        _, found, rest = WRITTEN.partition(f"\n### {heading}\n")
        assert found, heading
        assert re.search(r"^\| .*::test_", rest.partition("\n#")[0], re.MULTILINE), heading


@pytest.mark.parametrize("source", ["RFC 6733", "RFC 9999 §1", "Rule 16", "rule 1", ""])
def test_a_source_that_is_none_is_named(source: str) -> None:
    with pytest.raises(SystemExit, match="expected one of RFC 6733"):
        conformance_table.group_of(source)
