"""Where benchmarks run: a store of their own, and processes whose time and memory are taken."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench_gy import mysql
from licensed import license_programs


def add_store(parser: ArgumentParser) -> None:
    """The option that says which store."""
    parser.add_argument("--store", default="sqlite", help="sqlite, mysql (one of its own), or a URL")


@contextmanager
def place(store: str) -> Iterator[tuple[Path, str]]:
    """A folder for one run, and the URL of the store that `--store` names."""
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        license_programs(folder)
        if store == "mysql":
            with (
                tempfile.TemporaryDirectory(prefix="mubss-mysql-", dir="/var/tmp") as data,
                mysql(Path(data), tls=False) as (url, _),
            ):
                yield folder, url
        else:
            yield folder, f"sqlite:///{folder}/mubss.db" if store == "sqlite" else store


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
