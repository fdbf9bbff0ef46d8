"""`mubss status|drain|reload` and real processes of the group."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cli_tools import Shell
from licences import DemoLicence
from mubss import __version__
from mubss.config import load
from mubss.core.licence import DAY_S
from mubss.runtime import ExitCode
from mubss.services import private_ca
from mubss.services.control import BILLFMT, BILLING, CDR, CRM, FOLDER, GY, PROGRAMS, STATS
from mubss.services.group import Running, processes
from mubss.services.process import MAX_ERROR, Process
from mubss.services.tokens import make_key

WAIT_SECONDS = 60

MODULES: dict[str, list[str]] = {
    GY: ["mubss.gy.main", "--port", "0"],
    CDR: ["mubss.workers.cdr_loader"],
    BILLING: ["mubss.workers.billing", "--cycle", "3"],
    BILLFMT: ["mubss.workers.billfmt"],
    STATS: ["mubss.workers.stats"],
    CRM: ["mubss.crm.main", "--port", "0"],
}


@pytest.fixture
def place(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A store with the demo's data, and what mubss-crm needs."""
    for name, value in (("GENERAL__DATA_DIR", shell.folder), ("CDR__POLL_SECONDS", 1)):
        monkeypatch.setenv(f"MUBSS_{name}", str(value))
    shell.ok("init", "--demo")
    private_ca.make_server(shell.folder / "var/tls", ["localhost"], int(time.time()))
    config = load()
    make_key(config.resolve(config.crm.keys_folder), "k1")
    return shell


@contextmanager
def running(*programs: str, more: tuple[str, ...] = ()) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes of these programs; what still lives at the end is killed."""
    started = {one: subprocess.Popen([sys.executable, "-m", *MODULES[one], *more]) for one in programs}
    try:
        yield started
    finally:
        for process in started.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def wait_for(folder: Path, is_there: Callable[[list[Running]], bool]) -> list[Running]:
    """What runs, once it is as asked for."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_there(found := processes(folder / FOLDER)):
        assert time.monotonic() < deadline, found
    return found


def are_ready(*pids: int) -> Callable[[list[Running]], bool]:
    return lambda found: set(pids) <= {one.pid for one in found if one.state == "ready"}


def test_every_program_tells_how_it_does_reads_again_and_drains(place: Shell) -> None:
    with running(*PROGRAMS) as started:
        pids = {name: process.pid for name, process in started.items()}
        wait_for(place.folder, are_ready(*pids.values()))
        found = place.json("status", *(part for name in PROGRAMS for part in ("--expect", name)))
        assert [(one["program"], one["pid"], one["version"]) for one in found["processes"]] == [
            (name, pids[name], __version__) for name in PROGRAMS
        ]
        assert not found["missing"]
        facts = {one["program"]: one["facts"] for one in found["processes"]}
        assert {(one.pop("licence"), one.pop("licence_days")) for one in facts.values()} == {("expiring", 29)}
        assert facts[GY].items() >= {"connections": 0, "pending": 0, "queue": 0, "answered": 0}.items()
        assert facts[BILLING]["cycle"] == 3 and facts[CRM]["port"] > 0
        assert facts[BILLFMT].items() >= {"rendered": 0, "failed": 0}.items()
        assert facts[CDR].keys() >= {"passes", "loaded", "stuck"}
        rates = {GY: "ccr", CDR: "records", BILLING: "accounts", BILLFMT: "bills", STATS: "documents", CRM: "calls"}
        assert all(facts[name][f"{rate}_per_second"] >= 0 for name, rate in rates.items())
        assert facts[STATS].keys() >= {"passes", "counted", "faults", "passed_s"}

        assert {row["program"]: row["process"] for row in place.json("reload")} == pids
        wait_for(place.folder, are_ready(*pids.values()))  # none of them took the SIGHUP for its end

        assert {row["program"]: row["process"] for row in place.json("drain", CDR, CRM)} == {
            name: pids[name] for name in (CDR, CRM)
        }
        assert started[CDR].wait(WAIT_SECONDS) == 0 and started[CRM].wait(WAIT_SECONDS) == 0
        assert started[GY].poll() is None
        place.ok("drain")
        assert [process.wait(WAIT_SECONDS) for process in started.values()] == [0] * len(started)
    gone = place("drain")
    assert gone.code == ExitCode.FAILURE and "no process of the group runs" in gone.err


def test_workers_are_told_through_their_parent_and_once(place: Shell) -> None:
    with running(GY, more=("--workers", "2")) as started:
        parent = started[GY]
        found = wait_for(place.folder, lambda there: [one.state for one in there] == ["ready"] * 2)
        assert {one.leader for one in found} == {parent.pid} and parent.pid not in {one.pid for one in found}
        assert place.json("reload", GY) == [{"program": GY, "process": parent.pid}]
        assert len(processes(place.folder / FOLDER)) == 2
        assert place.json("drain") == [{"program": GY, "process": parent.pid}]
        assert parent.wait(WAIT_SECONDS) == 0


def test_what_is_missing_is_named(place: Shell) -> None:
    with running(CDR) as started:
        wait_for(place.folder, are_ready(started[CDR].pid))
        shown = place.ok("status", "--expect", CDR)
        assert re.search(rf"{CDR} +{started[CDR].pid} .*ready +expiring, 29 d +\d+m \d+s +records/s 0", shown.out)
        assert "waiting 0" in place.ok("status", "--wide").out
        missing = place("status", "--expect", CDR, "--expect", CRM)
        assert (missing.code, missing.err) == (ExitCode.FAILURE, "mubss: not ready: mubss-crm\n")
        assert place("status", "--expect", "mubss-x").code == ExitCode.USAGE
        started[CDR].send_signal(signal.SIGKILL)
        started[CDR].wait()
        assert place("status", "--expect", CDR).code == ExitCode.FAILURE


def test_a_licence_that_breaks_while_a_program_runs_is_seen(place: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = DemoLicence(place.folder / "mine")
    for name, value in licence.variables.items():
        monkeypatch.setenv(name, value)
    with running(CDR) as started:
        wait_for(place.folder, are_ready(started[CDR].pid))
        assert place("status").code == 0
        file = place.folder / "mine/platform.lic"
        file.write_bytes(b"torn")
        wait_for(place.folder, lambda found: found[0].facts["licence"] == "broken")
        shown = place("status", "--expect", CDR)
        assert (shown.code, shown.err) == (ExitCode.LICENCE, f"mubss: no good licence: {CDR}\n")
        assert re.search(rf"{CDR} +{started[CDR].pid} .*ready +broken +\d", shown.out), shown.out
        assert f"{CDR} {started[CDR].pid}: licence: licence file: 4 octets" in shown.out
        licence.ends(licence.now_s - 1)  # its end counts, and without grace it is over
        wait_for(place.folder, lambda found: found[0].facts["licence"] == "expired")
        assert place("status").code == ExitCode.LICENCE
        licence.ends(licence.now_s + DAY_S)
        wait_for(place.folder, lambda found: found[0].facts["licence"] == "expiring")
        assert place("status").code == 0


def _facts_of_gy() -> dict[str, Any]:
    """As much as a mubss-gy tells after a busy week, and more."""
    names = ["queue", "pending", "answered", "sessions", "outbox", "suspense", "reserved", "overdrawn", "peers_known"]
    counts = dict.fromkeys(names, 1234567)
    return {"licence": "valid", "licence_days": 364, "connections": 12, **counts, "ccr_per_second": 8234.5, "idle": 0}


def test_a_status_fits_120_columns(place: Shell) -> None:
    with Process(GY, load(), _facts_of_gy, lambda: False), Process(CDR, load(), dict, lambda: False):
        logging.getLogger("mubss.gy").error("it goes on and on, %s", "and on, " * 50)
        shown, wide = place.ok("status").out, place.ok("status", "--wide").out
    assert max(map(len, shown.splitlines())) <= 120
    assert "ccr/s 8234.5" in shown and "idle" not in shown and "valid, 364 d" in shown
    assert re.search(rf"^{GY} \d+: last error: it goes on.*…$", shown, re.M)
    [line] = re.findall(rf"^{GY} +\d+ .*", wide, re.M)
    assert line.endswith("peers_known 1234567, idle 0"), "all on one line"


def test_a_status_shows_moments_as_such(place: Shell) -> None:
    with Process(STATS, load(), lambda: {"passed_s": 1_800_000_000}, lambda: False):
        assert "passed 2027-01-15T08:00:00Z" in place.ok("status").out
    with Process(STATS, load(), lambda: {"passed_s": 0}, lambda: False):
        assert "passed never" in place.ok("status", "--wide").out


def test_a_status_does_not_count_its_own_probe(place: Shell) -> None:
    taken: list[socket.socket] = []

    def facts() -> dict[str, Any]:
        with suppress(BlockingIOError):
            taken.append(server.accept()[0])
        return {"connections": len(taken)}

    with socket.create_server(("127.0.0.1", 0)) as server, Process(GY, load(), facts, lambda: False):
        server.setblocking(False)
        found = place.json("status", "--port", server.getsockname()[1])
        assert found["gy"]["listening"] and found["processes"][0]["facts"] == {"connections": 0}
        assert facts() == {"connections": 1}, "it did look"
        taken[0].close()


def test_a_status_tells_the_last_error_masked_and_in_one_line(place: Shell) -> None:
    with Process(CDR, load(), dict, lambda: False):
        logging.getLogger("mubss.cdr").warning("no error")
        assert not processes(place.folder / FOLDER)[0].last_error
        logging.getLogger("mubss.cdr").error("e164:491700000001\ncan't be charged%s", "!" * 1000)
        [found] = processes(place.folder / FOLDER)
    assert found.last_error.startswith("e164:*********001\\ncan't be charged!!!") and len(found.last_error) == MAX_ERROR
    assert found.last_error_s > 0
    assert found.state == "starting" and not processes(place.folder / FOLDER)
