"""Every program as monitoring sees it: real processes, asked over HTTP."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from cli_tools import Shell
from monitoring import NOBODY, WAIT_SECONDS, get, until, values
from mubss import metrics
from mubss.config import MetricsOptions, load
from mubss.runtime import ExitCode
from mubss.services import private_ca
from mubss.services.control import BILLFMT, BILLING, CDR, CRM, GY, PROGRAMS, STATS
from mubss.services.tokens import make_key
from mysqld.server import Server
from otlp import Receiver
from ports import free_port
from proxy import Proxy

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
    """A store with the demo's data, and what mubss-crm needs; metrics are wanted."""
    monkeypatch.setenv("MUBSS_GENERAL__DATA_DIR", str(shell.folder))
    monkeypatch.setenv("MUBSS_METRICS__ENABLED", "true")
    monkeypatch.setenv("MUBSS_METRICS__LOOK_SECONDS", "1")
    monkeypatch.setenv("MUBSS_CDR__POLL_SECONDS", "1")
    for program in PROGRAMS:
        option, _ = MetricsOptions().port_of(program)
        monkeypatch.setenv(f"MUBSS_{option.replace('.', '__').upper()}", str(free_port()))
    shell.ok("init", "--demo")
    private_ca.make_server(shell.folder / "var/tls", ["localhost"], int(time.time()))
    config = load()
    make_key(config.resolve(config.crm.keys_folder), "k1")
    return shell


def port_of(program: str) -> int:
    """Where a program of the test shows its metrics."""
    return load().metrics.port_of(program)[1]


@contextmanager
def running(program: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process; what still lives at the end is killed."""
    command = [sys.executable, "-m", *MODULES[program], *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def is_ready(answer: tuple[int, str]) -> bool:
    return answer == (200, "ready\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_seen_from_its_start_to_its_end(place: Shell, program: str) -> None:
    port = port_of(program)
    with running(program) as process:
        until(port, "/readyz", is_ready)
        assert get(port, "/healthz") == (200, "alive\n")
        found = values(port)
        assert found["mubss_ready"] == found["mubss_processes"] == 1
        assert found["mubss_memory_bytes"] > 10_000_000 and found["mubss_open_files"] > 3
        assert found["mubss_cpu_seconds_total"] > 0
        if program != STATS:  # nothing waits for it
            until(port, "/metrics", lambda answer: "mubss_look_seconds " in answer[1])
        until(port, "/metrics", lambda answer: "\nmubss_store_up 1" in answer[1])  # asked by another thread
        own = {one.name for one in metrics.of_program(program)}
        assert {
            line.split()[2].removesuffix("_total") for line in get(port, "/metrics")[1].splitlines() if "TYPE" in line
        } >= own
        with running(program) as second:
            assert second.wait(WAIT_SECONDS) == ExitCode.PORT_IN_USE
            assert second.stderr is not None
            told = second.stderr.read()
        option = load().metrics.port_of(program)[0]
        assert f"{option}: 127.0.0.1 port {port} is in use; expected a free one, or 0 for none" in told, told
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
    assert get(port, "/healthz")[0] == NOBODY


def test_a_store_that_is_away_is_told_and_that_it_is_back(place: Shell) -> None:
    port = port_of(CDR)
    file = place.folder / "var/mubss.db"
    with running(CDR), sqlite3.connect(file) as beside:
        until(port, "/readyz", is_ready)
        beside.execute("ALTER TABLE meta RENAME TO gone")
        beside.commit()
        status, why = until(port, "/readyz", lambda answer: not is_ready(answer))
        assert status == 503 and why.startswith("the store is away: "), (status, why)
        assert values(port)["mubss_store_up"] == values(port)["mubss_ready"] == 0
        assert get(port, "/healthz")[0] == 200
        [shown] = [one for one in place("status", "--json").json["processes"] if one["program"] == CDR]
        assert shown["facts"]["store"] == why.strip()
        beside.execute("ALTER TABLE gone RENAME TO meta")
        beside.commit()
        until(port, "/readyz", is_ready)
        assert values(port)["mubss_store_up"] == 1


def test_the_group_waits_for_a_store_that_is_away_at_its_start(
    place: Shell, mysql: Server, mysql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reboot of everything at once: nobody has to start it again."""
    monkeypatch.setenv("MUBSS_STORE__URL", mysql_url)
    place.ok("init", "--demo")
    gy_port = free_port()
    with Proxy(mysql.port()) as proxy, ExitStack() as stack:
        monkeypatch.setenv("MUBSS_STORE__URL", mysql_url.replace(f":{mysql.port()}/", f":{proxy.port}/"))
        with proxy.away():
            group = {
                program: stack.enter_context(running(program, *(["--port", str(gy_port)] if program == GY else [])))
                for program in PROGRAMS
            }
            for process in group.values():
                assert process.stderr is not None
                assert "services.store_wait: waiting for the store: 127.0.0.1:" in process.stderr.readline()
            shown = place("status", "--json").json["processes"]
            assert {one["program"]: one["state"] for one in shown} == dict.fromkeys(PROGRAMS, "starting")
            assert all(one["facts"]["waiting"].startswith("for the store: 127.0.0.1:") for one in shown), shown
            place.ok("reload")  # a SIGHUP ends none of them
            with pytest.raises(ConnectionRefusedError):  # a peer looks for another server
                socket.create_connection(("127.0.0.1", gy_port))
        for program, process in group.items():
            assert process.stderr is not None
            said = process.stderr.readline()
            if "told to read its files again" in said:
                said = process.stderr.readline()
            assert "the store is there" in said
            until(port_of(program), "/readyz", is_ready)
        for process in group.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(WAIT_SECONDS) for process in group.values()] == [0] * len(group)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_waits_for_its_store_stops_when_told_to(
    place: Shell, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUBSS_STORE__URL", f"mysqlx://mubss:x@127.0.0.1:{free_port()}/mubss")
    with running(program) as process:
        assert process.stderr is not None
        assert "Connection refused" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0 and process.stderr.read() == ""
    if program in (CDR, BILLING, BILLFMT, STATS):
        with running(program, "--once") as process:
            assert process.wait(WAIT_SECONDS) == ExitCode.STORE_UNAVAILABLE


def test_what_once_runs_leaves_the_port_to_who_stays(place: Shell) -> None:
    with running(CDR):
        until(port_of(CDR), "/readyz", is_ready)
        with running(CDR, "--once") as once:
            assert once.wait(WAIT_SECONDS) == 0


def test_a_bill_job_is_a_span(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo_shell.folder.is_dir()
    with Receiver() as receiver:
        monkeypatch.setenv("MUBSS_TRACING__URL", receiver.url)
        with running(BILLING, "--once") as process:
            assert process.wait(WAIT_SECONDS) == 0
        [job] = receiver.spans
    assert (job.service, job.name, job.error, job.parent) == (BILLING, "billing.job", "", b"")
    assert job.attributes["mubss.kind"] == "FULL_BILLRUN" and job.attributes["mubss.cycle"] == 3
    assert job.begin_ns < job.end_ns


def test_shares_of_a_bill_run_are_counted_together(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("MUBSS_METRICS__ENABLED", "true")
    monkeypatch.setenv("MUBSS_METRICS__BILLING_PORT", str(port))
    issued = 'mubss_billing_accounts_total{outcome="issued"} 10.0'
    done = 'mubss_billing_jobs_total{kind="FULL_BILLRUN",state="DONE"} 1.0'
    with running(BILLING, "--workers", "2"):
        until(port, "/metrics", lambda answer: issued in answer[1] and done in answer[1])
        found = values(port)
        assert found["mubss_batch_size_sum"] >= 10  # the shares' own, who are gone by now
        assert found["mubss_processes"] == 1 and found["mubss_billing_job_seconds_count"] == 1
        [shown] = demo_shell.json("status", "--expect", BILLING)["processes"]
        assert shown["facts"]["accounts_per_second"] >= 0
