"""The short form of `scripts/torture cdr`: mubss-cdr is killed within a file, at places that the seed decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_cdr.py"


def test_kill_9_within_a_file_loses_and_doubles_nothing(empty_store_url: str) -> None:
    command = [sys.executable, SCRIPT, "--kills", "3", "--records", "2000", "--store", empty_store_url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert figures["kills"] == 3 and figures["charged"] == 1950
