"""Accounts with a past of months in a real store, their archive, and a run of it that is killed at a chosen step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from charging_world import World
from core_builders import BERLIN, mscc, utc
from core_builders import ccr as request
from mubss.charging.order import Order
from mubss.core.model import Movement, RequestType
from mubss.services.archiving import Archiving, Moved, read, through, verify
from mubss.services.audit_ledger import check
from mubss.storage.subscribers import POSTINGS, USAGE

NOW_S = utc(2026, 11, 16, 12)
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 10, 8), utc(2026, 10, 10, 8), utc(2026, 11, 10, 8)

# A process that archives, and ends by SIGKILL just before or behind the given call of a step.
KILLED = """
import os, signal, sys
from pathlib import Path
from archive_office import archiving_of
from charging_world import World
from mubss.services import archive_files, archiving
from mubss.storage import archives

url, folder, module, step, count, behind = sys.argv[1:]
place = {"files": archive_files, "storage": archives, "writer": archive_files.Writer}[module]
real, left = getattr(place, step), [int(count)]

def step_or_die(*arguments, **named):
    left[0] -= 1
    if not left[0] and behind == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(*arguments, **named)
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

setattr(place, step, step_or_die)
archiving.PAGE_DOCUMENTS = 3
archiving_of(World(url), Path(folder)).run()
"""


def order(world: World, at_s: int, made: Order) -> None:
    """One command at a time of the past."""
    world.clock.now_ms = at_s * 1000
    world.engine().execute([made])
    assert made.error is None, made.error


def top_up(world: World, account: str, at_s: int, micros: int = 1_000_000) -> None:
    order(world, at_s, Order(Movement("topup", micros), account=account))


def call(world: World, msisdn: str, at_s: int, name: str, *, ends: bool = True, seconds: int = 600) -> None:
    """A call that is charged on Gy."""
    kinds = [(RequestType.INITIAL, 0, None)] + ([(RequestType.TERMINATION, 1, seconds)] if ends else [])
    for kind, number, used in kinds:
        command = request(world.tables, kind, number, mscc(1, used, service="VOICE"), session=name)
        command.identities = [f"e164:{msisdn}"]
        order(world, at_s + (used or 0), Order(command, identities=[f"e164:{msisdn}"]))


def archiving_of(
    world: World, folder: Path, month: str = "2026-10", now_s: int = NOW_S, *, statements: bool = True
) -> Archiving:
    """A run through a month, of both kinds."""
    wanted = dict.fromkeys((POSTINGS, USAGE), through(month, BERLIN, now_s))
    return Archiving(world.store, folder, world.tables.calendar, wanted, lambda: now_s, statements=statements)


def archive(world: World, folder: Path, month: str = "2026-10") -> list[Moved]:
    return archiving_of(world, folder, month).run()


def killed(world: World, folder: Path, module: str, step: str, count: int = 1, *, behind: bool = False) -> int:
    """How such a process ended: -9, or 0 where it never came to that step."""
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, world.url, str(folder), module, step, str(count), str(int(behind))],
        env={"PYTHONPATH": ":".join(paths)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def past(world: World, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Kind → every document, in the store or in a file, in order: one that is there twice comes twice."""
    accounts = [one["_id"] for one in world.all("accounts")]
    found = {}
    for kind in (POSTINGS, USAGE):
        docs = world.all(kind) + [doc for one in accounts for doc in read(world.store, folder, kind, one)]
        found[kind] = sorted(docs, key=lambda doc: str(doc["_id"]))
    return found


def proved(world: World, folder: Path, before: dict[str, list[dict[str, Any]]]) -> None:
    """Nothing is lost, nothing is there twice, all adds up."""
    assert past(world, folder) == before
    assert check(world.store)[1] == []
    assert list(verify(world.store, folder)) == []
