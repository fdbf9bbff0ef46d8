"""`open_store`: which URLs there are, and how little it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mubss.xdev.errors import StoreUrlError
from mubss.xdev.store import open_store

ROOT = Path(__file__).parents[2]

BAD = {
    "store.db": "expected sqlite:///path",
    "": "expected sqlite:///path",
    "sqlite:store.db": "expected sqlite:///path",
    "mysqlx:///mubss": "expected a user in front of the host",
    "postgres://localhost": "no engine for 'postgres'; known: sqlite, mysqlx",
    "sqlite://host/store.db": "sqlite has no host",
    "sqlite://": "expected the path of a file",
    "sqlite:///": "expected the path of a file",
    "sqlite:///folder/": "expected the path of a file",
    "sqlite:///:memory:": "expected the path of a file",
    "sqlite:///a%00b": "expected the path of a file",
    "sqlite:///a#b": "must be written %23",
    "sqlite:///a?wal=off": "no option 'wal'; known: busy_timeout_ms, cache_kib",
    "sqlite:///a?busy_timeout_ms=0": "busy_timeout_ms: expected an integer from 1 to 600000, got '0'",
    "sqlite:///a?busy_timeout_ms=5s": "busy_timeout_ms: expected an integer",
    "sqlite:///a?busy_timeout_ms=": "busy_timeout_ms: expected an integer",
    "sqlite:///a?cache_kib=-1": "cache_kib: expected an integer from 64",
    "sqlite:///a?cache_kib=²": "cache_kib: expected an integer",
}


@pytest.mark.parametrize(("url", "message"), BAD.items(), ids=lambda value: str(value)[:40] or "empty")
def test_a_bad_url_is_refused_before_anything_is_opened(
    url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUrlError, match=message.replace("?", r"\?")):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_the_path_is_relative_or_absolute_or_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, name in (
        ("sqlite:///relative.db", "relative.db"),
        (f"sqlite:///{tmp_path}/absolute.db?busy_timeout_ms=100&cache_kib=64", "absolute.db"),
        ("sqlite:///a%20b%3F%23%C3%BC.db", "a b?#ü.db"),
    ):
        store = open_store(url)
        assert store.url == url
        assert not (tmp_path / name).exists()
        monkeypatch.chdir("/")  # a later change of folder moves nothing
        store.run(lambda session: session.create_collection("t"))
        monkeypatch.chdir(tmp_path)
        assert (tmp_path / name).exists()
        store.close()


LAZY = """
import sys
import mubss.xdev.store
assert not {"sqlite3", "mysqlx", "orjson", "google.protobuf"} & set(sys.modules), sys.modules.keys()
store = mubss.xdev.store.open_store(sys.argv[1])
def work(session):
    t = session.create_collection("t")
    session.begin([])
    t.put_many([{"_id": "a"}])
    session.finish([])
    assert t.scan() == [{"_id": "a"}]
    assert t.find().execute() == [{"_id": "a"}]
store.run(work)
assert "mysqlx" not in sys.modules
store.run(lambda session: session.collection("t").find("$.a = 1").execute())
assert "mysqlx" in sys.modules
"""


def test_the_engine_and_the_parser_are_loaded_when_they_are_needed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LAZY, f"sqlite:///{tmp_path}/store.db"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
