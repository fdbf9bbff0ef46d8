"""A mubss-gy of its own and one run of the load generator against it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benching.places import cpu_seconds, family, memory_mb
from ports import free_port

SCRIPTS = Path(__file__).parents[1]
# For each CCR: what batches are measured against. So slow that at 1,024 in flight some would be answered with 3004.
ONE_TRANSACTION = {"MUBSS_CHARGING__BATCH_LIMIT": "1", "MUBSS_GY__DEADLINE_MS": "20000"}


def compiled() -> dict[str, str]:
    """The environment of a server with compiled modules; empty, and told, where scripts/compiled can't make them."""
    done = subprocess.run([SCRIPTS / "compiled"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"nothing compiled: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return {"PYTHONPATH": done.stdout.strip(), "PYTHONSAFEPATH": "1"}  # the checkout itself, else, comes first


class Running(NamedTuple):
    """A server that runs: its process and, where there is one, mysqld's; its ports."""

    pid: int
    mysqld: list[int]
    port: int
    metrics_port: int

    @property
    def server_cpu_s(self) -> float:
        """CPU seconds of the server's processes so far, its workers included."""
        return sum(map(cpu_seconds, family(self.pid)))

    @property
    def mysqld_cpu_s(self) -> float:
        """CPU seconds of mysqld so far; 0 where there is none."""
        return sum(map(cpu_seconds, self.mysqld))


class Load(NamedTuple):
    """What one run of scripts/gy_load.py measured."""

    figures: dict[str, float]  # by a table's titles
    failed: dict[str, int]  # answers by Result-Code, but for 2001; "unanswered"


@contextmanager
def server(url: str, environment: Mapping[str, str], mysqld: list[int]) -> Iterator[Running]:
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
            yield Running(process.pid, mysqld, int(ports["listening on"]), int(ports.get("metrics on", 0)))
        except BaseException:
            print(Path(log.name).read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def batches(port: int) -> tuple[float, float]:
    """(commands, batches) so far."""
    if not port:
        return 0, 0
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    values = dict(re.findall(r"^(mubss_batch_size_(?:sum|count)) (\S+)$", text, re.M))
    return float(values.get("mubss_batch_size_sum", 0)), float(values.get("mubss_batch_size_count", 0))


@contextmanager
def generator(running: Running, seed: int, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The load generator, from when it begins to measure."""
    command = [sys.executable, str(SCRIPTS / "gy_load.py"), "--port", str(running.port), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def load(running: Running, seed: int, arguments: list[str]) -> Load:
    """One run of the load generator. With one seed each run would leave its last sessions open in the same accounts."""
    with generator(running, seed, arguments) as process:
        assert process.stdout is not None
        server_s, mysqld_s = running.server_cpu_s, running.mysqld_cpu_s
        commands, count = batches(running.metrics_port)
        line = process.stdout.readline()
    if not line:
        sys.exit(f"the load generator ended with {process.returncode}")
    told = json.loads(line)
    server_us = (running.server_cpu_s - server_s) / told["requests"] * 1e6
    mysqld_us = (running.mysqld_cpu_s - mysqld_s) / told["requests"] * 1e6
    after, count_after = batches(running.metrics_port)
    figures = {
        "CCR/s": told["rate"],
        "p50 ms": told["p50_ms"],
        "p95 ms": told["p95_ms"],
        "p99 ms": told["p99_ms"],
        "commands a batch": round((after - commands) / max(1.0, count_after - count), 1),
        "server CPU µs/CCR": round(server_us, 1),
        **({"mysqld CPU µs/CCR": round(mysqld_us, 1)} if running.mysqld else {}),
        "load µs/CCR": told["client_us"],
        "RSS MB": sum(map(memory_mb, family(running.pid))),
    }
    return Load(figures, {code: count for code, count in told["results"].items() if code != "2001"})


def checked(name: str, found: Load) -> dict[str, float]:
    """Its figures; the end where an answer wasn't 2001: what was refused costs less than what was charged."""
    if found.failed:
        sys.exit(f"{name}: not 2001: {found.failed}")
    return found.figures
