#!/usr/bin/env python3
"""mubss-gy under load: CCR/s, latencies, batch size, server CPU and memory, at several depths.

Server, load generator (scripts/gy_load.py, a process of its own) and store share the machine. Sessions are
I + 3 U + T with one rating group, on random accounts; every answer is sent after its commit is durable.

With `--store mysql` the store is a server of scripts/mysql of its own, with full durability, on a unix socket
(`mysql-tls`: over TCP and TLS); its CPU is another column.

    scripts/bench gy [--store mysql|mysql-tls|URL] [--depths 1,16,64,256,1024] [--accounts 100000]
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
from typing import NamedTuple

from gy_reckoning import make_store
from licensed import license_programs
from mubss.cli.demo_group import free_port
from mysqld.binaries import find_or_fetch
from mysqld.server import Server as MySQL

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


class Running(NamedTuple):
    """A server that runs: its process and, where there is one, mysqld's; its ports."""

    pids: list[int]
    port: int
    metrics_port: int

    def cpu_seconds(self) -> list[float]:
        """User and system time of each process so far."""
        found = []
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[11]) + int(fields[12])) / TICKS)
        return found


@contextlib.contextmanager
def mysql(folder: Path, *, tls: bool) -> Iterator[tuple[str, int]]:
    """A MySQL server of its own: (URL, process)."""
    made = MySQL(folder, find_or_fetch())
    try:
        made.start()
        url = made.url(schema="mubss_bench")
        yield url if tls else re.sub(r"@[^/]*", f"@({made.socket})", url), made.pid
    finally:
        made.remove()


@contextlib.contextmanager
def server(url: str, environment: dict[str, str], mysqld: list[int]) -> Iterator[Running]:
    """A mubss-gy of its own."""
    settings = {"MUBSS_STORE__URL": url, "MUBSS_METRICS__ENABLED": "true", "MUBSS_METRICS__GY_PORT": str(free_port())}
    command = [sys.executable, "-m", "mubss.gy.main", "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings, **environment}, stderr=log, text=True)
        ports: dict[str, str] = {}
        try:
            while "listening on" not in ports:  # the port of metrics is told before
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text())
                time.sleep(0.05)
                ports = dict(re.findall(r"(listening on|metrics on) \S*:(\d+)", Path(log.name).read_text()))
            yield Running([process.pid, *mysqld], int(ports["listening on"]), int(ports.get("metrics on", 0)))
        except BaseException:
            print(Path(log.name).read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


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


def measure(name: str, running: Running, arguments: list[str]) -> None:
    """One run of the load generator, as a line of the table."""
    # A seed of its own: with one seed each run would leave its last sessions open in the same few accounts.
    seed = str(zlib.crc32(name.encode()))
    command = [sys.executable, str(HERE / "gy_load.py"), "--port", str(running.port), "--seed", seed, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as generator:
        assert generator.stdout is not None
        generator.stdout.readline()
        cpu_s, (commands, count) = running.cpu_seconds(), batches(running.metrics_port)
        line = generator.stdout.readline()
    figures = json.loads(line)
    cpu_us = [
        (after - before) / figures["requests"] * 1e6 for before, after in zip(cpu_s, running.cpu_seconds(), strict=True)
    ]
    after, count_after = batches(running.metrics_port)
    size = (after - commands) / max(1.0, count_after - count)
    failed = {code: n for code, n in figures["results"].items() if code != "2001"}
    print(
        f"| {name} | {figures['rate']:,} | {figures['p50_ms']} | {figures['p95_ms']} | {figures['p99_ms']} "
        f"| {size:.1f} | {' | '.join(f'{us:.0f}' for us in cpu_us)} "
        f"| {figures['client_us']:.0f} | {memory_mb(running.pids[0])} |" + (f" not 2001: {failed}" if failed else ""),
        flush=True,
    )


def bench(url: str, mysqld: list[int], options: argparse.Namespace) -> None:
    """The tables of one store."""
    started = time.perf_counter()
    make_store(url, options.accounts).close()
    rate = options.accounts / (time.perf_counter() - started)
    print(f"a store with {options.accounts} subscribers made at {rate:,.0f}/s", file=sys.stderr)
    common = ["--accounts", str(options.accounts), "--seconds", options.seconds]
    names = ["in flight", "CCR/s", "p50 ms", "p95 ms", "p99 ms", "batch", "server CPU µs/CCR"]
    names += ["mysqld CPU µs/CCR"] * len(mysqld) + ["load µs/CCR", "RSS MB"]
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    with server(url, {}, mysqld) as running:
        for depth in options.depths.split(","):
            measure(depth, running, [*common, "--in-flight", depth])
        if options.offered:
            offered = ["--offered", str(options.offered), "--in-flight", "16"]
            measure(f"{options.offered}/s offered", running, [*common, *offered])
    if options.no_baseline:
        return
    with server(url, {"MUBSS_CHARGING__BATCH_LIMIT": "1"}, mysqld) as running:
        for depth in options.depths.split(","):
            measure(f"{depth}, one transaction per CCR", running, [*common, "--in-flight", depth])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--store", default="", metavar="mysql|mysql-tls|URL", help="an empty store; a temporary embedded one by default"
    )
    parser.add_argument("--depths", default="1,16,64,256,1024")
    parser.add_argument("--offered", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seconds", default="8")
    parser.add_argument("--no-baseline", action="store_true", help="leave out one transaction per CCR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        license_programs(folder)
        if options.store in ("mysql", "mysql-tls"):
            with mysql(folder / "mysql", tls=options.store == "mysql-tls") as (url, pid):
                bench(url, [pid], options)
        else:
            bench(options.store or f"sqlite:///{folder}/bench.db", [], options)


if __name__ == "__main__":
    main()
