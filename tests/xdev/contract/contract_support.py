"""What the contract's tests share: one-call units of work, and processes of their own on the same store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mubss.xdev.api import Doc, Result, Store

ROOT = Path(__file__).parents[3]


class Bench:
    """One collection of a store; each method is a unit of work."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def call(self, method: str, *args: Any, **named: Any) -> Any:
        """Any method of the collection."""
        return self.store.run(lambda session: getattr(session.collection(self.name), method)(*args, **named))

    def add(self, *docs: Doc) -> Result:
        result: Result = self.call("add", *docs)
        return result

    def get(self, document_id: str) -> Doc | None:
        found: Doc | None = self.call("get_one", document_id)
        return found

    def all(self) -> list[Doc]:
        """Every document, by `_id`."""
        docs: list[Doc] = self.call("scan", limit=100_000)
        return docs

    def find(self, condition: str = "", **values: Any) -> list[Doc]:
        """The documents that the condition finds."""
        return self.store.run(lambda session: session.collection(self.name).find(condition).bind(values).execute())

    def ids(self, condition: str = "", **values: Any) -> list[str]:
        """Their ids, sorted."""
        return sorted(doc["_id"] for doc in self.find(condition, **values))


def start(code: str, *args: str) -> subprocess.Popen[str]:
    """A Python process that runs `code` with sys.argv[1:] = args; it talks over its standard input and output."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def line(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str], text: str = "") -> None:
    """Sends it a line."""
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def end(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Ends those that still run."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
