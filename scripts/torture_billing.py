#!/usr/bin/env python3
"""Kills mubss-billing with SIGKILL while it bills a cycle, and proves that each account has one bill, a right one.

Each process is killed when so many bills, which the seed decides, are there; by turns it is one process, one with two
shares, and two of which the second takes over. The last one ends by itself. What is then due of each account must be
what its usage records sum up to, reckoned here anew; numbers have no gap, and the ledger adds up.

    scripts/torture billing [--store URL] [--accounts 1500] [--kills 20] [--seed 7]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bill_accounts import CYCLE, make_cycle
from mubss.services.audit_ledger import check
from mubss.storage.database import Doc, Store

FEE, VAT_PERCENT, MICROS = 1500, 20, 10_000  # cents, and micros of a cent: the plan of cdr_files.py
RECORDS = 10
LATER = 100  # bills that another process has issued when it is killed, too


class Billing:
    """Processes of mubss-billing over one store."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "MUBSS_STORE__URL": url,
            "MUBSS_GENERAL__DATA_DIR": str(folder),
            "MUBSS_BILLING__LEASE_SECONDS": "2",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A process that makes one run."""
        command = [sys.executable, "-m", "mubss.workers.billing", "--cycle", str(CYCLE), "--once", *arguments]
        return subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True)

    def finish(self) -> str:
        """A run that ends by itself; what it logged."""
        process = self.start()
        _, told = process.communicate()
        if process.returncode:
            sys.exit(f"torture billing: mubss-billing ended with {process.returncode}:\n{told}")
        return told


def kill_when(processes: list[subprocess.Popen[str]], store: Store, bills: int) -> int:
    """Kills the first process when so many bills are there, and each other one a little after the one before.

    How many were killed rather than ended.
    """
    killed = 0
    for number, process in enumerate(processes):
        while process.poll() is None and _count(store, "bills") < bills + number * LATER:
            time.sleep(0.002)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    return killed


def due_of(usage: list[Doc]) -> int:
    """What an account's bill must come to, in cents: its fee, each service rounded half up, and tax on the sum."""
    by_service: dict[str, int] = {}
    for one in usage:
        by_service[one["service"]] = by_service.get(one["service"], 0) + one["charge_micros"]
    net = FEE + sum((micros * 2 + MICROS) // (MICROS * 2) for micros in by_service.values())
    return net + (net * VAT_PERCENT * 2 + 100) // 200


def findings(store: Store) -> list[str]:
    """What isn't as it must be."""
    accounts = _all(store, "accounts")
    usage: dict[str, list[Doc]] = {doc["_id"]: [] for doc in accounts}
    for one in _all(store, "usage"):
        usage[one["account"]].append(one)
    bills: dict[str, list[Doc]] = {doc["_id"]: [] for doc in accounts}
    for bill in _all(store, "bills"):
        bills[bill["account"]].append(bill)
    found = []
    for account in accounts:
        wanted, dues = due_of(usage[account["_id"]]), [bill["due"] for bill in bills[account["_id"]]]
        if dues != [wanted]:
            found.append(f"{account['_id']}: bills of {dues}; expected one of {wanted}")
        if account["balance_micros"] != -wanted * MICROS:
            found.append(f"{account['_id']}: a balance of {account['balance_micros']} micros; expected -{wanted} cents")
    numbers = sorted(int(bill["number"].rpartition("-")[2]) for bill in _all(store, "bills"))
    if numbers != list(range(1, len(accounts) + 1)):
        found.append(f"numbers: {len(numbers)} from {numbers[:1]} to {numbers[-1:]}; expected 1 to {len(accounts)}")
    return found + [f"{one.account}: {one.fault}" for one in check(store)[1]]


def _count(store: Store, name: str) -> int:
    return store.run(lambda session: session.collection(name).count())


def _all(store: Store, name: str) -> list[Doc]:
    return store.run(lambda session: session.collection(name).scan(limit=10_000_000))


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    rng = random.Random(options.seed)
    url = options.store or f"sqlite:///{folder}/mubss.db"
    store = make_cycle(url, options.accounts, RECORDS, folder, options.seed)
    billing = Billing(url, folder)
    goals = sorted(rng.sample(range(1, options.accounts), options.kills))
    kills, ways = 0, ([()], [("--workers", "2")], [(), ()])
    for number, goal in enumerate(goals):
        kills += kill_when([billing.start(*arguments) for arguments in ways[number % len(ways)]], store, goal)
    told = billing.finish()
    found = findings(store)
    store.close()
    return {
        "seed": options.seed,
        "kills": kills,
        "accounts": options.accounts,
        "findings": found[:10],
        "tracebacks": told.count("Traceback"),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="torture billing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="", help="URL of a store that isn't made yet; else an embedded one")
    parser.add_argument("--accounts", type=int, default=1_500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        figures = torture(options, Path(folder))
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["findings"] or figures["tracebacks"] else 0)


if __name__ == "__main__":
    main()
