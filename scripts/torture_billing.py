#!/usr/bin/env python3
"""Kills mubss-billing with SIGKILL while it bills a cycle, and proves that each account has one bill, a right one.

Each process is killed when so many bills, which the seed decides, are there; by turns it is one process, one with two
shares, and two of which the second takes over. The last one ends by itself. What is then due of each account must be
what its usage records sum up to, reckoned here anew; numbers have no gap, and the ledger adds up. Then mubss-billfmt is
killed as well, when so many files are there, and each bill must have one whole PDF.

    scripts/torture billing [--store URL] [--accounts 1500] [--kills 20] [--format-kills 20] [--seed 7]
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
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from bill_accounts import CYCLE, make_cycle
from licensed import license_programs
from mubss.services.audit_ledger import check
from mubss.services.formatting import PARTS
from mubss.storage.database import Doc, Store

FEE, VAT_PERCENT, MICROS = 1500, 20, 10_000  # cents, and micros of a cent: the plan of cdr_files.py
RECORDS = 10
LOOK_SECONDS = 0.005
LATER = 100  # bills that another process has issued when it is killed, too


class Workers:
    """Processes of mubss-billing and mubss-billfmt over one store."""

    def __init__(self, url: str, folder: Path) -> None:
        self._log = folder / "torture.log"
        self._environment = {
            **os.environ,
            "MUBSS_STORE__URL": url,
            "MUBSS_GENERAL__DATA_DIR": str(folder),
            "MUBSS_BILLING__LEASE_SECONDS": "2",
            "MUBSS_BILLFMT__LEASE_SECONDS": "5",
        }

    def bill(self, *arguments: str) -> subprocess.Popen[str]:
        """A process that makes one bill run."""
        return self._start("billing", "--cycle", str(CYCLE), *arguments)

    def format(self) -> subprocess.Popen[str]:
        """A process that makes one pass over the bills that wait."""
        return self._start("billfmt")

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"mubss.workers.{module}", "--once", *arguments]
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("a") as log:  # a pipe that nobody reads would stop who writes much
            return subprocess.Popen(command, env=self._environment, stderr=log, text=True)

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Waits for a process that must end well by itself."""
        if process.wait():
            sys.exit(f"torture billing: {process.args} ended with {process.returncode}:\n{self.told[-5000:]}")

    @property
    def told(self) -> str:
        """What all of them logged."""
        return self._log.read_text()


def kill_when(processes: list[subprocess.Popen[str]], done: Callable[[], int], goal: int) -> int:
    """Kills the first process when so much is done, and each other one a little after the one before.

    How many were killed rather than ended.
    """
    killed = 0
    for number, process in enumerate(processes):
        while process.poll() is None and done() < goal + number * LATER:
            time.sleep(LOOK_SECONDS)
        killed += process.poll() is None
        process.kill()
        process.wait()
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


def format_all(workers: Workers, store: Store) -> None:
    """Passes until no bill waits: a dead process's lease must run out first."""
    for _ in range(20):
        workers.finish(workers.format())
        if not any(bill["state"] == "BILL_STATUS_NEW" for bill in _all(store, "bills")):
            break
        time.sleep(1)


def _files(invoices: Path) -> int:
    """How many documents are there, whole; all lie in one folder."""
    return sum(1 for _ in invoices.glob("*/*/*/*.pdf"))


def wrong_files(store: Store, invoices: Path) -> list[str]:
    """Bills that haven't one whole PDF, and files that no bill has."""
    found = []
    wanted = {}
    for bill in _all(store, "bills"):
        path = invoices / bill.get("document", {}).get("path", "-")
        wanted[path] = bill
        if bill["state"] != "BILL_STATUS_UNPAID" or not path.is_file():
            found.append(f"{bill['number']}: {bill['state']}, file {path.is_file()}; expected a PDF")
        elif sha256(path.read_bytes()).hexdigest() != bill["document"]["sha256"]:
            found.append(f"{bill['number']}: its file isn't what it says")
    whole = [path for path in invoices.rglob("*") if path.is_file() and PARTS not in path.parts]
    others = [path for path in whole if path not in wanted]  # what was begun is removed an hour later
    return found + [f"{path}: no bill's" for path in others]


def _count(store: Store, name: str) -> int:
    return store.run(lambda session: session.collection(name).count())


def _all(store: Store, name: str) -> list[Doc]:
    return store.run(lambda session: session.collection(name).scan(limit=10_000_000))


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    rng = random.Random(options.seed)
    url = options.store or f"sqlite:///{folder}/mubss.db"
    store = make_cycle(url, options.accounts, RECORDS, folder, options.seed)
    workers, invoices = Workers(url, folder), folder / "invoices"
    ways: tuple[list[tuple[str, ...]], ...] = ([()], [("--workers", "2")], [(), ()])
    kills = 0
    for number, goal in enumerate(sorted(rng.sample(range(1, options.accounts), options.kills))):
        processes = [workers.bill(*arguments) for arguments in ways[number % len(ways)]]
        kills += kill_when(processes, lambda: _count(store, "bills"), goal)
    workers.finish(workers.bill())
    found = findings(store)
    format_kills = 0
    for number, goal in enumerate(sorted(rng.sample(range(options.accounts), options.format_kills))):
        processes = [workers.format() for _ in range(1 + number % 2)]
        format_kills += kill_when(processes, lambda: _files(invoices), goal)
    if options.format_kills:
        format_all(workers, store)
        found += wrong_files(store, invoices)
    store.close()
    return {
        "seed": options.seed,
        "kills": kills,
        "format_kills": format_kills,
        "accounts": options.accounts,
        "findings": found[:10],
        "tracebacks": workers.told.count("Traceback"),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="torture billing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="", help="URL of a store that isn't made yet; else an embedded one")
    parser.add_argument("--accounts", type=int, default=1_500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--format-kills", type=int, default=20, help="0: bills aren't formatted")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        license_programs(Path(folder))
        figures = torture(options, Path(folder))
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["findings"] or figures["tracebacks"] else 0)


if __name__ == "__main__":
    main()
