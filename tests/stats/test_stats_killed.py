"""Real processes of mubss-stats, killed amid their passes: at the end each document is counted once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mubss.core.identity import sequence_id
from mubss.storage import stats as storage
from stats_world import ZONE, StatsWorld

NOW_S = int(time.time())
ACCOUNTS, EACH, KILLS = 3000, 3, 3
WAIT_SECONDS = 60


def fill(world: StatsWorld) -> None:
    """Accounts with top-ups and usage, written at once."""
    accounts, postings, usage = [], [], []
    for place in range(ACCOUNTS):
        key = f"a{place:05}"
        accounts.append(
            {
                "_id": key, "type": "prepaid", "plan": "P", "state": "active", "currency": "EUR", "since_s": NOW_S - 99,
                "sequence": EACH, "usage_sequence": EACH, "balance_micros": 0, "reserved_micros": 0,
            }
        )  # fmt: skip
        for number in range(1, EACH + 1):
            doc = {"_id": sequence_id(key, number), "account": key, "sequence": number}
            cause = {"kind": "topup"}
            postings.append({**doc, "at_ms": NOW_S * 1000, "cause": cause, "bucket": "main", "amount_micros": number})
            used = {"service": "DATA", "plan": "P", "zone": "home", "from_s": NOW_S, "free_units": 0}
            usage.append({**doc, **used, "units": number, "charge_micros": 1})
    for name, docs in (("accounts", accounts), ("postings", postings), ("usage", usage)):
        world.put(name, docs)


def counted(world: StatsWorld) -> int:
    return world.store.run(lambda session: session.collection("stats_cursors").count())


def test_killed_amid_passes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    world = StatsWorld(url, NOW_S)
    fill(world)
    own = {"GENERAL__DATA_DIR": str(tmp_path), "STORE__URL": url, "GENERAL__TIMEZONE": ZONE}
    env = {**os.environ, **{f"MUBSS_{name}": value for name, value in own.items()}}
    command = [sys.executable, "-m", "mubss.workers.stats", "--once"]
    killed = 0
    for _ in range(KILLS):
        before = counted(world)
        process = subprocess.Popen(command, env=env)
        deadline = time.monotonic() + WAIT_SECONDS
        while counted(world) == before and process.poll() is None:
            assert time.monotonic() < deadline
        process.kill()
        killed += process.wait() != 0
        lease = storage.read_lease(world.store)
        world.put("stats_pass", [lease._replace(until_s=0).to_doc()])  # its time is over
    assert killed
    assert subprocess.run(command, env=env, check=False).returncode == 0
    usage = [one for key, one in world.figures("usage").items() if key[1] == "month"]
    assert [(one["records"], one["units"]) for one in usage] == [(ACCOUNTS * EACH, ACCOUNTS * 6)]
    money = [one for key, one in world.figures("money").items() if key[1] == "month"]
    assert money == [{"count": ACCOUNTS * EACH, "amount_micros": ACCOUNTS * 6}]
    opened = [one["count"] for key, one in world.figures("changes").items() if key[1] == "month"]
    assert opened == [ACCOUNTS]
    world.close()
