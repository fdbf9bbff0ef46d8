"""An embedded store that this user can't write: on a disk that is mounted to be read, say, or in another's folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli_tools import Shell
from mubss.config import load
from mubss.runtime import ExitCode
from mubss.storage.database import Session, Store, StoreError, open_database, open_to_read
from tiny_disk import tiny_disk

PREPAID = "999700000001"
READING = [
    ("status",),
    ("subscriber", "list"),
    ("subscriber", "show", PREPAID),
    ("balance", PREPAID),
    ("usage", PREPAID),
    ("ledger", "check"),
    ("ref", "show", "price_plans"),
    ("ref", "versions"),
    ("sessions", "list"),
    ("bills", "list"),
    ("audit", "list"),
    ("audit", "verify"),
    ("audit", "export"),
    ("stats", "show", "subscribers"),
    ("vouchers", "list"),
    ("billing", "list"),
    ("archive", "list"),
    ("backup", "copy.db"),
]


@contextmanager
def locked(shell: Shell, setenv: pytest.MonkeyPatch, *files: str) -> Iterator[Path]:
    """A folder that can't be written, with the demo's store and what is named of what lies beside it."""
    made = shell.folder / "var"
    with tiny_disk(shell.folder / "locked", "size=64m") as folder:
        for name in ("mubss.db", *files):
            (folder / name).write_bytes((made / name).read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        setenv.setenv("MUBSS_STORE__URL", f"sqlite:///{folder}/mubss.db")
        yield folder


def test_what_reads_works_and_what_writes_says_why_not(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(demo_shell, monkeypatch) as folder:
        for command in READING:
            done = demo_shell(*command)
            assert done.code == 0, (command, done)
        refused = demo_shell("topup", PREPAID, "5")
        assert refused.code == ExitCode.STORE_UNAVAILABLE
        assert f"/mubss.db: uid 0 can't write to its folder {folder}; expected its owner" in refused.err
        assert refused.err.count("\n") == 1
        assert [one.name for one in folder.iterdir()] == ["mubss.db"]


def test_what_a_program_has_written_meanwhile_is_read(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_database(load().store_url)) as store:
        store.run(lambda session: session.collection("meta").add_many([{"_id": "later"}]))
        assert (demo_shell.folder / "var/mubss.db-wal").stat().st_size
        with (
            locked(demo_shell, monkeypatch, "mubss.db-wal", "mubss.db-shm"),
            closing(open_to_read(load().store_url)) as reader,
        ):
            assert reader.run(lambda session: session.collection("meta").get_one("later")) is not None
            assert demo_shell("subscriber", "list").code == 0
        with locked(demo_shell, monkeypatch, "mubss.db-wal") as folder:  # a copy without the log's index
            refused = demo_shell("subscriber", "list")
            assert refused.code == ExitCode.STORE_UNAVAILABLE and refused.err.count("\n") == 1
            assert f"can't write to its folder {folder}: have its owner run `mubss status`" in refused.err
    (demo_shell.folder / "var/mubss.db-wal").touch()
    with locked(demo_shell, monkeypatch, "mubss.db-wal"):
        assert demo_shell("subscriber", "list").code == 0, "an empty log hides nothing"


def test_what_was_read_while_a_program_opened_the_store_is_read_again(demo_shell: Shell) -> None:
    beside: list[Store] = []

    def count(session: Session) -> int:
        if not beside:  # a program starts and writes while we read the file as one that doesn't change
            beside.append(open_database(load().store_url))
            beside[0].run(lambda other: other.collection("meta").add_many([{"_id": "later"}]))
            raise StoreError("torn")
        return session.collection("meta").count()

    with closing(open_to_read(load().store_url)) as reader:
        before = reader.run(lambda session: session.collection("meta").count())
        assert reader.run(count) == before + 1
        beside[0].close()
