"""Where benchmarks run: a store of their own, and processes whose time and memory are taken."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
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
SQLITE, MYSQL, MYSQL_TLS = STORES = "sqlite", "mysql", "mysql-tls"  # of its own; anything else is a URL
_AT_ONCE = "max_dirty_pages_pct_lwm=0", "max_dirty_pages_pct=0", "io_capacity_max=20000", "io_capacity=20000"
_DIRTY = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'"
SETTLED_PAGES, SETTLE_S = 1_000, 120


def add_store(parser: ArgumentParser) -> None:
    """The option that says which store."""
    parser.add_argument("--store", default=SQLITE, help="sqlite, mysql (one of its own), mysql-tls, or a URL")


class Place(NamedTuple):
    """A folder for one run, a store, and the MySQL server that was started for it, if one was."""

    folder: Path
    url: str
    mysql: MySQL | None = None

    @property
    def mysqld(self) -> list[int]:
        """The server's process."""
        return [self.mysql.pid] if self.mysql else []

    def settle(self) -> None:
        """Lets MySQL write the pages of a store just made: beside that 2,000 CCR/s have 9 to 39 ms at p99.

        Nobody's day begins with a store that was made a moment ago.
        """
        if self.mysql is None:
            return
        names = [setting.partition("=")[0] for setting in _AT_ONCE]
        usual = [self.mysql.sql(f"SHOW GLOBAL VARIABLES LIKE 'innodb_{name}'")[0][1] for name in names]
        self.mysql.sql(*(f"SET GLOBAL innodb_{setting}" for setting in _AT_ONCE))
        until = time.monotonic() + SETTLE_S
        while int(self.mysql.sql(_DIRTY)[0][1]) >= SETTLED_PAGES:
            if time.monotonic() > until:
                sys.exit(f"MySQL has {SETTLED_PAGES} pages or more to write after {SETTLE_S} s")
            time.sleep(0.2)
        before = reversed(list(zip(names, usual, strict=True)))  # a limit is never below what it limits
        self.mysql.sql(*(f"SET GLOBAL innodb_{name}={value}" for name, value in before))


@contextmanager
def place(store: str) -> Iterator[Place]:
    """A folder and the store that `--store` names; from now on SIGTERM ends the block as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir=SCRATCH) as name:
        folder = Path(name)
        license_programs(folder)
        if store in (MYSQL, MYSQL_TLS):
            with mysql(folder / "mysql") as server:
                url = server.url(schema="mubss_bench")
                url = url if store == MYSQL_TLS else re.sub(r"@[^/]*", f"@({server.socket})", url)
                yield Place(folder, url, server)
        else:
            yield Place(folder, f"sqlite:///{folder}/mubss.db" if store == SQLITE else store)


@contextmanager
def mysql(folder: Path) -> Iterator[MySQL]:
    """A MySQL server of its own, with full durability."""
    made = MySQL(folder, find_or_fetch())
    try:
        made.start()
        yield made
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
