#!/usr/bin/env python3
"""Measures mubss-crm: GetSubscriber and TopUp over TLS with tokens, by clients that wait for each answer.

The server is a process of its own. Each client has a connection; half of the clients are in another process.

    scripts/bench crm [--store mysql|URL] [--clients 8] [--seconds 5] [--runs 3] [--accounts 1000]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "clients" / "python"))

from mubss_crm import Crm

from benching.crm import credentials
from benching.places import Place, add_store, cpu_seconds, place
from benching.rows import Row, add_json, show
from cdr_files import FIRST, make_store

PROCESSES = 2


class Server:
    """A mubss-crm process on a free port."""

    def __init__(self, url: str, folder: Path) -> None:
        settings = {"MUBSS_STORE__URL": url, "MUBSS_GENERAL__DATA_DIR": str(folder)}
        self.ca, self.token = credentials(settings)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mubss.crm.main", "--port", "0"],
            env={**os.environ, **settings},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r":(\d+) with TLS", line)
        if found is None:
            sys.exit(f"bench crm: mubss-crm says {line}{self.process.stderr.read()}")
        self.address = f"localhost:{found[1]}"
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self) -> None:
        """Ends it well."""
        self.process.terminate()
        self.process.wait()


def play(address: str, token: str, ca: bytes, name: str, clients: int, seconds: float, accounts: int, seed: int) -> Any:
    """Calls by so many clients for so long; how long each call took, in milliseconds."""
    took: list[float] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        crm = Crm(address, token, ca)
        end = time.perf_counter() + seconds
        count = 0
        while time.perf_counter() < end:
            fields: dict[str, Any] = {"subscriber": str(FIRST + rng.randrange(accounts))}
            if name == "Balances/TopUp":
                count += 1
                fields |= {"amount_micros": 1_000_000, "idempotency_key": f"{os.getpid()}-{seed}-{number}-{count}"}
            started = time.perf_counter()
            crm.call(name, **fields)
            took.append((time.perf_counter() - started) * 1000)
        crm.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """Both calls, so many runs each; the first of either only warms up."""
    make_store(at.url, options.accounts, 100, at.folder).close()
    server = Server(at.url, at.folder)
    try:
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            for call in ("Subscribers/GetSubscriber", "Balances/TopUp"):
                for run in range(options.runs + 1):
                    figures = _run(pool, server, call, run, options)
                    if run:
                        yield Row("mubss-crm", call.partition("/")[2], figures)
    finally:
        server.stop()


def _run(
    pool: ProcessPoolExecutor, server: Server, call: str, run: int, options: argparse.Namespace
) -> dict[str, float]:
    """One run."""
    each, before_s = options.clients // PROCESSES, cpu_seconds(server.process.pid)
    where = server.address, server.token, server.ca, call, each, options.seconds, options.accounts
    parts = [pool.submit(play, *where, run * 10 + part) for part in range(PROCESSES)]
    took = sorted(one for part in parts for one in part.result())
    cpu_s = cpu_seconds(server.process.pid) - before_s
    p50, p99 = (took[len(took) * percent // 100] for percent in (50, 99))
    return {
        "calls/s": len(took) // options.seconds,
        "p50 ms": round(p50, 1),
        "p99 ms": round(p99, 1),
        "server CPU µs a call": cpu_s / len(took) * 1e6,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench crm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_store(parser)
    add_json(parser)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
