"""Pass after pass: what goes wrong is told once, and the next pass comes."""

from __future__ import annotations

import logging

import pytest

from mubss.core.errors import ConfigError
from mubss.storage.database import StoreUnavailable
from mubss.workers.passes import repeat


def test_what_is_amiss_is_told_once_and_that_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    away, folder = StoreUnavailable("no route"), ConfigError("folder: x; expected one to read")
    outcomes: list[Exception | None] = [
        None,
        away,
        StoreUnavailable("refused"),
        folder,
        folder,
        None,
        ValueError("bug"),
    ]
    waited = []

    def work() -> None:
        if (fault := outcomes.pop(0)) is not None:
            raise fault

    caplog.set_level(logging.INFO)
    repeat(work, lambda: waited.append(1), lambda: not outcomes, logging.getLogger("t"), "files")
    assert len(waited) == 7
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "files wait: no route"),
        ("ERROR", "files wait: folder: x; expected one to read"),
        ("INFO", "files go on"),
        ("ERROR", "a pass over files failed"),
        ("INFO", "stopped"),
    ]
