#!/usr/bin/env python3
"""What seeing inside costs: CCR/s of mubss-gy with its metrics shown and scraped, with traces, and with neither.

Rounds of all kinds in turn, each with a server of its own on one store, so that a machine that gets slower or faster
does it to all. Prometheus is played by a thread that asks for /metrics every second, fifteen times as often as it
would; what takes the traces is a thread of this process, so its work is in their figure (they need `mubss[otel]`). Then
what counting itself takes of a CCR, which is never off: the calls that a request and a batch make, timed alone.

    scripts/bench metrics [--store mysql|URL] [--rounds 5] [--seconds 8] [--in-flight 64] [--accounts 100000]
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import timeit
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from statistics import median

from benching.gy import checked, server
from benching.gy import load as gy_load
from benching.places import Place, add_store, place
from benching.rows import Row, add_json, show
from gy_reckoning import make_store
from mubss import metrics

SCRAPE_SECONDS = 1
OFF, ON, TRACED = "neither", "metrics", "metrics and traces"
COUNTED_TIMES = 200_000


@contextlib.contextmanager
def scraped(port: int) -> Iterator[list[int]]:
    """Asks for /metrics again and again while the block runs; the octets of each page."""
    stopping = threading.Event()
    sizes: list[int] = []

    def scrape() -> None:
        while port and not stopping.wait(SCRAPE_SECONDS):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                sizes.append(len(page.read()))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield sizes
    finally:
        stopping.set()
        thread.join()


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """The URL of who takes traces and forgets them."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    taking = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=taking.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{taking.server_port}/v1/traces"
    finally:
        taking.shutdown()
        taking.server_close()


def counting_us(commands: int) -> float:
    """Microseconds that counting takes of one CCR, in batches of so many."""

    def request() -> None:
        metrics.GY_ANSWERS.inc("peer.example", "2", "2001")
        metrics.GY_ANSWER_SECONDS.observe(0.004)

    def batch() -> None:
        metrics.BATCH_WAIT_SECONDS.observe(0.002)
        metrics.STORE_SECONDS.observe(0.001, "begin")
        metrics.STORE_SECONDS.observe(0.001, "commit")
        metrics.BATCH_SIZE.observe(16)
        metrics.BATCH_SECONDS.observe(0.003)

    each = min(timeit.repeat(request, number=COUNTED_TIMES, repeat=3)) / COUNTED_TIMES
    whole = min(timeit.repeat(batch, number=COUNTED_TIMES, repeat=3)) / COUNTED_TIMES
    return (each + whole / commands) * 1e6


def measure(at: Place, options: argparse.Namespace, traces_url: str) -> Iterator[Row]:
    """A row for each kind in each round, then what counting takes."""
    make_store(at.url, options.accounts).close()
    at.settle()
    kinds = {
        OFF: {"MUBSS_METRICS__ENABLED": "false"},
        ON: {},
        TRACED: {"MUBSS_TRACING__URL": traces_url},
    }
    if find_spec("opentelemetry") is None:
        del kinds[TRACED]
    arguments = ["--accounts", str(options.accounts), "--seconds", str(options.seconds)]
    arguments += ["--warm-up", str(options.warm_up), "--in-flight", str(options.in_flight)]
    spent_us: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(options.rounds):
        for place_in_round, (kind, settings) in enumerate(kinds.items()):
            with server(at.url, settings, []) as running, scraped(running.metrics_port) as sizes:
                found = checked(kind, gy_load(running, 1 + number * len(kinds) + place_in_round, arguments))
            spent_us[kind].append(found["server CPU µs/CCR"])
            figures = {title: found[title] for title in ("CCR/s", "p99 ms", "server CPU µs/CCR")}
            yield Row("what is shown", kind, {**figures, "octets of a page": max(sizes, default=0)})
    took_us = counting_us(16)
    share = took_us / max(median(spent_us[OFF]), 0.001)
    yield Row("counting, never off", "of a CCR in a batch of 16", {"CPU µs": took_us, "% of its CPU": share * 100})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    add_json(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=100_000)
    options = parser.parse_args()
    with place(options.store) as at, receiver() as traces_url:
        show(measure(at, options, traces_url), as_json=options.json)


if __name__ == "__main__":
    main()
