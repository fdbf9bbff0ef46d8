"""A built wheel works without the checkout: its data travels in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from mubss import __version__

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what the wheel is made of, so that no build folder is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("mubss", "conf", "proto", "templates"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [*PIP, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_code_and_the_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "proto", "templates"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"mubss/_data/{path.relative_to(ROOT).as_posix()}" in names
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mubss").rglob("*.py")}
    assert code <= names
    assert not [name for name in names if name.split("/")[0] not in ("mubss", f"mubss-{__version__}.dist-info")]


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    about = f"mubss-{__version__}.dist-info"
    metadata = message_from_bytes(archive.read(f"{about}/METADATA"))
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"test", "dev"} <= set(metadata.get_all("Provides-Extra", []))
    assert any(line.startswith("gevent") for line in metadata.get_all("Requires-Dist", []))
    scripts = archive.read(f"{about}/entry_points.txt").decode()
    assert "mubss = mubss.cli.main:main" in scripts
    assert [name for name in archive.namelist() if name.startswith(about) and name.endswith("LICENSE")]


def test_an_installed_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    command = [*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, cwd=tmp_path)
    program = "import mubss.config as c; print(c.data_path('conf/mubss.toml'))"
    found = run(target, tmp_path, "-c", program).strip()
    assert Path(found) == target / "mubss/_data/conf/mubss.toml"
    shown = json.loads(run(target, tmp_path, "-m", "mubss.cli.main", "config", "show", "--json", "--config", found))
    assert shown["gy.port"]["value"] == 3868
    assert shown["gy.port"]["source"].startswith(found)
    run(target, tmp_path, "-m", "mubss.cli.main", "init", "--demo")
    balance = json.loads(run(target, tmp_path, "-m", "mubss.cli.main", "balance", "999700000001", "--json"))
    assert balance["balance_micros"] == 10_000_000


def run(target: Path, folder: Path, *arguments: str) -> str:
    """Runs Python with the installed wheel before everything else, away from the checkout."""
    environ = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environ, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
