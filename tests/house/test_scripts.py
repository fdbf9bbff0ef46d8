"""The scripts: what they say where Python is missing or too old, and that they install only what changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"
MAKE = 'source "$1/scripts/_venv.sh"; make_venv "$2"'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project folder with the scripts, and a `bin` folder that holds the few tools they call and no Python."""
    folder = tmp_path / "a project"
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "setup.py").write_text("1")
    (folder / "bin").mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "sed"):
        (folder / "bin" / tool).symlink_to(shutil.which(tool) or "")
    return folder


def run(tree: Path, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(tree / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [BASH, *command], cwd=cwd or tree.parent, env=environ, capture_output=True, text=True, check=False
    )


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{BASH}\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("script", ["demo", "test", "check"])
def test_an_old_python_is_refused_with_what_to_do(tree: Path, script: str) -> None:
    write_program(tree / "bin/python3", '[ "$1" = --version ] && echo "Python 3.9.2" || exit 1')
    done = run(tree, str(tree / "scripts" / script))
    assert done.returncode == 1
    assert "needs Python 3.11 or later; found Python 3.9.2" in done.stderr
    assert "apt install python3" in done.stderr


def test_a_missing_python_is_said(tree: Path) -> None:
    done = run(tree, str(tree / "scripts/demo"))
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr


def test_a_missing_venv_module_is_said(tree: Path) -> None:
    write_program(tree / "bin/python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = run(tree, str(tree / "scripts/demo"))
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_it_installs_only_what_changed(tree: Path) -> None:
    log = tree / "pip.log"
    write_program(tree / ".venv/bin/python", f'case "$*" in *"pip install"*) echo "${{@: -1}}" >>"{log}" ;; esac')

    def installs(kind: str) -> list[str]:
        log.write_text("")
        done = run(tree, "-ec", MAKE, "-", str(tree), kind, cwd=Path("/"))
        assert done.returncode == 0, done.stderr
        return log.read_text().split()

    assert installs("base") == ["."]
    assert installs("base") == []
    assert installs("dev") == [".[dev]"]
    assert installs("dev") == []
    assert installs("base") == []
    (tree / "setup.py").write_text("2")
    assert installs("dev") == [".[dev]"]
    assert installs("base") == []


def test_a_failed_install_is_tried_again(tree: Path) -> None:
    write_program(tree / ".venv/bin/python", 'case "$*" in *"pip install"*) exit 1 ;; esac')
    for _ in range(2):
        done = run(tree, "-ec", MAKE, "-", str(tree), "base")
        assert done.returncode == 1
        assert "installing" in done.stderr


def test_bench_lists_and_refuses(tree: Path) -> None:
    (tree / "scripts/bench_one.py").write_text('"""Measures one thing.\n\nMore."""\n')
    (tree / "scripts/bench_two.py").write_text('#!/usr/bin/env python3\n"""Measures two."""\n"""More."""\n')
    done = run(tree, str(tree / "scripts/bench"), cwd=Path("/"))
    assert done.returncode == 0
    assert "  one      Measures one thing.\n" in done.stdout
    assert "  two      Measures two.\n" in done.stdout
    done = run(tree, str(tree / "scripts/bench"), "three")
    assert (done.returncode, done.stderr) == (2, 'no bench "three"\n')
    assert "  one" in done.stdout
