#!/usr/bin/env python3
"""Measures mubss-billing: a cycle of postpaid subscribers with usage of the month, from nothing to issued bills.

A few accounts are charged through the engine, 50 CDRs each; the others are copies of theirs. The time is that of one
`mubss-billing --once`, its start included; each run bills the same store, put back to where it was.

    scripts/bench billing [--store mysql|URL] [--accounts 20000] [--records 50] [--runs 3] [--workers 1]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_gy import mysql
from bill_accounts import CYCLE, make_cycle, unbill


def run_once(url: str, folder: Path, options: argparse.Namespace) -> tuple[float, float, float]:
    """One bill run in a process of its own: seconds, CPU seconds, and the most memory in MB."""
    environment = {**os.environ, "MUBSS_STORE__URL": url, "MUBSS_GENERAL__DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "mubss.workers.billing", "--cycle", str(CYCLE), "--once"]
    if options.workers > 1:
        command += ["--workers", str(options.workers)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode or not re.search(rf" {options.accounts} bills issued", told):
        sys.exit(f"bench billing: mubss-billing ended with {process.returncode}:\n{told}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def bench(url: str, options: argparse.Namespace) -> None:
    """Makes the store, then bills it so many times."""
    with tempfile.TemporaryDirectory(prefix="mubss-billing-", dir="/var/tmp") as name:
        folder = Path(name)
        url = url or f"sqlite:///{folder}/mubss.db"
        store = make_cycle(url, options.accounts, options.records, folder)
        rates = []
        for run in range(1, options.runs + 1):
            seconds, cpu_s, memory_mb = run_once(url, folder, options)
            rates.append(options.accounts / seconds)
            print(
                f"run {run}: {options.accounts / seconds:>6,.0f} bills/s, {seconds:.1f} s, "
                f"{cpu_s / options.accounts * 1e6:.0f} us of its CPU a bill, {memory_mb:.0f} MB"
            )
            if run < options.runs:
                unbill(store)
        print(f"median {sorted(rates)[len(rates) // 2]:,.0f} bills/s")
        store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench billing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="sqlite", help="sqlite, mysql (one of its own), or a URL")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.store == "mysql":
        with (
            tempfile.TemporaryDirectory(prefix="mubss-mysql-", dir="/var/tmp") as folder,
            mysql(Path(folder), tls=False) as (url, _),
        ):
            bench(url, options)
    else:
        bench("" if options.store == "sqlite" else options.store, options)


if __name__ == "__main__":
    main()
