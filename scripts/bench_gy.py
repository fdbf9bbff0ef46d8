#!/usr/bin/env python3
"""mubss-gy under load: CCR/s, latencies, batch size, server CPU and memory, at several depths.

Server, load generator (scripts/gy_load.py, a process of its own) and store share the machine. Sessions are
I + 3 U + T with one rating group, on random accounts; every answer is sent after its commit is durable.

    scripts/bench gy [--store URL] [--depths 1,16,64,256,1024] [--accounts 100000]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

from mubss.config import data_path
from mubss.refdata.form import read_files
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage.database import create_collections, open_database

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def make_store(url: str, accounts: int) -> None:
    """Fills a store with prepaid subscribers of the demo plan, 1,000.00 each."""
    store = open_database(url)
    create_collections(store)
    calendar = operator_calendar("UTC")
    load(store, read_files([data_path("conf/refdata/demo.toml")]), calendar, int(time.time()), replace=False)
    tables = Refdata(store, "UTC").load()
    first = 999_700_000_001
    people = [
        NewSubscriber(str(first + n), f"{first * 1000 + n}", "prepaid", "demo-prepaid", 1_000_000_000)
        for n in range(accounts)
    ]
    started = time.perf_counter()
    create(store, tables, people, int(time.time() * 1000))
    print(f"{accounts} subscribers imported at {accounts / (time.perf_counter() - started):,.0f}/s", file=sys.stderr)
    store.close()


@contextlib.contextmanager
def server(url: str, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A mubss-gy of its own: (process, port, metrics port)."""
    settings = {"MUBSS_STORE__URL": url, "MUBSS_METRICS__ENABLED": "true", "MUBSS_METRICS__PORT": "0"}
    command = [sys.executable, "-m", "mubss.gy.main", "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings, **environment}, stderr=log, text=True)
        ports: dict[str, str] = {}
        try:
            while "listening on" not in ports:
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text())
                time.sleep(0.05)
                ports = dict(re.findall(r"(listening on|metrics on) \S*:(\d+)", Path(log.name).read_text()))
            yield process, int(ports["listening on"]), int(ports["metrics on"])
        except BaseException:
            print(Path(log.name).read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> int:
    """The most memory it ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def batches(port: int) -> tuple[float, float]:
    """(commands, batches) so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    values = dict(re.findall(r"^(mubss_batch_size_(?:sum|count)) (\S+)$", text, re.M))
    return float(values.get("mubss_batch_size_sum", 0)), float(values.get("mubss_batch_size_count", 0))


def measure(name: str, process: subprocess.Popen[str], port: int, metrics_port: int, arguments: list[str]) -> None:
    """One run of the load generator, as a line of the table."""
    # A seed of its own: with one seed each run would leave its last sessions open in the same few accounts.
    seed = str(zlib.crc32(name.encode()))
    command = [sys.executable, str(HERE / "gy_load.py"), "--port", str(port), "--seed", seed, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as generator:
        assert generator.stdout is not None
        generator.stdout.readline()
        cpu, (commands, count) = cpu_seconds(process.pid), batches(metrics_port)
        line = generator.stdout.readline()
    figures = json.loads(line)
    cpu = cpu_seconds(process.pid) - cpu
    after, count_after = batches(metrics_port)
    size = (after - commands) / max(1.0, count_after - count)
    failed = {code: n for code, n in figures["results"].items() if code != "2001"}
    print(
        f"| {name} | {figures['rate']:,} | {figures['p50_ms']} | {figures['p95_ms']} | {figures['p99_ms']} "
        f"| {size:.1f} "
        f"| {cpu / figures['requests'] * 1e6:.0f} | {figures['client_us']:.0f} | {memory_mb(process.pid)} |"
        + (f" not 2001: {failed}" if failed else ""),
        flush=True,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="", help="an empty store; a temporary embedded one by default")
    parser.add_argument("--depths", default="1,16,64,256,1024")
    parser.add_argument("--offered", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seconds", default="8")
    parser.add_argument("--no-baseline", action="store_true", help="leave out one transaction per CCR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir="/var/tmp") as folder:
        url = options.store or f"sqlite:///{folder}/bench.db"
        make_store(url, options.accounts)
        common = ["--accounts", str(options.accounts), "--seconds", options.seconds]
        print("| in flight | CCR/s | p50 ms | p95 ms | p99 ms | batch | server CPU µs/CCR | load µs/CCR | RSS MB |")
        print("|---|---|---|---|---|---|---|---|---|")
        with server(url, {}) as (process, port, metrics_port):
            for depth in options.depths.split(","):
                measure(depth, process, port, metrics_port, [*common, "--in-flight", depth])
            if options.offered:
                offered = ["--offered", str(options.offered), "--in-flight", "16"]
                measure(f"{options.offered}/s offered", process, port, metrics_port, [*common, *offered])
        if options.no_baseline:
            return
        with server(url, {"MUBSS_CHARGING__BATCH_LIMIT": "1"}) as (process, port, metrics_port):
            for depth in options.depths.split(","):
                name = f"{depth}, one transaction per CCR"
                measure(name, process, port, metrics_port, [*common, "--in-flight", depth])


if __name__ == "__main__":
    main()
