"""The shim of scripts/breaking/shim.c: a process whose clock leaps and whose fsync takes longer, while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from breaking.shim import Shim, build

_TOLD = "import os, sys, time\nfor line in sys.stdin: {0}; print({1}, flush=True)"
_PAUSE_MS = 200


def told(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    library = build(tmp_path)
    if library is None:
        pytest.skip("no C compiler is here")
    return Shim(library, tmp_path / "asked")


def start(shim: Shim, first: str, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _TOLD.format(first, then)],
        env={**os.environ, **shim.settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_wall_clock_leaps_and_the_steady_one_does_not(shim: Shim) -> None:
    with start(shim, "pass", "time.time() - time.monotonic()") as process:
        right_s = told(process)
        for leap_s in (86_400, -3600, 0):
            shim.set(clock_s=leap_s)
            assert told(process) - right_s == pytest.approx(leap_s, abs=60)
        process.communicate()


def test_fsync_takes_longer(shim: Shim) -> None:
    work = "at = time.monotonic(); file = os.open('.', os.O_RDONLY); os.fsync(file); os.close(file)"
    with start(shim, work, "time.monotonic() - at") as process:
        shim.set(fsync_ms=_PAUSE_MS)
        assert told(process) >= _PAUSE_MS / 1000
        process.communicate()
