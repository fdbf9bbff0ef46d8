"""The folder that files are dropped into: what is taken, what is refused and why, and what stays."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdr_samples import NOW_S, entry, file_of, record
from cdr_world import POSTPAID, World
from mubss.core.errors import ConfigError
from mubss.pb.cdr_pb2 import Record, Trailer
from mubss.services import cdr_pass
from mubss.services.cdr_pass import LOCK, Pass

RIGHT = file_of(record(calling=POSTPAID))


def aged(path: Path, seconds: int) -> None:
    """Nothing was written to it for so long."""
    os.utime(path, (NOW_S - seconds, NOW_S - seconds))


def wrong_crc() -> bytes:
    content = bytearray(RIGHT)
    content[len(content) // 2] ^= 1
    return bytes(content)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "an empty file": (lambda: b"", "empty"),
    "truncated": (lambda: RIGHT[:-10], "truncated"),
    "without its end": (lambda: RIGHT[: -len(entry(trailer=Trailer(records=1)))], "truncated"),
    "another format": (lambda: b"PK\x03\x04" + bytes(500), "bad-magic"),
    "a wrong magic": (lambda: RIGHT.replace(b"MUBSS-CDR", b"NUBSS-CDR"), "bad-magic"),
    "a wrong CRC": (wrong_crc, "bad-"),
    "a length of 4 GB": (lambda: b"\xff\xff\xff\xff\x0f" + bytes(100), "bad-length"),
    "bytes behind its end": (lambda: RIGHT + b"\x00", "trailing-bytes"),
    "a sequence of 2^63": (lambda: file_of(sequence=1 << 63), "bad-header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_moved_with_its_reason_and_the_others_go_on(world: World, name: str) -> None:
    make, reason = BAD[name]
    aged(world.drop("b.cdr", make()), 61)
    world.drop("a.cdr", RIGHT)
    world.drop("c.cdr", file_of(record(record_id="r2", calling=POSTPAID), sequence=8))
    passed = world.run()
    assert [doc["name"] for doc in passed.loaded] == ["a.cdr", "c.cdr"]
    assert world.there() == [
        "error/b.cdr.error",
        "error/b.cdr.error.reason",
        "processed/a.cdr.done",
        "processed/c.cdr.done",
    ]
    told = (world.folder / "error/b.cdr.error.reason").read_text()
    assert told.startswith(reason) and "expected" in told
    assert (world.folder / "error/b.cdr.error").read_bytes() == make()
    assert set(world.used().values()) == {1}


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "pipe"])
def test_what_is_no_file_is_refused(world: World, kind: str) -> None:
    path = world.folder / "x.cdr"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd" if kind == "link" else "/nowhere")
    passed = world.run()
    assert passed.refused["x.cdr"].startswith("not-a-file: a directory, a link or a device; expected")
    assert world.there() == ["error/x.cdr.error", "error/x.cdr.error.reason"]
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(("age_s", "waits"), [(59, True), (60, False), (-30, True), (-3_600, False)])
def test_a_file_that_is_being_written_waits(world: World, age_s: int, waits: bool) -> None:
    aged(world.drop("a.cdr", RIGHT[:-3]), age_s)
    passed = world.run(settle_s=60)
    assert (passed.waiting == ["a.cdr"]) is waits
    assert bool(passed.refused) is not waits
    if waits:
        world.drop("a.cdr", RIGHT)
        assert world.run(settle_s=60).loaded


def test_other_names_are_left_alone(world: World) -> None:
    for name in ("a.cdr.tmp", ".a.cdr", "a.CDR", "notes.txt"):
        world.drop(name, RIGHT)
    assert world.run().loaded == []
    assert world.there() == ["a.CDR", "a.cdr.tmp", "notes.txt"]


def test_a_file_that_was_loaded_and_not_moved_is_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full, or the process was killed between the two."""
    world.drop("a.cdr", RIGHT)
    with monkeypatch.context() as patch:
        patch.setattr(cdr_pass.os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert world.run().loaded
    assert "a.cdr" in world.there()
    assert world.run().loaded
    assert world.there() == ["processed/a.cdr.done"]
    assert world.used() == {"msc1-1": 1}


@pytest.mark.parametrize("name", [b"a\xff.cdr", b"x" * 250 + b".cdr"])
def test_names_that_no_folder_or_store_takes_stop_nothing(sqlite_world: World, name: bytes) -> None:
    world = sqlite_world
    Path(os.fsdecode(os.fsencode(world.folder) + b"/" + name)).write_bytes(RIGHT)
    world.drop("z.cdr", file_of(record(record_id="r2", calling=POSTPAID), sequence=8))
    one_pass = Pass(world.folder, world.loader(), 60, lambda: False)
    assert [doc["name"] for doc in one_pass.run(NOW_S).loaded][-1] == "z.cdr"
    second = one_pass.run(NOW_S)
    assert second.loaded == [] and second.refused == {}, "what can't be moved is left alone"


@pytest.mark.parametrize("what", ["the folder", "processed"])
def test_a_folder_that_cant_be_is_told_in_a_line(sqlite_world: World, what: str) -> None:
    world = sqlite_world
    world.folder = world.folder / "deeper"
    if what == "processed":
        world.folder.mkdir()
    (world.folder / "processed" if what == "processed" else world.folder).write_text("a file")
    with pytest.raises(ConfigError, match=r"cdr\.directory: .*: File exists; expected a folder to write"):
        world.run()


def test_a_number_that_comes_again_with_other_content_is_told(
    sqlite_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = sqlite_world
    world.drop("a.cdr", RIGHT)
    world.run()
    world.drop("b.cdr", file_of(record(record_id="r9", calling=POSTPAID), record(calling=POSTPAID)))
    world.run()
    assert "b.cdr: number 7 of msc1 came before with other content" in caplog.text
    assert world.used() == {"msc1-1": 1, "r9": 1}


def test_a_file_that_comes_again(world: World) -> None:
    """Under its own name it is put beside the first; under another one it is told."""
    for name in ("a.cdr", "a.cdr", "b.cdr"):
        world.drop(name, RIGHT)
        world.run()
    assert world.there() == [
        "error/b.cdr.error",
        "error/b.cdr.error.reason",
        "processed/a.cdr.2.done",
        "processed/a.cdr.done",
    ]
    assert (world.folder / "error/b.cdr.error.reason").read_text() == (
        "duplicate-file: its records were taken as a.cdr\n"
    )
    assert world.used() == {"msc1-1": 1}


def test_a_file_with_too_many_rejects(world: World) -> None:
    world.drop("a.cdr", file_of(record(calling="555500000000")))
    assert world.run().refused["a.cdr"].startswith("too-many-rejects: 1 of 1 record can't be rated")
    assert world.there() == ["error/a.cdr.error", "error/a.cdr.error.reason"]


def test_one_pass_at_a_time(world: World) -> None:
    world.drop("a.cdr", RIGHT)
    with open(world.folder / LOCK, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert world.run().is_busy
    assert world.there() == ["a.cdr"]
    assert world.run().loaded


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(0, 10**9), st.sampled_from(["flip", "cut", "insert", "swap"]))
def test_files_that_were_damaged_are_refused_and_move_nothing(
    sqlite_world: World, garbage: bytes, seed: int, how: str
) -> None:
    world = sqlite_world
    records = [record(record_id=f"r{number}", type=Record.SMS, calling=POSTPAID, events=1) for number in range(5)]
    content = bytearray(file_of(*records, sequence=3))
    place = random.Random(seed).randrange(len(content))
    if how == "flip":
        content[place] ^= 1 << seed % 8
    elif how == "cut":
        del content[place:]
    elif how == "insert":
        content[place:place] = garbage or b"\0"
    else:
        content[place:] = garbage
    aged(world.drop("f.cdr", bytes(content)), 3_600)
    passed = world.run()
    assert list(passed.refused) == ["f.cdr"]
    assert world.all("usage") == [] and world.all("cdr_records") == []
    for path in (world.folder / "error").iterdir():
        path.unlink()
