"""`mubss` as an operator calls it, beside the servers of a test."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gy_wire import WAIT_SECONDS
from gy_world import ROOT, World
from licensed import without_options


@dataclass(frozen=True)
class Desk:
    """`mubss` on the world's store."""

    world: World

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """What it prints: its output, or what is wrong."""
        environment = without_options()
        environment |= {"MUBSS_STORE__URL": self.world.url, "PYTHONPATH": str(ROOT)}
        environment["MUBSS_GENERAL__DATA_DIR"] = str(self.world.folder)
        command = [sys.executable, "-m", "mubss.cli.main", *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code, done
        return done.stderr if code else done.stdout

    def json(self, *arguments: object) -> Any:
        """Its output as JSON."""
        return json.loads(self(*arguments, "--json"))

    def until(self, accept: Callable[[Any], bool], *arguments: object) -> Any:
        """Its output as JSON, asked for again until it is acceptable."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not accept(found := self.json(*arguments)):
            assert time.monotonic() < deadline, found
        return found
