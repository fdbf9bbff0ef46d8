"""Where benchmarks run: a store of their own, and processes whose time and memory are taken."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from licensed import license_programs
from mysqld.binaries import find_or_fetch
from mysqld.server import Server as MySQL

TICKS = os.sysconf("SC_CLK_TCK")
SCRATCH = "/var/tmp"  # on a disk, where /tmp may be memory
MYSQL, MYSQL_TLS = "mysql", "mysql-tls"


def add_store(parser: ArgumentParser) -> None:
    """The option that says which store."""
    parser.add_argument("--store", default="sqlite", help="sqlite, mysql (one of its own), mysql-tls, or a URL")


class Place(NamedTuple):
    """A folder for one run, a store, and mysqld's process where the store has one."""

    folder: Path
    url: str
    mysqld: list[int]


@contextmanager
def place(store: str) -> Iterator[Place]:
    """A folder and the store that `--store` names; from now on SIGTERM ends the block as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir=SCRATCH) as name:
        folder = Path(name)
        license_programs(folder)
        if store in (MYSQL, MYSQL_TLS):
            with mysql(folder / "mysql", tls=store == MYSQL_TLS) as (url, pid):
                yield Place(folder, url, [pid])
        else:
            yield Place(folder, f"sqlite:///{folder}/mubss.db" if store in ("", "sqlite") else store, [])


@contextmanager
def mysql(folder: Path, *, tls: bool) -> Iterator[tuple[str, int]]:
    """A MySQL server of its own, with full durability, on a unix socket or over TCP and TLS: (URL, process)."""
    made = MySQL(folder, find_or_fetch())
    try:
        made.start()
        url = made.url(schema="mubss_bench")
        yield url if tls else re.sub(r"@[^/]*", f"@({made.socket})", url), made.pid
    finally:
        made.remove()


class Done(NamedTuple):
    """What a process that ended took, and said."""

    code: int
    told: str
    seconds: float
    cpu_s: float
    memory_mb: float


def run_process(command: list[str], settings: Mapping[str, str]) -> Done:
    """Runs a process to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = used.ru_utime + used.ru_stime
    return Done(process.returncode, told, time.perf_counter() - started, cpu_s, used.ru_maxrss / 1024)


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has had so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> list[int]:
    """The process and its children, theirs too."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def memory_mb(pid: int) -> int:
    """The most memory it ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def allow_descriptors(count: int) -> None:
    """Lets this process, and those that it starts, have so many files and sockets, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
