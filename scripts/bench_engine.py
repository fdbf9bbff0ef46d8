#!/usr/bin/env python3
"""The charging engine without the wire: MASS_PREPAID_RATING by a mubss-billing process, on a real store.

Sessions of three requests (I, U, T) of data, of random prepaid subscribers, so many at once; what `mubss billing play`
queues. Every charge is durable, as from mubss-gy; what lacks is DIAMETER on either side.

    scripts/bench engine [--store mysql|URL] [--charges 60000] [--at-once 64,256] [--accounts 20000] [--runs 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benching.places import Place, add_store, cpu_seconds, memory_mb, place
from benching.rows import Row, add_json, show
from gy_reckoning import FIRST, make_store
from mubss.core.activity import DONE, ENDED
from mubss.services.activities import MassRatingWanted, queue_mass_rating
from mubss.storage import activities
from mubss.storage.database import Doc, Store

CYCLE = 15  # one in which nobody is billed
LOOK_SECONDS = 0.1


@contextmanager
def billing(at: Place) -> Iterator[int]:
    """A mubss-billing process that does such work."""
    settings = {
        "MUBSS_STORE__URL": at.url,
        "MUBSS_GENERAL__DATA_DIR": str(at.folder),
        "MUBSS_BILLING__DEVELOPER_MODE": "true",
        "MUBSS_BILLING__POLL_SECONDS": "1",
    }
    command = [sys.executable, "-m", "mubss.workers.billing", "--cycle", str(CYCLE)]
    with (at.folder / "billing.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def play(store: Store, wanted: MassRatingWanted) -> Doc:
    """Queues it and waits for its end."""
    queued = queue_mass_rating(store, wanted, allowed=True, by="bench", now_s=int(time.time())).activity
    while True:
        doc = activities.get(store, queued["_id"])
        assert doc is not None
        if doc["state"] in ENDED:
            break
        time.sleep(LOOK_SECONDS)
    if doc["state"] != DONE or set(doc["results"]) != {"2001"} or doc["findings"]:
        sys.exit(f"bench engine: {doc}")
    return doc


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """Each depth, so many runs."""
    store = make_store(at.url, options.accounts)
    with billing(at) as pid:
        for run in range(options.runs):
            for depth in map(int, options.at_once.split(",")):
                charges = options.charges + 3 * run  # the same wish would be the same activity
                wanted = MassRatingWanted(CYCLE, charges, str(FIRST), str(FIRST + options.accounts - 1), depth)
                before_s, mysqld_s = cpu_seconds(pid), sum(map(cpu_seconds, at.mysqld))
                doc = play(store, wanted)
                done, latency = doc["progress"]["done"], doc["latency_us"]
                figures = {
                    "charges/s": doc["rate_per_s"],
                    "p50 ms": latency["p50"] / 1000,
                    "p99 ms": latency["p99"] / 1000,
                    "CPU µs a charge": (cpu_seconds(pid) - before_s) / done * 1e6,
                }
                if at.mysqld:
                    figures["mysqld CPU µs a charge"] = (sum(map(cpu_seconds, at.mysqld)) - mysqld_s) / done * 1e6
                figures["RSS MB"] = memory_mb(pid)
                yield Row("charging engine without the wire", f"{depth} at once", figures)
    store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    add_json(parser)
    parser.add_argument("--charges", type=int, default=60_000)
    parser.add_argument("--at-once", default="64,256", help="sessions under way, several by commas")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
