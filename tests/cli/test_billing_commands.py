"""`mubss billing` and the processes that do what it queues."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from billing_process import billing, start_billing
from cli_tools import Shell
from mubss.runtime import ExitCode
from mubss.storage.database import Session, open_database


@pytest.fixture
def desk(demo_shell: Shell) -> Shell:
    """The demo's subscribers, with usage in the last closed period."""
    return demo_shell


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that serves cycle 3; told to stop, it ends well."""
    process = start_billing("--cycle", "3", *arguments)
    try:
        yield process
    finally:
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0 and "stopped" in told and "Traceback" not in told, told


def test_a_run_is_queued_once_and_done_by_a_process(desk: Shell) -> None:
    queued = desk("billing", "run", "--cycle", 3, "--json").json
    assert (queued["state"], queued["kind"]) == ("NEW", "FULL_BILLRUN")
    again = desk("billing", "run", "--cycle", 3)
    assert "NEW already" in again.out and "no process of this machine" in again.err
    assert len(desk.json("billing", "list")) == 1
    with serving():
        done = desk("billing", "run", "--cycle", 3, "--wait", "--json")
        assert done.code == 0 and done.json["_id"] == queued["_id"] and done.json["state"] == "DONE"
        single = desk("billing", "run", "--cycle", 3, "--subscriber", "999700000110", "--wait", "--json").json
    assert single["kind"] == "SINGLE_BILLING" and single["progress"]["before"] == 1
    assert len(desk.json("bills", "list")) == 10
    shown = desk.ok("billing", "show", queued["_id"]).out
    assert "10 of 10" in shown and "10 issued, 0 there before" in shown and " EUR" in shown


def test_a_dry_run_writes_no_bill(desk: Shell) -> None:
    with serving():
        # The process queues the closed period by itself; a dry run is another activity.
        dry = desk("billing", "run", "--cycle", 3, "--dry-run", "--wait", "--json").json
        early = desk("billing", "run", "--cycle", 3, "--period", "2020-01", "--dry-run", "--wait", "--json").json
    assert dry["dry_run"] and dry["state"] == "DONE" and dry["progress"]["issued"] + dry["progress"]["before"] == 10
    assert dry["_id"] not in {one["_id"] for one in desk.json("billing", "list") if not one["dry_run"]}
    assert early["progress"]["issued"] == 0, "nobody was a subscriber then"
    assert desk.json("bills", "list", "--period", "2020-01") == []


def test_a_process_bills_the_closed_period_by_itself(desk: Shell) -> None:
    with serving() as process:
        found = []
        while process.poll() is None and not (found and found[0]["state"] == "DONE"):
            found = desk.json("billing", "list")
    assert found[0]["by"] == "timer" and len(desk.json("bills", "list")) == 10


def test_shares_of_a_run(desk: Shell) -> None:
    code, told = billing("--cycle", "3", "--once", "--workers", "2")
    assert code == 0 and "10 bills issued" in told, told
    numbers = sorted(bill["number"] for bill in desk.json("bills", "list"))
    assert [int(number[-7:]) for number in numbers] == list(range(1, 11))


def test_two_at_once_do_the_work_once(desk: Shell) -> None:
    processes = [start_billing("--cycle", "3", "--once") for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert len(desk.json("bills", "list")) == 10
    assert "Traceback" not in "".join(told)


def test_what_a_killed_process_had_is_taken_over(desk: Shell) -> None:
    queued = desk("billing", "run", "--cycle", 3, "--json").json
    process = start_billing("--cycle", "3", "--once")
    while process.poll() is None and desk.json("billing", "show", queued["_id"])["state"] == "NEW":
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    code, told = billing("--cycle", "3", "--once")
    assert code == 0, told
    assert len(desk.json("bills", "list")) == 10


def test_cancelling(desk: Shell) -> None:
    queued = desk("billing", "run", "--cycle", 3, "--json").json
    assert "CANCELLED" in desk.ok("billing", "cancel", queued["_id"]).out
    done = desk("billing", "cancel", queued["_id"])
    assert done.code == ExitCode.INPUT and "expected one that waits or runs" in done.err
    assert desk.json("billing", "list", "--state", "cancelled")[0]["_id"] == queued["_id"]


def test_mass_rating_charges_and_proves_it(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    play = ("billing", "play", "--cycle", 3, "--charges", 300, "--from", "999700000001", "--to", "999700000010")
    done = desk(*play)
    assert done.code == ExitCode.INPUT and "billing.developer_mode: false" in done.err
    monkeypatch.setenv("MUBSS_BILLING__DEVELOPER_MODE", "true")
    with serving():
        found = desk(*play, "--wait", "--json").json
    assert found["state"] == "DONE" and found["progress"] == {"done": 300, "of": 300}
    assert found["results"] == {"2001": 300} and found["subscribers"] == 10 and found["findings"] == []
    assert 0 < found["latency_us"]["p50"] <= found["latency_us"]["p99"] <= found["latency_us"]["max"]
    assert "all add up" in desk.ok("ledger", "check").out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "--cycle", "99"), "cycle: 99; expected one of"),
        (("run", "--cycle", "3", "--period", "2999-01"), "2999-01 isn't over yet"),
        (("run", "--cycle", "3", "--subscriber", "999700000001"), "expected one that is billed in cycle 3"),
        (("show", "x"), "activity: 'x'; expected the id of one"),
        (("cancel", "x"), "activity: there is none of that id"),
    ],
)
def test_mistakes(desk: Shell, arguments: tuple[str, ...], text: str) -> None:
    done = desk("billing", *arguments)
    assert done.code == ExitCode.INPUT and text in done.err


def test_a_play_over_nobody_fails_for_good(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUBSS_BILLING__DEVELOPER_MODE", "true")
    for first, last, text in (("9", "1", "expected 1 or less"), ("x", "1", "first: 'x'; expected a number")):
        done = desk("billing", "play", "--cycle", 3, "--charges", 3, "--from", first, "--to", last)
        assert done.code == ExitCode.INPUT and text in done.err
    with serving():
        done = desk("billing", "play", "--cycle", 3, "--charges", 3, "--from", "1", "--to", "2", "--wait", "--json")
    assert done.code == ExitCode.FAILURE and done.json["state"] == "FAILED"
    assert "no prepaid subscriber" in done.json["error"] and done.json["attempts"] == 1


def test_a_cycle_must_be_named(desk: Shell) -> None:
    assert os.environ.get("MUBSS_BILLING__BILLCYCLE") is None
    code, told = billing("--once")
    assert code == ExitCode.USAGE and "--cycle" in told


def test_a_process_duns_what_is_overdue(desk: Shell) -> None:
    assert billing("--cycle", "3", "--once")[0] == 0
    (desk.folder / "ladder.toml").write_text('[[dunning]]\nstep = 1\nname = "Reminder"\ndays = 3\naction = "remind"\n')
    desk.ok("ref", "load", desk.folder / "ladder.toml")
    store = open_database(f"sqlite:///{desk.folder}/var/mubss.db")

    def let_time_pass(session: Session) -> None:  # the bills have been with their subscribers for long
        bills = [doc for doc in session.collection("bills").scan() if doc["kind"] == "postpaid"]
        late = {"state": "BILL_STATUS_UNPAID", "due_day": "2026-01-05"}
        session.collection("bills").put_many([{**doc, **late, "version": doc["version"] + 1} for doc in bills])

    store.run(let_time_pass)
    with serving() as process:
        rows = []
        while process.poll() is None and not (rows and all(row["step"] for row in rows)):
            rows = desk.json("bills", "overdue")
    told = store.run(lambda session: session.collection("notifications").scan())
    store.close()
    assert len(rows) == 10 and {doc["kind"] for doc in told} == {"dunning_remind"} and len(told) == 10
