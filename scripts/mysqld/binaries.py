"""Where mysqld comes from: an installed one, else, on Debian, the packages of its `sid` suite, unpacked into a folder.

Debian 12 has no MySQL server. What is unpacked runs by its own C library, and nothing of the system is touched: apt
works with lists, sources and a cache of its own, so no root is needed either.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LEAST = (8, 0)
_PLACES = ("/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/mysql/bin")
_PACKAGE = "mysql-server-core"
_APT = """
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "";
Acquire::Retries "2";
"""


class NoMySQL(Exception):
    """No MySQL can be had here; one line says why."""


class Binaries(NamedTuple):
    """How to run mysqld: the command with the options that belong to where it is installed."""

    command: list[str]
    version: str


def cache_folder() -> Path:
    """Where downloaded packages are unpacked; MUBSS_MYSQL_CACHE names another place."""
    return Path(os.environ.get("MUBSS_MYSQL_CACHE") or ROOT / ".mysql" / "dist")


def find_or_fetch() -> Binaries:
    """An installed mysqld, an unpacked one, or one that is fetched now; NoMySQL says in a line why there is none."""
    found = _installed() or _unpacked(cache_folder())
    if found is None:
        _fetch(cache_folder())
        found = _unpacked(cache_folder())
    if found is None:
        raise NoMySQL(f"no MySQL: what was fetched into {cache_folder()} doesn't run; remove that folder")
    return found


def _installed() -> Binaries | None:
    path = shutil.which("mysqld", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    if path is None:
        return None
    command = [path, "--no-defaults"]
    version = _version(command)
    return Binaries(command, version) if version else None


def _unpacked(folder: Path) -> Binaries | None:
    """The server in an unpacked package, run by the loader and libraries unpacked beside it."""
    server = folder / "usr/sbin/mysqld"
    loaders = sorted(folder.glob("usr/lib/*-linux-gnu*/ld-linux*.so*"))
    if not server.exists() or not loaders:
        return None
    command = [
        str(loaders[0]),
        "--library-path",
        str(loaders[0].parent),
        str(server),
        "--no-defaults",
        f"--lc-messages-dir={folder}/usr/share/mysql",
        f"--character-sets-dir={folder}/usr/share/mysql/charsets",
        f"--plugin-dir={folder}/usr/lib/mysql/plugin",
    ]
    version = _version(command)
    return Binaries(command, version) if version else None


def _version(command: list[str]) -> str:
    """The version that it says it is; "" for a MariaDB, an old server, and what doesn't run."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"Ver (\d+)\.(\d+)\.(\d+)", done.stdout)
    if done.returncode or found is None or "MariaDB" in done.stdout:
        return ""
    return ".".join(found.groups()) if tuple(map(int, found.groups()[:2])) >= LEAST else ""


def _fetch(folder: Path) -> None:
    """Downloads and unpacks the packages; the folder appears whole or not at all."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NoMySQL(
            "no MySQL: expected mysqld 8.0 or later on the PATH (only on Debian and its kin can it be fetched)"
        )
    work = folder.with_name(f"{folder.name}-{os.getpid()}")
    try:
        for name in ("lists/partial", "cache/archives/partial", "debs", "root"):
            (work / name).mkdir(parents=True)
        (work / "sources.list").write_text(f"deb {_mirror()} sid main\n")
        (work / "apt.conf").write_text(_APT.format(folder=work))
        environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}
        _run(["apt-get", "-q", "update"], environment, work)
        _run(["apt-get", "-q", "download", *_needed(environment, work)], environment, work / "debs")
        for package in sorted((work / "debs").glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(work / "root")], environment, work)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not (folder / "usr").exists():  # another was quicker, and has checked it
            shutil.rmtree(folder, ignore_errors=True)
            (work / "root").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _mirror() -> str:
    """The archive that this machine's apt already uses, which is one it can reach."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(RELEASE)"],
        capture_output=True,
        text=True,
        check=False,
    )
    sites = [line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ["Debian"]]
    mirrors = [site for site in sites if "security" not in site]
    if not mirrors:
        raise NoMySQL("no MySQL: expected mysqld 8.0 or later on the PATH (this machine's apt has no Debian archive)")
    return mirrors[0]


def _needed(environment: dict[str, str], work: Path) -> list[str]:
    """The server's package and all that it needs, but for perl, which only its scripts do."""
    leave_out = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
    command = ["apt-cache", "depends", "--recurse", *(f"--no-{kind}" for kind in leave_out), _PACKAGE]
    names = {line.strip() for line in _run(command, environment, work).splitlines() if re.match(r"[a-z0-9]", line)}
    return sorted(name for name in names if "perl" not in name)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise NoMySQL(f"no MySQL: `{' '.join(command[:2])}` failed: {said[:200]}")
    return done.stdout
