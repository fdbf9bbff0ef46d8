"""PDF files of bills: how many a second, and how long a large one takes.

    scripts/bench pdf [--seconds 5] [--processes 2] [--threads 1] [--engine plutobook] [--write FOLDER]

In each of so many processes, as many threads as are asked for render invoices of three pages (60 rows of usage, a chart
for each of three services, a code to pay by) from the bill to the octets; with --write they are written, too, as
mubss-billfmt does it. The bill of 1,000 rows is rendered three times in one process; the best counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import bill_samples
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
    began, cpu = time.perf_counter(), time.process_time()

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
    return Measured(files, time.perf_counter() - began, time.process_time() - cpu, pages, _megabytes())


def large(engine: str) -> tuple[float, int, float]:
    """Seconds for the large bill, its pages, and the most memory that the process had, in megabytes."""
    renderer = bill_samples.renderer(engine=engine)
    bill, usage, postings = bill_samples.postpaid("en", LARGE_ROWS)
    best, pages = 1e9, 0
    for _ in range(3):
        began = time.perf_counter()
        pages = renderer.render(bill, usage, postings, bill_samples.facts()).pages
        best = min(best, time.perf_counter() - began)
    return best, pages, _megabytes()


def _megabytes() -> float:
    """The most memory that this process had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench pdf", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2, help="from one up to so many are measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default="plutobook", choices=("plutobook", "pdfkit"))
    parser.add_argument("--write", default="", metavar="FOLDER")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for count in range(1, options.processes + 1):
        job = (options.engine, options.seconds, options.threads, options.write)
        with context.Pool(count) as pool:
            found = pool.starmap(play, [job] * count)
        rate = sum(one.files / one.seconds for one in found)
        cpu_ms = 1000 * sum(one.cpu_seconds for one in found) / sum(one.files for one in found)
        print(
            f"{count} processes, {options.threads} threads each: {rate:6.1f} invoices/s of {found[0].pages} pages, "
            f"{cpu_ms:.1f} ms of CPU each, {max(one.megabytes for one in found):.0f} MB"
        )
    with context.Pool(1) as pool:
        seconds, pages, megabytes = pool.apply(large, (options.engine,))
    print(f"a bill of {LARGE_ROWS:,} rows, {pages} pages: {seconds:.2f} s, {megabytes:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
