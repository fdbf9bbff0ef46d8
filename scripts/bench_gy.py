#!/usr/bin/env python3
"""mubss-gy under load: CCR/s, latencies, batch size, server CPU and memory, at several depths.

Server, load generator (scripts/gy_load.py, a process of its own) and store share the machine. Sessions are
I + 3 U + T with one rating group, on random accounts; every answer is sent after its commit is durable.

With `--store mysql` the store is a server of scripts/mysql of its own, with full durability, on a unix socket
(`mysql-tls`: over TCP and TLS); its CPU is another column. `--compiled` measures the server with compiled hot modules
as well (scripts/compiled), where there is a compiler.

    scripts/bench gy [--store mysql|mysql-tls|URL] [--depths 1,16,64,256,1024] [--accounts 100000] [--compiled]
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Iterator
from typing import cast

from benching.gy import ONE_TRANSACTION, checked, compiled, load, server
from benching.places import Place, add_store, place
from benching.rows import Row, add_json, show
from gy_reckoning import make_store
from mubss.storage.database import Store
from mubss.xdev.mysql.session import MysqlSession

SETTLED_PAGES = 1_000  # that wait to be written
SETTLE_SECONDS = 120
BATCHED, COMPILED, BASELINE = "mubss-gy", "mubss-gy, compiled", "mubss-gy, one transaction for each CCR"


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """The tables of one store."""
    started = time.perf_counter()
    store = make_store(at.url, options.accounts)
    rate = options.accounts / (time.perf_counter() - started)
    print(f"a store with {options.accounts} subscribers made at {rate:,.0f}/s", file=sys.stderr)
    common = ["--accounts", str(options.accounts), "--seconds", options.seconds, "--warm-up", options.warm_up]
    kinds: list[tuple[str, dict[str, str]]] = [(BATCHED, {})]
    if options.compiled:
        kinds.append((COMPILED, options.compiled))
    if not options.no_baseline:
        kinds.append((BASELINE, ONE_TRANSACTION))
    for table, settings in kinds:
        if at.mysqld:
            settle(store)
        with server(at.url, settings, at.mysqld) as running:
            for offered in options.offered.split(",") if options.offered not in ("", "0") and table != BASELINE else ():
                name = f"{int(offered):,}/s offered"
                found = load(running, int(offered), [*common, "--offered", offered, "--in-flight", "16"])
                yield Row(table, name, checked(name, found))
            for depth in options.depths.split(","):
                name = f"{depth} in flight"
                found = load(running, zlib.crc32((table + name).encode()), [*common, "--in-flight", depth])
                yield Row(table, name, checked(name, found))
    store.close()


def settle(store: Store) -> None:
    """Waits until MySQL has written nearly all pages of the store just made, or of a minute at full load.

    Nobody's day begins with these, and beside that writing 2,000 CCR/s have 9 to 39 ms at p99.
    """
    dirty = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'"
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        [(_, pages)] = store.run(lambda session: cast(MysqlSession, session).rows(dirty))
        if int(pages) < SETTLED_PAGES:
            break
        time.sleep(0.5)


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
    options.compiled = compiled() if options.compiled else {}
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
