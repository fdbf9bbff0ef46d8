"""The short form of `scripts/torture gy`: real processes, killed at moments that the seed decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_gy.py"


@pytest.mark.parametrize(("workers", "kills"), [(1, 3), (2, 1)])
def test_kill_9_under_load_loses_and_doubles_nothing(empty_store_url: str, workers: int, kills: int) -> None:
    command = [sys.executable, SCRIPT, "--kills", str(kills), "--seed", "11", "--workers", str(workers)]
    command += ["--store", empty_store_url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert figures["kills"] == kills and figures["resent"] > 0 and figures["sessions"] > 100
