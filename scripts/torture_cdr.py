#!/usr/bin/env python3
"""Kills mubss-cdr with SIGKILL while it loads a file, and proves that each record was charged once.

The file is loaded by processes that are killed when so many records, which the seed decides, are in the store; the
last one ends by itself. What is then in the store must be what another store has that took the same file undisturbed:
the usage of each record, what is in suspense, each account's balance and free units.

    scripts/torture cdr [--store URL] [--records 6000] [--kills 20] [--seed 7]
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

from cdr_files import FIRST, make_store, mixed
from licensed import license_programs
from mubss.cdr.writer import writing
from mubss.services.audit_ledger import check
from mubss.storage.database import Doc, Store

ACCOUNTS, PREFIXES = 300, 200
STRANGERS_EACH = 40  # every such record names somebody who is no subscriber


def write_file(path: Path, options: argparse.Namespace, now_s: int) -> None:
    """The file, with some records that can't be rated and some that are there twice."""
    rng = random.Random(options.seed)
    with writing(path, "torture", 1, now_s) as writer:
        for number in range(options.records):
            record = mixed(rng, number, ACCOUNTS, PREFIXES, now_s)
            if number % STRANGERS_EACH == 0:
                record.calling = record.served_msisdn = str(FIRST - 1 - number)
            writer.write(record)
            if number % 97 == 0:
                writer.write(record)


class Loader:
    """Processes of mubss-cdr, one after the other, over one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "MUBSS_STORE__URL": url,
            "MUBSS_GENERAL__DATA_DIR": str(folder),
            "MUBSS_CDR__WINDOW": "50",
        }

    def start(self) -> subprocess.Popen[str]:
        """A process that makes one pass."""
        command = [sys.executable, "-m", "mubss.workers.cdr_loader", "--once"]
        return subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True)

    def finish(self) -> str:
        """A pass that ends by itself; what it logged."""
        process = self.start()
        _, told = process.communicate()
        if process.returncode:
            sys.exit(f"torture cdr: mubss-cdr ended with {process.returncode}:\n{told}")
        return told


def kill_when(process: subprocess.Popen[str], store: Store, records: int) -> bool:
    """Kills a process when so many records were taken; False where it had ended before."""
    while process.poll() is None:
        taken = store.run(lambda session: session.collection("cdr_records").count())
        if taken >= records:
            process.kill()
            process.communicate()
            return True
        time.sleep(0.002)
    process.communicate()
    return False


def everything(store: Store, name: str) -> list[Doc]:
    """All documents of a collection."""
    return store.run(lambda session: session.collection(name).scan(limit=10_000_000))


def content(store: Store) -> dict[str, Any]:
    """What a store has taken, free of ids and of the order in which that came."""
    people = {doc["_id"]: doc["identities"][0] for doc in everything(store, "accounts")}
    facts = ("service", "zone", "units", "from_s", "until_s")
    return {
        "usage": sorted(
            [people[one["account"]], one["record_id"], *(one[f] for f in facts)] for one in everything(store, "usage")
        ),
        "suspense": sorted([one["record_id"], one["reason"]] for one in everything(store, "cdr_suspense")),
        "accounts": sorted(
            [doc["identities"][0], doc["balance_micros"], doc["counters"]] for doc in everything(store, "accounts")
        ),
        "counts": [doc["counts"] for doc in everything(store, "cdr_files")],
    }


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    rng = random.Random(options.seed)
    now_s = int(time.time())
    stores, urls = [], [options.store or f"sqlite:///{folder}/killed.db", f"sqlite:///{folder}/calm.db"]
    for name, url in zip(("killed", "calm"), urls, strict=True):
        place = folder / name / "var" / "cdr"
        place.mkdir(parents=True)
        stores.append(make_store(url, ACCOUNTS, PREFIXES, folder))
        write_file(place / "1.cdr", options, now_s)
    killed, calm = stores
    loader = Loader(urls[0], folder / "killed")
    goals = sorted(rng.sample(range(1, options.records), options.kills))
    kills = sum(kill_when(loader.start(), killed, goal) for goal in goals)
    told = loader.finish()
    Loader(urls[1], folder / "calm").finish()
    found, wanted = content(killed), content(calm)
    ids = [one[1] for one in found["usage"]]
    figures = {
        "seed": options.seed,
        "kills": kills,
        "records": options.records,
        "charged": len(found["usage"]),
        "suspended": len(found["suspense"]),
        "doubled": len(ids) - len(set(ids)),
        "differs": [name for name in wanted if found[name] != wanted[name]],
        "ledger_findings": [finding._asdict() for finding in check(killed)[1][:10]],
        "tracebacks": told.count("Traceback"),
    }
    for store in stores:
        store.close()
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="torture cdr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="", help="URL of a store that isn't made yet; else an embedded one")
    parser.add_argument("--records", type=int, default=6_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        license_programs(Path(folder))
        figures = torture(options, Path(folder))
    print(json.dumps(figures, indent=1))
    is_clean = not (figures["doubled"] or figures["differs"] or figures["ledger_findings"] or figures["tracebacks"])
    sys.exit(0 if is_clean and figures["charged"] + figures["suspended"] == options.records else 1)


if __name__ == "__main__":
    main()
