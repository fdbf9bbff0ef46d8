"""`mubss notifications` as an operator uses it: from a top-up to a web server that refuses first."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from billing_process import billing
from cli_tools import Shell
from mail_server import web_server

MSISDN = "999700000001"


@pytest.fixture
def told_shell(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Top-ups are told, through a webhook; what `deliver` sets up of logging is put back."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    key = demo_shell.folder / "webhook.key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__KINDS", "topup")
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__SINKS", "webhook")
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__WEBHOOK_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__WEBHOOK_SECRET_FILE", str(key))
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__TRIES", "1")
    yield demo_shell
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


def test_from_a_top_up_to_the_subscriber(told_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = told_shell
    shell.ok("topup", MSISDN, "5")
    [doc] = shell.json("notifications", "list", "--subscriber", MSISDN)
    assert (doc["kind"], doc["state"], doc["values"]["amount_micros"]) == ("topup", "new", 5_000_000)
    assert MSISDN in shell.ok("notifications", "list").out
    assert shell.json("notifications", "list", "--kind", "suspended") == [] == shell.json("notifications", "dead")
    with web_server() as posts:
        monkeypatch.setenv("MUBSS_NOTIFICATIONS__WEBHOOK_URL", f"http://127.0.0.1:{posts.port}/told")
        posts.answers = [500]
        done = shell("notifications", "deliver", "--once")
        assert (done.code, done.out) == (1, "0 sent, 0 waiting, 1 dead, 0 dropped\n")
        [dead] = shell.json("notifications", "dead")
        assert (dead["id"], dead["why"]) == (doc["id"], "webhook: status 500")
        assert shell.ok("notifications", "retry", doc["id"]).out == "1 notification is due now\n"
        done = shell("notifications", "deliver", "--once", "--json")
        assert (done.code, done.json["sent"]) == (0, 1)
        assert [headers["Mubss-Notification-Id"] for _, headers, _ in posts.came] == [doc["id"]] * 2
        assert shell("notifications", "test", MSISDN).out == "webhook: taken\n"
        posts.answers = [404]
        tried = shell("notifications", "test", MSISDN)
        assert (tried.code, tried.out) == (1, "webhook: webhook: status 404\n")


def test_the_dead(told_shell: Shell) -> None:
    shell = told_shell
    for _ in range(3):
        shell.ok("topup", MSISDN, "1")
    assert shell("notifications", "deliver", "--once").out == "0 sent, 0 waiting, 3 dead, 0 dropped\n"
    first = shell.json("notifications", "dead")[0]["id"]
    assert shell.ok("notifications", "acknowledge", first).out == "1 notification is off the list\n"
    assert shell.ok("notifications", "retry", "--all").out == "2 notifications are due now\n"
    assert [doc["state"] for doc in shell.json("notifications", "list", "--state", "new")] == ["new"] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("retry",), 2, "Name ids, or --all"),
        (("retry", "x", "--all"), 2, "Name ids, or --all"),
        (("retry", "x"), 65, "id: 'x'; expected that of a notification"),
        (("acknowledge", "x"), 65, "id: 'x'; expected that of a notification"),
        (("list", "--state", "odd"), 2, "--state"),
        (("list", "--subscriber", "111111"), 65, "subscriber: '111111'"),
        (("test", "111111"), 65, "subscriber: '111111'"),
    ],
)
def test_what_is_refused(told_shell: Shell, arguments: tuple[object, ...], code: int, told: str) -> None:
    done = told_shell("notifications", *arguments)
    assert (done.code, done.out) == (code, "") and told in done.err


def test_delivery_goes_on_until_it_is_told_to_stop(told_shell: Shell) -> None:
    shell = told_shell
    shell.ok("topup", MSISDN, "5")
    with web_server() as posts:
        environment = {**os.environ, "MUBSS_NOTIFICATIONS__WEBHOOK_URL": f"http://127.0.0.1:{posts.port}/"}
        process = subprocess.Popen(
            [sys.executable, "-m", "mubss.cli.main", "notifications", "deliver"], cwd=shell.folder, env=environment
        )
        try:
            assert posts.first.wait(60), "it delivers what is due as it starts"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    assert [doc["state"] for doc in shell.json("notifications", "list")] == ["sent"]


def test_bills_are_told_of(told_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUBSS_NOTIFICATIONS__KINDS", "bill_ready")
    assert billing("--cycle", "3", "--once")[0] == 0
    bills = {bill["number"]: bill["due_day"] for bill in told_shell.json("bills", "list")}
    with web_server() as posts:
        monkeypatch.setenv("MUBSS_NOTIFICATIONS__WEBHOOK_URL", f"http://127.0.0.1:{posts.port}/")
        assert told_shell("notifications", "deliver", "--once", "--json").json["sent"] == len(bills) == 10
        texts = [json.loads(body)["text"] for _, _, body in posts.came]
    assert sorted(text.split()[2] for text in texts) == sorted(bills)
    assert all(text.endswith(f"to be paid by {bills[text.split()[2]]}.") for text in texts)
