"""`mubss demo` as scripts/demo runs it: a process of its own, with a real server as its child."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli_tools import Shell
from mubss.cli.demo_folder import MARK
from mubss.cli.demo_server import DemoServer, ServerFailed
from mubss.runtime import ExitCode

COMMAND = [sys.executable, "-m", "mubss.cli.main", "demo"]


def environ(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("MUBSS_")}, **more}


def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    """And the operator's own store and configuration stay out of it."""
    own = environ(MUBSS_STORE__URL=f"sqlite:///{tmp_path}/own.db", MUBSS_GY__PORT="1", COLUMNS="100")
    done = subprocess.run(COMMAND, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    kinds = [line.split()[1] for line in lines if line.startswith(("→", "←"))]
    session = ["CCR-I", "CCA-I", "CCR-U", "CCA-U", "CCR-U", "CCA-U", "CCR-T", "CCA-T"]
    call = ["CCR-I", "CCA-I", "CCR-U", "CCA-U", "CCR-T", "CCA-T"]
    assert kinds == [*session, *call, "CCR-E", "CCA-E"]
    assert sum("2001 DIAMETER_SUCCESS" in line for line in lines) == 8
    balance = next(line.split() for line in lines if line.strip().startswith("999700000001  "))
    assert balance == ["999700000001", "10.00", "EUR", "0.38", "EUR", "9.62", "EUR", "0.00", "EUR"]
    postings = [re.findall(r"-?\d+\.\d\d(?= EUR)", line) for line in lines if re.match(r"\d  \d{4}-", line)]
    amounts = [["10.00", "10.00"], ["-0.04", "9.96"], ["-0.06", "9.90"], ["-0.02", "9.88"]]
    assert postings == [*amounts, ["-0.09", "9.79"], ["-0.09", "9.70"], ["-0.08", "9.62"]]
    assert "20 accounts checked: every balance is the sum of its postings" in lines
    files = [line.split()[-1] for line in lines if line.startswith("INV-")]
    assert len(files) == 10 and all((tmp_path / file).is_file() for file in files)
    assert max(map(len, lines)) <= max(100, len(str(tmp_path)) + 60)
    assert not (tmp_path / "own.db").exists()
    assert (tmp_path / "demo/mubss.toml").read_text().startswith(MARK)
    assert "drained" in (tmp_path / "demo/mubss-gy.log").read_text()


def test_the_demo_again_is_made_anew_and_prints_json(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        done = subprocess.run(
            [*COMMAND, "--json", "--dir", "here"],
            cwd=tmp_path,
            env=environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found.append(json.loads(done.stdout))
    for one in found:
        assert (one["before_micros"], one["after_micros"]) == (10_000_000, 9_620_000)
        assert len(one["postings"]) == 7
        assert len(one["exchanges"]) == 8
        assert all(exchange["answer"]["success"] for exchange in one["exchanges"])
        assert one["ledger"] == {"accounts": 20, "findings": []}
        assert len(one["bills"]) >= 10 and {bill["cycle"] for bill in one["bills"]} == {3}
        assert all(Path(bill["path"]).read_bytes().startswith(b"%PDF-") for bill in one["bills"])
        assert not is_listening(one["port"])


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_goes_on_until_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    demo = subprocess.Popen(
        [*COMMAND, "--serve"], cwd=tmp_path, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert demo.stdout is not None
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if line.rstrip().endswith(" status"):
                break
        [told] = [line for line in lines if " ccr session " in line]
        assert f"--config {Path('demo/mubss.toml')} ccr session" in told
        mubss = [sys.executable, "-m", "mubss.cli.main", *told[told.index("--config") :].split()]
        played = subprocess.run(mubss, cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False)
        assert (played.returncode, played.stderr) == (0, "")
        second = subprocess.run(COMMAND, cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False)
        assert second.returncode == ExitCode.INPUT
        assert "another demo runs there; stop it, or name another folder with --dir" in second.stderr
        demo.send_signal(number)
        rest, errors = demo.communicate(timeout=20)
    finally:
        demo.kill()
    assert (demo.returncode, errors) == (0, "")
    assert rest.endswith("stopped\n")
    port = int(re.findall(r"port = (\d+)", (tmp_path / "demo/mubss.toml").read_text())[0])
    assert not is_listening(port)


def test_a_folder_of_somebody_else_stays_as_it_is(shell: Shell) -> None:
    folder = shell.folder / "demo"
    (folder / "var").mkdir(parents=True)
    (folder / "var/precious").write_text("mine")
    done = shell("demo")
    assert done.code == ExitCode.INPUT
    assert done.err == f"mubss: {folder}: not made by `mubss demo`, so it stays as it is; name another one with --dir\n"
    (folder / "mubss.toml").write_text("[gy]\nport = 1\n")
    assert shell("demo").code == ExitCode.INPUT
    assert (folder / "var/precious").read_text() == "mine"


def test_a_folder_in_use_is_refused(shell: Shell) -> None:
    folder = shell.folder / "demo"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another demo runs there" in shell("demo").err


def test_a_configuration_of_ones_own_is_refused(shell: Shell) -> None:
    done = shell("demo", "--config", "x.toml")
    assert (done.code, "--config: the demo makes a configuration of its own" in done.err) == (ExitCode.USAGE, True)


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    (tmp_path / "mubss.toml").write_text(f'[general]\ndata_dir = "{tmp_path}"\n[gy]\nprot = 1\n')
    with pytest.raises(ServerFailed) as caught, DemoServer(tmp_path / "mubss.toml", tmp_path / "log"):
        pass
    assert "mubss-gy: ended with 78 before it listened" in str(caught.value)
    assert "gy.prot" in str(caught.value)
