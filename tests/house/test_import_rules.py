"""Who imports whom: every contract bites, and every module of the protocol stands on one side of the line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Modules that do IO, or stand on such ones; every other one of their package is pure and in the contract that says so.
IO_MODULES = {
    "mubss.gy": {
        "answer_minutes",
        "client",
        "connection",
        "control",
        "gather",
        "link",
        "listen",
        "main",
        "outbox",
        "peer_options",
        "presence",
        "reboots",
        "registry",
        "reload",
        "server",
        "takeover",
        "tls",
        "tls_socket",
        "trace",
        "traced",
        "transport",
        "workers",
    },
    "mubss.xdev.mysql": {"collection", "indexes", "link", "pool", "session", "store", "tls"},
}
PURE = {"mubss.gy": "Core and the protocol", "mubss.xdev.mysql": "The X Protocol"}

# Contract → a module, and an import in it that the contract forbids.
BREACHES = {
    "Higher imports lower": ("mubss/core/money.py", "import mubss.storage.database"),
    "Core and the protocol are pure": ("mubss/gy/avp.py", "import time"),
    "The X Protocol is pure": ("mubss/xdev/mysql/frames.py", "import socket"),
    "Only the charging engine": ("mubss/services/lifecycle.py", "import mubss.storage.accounts"),
    "Only storage knows": ("mubss/charging/engine.py", "import mubss.xdev.api"),
    "gRPC is for the CRM": ("mubss/metrics.py", "import grpc"),
    "gevent is for the Gy server": ("mubss/runtime.py", "import gevent"),
    "The command line": ("mubss/cli/main.py", "import mubss.gy.server"),
    "The protocol": ("mubss/gy/dictionary.py", "import mubss.gy.message"),
}


def contracts() -> list[dict[str, object]]:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    found: list[dict[str, object]] = tool["importlinter"]["contracts"]
    return found


def lint(folder: Path) -> dict[str, bool]:
    """Whether each contract is kept in the sources under `folder`."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+) (KEPT|BROKEN)$", done.stdout, re.MULTILINE)
    assert len(found) == len(contracts()), done.stdout + done.stderr
    return {name: state == "KEPT" for name, state in found}


def test_every_contract_bites(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    for name, (module, line) in BREACHES.items():
        assert [contract for contract in contracts() if str(contract["name"]).startswith(name)], name
        with (tmp_path / module).open("a") as file:
            file.write(f"\n{line}\n")
    assert not any(lint(tmp_path).values())


def test_a_module_outside_the_layers_is_found(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    assert all(lint(tmp_path).values())
    (tmp_path / "mubss/stray.py").touch()
    assert [name for name, kept in lint(tmp_path).items() if not kept] == ["Higher imports lower, never sideways"]


@pytest.mark.parametrize("package", PURE)
def test_every_module_of_a_protocol_is_pure_or_named_as_io(package: str) -> None:
    (pure,) = [contract for contract in contracts() if str(contract["name"]).startswith(PURE[package])]
    declared = set(pure["source_modules"])  # type: ignore[call-overload]
    modules = {path.stem for path in (ROOT / package.replace(".", "/")).glob("*.py")} - {"__init__"}
    apart = {f"{package}.{name}" for name in modules - IO_MODULES[package]} ^ (declared - {"mubss.core"})
    assert not apart, f"{apart}: name it in pyproject.toml if it is pure, in IO_MODULES if it isn't"


def copy_sources(folder: Path) -> None:
    shutil.copytree(ROOT / "mubss", folder / "mubss", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
