#!/usr/bin/env python3
"""Measures mubss-cdr: a file of mixed records, from file to durable store.

Half of the records are calls over 10,000 prefixes, 20 zones and two bands, a third data, the rest messages, of postpaid
subscribers with free units. The time is that of one `mubss-cdr --once`, its start included; a file is loaded again for
each run, as another one of other records.

    scripts/bench cdr [--store mysql|URL] [--records 200000] [--accounts 50000] [--prefixes 10000] [--runs 3]
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benching.places import Done, Place, add_store, place, run_process
from benching.rows import Row, add_json, show
from cdr_files import make_store, write_file
from mubss.storage.cdr import find_files


def run_once(url: str, folder: Path, options: argparse.Namespace) -> Done:
    """One pass in a process of its own."""
    settings = {
        "MUBSS_STORE__URL": url,
        "MUBSS_GENERAL__DATA_DIR": str(folder),
        "MUBSS_CDR__LANES": str(options.lanes),
    }
    if options.window:
        settings["MUBSS_CDR__WINDOW"] = str(options.window)
    done = run_process([sys.executable, "-m", "mubss.workers.cdr_loader", "--once"], settings)
    if done.code or not re.search(rf"{options.records:,} records of bench", done.told):
        sys.exit(f"bench cdr: mubss-cdr ended with {done.code}:\n{done.told}")
    return done


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """Makes the store, then a file for each run."""
    store = make_store(at.url, options.accounts, options.prefixes, at.folder)
    drop = at.folder / "var" / "cdr"
    drop.mkdir(parents=True)
    for run in range(1, options.runs + 1):
        seed, now_s = options.seed + run, int(time.time())
        file, source = drop / f"{run}.cdr", f"bench{run}"
        write_file(file, seed, options.records, options.accounts, options.prefixes, now_s, source, run)
        done = run_once(at.url, at.folder, options)
        [doc] = [doc for doc in find_files(store, 100) if doc["sequence"] == run]
        print(f"run {run}: {doc['counts']}", file=sys.stderr)
        figures = {
            "records/s": options.records / done.seconds,
            "s": done.seconds,
            "CPU µs a record": done.cpu_s / options.records * 1e6,
            "most memory MB": done.memory_mb,
        }
        yield Row("mubss-cdr", f"a file of {options.records:,} records", figures)
    store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench cdr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store(parser)
    add_json(parser)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--prefixes", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=0)
    parser.add_argument("--window", type=int, default=0)
    options = parser.parse_args()
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
