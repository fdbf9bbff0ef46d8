"""A `mubss` to call, with nothing made yet, with an empty store, or with the demo's data in it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_tools import Shell
from gy_peers import Scripted
from licensed import without_options
from mubss.cli.init import set_up
from mubss.config import load


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Nothing is made yet."""
    for name in os.environ.keys() - without_options().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("MUBSS_GENERAL__DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MUBSS_GY__PORT", "1")  # nobody listens there
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)


@pytest.fixture(scope="session")
def _demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `init --demo` has filled; made once, copied for each test."""
    folder = tmp_path_factory.mktemp("demo-store")
    set_up(load(None, {"MUBSS_GENERAL__DATA_DIR": str(folder)}), with_demo=True)
    return folder


@pytest.fixture
def demo_shell(shell: Shell, _demo_store: Path) -> Shell:
    """The demo's data is there."""
    shutil.copytree(_demo_store, shell.folder, dirs_exist_ok=True)
    return shell


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back after a command that sets up logging."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield root
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A Gy server that does what the test says."""
    with Scripted() as server:
        yield server
