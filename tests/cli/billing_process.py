"""Real `mubss-billing` processes; what they are asked of is in the environment, as the shell's fixture sets it."""

from __future__ import annotations

import subprocess
import sys


def start_billing(*arguments: str) -> subprocess.Popen[str]:
    """A process; the caller ends it."""
    command = [sys.executable, "-m", "mubss.workers.billing", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def billing(*arguments: str) -> tuple[int, str]:
    """A process that ends by itself: its exit code, and what it said."""
    process = start_billing(*arguments)
    _, told = process.communicate(timeout=120)
    return process.returncode, told
