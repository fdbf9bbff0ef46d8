#!/usr/bin/env python3
"""Measures the document stores: `scripts/bench store [--store sqlite|mysql|URL]`.

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
from itertools import chain
from pathlib import Path

from benching.places import SCRATCH
from benching.rows import Row, add_json, show
from mubss.xdev.store import open_store
from mysqld.binaries import NoMySQL, find_or_fetch
from mysqld.server import Server, ServerFailed
from store_baseline import Official, per_document
from store_cases import ACCOUNTS, BATCH, SECONDS_A_CASE, USAGE, Measured, World, charging_round, measure, sets

SIZES = (1, 8, 32, 128)
NEAREST = (  # ours, and what the official connector has for it
    ("get_many", "get_one"),
    ("put_many", "modify, whole document"),
    ("put_many", "modify, one field"),
    ("add_many", "add"),
)
OFFICIAL = "MySQL by the official connector, one document a call"
CLIENT_US = "client CPU µs/document"


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


def to_row(table: str, name: str, documents: int, measured: Measured) -> Row:
    """One line: `documents` in each of the rounds that were measured."""
    count, wall_s, cpu_s, rounds_s = measured
    total = count * documents
    figures = {
        "documents/s": total / wall_s,
        CLIENT_US: cpu_s / total * 1e6,
        "p50 ms": rounds_s[count // 2] * 1e3,
        "p99 ms": rounds_s[min(count - 1, count * 99 // 100)] * 1e3,
    }
    return Row(table, name, figures)


def ours(table: str, world: World) -> Iterator[Row]:
    """The set operations, and a batch of charging."""
    for size in SIZES:
        for name, prepare in sets(world, size).items():
            yield to_row(table, f"{name}, {size} a transaction", size, measure(world.store.run, prepare, world.case_s))
    documents = BATCH + BATCH + BATCH + USAGE
    yield to_row(table, "a charging round", documents, measure(world.store.run, charging_round(world), world.case_s))


def official(world: World, url: str) -> Iterator[Row]:
    """The official connector's calls."""
    session = Official(url)
    for size in SIZES:
        for name, prepare in per_document(world, size).items():
            yield to_row(OFFICIAL, f"{name}, {size} a transaction", size, measure(session.run, prepare, world.case_s))
    session.close()


def compare(rows: list[Row]) -> Iterator[Row]:
    """How many times as fast, and as cheap, ours is."""
    found = {row.name: row.figures for row in rows}
    for size in SIZES:
        for name, other in NEAREST:
            mine, theirs = (found[f"{one}, {size} a transaction"] for one in (name, other))
            figures = {
                "times the documents/s": mine["documents/s"] / theirs["documents/s"],
                "times less client CPU": theirs[CLIENT_US] / mine[CLIENT_US],
            }
            yield Row("ours against the official connector", f"{name} / {other}, {size} a transaction", figures)


def on_mysql(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """MySQL by our engine and by the official connector, and the one against the other."""
    server = Server(folder, find_or_fetch())
    try:
        server.start()
        url = server.url(schema="mubss_bench")
        store = open_store(url)
        store.make()
        world = World(store, options.accounts, options.seconds)
        world.fill()
        rows = []
        for row in chain(ours("MySQL, full durability, TLS", world), official(world, url)):
            rows.append(row)
            yield row
        yield from compare(rows)
        store.close()
    finally:
        server.remove()


def on_one(table: str, url: str, options: argparse.Namespace) -> Iterator[Row]:
    """A store by its URL."""
    world = World(open_store(url), options.accounts, options.seconds)
    world.store.make()
    world.fill()
    yield from ours(table, world)
    if not options.store or options.store == "sqlite":
        with busy_thread():
            yield from ours(f"{table}, beside a busy thread", world)
    world.clear()
    world.store.close()


def measured(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """What `--store` names."""
    if options.store in ("", "sqlite"):
        yield from on_one("embedded store", f"sqlite:///{folder}/store.db", options)
    if options.store in ("", "mysql"):
        yield from on_mysql(folder / "mysql", options)
    if "://" in options.store:
        yield from on_one("the store of --store", options.store, options)


def main() -> None:
    """Measures on stores of its own unless one is named; it makes and drops collections bench_*."""
    parser = argparse.ArgumentParser(
        prog="bench store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_json(parser)
    parser.add_argument("--store", default="", metavar="sqlite|mysql|URL", help="this one alone")
    parser.add_argument("--seconds", type=float, default=SECONDS_A_CASE, help="for each operation and size")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir=SCRATCH) as folder:
        try:
            show(measured(options, Path(folder)), as_json=options.json)
        except (NoMySQL, ServerFailed) as error:
            sys.exit(f"bench store: {error}")


if __name__ == "__main__":
    main()
