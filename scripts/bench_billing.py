#!/usr/bin/env python3
"""Measures mubss-billing: a cycle of postpaid subscribers with usage of the month, from nothing to issued bills.

A few accounts are charged through the engine, 50 CDRs each; the others are copies of theirs. The time is that of one
`mubss-billing --once`, its start included; each run bills the same store, put back to where it was.

    scripts/bench billing [--store mysql|URL] [--accounts 20000] [--records 50] [--runs 3] [--workers 1]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benching.places import Done, Place, add_store, place, run_process
from benching.rows import Row, add_json, show
from bill_accounts import CYCLE, make_cycle, unbill


def run_once(url: str, folder: Path, options: argparse.Namespace) -> Done:
    """One bill run in a process of its own."""
    command = [sys.executable, "-m", "mubss.workers.billing", "--cycle", str(CYCLE), "--once"]
    if options.workers > 1:
        command += ["--workers", str(options.workers)]
    done = run_process(command, {"MUBSS_STORE__URL": url, "MUBSS_GENERAL__DATA_DIR": str(folder)})
    if done.code or not re.search(rf" {options.accounts} bills issued", done.told):
        sys.exit(f"bench billing: mubss-billing ended with {done.code}:\n{done.told}")
    return done


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """Makes the store, then bills it so many times."""
    store = make_cycle(at.url, options.accounts, options.records, at.folder)
    for run in range(1, options.runs + 1):
        done = run_once(at.url, at.folder, options)
        figures = {
            "bills/s": options.accounts / done.seconds,
            "s": done.seconds,
            "CPU µs a bill": done.cpu_s / options.accounts * 1e6,
            "most memory MB": done.memory_mb,
        }
        yield Row("mubss-billing", f"{options.accounts:,} accounts, {options.workers} processes", figures)
        if run < options.runs:
            unbill(store)
    store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench billing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store(parser)
    add_json(parser)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
