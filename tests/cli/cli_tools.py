"""Runs `mubss` in this process, on a folder of the test's own, and keeps what it printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mubss.cli.main import main


@dataclass(frozen=True)
class Done:
    """What one call of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


class Shell:
    """Calls `mubss` with the store in `folder`."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: object) -> Done:
        """One command, whatever its exit code."""
        self._capture.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Done(int(code), out, err)

    def ok(self, *arguments: object) -> Done:
        """One command that must succeed."""
        done = self(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done

    def json(self, *arguments: object) -> Any:
        """The JSON of a command that must succeed."""
        return self.ok(*arguments, "--json").json
