"""Workers of the demo: each does its work once and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mubss.core.errors import MubssError


def run_worker(program: str, module: str, config_file: Path, *arguments: str) -> None:
    """Runs a worker with `--once`, by the demo's configuration alone; MubssError says what it said where it failed."""
    command = [sys.executable, "-m", module, "--once", "--config", str(config_file), *arguments]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MUBSS_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MubssError(f"{program}: exit code {done.returncode}: {done.stderr[-500:]}")
