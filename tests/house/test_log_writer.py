"""Logs of programs: nobody waits for whoever reads them, what is lost is counted, and the last line gets out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mubss.log_writer import MAX_LINE_OCTETS, MAX_LINES
from mubss.runtime import FIELDS, MAX_FIELD, MAX_TEXT, ExitCode

WAIT_SECONDS = 60
PLAIN, GEVENT = "", "from gevent import monkey\nmonkey.patch_all()\n"
HEAD = """
import logging, sys
from mubss import metrics
from mubss.config import GeneralOptions
from mubss.core.errors import InputError
from mubss.runtime import run_main, setup_logging
log = logging.getLogger("mubss.test")
setup_logging(GeneralOptions(log_format={format!r}), "mubss-gy")
"""
FLOOD = """
for number in range({count}):
    log.info("line %d %s", number, "x" * 100)
print(metrics.LOG_DROPPED.total, flush=True)
sys.stdin.read()
log.info("the end")
"""


def start(text: str, log_format: str = "text", **streams: object) -> subprocess.Popen[str]:
    """A process of a program's own that logs."""
    command = [sys.executable, "-c", text.replace("{format!r}", repr(log_format))]
    given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(command, text=True, **given)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("first", [PLAIN, GEVENT])
def test_a_log_that_nobody_reads_stops_nobody(first: str) -> None:
    count = 3 * MAX_LINES
    with start(first + HEAD + FLOOD.replace("{count}", str(count))) as process:
        assert process.stdout is not None
        dropped = int(process.stdout.readline())  # it has logged all, though its stderr is full
        _, told = process.communicate("", timeout=WAIT_SECONDS)
    assert process.returncode == 0
    lines = told.splitlines()
    numbers = [int(found[1]) for line in lines if (found := re.search(r"mubss\.test: line (\d+) x{100}$", line))]
    assert numbers == sorted(numbers) and len(numbers) + dropped == count and dropped > 0
    notes = [re.search(r"warning mubss\.log: ([\d,]+) lines? w\w+ dropped", line) for line in lines]
    is_whole = lines[-1].endswith("the end")  # or that was one too many as well
    assert sum(int(note[1].replace(",", "")) for note in notes if note) == dropped + (not is_whole)


@pytest.mark.parametrize("first", [PLAIN, GEVENT])
def test_a_log_that_takes_nothing_stops_nobody(first: str) -> None:
    with Path("/dev/full").open("w") as full:
        text = first + HEAD + FLOOD.replace("{count}", "10") + "logging.getLogger().handlers[0].flush()\n"
        with start(text + "print(metrics.LOG_DROPPED.total)", stderr=full) as process:
            out, _ = process.communicate("", timeout=WAIT_SECONDS)
    assert process.returncode == 0
    assert int(out.splitlines()[-1]) >= 11


def test_a_log_that_is_full_for_the_moment_is_waited_for() -> None:
    """As stderr is where whoever shares it has made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with start(HEAD + FLOOD.replace("{count}", "2000"), stderr=writing) as process:
        os.close(writing)
        assert process.stdout is not None and process.stdin is not None
        assert int(process.stdout.readline()) == 0
        process.stdin.close()
        with open(reading, encoding="utf-8") as log:
            lines = log.read().splitlines()
    assert len(lines) == 2001


def test_an_error_at_the_end_comes_after_all_that_was_logged() -> None:
    text = (
        HEAD
        + """
def work():
    for number in range(500):
        log.info("line %d", number)
    raise InputError("the end")
sys.exit(run_main("mubss-gy", work))
"""
    )
    with start(text) as process:
        _, told = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == ExitCode.INPUT
    assert len(told.splitlines()) == 501 and told.endswith("mubss-gy: the end\n")


def test_a_line_of_any_length_is_bounded() -> None:
    with start(HEAD + f"log.info('%s', 'é' * {MAX_LINE_OCTETS})") as process:
        _, told = process.communicate(timeout=WAIT_SECONDS)
    assert len(told.encode("utf-8", "surrogateescape")) <= MAX_LINE_OCTETS + 10


def test_json_lines_have_the_fields_that_are_promised() -> None:
    text = (
        HEAD
        + """
log.info("%s", "e164:491700000001", extra={
    "msisdn": "491700000001", "session_id": "a;1\\n", "peer": "pgw", "request_id": 7, "subject": None, "other": 1
})
log.info("plain")
"""
    )
    with start(text, "json") as process:
        _, told = process.communicate(timeout=WAIT_SECONDS)
    first, second = map(json.loads, told.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("ts"))
    assert first == {
        "level": "info",
        "program": "mubss-gy",
        "pid": process.pid,
        "logger": "mubss.test",
        "message": "e164:*********001",
        "request_id": "7",
        "session_id": "a;1\\n",
        "peer": "pgw",
        "msisdn": "*********001",
    }
    assert second.keys() == {"ts", "level", "program", "pid", "logger", "message"}


def test_json_lines_are_bounded_and_whole() -> None:
    text = (
        HEAD
        + """
try:
    raise ValueError("\\U0001f600" * 100_000)
except ValueError:
    log.exception("\\\\" * 100_000, extra={"peer": "\\ud800" * 100_000})
"""
    )
    with start(text, "json") as process:
        _, told = process.communicate(timeout=WAIT_SECONDS)
    line = json.loads(told)
    assert (len(line["message"]), len(line["peer"]), len(line["traceback"])) == (MAX_TEXT, MAX_FIELD, MAX_TEXT)


def test_the_fields_are_told_of() -> None:
    text = (Path(__file__).parents[2] / "docs/OBSERVING.md").read_text("utf-8")
    for name in ("ts", "level", "program", "pid", "logger", "message", "traceback", *FIELDS):
        assert f"| `{name}` |" in text, name
