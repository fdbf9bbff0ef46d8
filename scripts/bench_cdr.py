#!/usr/bin/env python3
"""Measures mubss-cdr: a file of mixed records, from file to durable store.

Half of the records are calls over 10,000 prefixes, 20 zones and two bands, a third data, the rest messages, of postpaid
subscribers with free units. The time is that of one `mubss-cdr --once`, its start included; a file is loaded again for
each run, as another one of other records.

    scripts/bench cdr [--store mysql|URL] [--records 200000] [--accounts 50000] [--prefixes 10000] [--runs 3]
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
from cdr_files import make_store, write_file
from mubss.storage.cdr import find_files


def run_once(url: str, folder: Path, options: argparse.Namespace) -> tuple[float, float, float]:
    """One pass in a process of its own: seconds, CPU seconds, and the most memory in MB."""
    environment = {
        **os.environ,
        "MUBSS_STORE__URL": url,
        "MUBSS_GENERAL__DATA_DIR": str(folder),
        "MUBSS_CDR__LANES": str(options.lanes),
    }
    if options.window:
        environment["MUBSS_CDR__WINDOW"] = str(options.window)
    command = [sys.executable, "-m", "mubss.workers.cdr_loader", "--once"]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode or not re.search(rf"{options.records} records of bench", told):
        sys.exit(f"bench cdr: mubss-cdr ended with {process.returncode}:\n{told}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def bench(url: str, options: argparse.Namespace) -> None:
    """Makes the store, then a file for each run."""
    with tempfile.TemporaryDirectory(prefix="mubss-cdr-", dir="/var/tmp") as name:
        folder = Path(name)
        url = url or f"sqlite:///{folder}/mubss.db"
        store = make_store(url, options.accounts, options.prefixes, folder)
        drop = folder / "var" / "cdr"
        drop.mkdir(parents=True)
        rates = []
        for run in range(1, options.runs + 1):
            seed, now_s = options.seed + run, int(time.time())
            source = f"bench{run}"
            write_file(
                drop / f"{run}.cdr", seed, options.records, options.accounts, options.prefixes, now_s, source, run
            )
            seconds, cpu_s, memory_mb = run_once(url, folder, options)
            rates.append(options.records / seconds)
            [doc] = [doc for doc in find_files(store, 100) if doc["sequence"] == run]
            print(
                f"run {run}: {options.records / seconds:>8,.0f} records/s, {seconds:.1f} s, "
                f"{cpu_s / options.records * 1e6:.0f} us of its CPU a record, {memory_mb:.0f} MB, {doc['counts']}"
            )
        print(f"median {sorted(rates)[len(rates) // 2]:,.0f} records/s")
        store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench cdr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="sqlite", help="sqlite, mysql (one of its own), or a URL")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--prefixes", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=0)
    parser.add_argument("--window", type=int, default=0)
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
