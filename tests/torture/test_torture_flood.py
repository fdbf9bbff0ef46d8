"""The short form of `scripts/torture flood`: connections by the thousand, and a row of figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torture_flood

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_flood.py"


def test_good_peers_are_served_while_others_come_and_go() -> None:
    command = [sys.executable, SCRIPT, "--attack", "many", "--seconds", "1", "--places", "60", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert torture_flood.is_well(figures) and figures["did"]["opened"] >= 60
    assert torture_flood.row(figures).count("|") == torture_flood.HEAD.splitlines()[0].count("|")


def test_what_isnt_well() -> None:
    fine = {
        "alone": {"answers": 1},
        "attacked": {"answers": 1},
        "failures": [],
        "memory_mb": [60, 70],
        "descriptors": [30, 31],
        "exit_code": 0,
        "tracebacks": 0,
    }
    assert torture_flood.is_well(fine)
    for wrong in (
        {"attacked": {"answers": 0}},
        {"failures": ["attacked: 3004"]},
        {"memory_mb": [60, 61 + torture_flood.MEMORY_MB]},
        {"descriptors": [30, 31 + torture_flood.DESCRIPTORS]},
        {"exit_code": 1},
        {"tracebacks": 1},
    ):
        assert not torture_flood.is_well(fine | wrong), wrong
