#!/usr/bin/env python3
"""Kills mubss-gy with SIGKILL at random moments under load, restarts it, and proves that no charge was lost or doubled.

See scripts/gy_torture.py for what is played, scripts/gy_reckoning.py for how it is reckoned.
The seed decides sessions, amounts and moments (counted in answers). Every other kill is aimed: it falls when requests
are committed and not answered yet.

    scripts/torture gy --kills 20 --seed 7 [--workers 2] [--store URL]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gy_reckoning import compare, is_clean, make_store
from gy_torture import Client, Server
from licensed import license_programs
from mubss.storage.database import Store


def torture(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole run; its figures."""
    url = options.store or f"sqlite:///{folder}/torture.db"
    store = make_store(url, options.accounts)
    rng = random.Random(options.seed)
    server = Server(url, options.workers, folder / "mubss-gy.log")
    server.start()
    client = Client(server, rng, options.accounts, options.in_flight, f"{options.seed:x}.{time.time_ns():x}")
    unheard = 0
    try:
        client.connect()
        client.fill()
        for _ in range(options.kills):
            goal = client.answered + rng.randrange(options.least_answers, 4 * options.least_answers)
            while client.answered < goal:
                client.step()
            unheard += hunt(server, client, store)
            server.kill()
            server.start()
        client.finish()
    finally:
        code = server.stop()
    log = (folder / "mubss-gy.log").read_text()
    figures = {
        "seed": options.seed,
        "kills": options.kills,
        "answers": client.answered,
        "resent": client.resent,
        "committed_unanswered": unheard,
        **compare(store, client.plays, options.accounts),
        "exit_code": code,
        "tracebacks": log.count("Traceback"),
    }
    store.close()
    if figures["tracebacks"]:
        print(log[-4000:], file=sys.stderr)
    return figures


def hunt(server: Server, client: Client, store: Store) -> int:
    """Stops the server (SIGSTOP) again and again until requests are committed whose answers it hasn't sent.

    There a kill hurts most: only the recognition of their repeats keeps them from being charged twice. Returns how
    many there are; every other kill, and where none is found, the moment is as good as any.
    """
    client.hunts += 1
    for _ in range(40 if client.hunts % 2 else 0):
        server.signal(signal.SIGSTOP)
        client.take_what_is_there()
        found = store.run(client.committed)
        if found:
            return found
        server.signal(signal.SIGCONT)
        for _ in range(3):
            client.step()
    return 0


def main() -> None:
    """The command line; exit code 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--least-answers", type=int, default=200, help="answers before a kill, up to four times that")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--store", default="", help="an empty store; a temporary embedded one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mubss-torture-", dir="/var/tmp") as folder:
        license_programs(Path(folder))
        figures = torture(options, Path(folder))
    print(json.dumps(figures, indent=1))
    sys.exit(0 if is_clean(figures) else 1)


if __name__ == "__main__":
    main()
