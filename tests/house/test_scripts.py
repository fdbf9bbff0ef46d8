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


def run(tree: Path, *command: str, cwd: Path | None = None, python: str = "") -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(tree / "bin"), "HOME": os.environ.get("HOME", "/"), "PYTHON": python}
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


def write_python(path: Path, version: str) -> None:
    """A stand-in that says its version, and makes a .venv whose interpreter has it too."""
    new_enough = "true" if version.startswith("3.1") else "false"
    inner = f'case "$*" in *"pip install"*) echo installed >&2 ;; *print*) echo {version} ;; esac'
    write_program(
        path,
        f"""case "$*" in
            --version) echo Python {version} ;;
            *sys.exit*) {new_enough} ;;
            *print*) echo {version} ;;
            *ensurepip*) test ! -e "$0.novenv" ;;
            "-m venv --clear .venv")
                "${{BASH%/*}}/rm" -rf .venv; "${{BASH%/*}}/mkdir" -p .venv/bin
                echo '#!{BASH}' >.venv/bin/python; echo '{inner}' >>.venv/bin/python
                "${{BASH%/*}}/chmod" +x .venv/bin/python ;;
        esac""",
    )


@pytest.mark.parametrize("there", [False, True], ids=["first run", "with a .venv"])
def test_the_interpreter_that_is_named_or_none(tree: Path, there: bool) -> None:
    """No other one is taken in its place, not even what an earlier run made."""
    write_python(tree / "bin/python3", "3.12.1")
    if there:
        assert run(tree, "-ec", MAKE, "-", str(tree), "base").returncode == 0
    write_python(tree / "old", "3.9.2")
    write_python(tree / "bare", "3.13.0")
    (tree / "bare.novenv").touch()
    for python, said in [
        ("/nonexistent", "PYTHON=/nonexistent: it doesn't run."),
        (str(tree / "old"), f"PYTHON={tree / 'old'}: Python 3.9.2."),
        (str(tree / "bare"), f"{tree / 'bare'} cannot make virtual environments"),
    ]:
        done = run(tree, "-ec", MAKE, "-", str(tree), "base", python=python)
        assert done.returncode == 1, python
        assert said in done.stderr
        assert "installing" not in done.stderr
        assert (tree / ".venv").exists() == there


def test_a_named_interpreter_of_another_version_makes_the_venv_anew(tree: Path) -> None:
    write_python(tree / "bin/python3", "3.12.1")
    write_python(tree / "other", "3.13.0")

    def said(python: str) -> str:
        done = run(tree, "-ec", MAKE, "-", str(tree), "base", python=python)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "making .venv with Python 3.12.1" in said("")
    assert said("python3") == ""
    assert "making .venv with Python 3.13.0" in said(str(tree / "other"))
    assert said(str(tree / "other")) == ""
    assert said("") == ""  # whoever names none takes what is there
    assert "making .venv with Python 3.12.1" in said("python3")


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
