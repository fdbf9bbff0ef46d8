"""`mubss backup` and `mubss restore`: whole or not at all, beside writers, and nothing is damaged by bad input."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli_tools import Shell

ONE = "999700000001"
WRITER = """
import sys
from mubss.xdev.store import open_store

store = open_store(sys.argv[1])

def work(session):
    number = 0
    while True:
        number += 1
        with session.transaction():
            session.collection("counters").put_many([{"_id": f"pair-{side}", "n": number} for side in "ab"])
        print(number, flush=True)

store.run(work)
"""
IDLE = """
import sys
from mubss.xdev.store import open_store
store = open_store(sys.argv[1])
store.run(lambda session: session.list_collections())
print("open", flush=True)
sys.stdin.read()
"""


def start(source: str, file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", source, f"sqlite:///{file}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def store_file(shell: Shell) -> Path:
    return Path(shell.json("status")["store"]["place"])


def balance(shell: Shell) -> object:
    return shell.json("balance", ONE)


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_what_came_after_the_backup_is_gone_after_the_restore(demo_shell: Shell) -> None:
    before, file, copy = balance(demo_shell), store_file(demo_shell), demo_shell.folder / "copy.db"
    assert demo_shell.json("backup", copy)["file"] == str(copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    demo_shell.ok("topup", ONE, "5")
    after = balance(demo_shell)
    mode = file.stat().st_mode
    done = demo_shell.json("restore", copy)
    assert balance(demo_shell) == before != after and file.stat().st_mode == mode
    demo_shell.ok("ledger", "check")
    assert demo_shell.json("restore", done["replaced"])["file"] == str(file)
    assert balance(demo_shell) == after, "what was replaced is whole, too"
    assert not drafts(file.parent) and not drafts(demo_shell.folder)


def test_a_name_with_control_letters_is_escaped(demo_shell: Shell) -> None:
    file = demo_shell.folder / "copy\x1b[2J\n.db"
    done = demo_shell.ok("backup", file)
    assert file.is_file() and r"/copy\x1b[2J\n.db: " in done.out and done.out.count("\n") == 1
    done = demo_shell.ok("restore", file)
    assert "\x1b" not in done.out and done.out.splitlines()[-1].startswith("`mubss ledger check`")


def test_a_backup_beside_a_writer_is_of_one_moment(demo_shell: Shell) -> None:
    file, copy = store_file(demo_shell), demo_shell.folder / "copy.db"
    writer = start(WRITER, file)
    try:
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        demo_shell.ok("backup", copy)
        assert writer.poll() is None
    finally:
        end(writer)
    with closing(sqlite3.connect(copy)) as link:
        found = [
            row[0] for row in link.execute("SELECT json_extract(doc, '$.n') FROM counters WHERE _id LIKE 'pair-_'")
        ]
    assert len(found) == 2 and found[0] == found[1] >= first


def test_a_store_that_another_process_has_open_is_not_replaced(demo_shell: Shell) -> None:
    file, copy = store_file(demo_shell), demo_shell.folder / "copy.db"
    demo_shell.ok("backup", copy)
    idle = start(IDLE, file)
    try:
        assert idle.stdout is not None
        idle.stdout.readline()
        done = demo_shell("restore", copy)
    finally:
        end(idle)
    assert done.code == 75 and "another program has the store open" in done.err
    demo_shell.ok("restore", copy)


def newer(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as link, link:
        link.execute("UPDATE meta SET doc = json_set(doc, '$.version', 999) WHERE _id = 'schema'")


def other(copy: Path) -> None:
    copy.unlink()
    with closing(sqlite3.connect(copy)) as link, link:
        link.execute("CREATE TABLE t (a)")


def flipped(copy: Path) -> None:
    octets = bytearray(copy.read_bytes())
    octets[8192:40960] = b"\xa5" * 32768
    copy.write_bytes(octets)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda copy: copy.write_text("hello"), "is no SQLite database"),
    "empty": (lambda copy: copy.write_bytes(b""), "is no SQLite database"),
    "gone": (lambda copy: copy.unlink(), "is no file"),
    "truncated": (lambda copy: os.truncate(copy, copy.stat().st_size // 2), "is damaged"),
    "head alone": (lambda copy: os.truncate(copy, 20), "is damaged"),
    "overwritten": (flipped, "is damaged"),
    "newer": (newer, "has schema version 999"),
    "another's": (other, "has schema version None"),
    "with a log": (lambda copy: Path(f"{copy}-wal").write_bytes(b"x"), "has a write-ahead log beside it"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_backup_changes_nothing(demo_shell: Shell, case: str) -> None:
    copy, file = demo_shell.folder / "copy.db", store_file(demo_shell)
    demo_shell.ok("backup", copy)
    spoil, text = BAD[case]
    spoil(copy)
    before = balance(demo_shell), file.stat().st_ino
    done = demo_shell("restore", copy)
    assert done.code == 65 and text in done.err and done.err.count("\n") == 1, done
    assert (balance(demo_shell), file.stat().st_ino) == before
    assert not [path for path in file.parent.iterdir() if "replaced" in path.name] and not drafts(file.parent)


def test_a_full_disk_leaves_no_part_of_a_backup(demo_shell: Shell) -> None:
    """A limit of this process's files stands for the disk."""
    copy = demo_shell.folder / "copy.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        done = demo_shell("backup", copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.code == 69 and "can't be copied to" in done.err, done
    assert not copy.exists() and not drafts(demo_shell.folder)
    demo_shell.ok("backup", copy)


def test_names_that_cannot_be_used(demo_shell: Shell) -> None:
    copy = demo_shell.folder / "copy.db"
    demo_shell.ok("backup", copy)
    for what, target, text in (
        ("backup", copy, "is there already"),
        ("backup", demo_shell.folder / "none" / "copy.db", "can't be written"),
        ("restore", store_file(demo_shell), "is the store itself"),
    ):
        done = demo_shell(what, target)
        assert done.code == 65 and text in done.err, done


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_server_has_ways_of_its_own(shell: Shell, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setenv("MUBSS_STORE__URL", "mysqlx://u:secret@127.0.0.1:1/mubss")
    done = shell(what, "copy.db")
    assert done.code == 65 and "docs/BACKUP.md" in done.err and "secret" not in done.err, done
