#!/usr/bin/env python3
"""Floods mubss-gy with connections and octets, and holds a good peer's latency and the server's memory against it.

See scripts/flooding.py for the attacks. Each has a server of its own with gy.max_peers = --places, so that an attacker
takes every place that may be had, and is a process of its own. Four good peers charge short messages meanwhile, three
on connections that they keep, one on a new connection for each request. All must get 2001, however long that takes.

    scripts/torture flood [--attack NAME] [--seconds 10] [--seed 1] [--places 300] [--store URL]

Prints a row for docs/SECURITY.md of each attack; exit code 1 where a good peer wasn't served, memory grew past its
bound, or descriptors didn't come back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flooding import ATTACKS, Flood
from gy_reckoning import FIRST, make_store
from gy_torture import Server
from licensed import license_programs
from mubss.gy.client import ClientError, GyClient
from mubss.gy.codec import Ccr, Mscc, Units
from mubss.gy.message import Identity

GOOD_PEERS = 4  # the last of them comes anew for each request
ACCOUNTS = 50
MEMORY_MB = 160  # the most that it may grow by: 300 places of 64 KiB, pools, and what an allocator keeps
DESCRIPTORS = 24  # connections to the store that timers may have opened meanwhile
TRIES = 20  # of who comes anew: its place may be taken before it has said who it is
TIMEOUT_S = 30
SETTLE_S = 20  # the most that is waited for descriptors to come back


class Good(threading.Thread):
    """A peer that minds its manners; `latencies_us` by phase."""

    def __init__(self, port: int, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.latencies_us: dict[str, list[int]] = {}
        self.failures: list[str] = []
        self.phase = "warm-up"
        self.retries = 0
        self.done = threading.Event()
        self._port, self._number, self._rng = port, number, random.Random(seed + number)
        self._is_new = number == GOOD_PEERS - 1

    def run(self) -> None:
        """Charges until it is told to stop."""
        try:
            while not self.done.is_set():
                with self._connect() as client:
                    self._charge(client)
                    while not self.done.is_set() and not self._is_new:
                        self._charge(client)
        except Exception as error:
            self.failures.append(f"good peer {self._number}: {error}")

    def _connect(self) -> GyClient:
        identity = Identity(f"good{self._number}.example", "good.example")
        for _ in range(TRIES):
            try:
                return GyClient("127.0.0.1", self._port, identity, timeout_s=TIMEOUT_S)
            except ClientError as error:
                last = error
                self.retries += 1
        raise last

    def _charge(self, client: GyClient) -> None:
        msisdn = str(FIRST + self._rng.randrange(ACCOUNTS))
        units = Units(service_specific_units=1)
        ccr = Ccr(
            session_id=client.new_session_id(),
            auth_application_id=4,
            service_context_id="32274@3gpp.org",
            cc_request_type=4,
            cc_request_number=0,
            requested_action=0,
            subscription_ids=[(0, msisdn)],
            msccs=[Mscc(None, [], units)],
        )
        phase = self.phase
        exchange = client.ask(ccr)
        self.latencies_us.setdefault(phase, []).append(exchange.took_us)
        if exchange.cca.answer.result_code != 2001:
            self.failures.append(f"{phase}: {exchange.cca.answer.result_code}")
        time.sleep(0.005)  # a flood is what is measured, not how much a server can do


@contextmanager
def attacked(name: str, port: int, places: int, seed: int) -> Iterator[dict[str, int]]:
    """The attack at its height, in a process of its own; what it did is known at the end."""
    command = [sys.executable, __file__, "--inside", name, "--port", str(port)]
    command += ["--places", str(places), "--seed", str(seed)]
    counts: dict[str, int] = {}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n", "the attack didn't begin"
        yield counts
        process.stdin.close()
        counts.update(json.loads(process.stdout.read()))
    finally:
        process.kill()
        process.wait()


def attack_here(name: str, options: argparse.Namespace) -> None:
    """The attacker's process: until its standard input ends."""
    flood = Flood(options.port, options.places, options.seed)
    thread = threading.Thread(target=ATTACKS[name].run, args=(flood,), daemon=True)
    thread.start()
    flood.begun.wait(TIMEOUT_S)
    print("begun", flush=True)
    sys.stdin.read()
    flood.stop.set()
    thread.join(TIMEOUT_S)
    print(json.dumps(flood.counts))


def memory_mb(pid: int, field: str = "VmRSS") -> int:
    """A process's memory now, or (VmHWM) at its most."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{field}:")[2].split()[0]) // 1024


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One attack; its figures."""
    settings = {"max_peers": str(options.places), "cer_timeout_seconds": "2", **ATTACKS[name].options}
    with tempfile.TemporaryDirectory(prefix="mubss-flood-", dir="/var/tmp") as place:
        folder = Path(place)
        license_programs(folder)
        os.environ.update({f"MUBSS_GY__{key.upper()}": value for key, value in settings.items()})
        os.environ["MUBSS_GENERAL__DATA_DIR"] = place
        url = options.store or f"sqlite:///{folder}/flood.db"
        make_store(url, ACCOUNTS).close()
        server = Server(url, options.workers, folder / "mubss-gy.log")
        server.start()
        try:
            figures = measure(name, server, options)
        finally:
            code = server.stop()
            for key in settings:
                del os.environ[f"MUBSS_GY__{key.upper()}"]
        figures["exit_code"] = code
        figures["tracebacks"] = (folder / "mubss-gy.log").read_text().count("Traceback")
    return figures


def measure(name: str, server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Good peers alone, then under attack, then alone again."""
    _wait_for_port(server.port)
    good = [Good(server.port, number, options.seed) for number in range(GOOD_PEERS)]

    def phase(title: str) -> None:
        for one in good:
            one.phase = title

    pid = server.process.pid
    for one in good:
        one.start()
    time.sleep(1)
    phase("alone")
    time.sleep(options.seconds)
    before_mb, before = memory_mb(pid), descriptors(pid)
    with attacked(name, server.port, options.places, options.seed) as counts:
        phase("attacked")
        time.sleep(options.seconds)
        phase("over")
    most_mb = memory_mb(pid, "VmHWM")
    deadline = time.monotonic() + SETTLE_S
    while descriptors(pid) > before + DESCRIPTORS and time.monotonic() < deadline:
        time.sleep(0.1)
    after = descriptors(pid)
    for one in good:
        one.done.set()
    for one in good:
        one.join(TIMEOUT_S)
    return {
        "attack": name,
        "seed": options.seed,
        "did": dict(counts),
        "alone": latencies(good, "alone"),
        "attacked": latencies(good, "attacked"),
        "retries_of_new_peers": sum(one.retries for one in good),
        "failures": [text for one in good for text in one.failures] + ["stuck" for one in good if one.is_alive()],
        "memory_mb": [before_mb, most_mb],
        "descriptors": [before, after],
    }


def _wait_for_port(port: int) -> None:
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            GyClient("127.0.0.1", port, Identity("first.example", "good.example")).close()
            return
        except ClientError:
            if time.monotonic() > end:
                sys.exit("the server doesn't come up")
            time.sleep(0.05)


def latencies(good: list[Good], phase: str) -> dict[str, float]:
    """How many answers, and milliseconds at the median, the 99th hundredth and the most."""
    found = sorted(took for one in good for took in one.latencies_us.get(phase, []))
    if not found:
        return {"answers": 0}
    at = {"p50_ms": len(found) // 2, "p99_ms": len(found) * 99 // 100, "max_ms": len(found) - 1}
    return {"answers": len(found), **{name: round(found[place] / 1000, 1) for name, place in at.items()}}


def is_well(figures: dict[str, Any]) -> bool:
    """Whether everybody good was served, and the server is as it was."""
    grown_mb = figures["memory_mb"][1] - figures["memory_mb"][0]
    kept = figures["descriptors"][1] - figures["descriptors"][0]
    served = figures["alone"]["answers"] and figures["attacked"]["answers"]
    clean = not (figures["failures"] or figures["tracebacks"] or figures["exit_code"])
    return bool(served and clean and grown_mb <= MEMORY_MB and kept <= DESCRIPTORS)


def row(figures: dict[str, Any]) -> str:
    """A row of the table."""
    did = ", ".join(f"{value:,} {key}" for key, value in sorted(figures["did"].items()))
    alone, attacked = figures["alone"], figures["attacked"]
    times = [
        f"{one.get('p50_ms', '-')} / {one.get('p99_ms', '-')} / {one.get('max_ms', '-')}" for one in (alone, attacked)
    ]
    before_mb, most_mb = figures["memory_mb"]
    cells = [
        figures["attack"],
        did,
        *times,
        f"{attacked['answers']:,}",
        len(figures["failures"]),
        f"{before_mb} → {most_mb}",
    ]
    return f"| {' | '.join(map(str, [*cells, ' → '.join(map(str, figures['descriptors']))]))} |"


HEAD = """\
| attack | what it did | good peers alone: p50 / p99 / most, ms | attacked | answered | not | memory, MB | descriptors |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attack", choices=ATTACKS, help="one alone")
    parser.add_argument("--seconds", type=int, default=10, help="of each phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--places", type=int, default=300, help="connections of the attacker, and gy.max_peers")
    parser.add_argument("--workers", type=int, default=1, help="processes of mubss-gy; memory is that of the first")
    parser.add_argument("--store", default="", help="an empty store for one attack; embedded ones by default")
    parser.add_argument("--json", action="store_true", help="figures instead of the table")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        attack_here(options.inside, options)
        return
    if not options.json:
        print(HEAD)
    is_fine = True
    for name in [options.attack] if options.attack else ATTACKS:
        figures = run(name, options)
        is_fine &= is_well(figures)
        print(json.dumps(figures) if options.json else row(figures), flush=True)
        for text in figures["failures"][:5]:
            print(f"{name}: {text}", file=sys.stderr)
    sys.exit(0 if is_fine else 1)


if __name__ == "__main__":
    main()
