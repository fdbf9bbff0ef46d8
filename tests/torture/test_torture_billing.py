"""The short form of `scripts/torture billing`: mubss-billing is killed within a run, where the seed decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture_billing.py"


def test_kill_9_within_a_bill_run_bills_each_account_once(empty_store_url: str) -> None:
    command = [
        sys.executable,
        SCRIPT,
        "--kills",
        "3",
        "--format-kills",
        "3",
        "--accounts",
        "500",
        "--store",
        empty_store_url,
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert figures["kills"] >= 3 and figures["format_kills"] >= 3
