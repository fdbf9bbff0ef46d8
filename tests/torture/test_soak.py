"""The short form of `scripts/soak`: all programs at work together for some seconds, without an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mubss.services.control import PROGRAMS

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak.py"
TINY = (
    "--minutes 0.15 --every 1 --prepaid 50 --ccr-per-s 20 --postpaid 10 --file-records 10 --file-seconds 2 "
    "--bills 3 --bill-seconds 2 --calls-per-s 4"
)


def test_all_programs_at_work_together(empty_store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    command = [sys.executable, str(SCRIPT), "--store", empty_store_url, "--json", str(file), *TINY.split()]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(file.read_text()) if file.exists() else {}
    assert figures, run.stdout + run.stderr
    [errors] = [one for one in figures["findings"] if one["what"] == "errors"]
    assert errors["text"] == "none"
    assert {sample["program"] for sample in figures["samples"]} == set(PROGRAMS)
    done = {one["work"]: one["count"] for one in figures["minutes"]}
    assert {"Gy requests", "CDR files", "bill runs", "PDFs", "CRM calls"} == set(done)
    assert "## Verdict" in run.stdout and "| fine | errors | none |" in run.stdout
