#!/usr/bin/env python3
"""Measures the document stores: `scripts/bench store [--store URL]`.

The embedded one, MySQL (a server of scripts/mysql of its own, with full durability, over TCP and TLS), and on the same
server the official connector, one document a call. Every write is a durable transaction. "beside a busy thread" runs a
thread of pure Python next to the embedded store, the worst that an event loop can be: what costs there is how often the
store gives the GIL up. Figures are of this machine, at this load.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mubss.xdev.store import open_store
from mysqld.binaries import NoMySQL, find_or_fetch
from mysqld.server import Server, ServerFailed
from store_baseline import Official, per_document
from store_cases import BATCH, USAGE, Measured, World, charging_round, measure, sets

SIZES = (1, 8, 32, 128)
NEAREST = (  # ours, and what the official connector has for it
    ("get_many", "get_one"),
    ("put_many", "modify, whole document"),
    ("put_many", "modify, one field"),
    ("add_many", "add"),
)
Figures = dict[tuple[str, int], tuple[float, float]]  # documents/s and client µs, by operation and size


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread that does nothing but compute."""
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def report(name: str, size: int, documents: int, measured: Measured) -> tuple[float, float]:
    """One row; documents/s, and the CPU microseconds of one."""
    count, wall_s, cpu_s, rounds_s = measured
    total = count * documents
    p50_s, p99_s = rounds_s[count // 2], rounds_s[min(count - 1, count * 99 // 100)]
    print(
        f"| {name} | {size} | {total / wall_s:,.0f} | {wall_s / total * 1e6:.1f} | {cpu_s / total * 1e6:.1f} "
        f"| {p50_s * 1e3:.2f} | {p99_s * 1e3:.2f} |",
        flush=True,
    )
    return total / wall_s, cpu_s / total * 1e6


def head(title: str) -> None:
    """The table's head."""
    print(f"\n{title}\n")
    print(
        "| operation | documents a transaction | documents/s | µs/document | client CPU µs/document | p50 ms | p99 ms |"
    )
    print("|---|---|---|---|---|---|---|")


def ours(world: World) -> Figures:
    """The set operations, and a batch of charging."""
    figures = {}
    for size in SIZES:
        for name, prepare in sets(world, size).items():
            figures[name, size] = report(name, size, size, measure(world.store.run, prepare))
    written = BATCH + BATCH + USAGE
    report("charging round", BATCH + written, BATCH + written, measure(world.store.run, charging_round(world)))
    return figures


def official(world: World, url: str) -> Figures:
    """The official connector's calls."""
    figures = {}
    session = Official(url)
    for size in SIZES:
        for name, prepare in per_document(world, size).items():
            figures[name, size] = report(name, size, size, measure(session.run, prepare))
    session.close()
    return figures


def compare(mine: Figures, theirs: Figures) -> None:
    """How many times as fast, and as cheap, ours is."""
    print(f"\n| documents | {' | '.join(f'{name} / {other}' for name, other in NEAREST)} |")
    print("|---" * (1 + len(NEAREST)) + "|")
    for size in SIZES:
        cells = []
        for name, other in NEAREST:
            (rate, cpu_us), (their_rate, their_cpu_us) = mine[name, size], theirs[other, size]
            cells.append(f"{rate / their_rate:.1f} × documents/s, 1/{their_cpu_us / cpu_us:.0f} of the client CPU")
        print(f"| {size} | {' | '.join(cells)} |")


def on_mysql(folder: Path) -> None:
    """MySQL by our engine and by the official connector, and the one against the other."""
    server = Server(folder, find_or_fetch())
    try:
        server.start()
        url = server.url(schema="mubss_bench")
        store = open_store(url)
        store.make()
        world = World(store)
        world.fill()
        head("MySQL, full durability, TLS")
        mine = ours(world)
        head("MySQL by the official connector, one document a call")
        theirs = official(world, url)
        compare(mine, theirs)
        store.close()
    finally:
        server.remove()


def main() -> None:
    """Measures on stores of its own unless one is named; it makes and drops collections bench_*."""
    parser = argparse.ArgumentParser(
        prog="bench store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", metavar="URL", help="this one alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir="/var/tmp") as folder:
        world = World(open_store(arguments.store or f"sqlite:///{folder}/store.db"))
        world.store.make()
        world.fill()
        head("The store of --store" if arguments.store else "Embedded store")
        ours(world)
        if not arguments.store:
            head("Embedded store, beside a busy thread")
            with busy_thread():
                ours(world)
        world.clear()
        world.store.close()
        if not arguments.store:
            try:
                on_mysql(Path(folder, "mysql"))
            except (NoMySQL, ServerFailed) as error:
                sys.exit(f"bench store: {error}")


if __name__ == "__main__":
    main()
