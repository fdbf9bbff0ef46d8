"""Migrations: of an older store, after a kill amid a step, one process at a time; which programs run on which store."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from cli_tools import Shell
from mubss.core.errors import Busy
from mubss.runtime import ExitCode
from mubss.services.migrating import LEASE_SECONDS, Run, Step, migrate, pending
from mubss.services.stores import may_run, missing
from mubss.storage.database import (
    COLLECTIONS,
    META,
    SCHEMA_VERSION,
    Doc,
    Schema,
    Store,
    StoreUnavailable,
    create_collections,
    open_database,
    read_schema,
)

NEXT = SCHEMA_VERSION + 1
COUNT = 100


@pytest.fixture
def store(empty_store_url: str) -> Iterator[Store]:
    with closing(open_database(empty_store_url)) as opened:
        create_collections(opened)
        docs = [{"_id": f"c{number:03}", "value": number} for number in range(COUNT)]
        opened.run(lambda session: session.collection("counters").put_many(docs))
        yield opened


class Clock:
    """Seconds that stand until a test moves them."""

    now_s = 1_000_000

    def __call__(self) -> int:
        return self.now_s


class Killed(BaseException):
    """As a kill: nothing is tidied up that asks for an Exception."""


class Adding:
    """A step that adds one to each counter: not idempotent by itself, so each document must be met once."""

    def __init__(self, dies_at: int = COUNT + 1) -> None:
        self._left = dies_at

    def __call__(self, run: Run) -> None:
        run.walk("counters", self._change)

    def _change(self, doc: Doc) -> Doc:
        self._left -= 1
        if not self._left:
            raise Killed
        return {**doc, "value": doc["value"] + 1}


def values(store: Store) -> list[int]:
    return [doc["value"] for doc in store.run(lambda session: session.collection("counters").scan(limit=COUNT + 1))]


def steps(work: Adding, *, adds_only: bool = True) -> list[Step]:
    return [Step(NEXT, "one more", adds_only, work)]


@pytest.mark.parametrize(("adds_only", "reader"), [(True, SCHEMA_VERSION), (False, NEXT)])
def test_a_step_is_done_once(store: Store, adds_only: bool, reader: int) -> None:
    clock = Clock()
    assert [step.version for step in migrate(store, clock, steps(Adding(), adds_only=adds_only))] == [NEXT]
    assert read_schema(store) == Schema(NEXT, reader)
    assert migrate(store, clock, steps(Adding())) == []
    assert values(store) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("dies_at", [1, 2, 16, 17, 60, COUNT])
def test_after_a_kill_it_goes_on_where_it_was(store: Store, dies_at: int) -> None:
    with pytest.raises(Killed):
        migrate(store, Clock(), steps(Adding(dies_at)))
    assert read_schema(store).version == SCHEMA_VERSION
    migrate(store, Clock(), steps(Adding()))
    assert values(store) == list(range(1, COUNT + 1))


def test_one_at_a_time_and_a_lost_lease_writes_nothing(store: Store) -> None:
    clock = Clock()
    asleep = Run(store, clock)
    asleep.take()
    with pytest.raises(Busy, match=f"migrates this store; should it have ended, wait for {LEASE_SECONDS} s"):
        migrate(store, clock, steps(Adding()))
    clock.now_s += LEASE_SECONDS
    other = Run(store, clock)
    other.take()
    with pytest.raises(Busy, match="the lease of this migration ran out"):
        Adding()(asleep)
    assert values(store) == list(range(COUNT))


def test_a_newer_store_is_refused(store: Store) -> None:
    migrate(store, Clock(), steps(Adding()))
    with pytest.raises(StoreUnavailable, match=f"its schema is version {NEXT}, this program's {SCHEMA_VERSION}"):
        pending(store)


@pytest.mark.parametrize(
    ("schema", "program", "oldest", "runs"),
    [
        (Schema(2, 2), 2, 2, True),
        (Schema(3, 2), 2, 2, True),  # one apart, and it only added
        (Schema(3, 3), 2, 2, False),
        (Schema(4, 2), 2, 2, False),  # two apart
        (Schema(1, 1), 2, 2, False),  # must be migrated
        (Schema(1, 1), 2, 1, True),
        (Schema("'two'", 0), 2, 1, False),
    ],
)
def test_which_program_runs_on_which_store(schema: Schema, program: int, oldest: int, runs: bool) -> None:
    assert may_run(schema, program, oldest) is runs


# `mubss migrate` that ends by SIGKILL just before, or behind, the given call of a step's part.
KILLED = """
import os, signal, sys
from mubss.cli.main import main
from mubss.services.migrating import Run

name, left, behind = sys.argv[1], [int(sys.argv[2])], sys.argv[3] == "behind"
real = getattr(Run, name)

def part_or_die(*arguments):
    left[0] -= 1
    if not left[0] and not behind:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*arguments)
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(Run, name, part_or_die)
sys.argv = ["mubss", "migrate"]
main()
"""


def kill_amid(part: str, count: int, behind: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, part, str(count), behind], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done


@pytest.mark.parametrize(
    ("part", "count", "behind"),
    [("take", 1, "behind"), ("beat", 12, "before"), ("beat", len(COLLECTIONS), "behind"), ("finish", 1, "before")],
)
def test_a_process_that_is_killed_amid_its_steps_leaves_a_store_that_becomes_whole(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, empty_store_url: str, part: str, count: int, behind: str
) -> None:
    monkeypatch.setenv("MUBSS_STORE__URL", empty_store_url)
    with closing(open_database(empty_store_url)) as store:
        store.make()
        store.run(lambda session: session.create_collections({META: {}}))  # all else is what a step has to add
        store.run(lambda session: session.collection(META).put_many([{"_id": "schema", "version": 1}]))
        kill_amid(part, count, behind)
        assert read_schema(store).version == 1 and bool(missing(store)) == (part != "finish")
        refused = shell("subscriber", "list")
        assert refused.code == ExitCode.STORE_UNAVAILABLE and "`mubss migrate` brings it up" in refused.err
        held = shell("migrate")
        assert held.code == ExitCode.TRY_AGAIN and "migrates this store; should it have ended, wait for " in held.err
        state = store.run(lambda session: session.collection(META).get_one("migration"))
        assert state is not None
        over = {**state, "until_s": 0}  # as a minute later
        store.run(lambda session: session.collection(META).put_many([over]))
        kill_amid(part, count, behind)  # once more: what was done is no obstacle
        store.run(lambda session: session.collection(META).put_many([over]))
        assert shell.json("migrate")["version"] == SCHEMA_VERSION
        found = store.run(lambda session: session.inspect(COLLECTIONS))
        assert missing(store) == [] and not found.missing_indexes and read_schema(store).version == SCHEMA_VERSION
    assert shell("subscriber", "list").code == 0 and shell.json("migrate")["steps"] == []


def as_version_1(shell: Shell) -> None:
    with sqlite3.connect(shell.folder / "var/mubss.db") as link:
        link.execute("DROP TABLE suspense")
        link.execute(f"""UPDATE {META} SET doc = '{{"_id": "schema", "version": 1}}' WHERE _id = 'schema'""")


def test_an_older_store_names_migrate_which_brings_it_up(shell: Shell) -> None:
    shell.ok("init")
    as_version_1(shell)
    for command in (["subscriber", "list"], ["init"]):
        refused = shell(*command)
        assert refused.code == ExitCode.STORE_UNAVAILABLE
        assert f"its schema is version 1, this program's {SCHEMA_VERSION}: `mubss migrate` brings it up" in refused.err
    listed = shell.json("migrate", "--dry-run")
    assert (listed["version"], [step["version"] for step in listed["steps"]]) == (1, [2])
    done = shell.json("migrate")
    assert (done["before"], done["version"], done["steps"]) == (1, SCHEMA_VERSION, listed["steps"])
    shell.ok("subscriber", "list")
    assert shell.json("migrate")["steps"] == []
    assert [entry["what"] for entry in shell.json("audit", "list")].count("migrate") == 1


def test_no_store_is_said_so(shell: Shell) -> None:
    refused = shell("migrate")
    assert refused.code == ExitCode.STORE_UNAVAILABLE and "`mubss init` makes it" in refused.err
