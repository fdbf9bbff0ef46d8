#!/usr/bin/env python3
"""mubss-gy under load: CCR/s, latencies, batch size, server CPU and memory, at several depths.

Server, load generator (scripts/gy_load.py, a process of its own) and store share the machine. Sessions are
I + 3 U + T with one rating group, on random accounts; every answer is sent after its commit is durable.

With `--store mysql` the store is a server of scripts/mysql of its own, with full durability, on a unix socket
(`mysql-tls`: over TCP and TLS); its CPU is another column. `--compiled` measures the server with compiled hot modules
as well (scripts/compiled), where there is a compiler. Each kind of server has a store of its own; one that a URL names
is measured by mubss-gy alone.

    scripts/bench gy [--store mysql|mysql-tls|URL] [--depths 1,16,64,256,1024] [--accounts 100000] [--compiled]
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Iterator

from benching.gy import ONE_TRANSACTION, checked, compiled, load, server
from benching.places import STORES, Place, add_store, place
from benching.rows import Row, add_json, show
from gy_reckoning import make_store

BATCHED, COMPILED, BASELINE = "mubss-gy", "mubss-gy, compiled", "mubss-gy, one transaction for each CCR"


def measure(table: str, settings: dict[str, str], options: argparse.Namespace) -> Iterator[Row]:
    """The table of one kind of server, on a store of its own: none finds what another one left."""
    common = ["--accounts", str(options.accounts), "--seconds", options.seconds, "--warm-up", options.warm_up]
    with place(options.store) as at:
        fill(at, options.accounts)
        with server(at.url, settings, at.mysqld) as running:
            for offered in options.offered.split(",") if options.offered not in ("", "0") and table != BASELINE else ():
                name = f"{int(offered):,}/s offered"
                found = load(running, int(offered), [*common, "--offered", offered, "--in-flight", "16"])
                yield Row(table, name, checked(name, found))
            for depth in options.depths.split(","):
                name = f"{depth} in flight"
                found = load(running, zlib.crc32((table + name).encode()), [*common, "--in-flight", depth])
                yield Row(table, name, checked(name, found))


def fill(at: Place, accounts: int) -> None:
    """Makes the store."""
    started = time.perf_counter()
    make_store(at.url, accounts).close()
    rate = accounts / (time.perf_counter() - started)
    print(f"a store with {accounts} subscribers made at {rate:,.0f}/s", file=sys.stderr)
    at.settle()


def kinds(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, str]]]:
    """What is measured, and what its server is told; a store that was given can only be filled once."""
    yield BATCHED, {}
    if options.store not in STORES:
        return
    if options.compiled and (environment := compiled()):
        yield COMPILED, environment
    if not options.no_baseline:
        yield BASELINE, ONE_TRANSACTION


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    add_json(parser)
    parser.add_argument("--depths", default="1,16,64,256,1024")
    parser.add_argument("--offered", default="1000", help="requests/s of an open loop, several by commas; 0: none")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seconds", default="8")
    parser.add_argument("--warm-up", default="2", help="seconds")
    parser.add_argument("--no-baseline", action="store_true", help="leave out one transaction per CCR")
    parser.add_argument("--compiled", action="store_true", help="the server with compiled modules, too")
    options = parser.parse_args()
    rows = (row for table, settings in kinds(options) for row in measure(table, settings, options))
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
