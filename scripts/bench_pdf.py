"""PDF files of bills: how many a second, and how long a large one takes.

    scripts/bench pdf [--seconds 5] [--processes 2] [--threads 1] [--engine plutobook] [--write FOLDER]

In each of so many processes, as many threads as are asked for render invoices of three pages (60 rows of usage, a chart
for each of three services, a code to pay by) from the bill to the octets; with --write they are written, too, as
mubss-billfmt does it. The bill of 1,000 rows is rendered three times in one process; the best counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import bill_samples
from benching.places import memory_mb
from benching.rows import Row, add_json, show
from mubss.services.formatting import write_whole

ROWS, LARGE_ROWS = 60, 1_000


class Measured(NamedTuple):
    """What a process did."""

    files: int
    seconds: float
    cpu_seconds: float
    pages: int
    megabytes: float


def play(engine: str, seconds: float, threads: int, folder: str) -> Measured:
    """Renders for so many seconds."""
    renderer = bill_samples.renderer(engine=engine)
    languages = sorted(bill_samples.NAMES)
    bills = [(*bill_samples.postpaid(one, ROWS), bill_samples.facts(one)) for one in languages]
    pages = renderer.render(*bills[0]).pages
    began, cpu = time.perf_counter(), _cpu_seconds()

    def work(thread: int) -> int:
        done = 0
        while time.perf_counter() < began + seconds:
            made = renderer.render(*bills[done % len(bills)])
            if folder:
                write_whole(
                    Path(folder), Path(f"{multiprocessing.current_process().pid}", f"{thread}-{done}.pdf"), made.pdf
                )
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        files = sum(pool.map(work, range(threads)))
    return Measured(files, time.perf_counter() - began, _cpu_seconds() - cpu, pages, memory_mb(os.getpid()))


def _cpu_seconds() -> float:
    """Of this process, and of those it waited for: wkhtmltopdf is one for each file."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def large(engine: str) -> tuple[float, int, float]:
    """Seconds for the large bill, its pages, and the most memory that the process had, in megabytes."""
    renderer = bill_samples.renderer(engine=engine)
    bill, usage, postings = bill_samples.postpaid("en", LARGE_ROWS)
    best, pages = 1e9, 0
    for _ in range(3):
        began = time.perf_counter()
        pages = renderer.render(bill, usage, postings, bill_samples.facts()).pages
        best = min(best, time.perf_counter() - began)
    return best, pages, memory_mb(os.getpid())


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Each engine in one process, then in more, then with the large bill."""
    context = multiprocessing.get_context("spawn")
    for engine in options.engine.split(","):
        for count in range(1, options.processes + 1):
            job = (engine, options.seconds, options.threads, options.write)
            with context.Pool(count) as pool:
                found = pool.starmap(play, [job] * count)
            figures = {
                "invoices/s": sum(one.files / one.seconds for one in found),
                "CPU ms each": 1000 * sum(one.cpu_seconds for one in found) / sum(one.files for one in found),
                "memory MB": max(one.megabytes for one in found),
                "pages": found[0].pages,
            }
            threads = f", {options.threads} threads each" if options.threads > 1 else ""
            yield Row(f"invoices of {ROWS} rows, by {engine}", f"{count} processes{threads}", figures)
        with context.Pool(1) as pool:
            seconds, pages, megabytes = pool.apply(large, (engine,))
        figures = {"s": seconds, "memory MB": megabytes, "pages": pages}
        yield Row(f"a large bill, by {engine}", f"{LARGE_ROWS:,} rows", figures)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench pdf", description=__doc__.splitlines()[0])
    add_json(parser)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2, help="from one up to so many are measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default="plutobook", help="plutobook, pdfkit, or both by a comma")
    parser.add_argument("--write", default="", metavar="FOLDER")
    options = parser.parse_args()
    unknown = set(options.engine.split(",")) - {"plutobook", "pdfkit"}
    if unknown:
        parser.error(f"--engine: {', '.join(sorted(unknown))}; expected plutobook or pdfkit")
    show(measure(options), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
