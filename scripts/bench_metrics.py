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
import json
import os
import subprocess
import sys
import threading
import timeit
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench_gy import Running, server
from benching import add_store, place
from gy_reckoning import make_store
from mubss import metrics

HERE = Path(__file__).parent
SCRAPE_SECONDS = 1
OFF, ON, TRACED = "neither", "metrics", "metrics and traces"
COUNTED_TIMES = 200_000


class Round(NamedTuple):
    """One run of the load."""

    rate: int
    p99_ms: float
    server_us: float  # CPU of the server's process for one CCR


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


def load(running: Running, options: argparse.Namespace, seed: int) -> Round:
    """One run of scripts/gy_load.py."""
    command = [sys.executable, str(HERE / "gy_load.py"), "--port", str(running.port), "--seed", str(seed)]
    command += ["--accounts", str(options.accounts), "--seconds", str(options.seconds)]
    command += ["--warm-up", str(options.warm_up), "--in-flight", str(options.in_flight)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as generator:
        assert generator.stdout is not None
        generator.stdout.readline()
        before_s = running.cpu_seconds()[0]
        figures = json.loads(generator.stdout.readline())
    failed = {code: count for code, count in figures["results"].items() if code != "2001"}
    if failed:
        sys.exit(f"bench metrics: not 2001: {failed}")
    spent_us = (running.cpu_seconds()[0] - before_s) / figures["requests"] * 1e6
    return Round(figures["rate"], figures["p99_ms"], spent_us)


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


def bench(url: str, options: argparse.Namespace, traces_url: str) -> None:
    """The table."""
    make_store(url, options.accounts).close()
    kinds = {
        OFF: {"MUBSS_METRICS__ENABLED": "false"},
        ON: {},
        TRACED: {"MUBSS_TRACING__URL": traces_url},
    }
    if find_spec("opentelemetry") is None:
        del kinds[TRACED]
    rounds: dict[str, list[Round]] = {kind: [] for kind in kinds}
    octets: list[int] = []
    for number in range(options.rounds):
        for place_in_round, (kind, settings) in enumerate(kinds.items()):
            with server(url, settings, []) as running, scraped(running.metrics_port) as sizes:
                rounds[kind].append(load(running, options, 1 + number * len(kinds) + place_in_round))
            octets += sizes
            print(f"round {number + 1}, {kind}: {rounds[kind][-1]}", file=sys.stderr, flush=True)
    print("| shown | CCR/s | of neither | p99 ms | server CPU µs/CCR |\n|---|---|---|---|---|")
    base = median(one.rate for one in rounds[OFF])
    for kind, found in rounds.items():
        rate = median(one.rate for one in found)
        p99_ms, spent_us = median(one.p99_ms for one in found), median(one.server_us for one in found)
        print(f"| {kind} | {rate:,.0f} | {rate / base:.1%} | {p99_ms:.2f} | {spent_us:.0f} |")
    print(f"\nA page has {max(octets, default=0):,} octets. Medians of {options.rounds} rounds.")
    spent_us = median(one.server_us for one in rounds[OFF])
    took_us = counting_us(16)
    print(
        f"Counting itself: {took_us:.2f} µs of a CCR in a batch of 16, {took_us / max(spent_us, 0.001):.1%} of its CPU."
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=100_000)
    options = parser.parse_args()
    with place(options.store) as (_, url), receiver() as traces_url:
        bench(url, options, traces_url)


if __name__ == "__main__":
    main()
