"""The short form of `scripts/torture mysql`: MySQL is killed or frozen under load, mubss-gy goes on by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mysqld.server import Server

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_mysql.py"
RUNS = {
    "a group's primary is killed": ["--faults", "1"],
    "a group's primary freezes": ["--fault", "freeze", "--faults", "1", "--workers", "2"],
    "a single server is killed": ["--single", "--faults", "2"],
    "a single server freezes": ["--single", "--fault", "freeze", "--faults", "1"],
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_nothing_is_lost_or_doubled_and_charging_comes_back(mysql: Server, options: list[str]) -> None:
    command = [sys.executable, SCRIPT, "--seed", "11", *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert len(figures["outages_s"]) == figures["faults"] and figures["busy"] > 0 and figures["sessions"] > 100
