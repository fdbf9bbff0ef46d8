"""`scripts/bench pdf` runs, and says what it measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bill_samples


def test_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, bill_samples.ROOT / "scripts/bench_pdf.py", "--seconds", "0.1", "--processes", "1"]
    done = subprocess.run([*command, "--write", tmp_path], capture_output=True, text=True, check=True)
    assert "| 1 processes |" in done.stdout and "invoices of 60 rows, by plutobook" in done.stdout
    assert "| 1,000 rows |" in done.stdout
    assert list(tmp_path.rglob("*.pdf"))
