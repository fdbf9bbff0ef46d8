"""The short form of `scripts/torture all`: everything at work on one store, and some faults of each sort."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_all.py"
KINDS = "kill: all|network: flapping|session's end|past Tx|first is silent|CDR file|clock: a day|disk: full"


def test_faults_of_each_sort_lose_and_double_nothing() -> None:
    command = [sys.executable, SCRIPT, "--seed", "11", "--only", KINDS, "--faults", "8", "--per-phase", "8"]
    command += ["--workers", "1", "--accounts", "20", "--pause", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " faults in 1 phases, 1 of them reckoned" in run.stdout and "Findings: none" in run.stdout
