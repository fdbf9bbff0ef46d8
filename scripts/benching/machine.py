"""What a measurement ran on: the machine and the versions of all that took part."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benching import python_diameter
from benching.places import SCRATCH
from mubss.gy import avp
from mysqld.binaries import NoMySQL, find_or_fetch

PACKAGES = ("gevent", "grpcio", "protobuf", "mysqlx-connector-python", "orjson", "plutoprint", "cryptography")
SYNCS = 200
ROOT = Path(__file__).parents[2]


def facts() -> dict[str, str]:
    """By what they are called in a report."""
    return {
        "commit": commit(),
        "processor": _first(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text()) or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": f"{file_system(Path(SCRATCH).resolve())} at {SCRATCH}",
        "fdatasync of 4 KB": f"{fdatasync_ms():.2f} ms (p50 of {SYNCS})",
        "load before": f"{os.getloadavg()[0]:.2f} (1 minute)",
        "Python": f"{platform.python_version()}, {built()}",
        "hot modules": "compiled by mypyc" if avp.__file__.endswith(".so") else "plain Python",
        "SQLite": sqlite3.sqlite_version,
        "MySQL": mysql_version(),
        **{name: installed(name) for name in PACKAGES},
        "python-diameter": python_diameter.VERSION,
        "wkhtmltopdf": _first(r"(\d[\d.]+)", _said(["wkhtmltopdf", "--version"])) or "none",
    }


def commit() -> str:
    """Which it is, and whether anything but results was changed since."""
    git = ["git", "-C", str(ROOT)]
    changed = _said([*git, "status", "--porcelain", "--", ".", ":!docs/benchmarks"])
    return (_said([*git, "rev-parse", "--short=10", "HEAD"]) or "unknown") + ("-dirty" if changed else "")


def built() -> str:
    """By whom the interpreter was built: how fast it is depends on that by a fifth."""
    if sys.base_prefix == "/usr":
        return "the system's"
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "built with profiles" if "--enable-optimizations" in arguments else "built without profiles"


def fdatasync_ms() -> float:
    """The median milliseconds of a write of 4 KB that is on the disk, where the benchmarks' stores are."""
    took = []
    with tempfile.NamedTemporaryFile(dir=SCRATCH) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return median(took)


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, at, found, *_ = line.split()
        if folder.is_relative_to(at) and len(at) >= len(best):
            best, kind = at, found
    return kind


def mysql_version() -> str:
    """Of the server that benchmarks start."""
    try:
        return find_or_fetch().version
    except NoMySQL:
        return "none"


def installed(package: str) -> str:
    """Its version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1].strip() if found else ""
