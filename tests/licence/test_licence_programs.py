"""Every program asks for the licence before it does anything else, and again while it runs. Real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from licences import DemoLicence
from mubss.cli.init import set_up
from mubss.config import load
from mubss.core.licence import ALL_FEATURES, DAY_S, NEEDS, Feature
from mubss.runtime import ExitCode

MODULES = {
    "mubss-gy": ["mubss.gy.main", "--port", "0"],
    "mubss-cdr": ["mubss.workers.cdr_loader"],
    "mubss-billing": ["mubss.workers.billing", "--cycle", "3"],
    "mubss-billfmt": ["mubss.workers.billfmt"],
    "mubss-stats": ["mubss.workers.stats"],
    "mubss-crm": ["mubss.crm.main", "--port", "0"],
}
PROGRAM = pytest.mark.parametrize("program", MODULES)


@contextmanager
def running(program: str, folder: Path, variables: dict[str, str], *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a folder; killed at the end where it still lives."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("MUBSS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *MODULES[program], *more],
        cwd=folder,
        env={**environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of its log in which the pattern is found."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"{pattern!r} was never said")


def test_every_licensed_program_is_tried_here() -> None:
    assert MODULES.keys() >= NEEDS.keys()


@PROGRAM
def test_without_a_licence_none_starts(tmp_path: Path, program: str) -> None:
    with running(program, tmp_path, {}) as process:
        _, text = process.communicate(timeout=60)
    assert process.returncode == ExitCode.LICENCE
    assert re.fullmatch(rf"{program}: license\.file: .*platform\.lic.*\n", text), text


@PROGRAM
def test_without_its_bit_none_starts(tmp_path: Path, program: str) -> None:
    licence = DemoLicence(tmp_path)
    for bit in NEEDS[program]:
        licence.ends(licence.now_s + DAY_S, int(ALL_FEATURES & ~bit))
        with running(program, tmp_path, licence.variables) as process:
            _, text = process.communicate(timeout=60)
        assert process.returncode == ExitCode.LICENCE
        assert text == f"{program}: licence.features: {Feature(bit).name} missing; {program} needs it to start\n"


@pytest.fixture
def licence(tmp_path: Path) -> DemoLicence:
    """In force; its folder has a store with the demo's data."""
    set_up(load(None, {"MUBSS_GENERAL__DATA_DIR": str(tmp_path)}), with_demo=True)
    return DemoLicence(tmp_path)


def test_files_wait_while_the_licence_is_over(tmp_path: Path, licence: DemoLicence) -> None:
    variables = {**licence.variables, "MUBSS_CDR__POLL_SECONDS": "1"}
    with running("mubss-cdr", tmp_path, variables) as process:
        told(process, "looking for CDR files")
        licence.ends(licence.now_s - DAY_S)
        told(process, "nothing new begins")
        file = tmp_path / load(None, {}).cdr.directory / "bad.cdr"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"no CDRs")
        licence.ends(licence.now_s + DAY_S)
        told(process, "new work begins again")  # a line on the file would have come first
        told(process, r"bad\.cdr")
