#!/usr/bin/env python3
"""Kills or freezes MySQL under mubss-gy's load, and proves that no charge was lost or doubled.

By default the primary of a replication group of three: another member takes over, and mubss-gy, which is never
restarted, must charge again within --limit seconds; the dead member joins again before the next fault. With --single
it is one server, started again at once. See scripts/gy_torture.py for what is played, scripts/gy_reckoning.py for how
it is reckoned.

    scripts/torture mysql [--fault kill|freeze] [--faults 3] [--seed 7] [--single] [--workers 2] [--limit 15]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from gy_reckoning import compare, is_clean, make_store
from gy_torture import Client, Server
from licensed import license_programs
from mysqld.binaries import NoMySQL, find_or_fetch
from mysqld.group import Group
from mysqld.server import Server as MySQL
from mysqld.server import ServerFailed

FROZEN_S = 20  # until a frozen member may go on: by then the others have gone on without it


class Fault:
    """What is done to the store, and how long nobody was charged for it."""

    def __init__(self, store: Group | MySQL, kind: str, client: Client, limit_s: float) -> None:
        self._store, self._kind, self._client, self._limit_s = store, kind, client, limit_s
        self._failure: Exception | None = None  # of the mending
        self.outage_s = 0.0

    def strike(self) -> float:
        """Kills or freezes, and plays on until requests are charged again; seconds between the answers."""
        victim = self._store.primary() if isinstance(self._store, Group) else self._store
        struck_s = time.monotonic()
        if self._kind == "freeze":
            victim.freeze()
        else:
            victim.kill()
        mending = threading.Thread(target=self._mend, args=(victim,))
        if isinstance(self._store, MySQL):
            mending.start()
        answered = self._client.answered
        # Answers to what was committed before may still come: it is back when many more than were under way are.
        while self._client.answered < answered + 200 and self._failure is None:
            before_s = self._client.last_good_s
            self._client.step()
            gap_s = self._client.last_good_s - max(before_s, struck_s)
            self.outage_s = max(self.outage_s, gap_s)
            if time.monotonic() - struck_s > 4 * self._limit_s:
                raise ServerFailed(f"nobody was charged for {4 * self._limit_s:g} s")
        if not isinstance(self._store, MySQL):
            mending.start()
        while mending.is_alive():
            self._client.step()
        mending.join()
        if self._failure is not None:
            raise self._failure
        return self.outage_s

    def _mend(self, victim: MySQL) -> None:
        try:
            if self._kind == "freeze":
                time.sleep(FROZEN_S if isinstance(self._store, Group) else self._limit_s / 3)
                victim.thaw()
            self._store.start()
        except Exception as error:
            self._failure = error


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    binaries = find_or_fetch()
    durable = ["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"]
    mysql: Group | MySQL = MySQL(folder / "single", binaries, fast=True, options=durable)
    if not options.single:
        mysql = Group(folder / "group", binaries, fast=True, options=durable)
    server = client = None
    outages: list[float] = []
    try:
        mysql.start()
        url = mysql.url(schema="mubss_torture")
        store = make_store(url, options.accounts)
        rng = random.Random(options.seed)
        server = Server(url, options.workers, folder / "mubss-gy.log")
        server.start()
        client = Client(server, rng, options.accounts, options.in_flight, f"{options.seed:x}.{time.time_ns():x}")
        client.connect()
        client.fill()
        for _ in range(options.faults):
            goal = client.answered + rng.randrange(options.least_answers, 4 * options.least_answers)
            while client.answered < goal:
                client.step()
            outages.append(round(Fault(mysql, options.fault, client, options.limit).strike(), 2))
        client.finish()
        code = server.stop()
        server = None
        figures = {
            "seed": options.seed,
            "faults": options.faults,
            "outages_s": outages,
            "longest_s": max(outages),
            "answers": client.answered,
            "busy": client.busy,
            "reconnects_resent": client.resent,
            **compare(store, client.plays, options.accounts),
            "exit_code": code,
            "tracebacks": (folder / "mubss-gy.log").read_text().count("Traceback"),
        }
        store.close()
        return figures
    finally:
        if server is not None:
            server.kill()
        mysql.remove()
        log = folder / "mubss-gy.log"
        if log.exists() and (server is not None or "Traceback" in log.read_text()):
            print(log.read_text()[-4000:], file=sys.stderr)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="torture mysql", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fault", choices=["kill", "freeze"], default="kill")
    parser.add_argument("--faults", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--single", action="store_true", help="one server instead of a group of three")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--least-answers", type=int, default=300)
    parser.add_argument("--limit", type=float, default=15, help="seconds after which requests must be charged again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        license_programs(Path(folder))
        try:
            figures = torture(options, Path(folder))
        except (NoMySQL, ServerFailed) as error:
            sys.exit(f"torture mysql: {error}")
    print(json.dumps(figures, indent=1))
    sys.exit(0 if is_clean(figures) and figures["longest_s"] <= options.limit else 1)


if __name__ == "__main__":
    main()
