"""conf/supervisord.conf with the real supervisord: the group comes up, what is killed comes back, the end is clean."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from configparser import RawConfigParser
from pathlib import Path

from mubss.cli.demo_folder import write_config
from mubss.cli.demo_group import DemoGroup, prepare_crm
from mubss.cli.init import set_up
from mubss.config import data_path, load
from mubss.services.control import FOLDER, PROGRAMS
from mubss.services.group import processes
from ports import free_port

WAIT_SECONDS = 60


def test_what_is_killed_comes_back_and_the_end_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "mubss.toml"
    write_config(file, free_port(), free_port())
    config = load(file, {})
    set_up(config, with_demo=True)
    prepare_crm(config)
    with DemoGroup(config) as group:
        first = {one.program: one.pid for one in group.wait_until_ready()}
        assert set(first) == set(PROGRAMS)
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_SECONDS
        while set(PROGRAMS) - {one.program for one in group.wait_until_ready() if one.pid not in first.values()}:
            assert time.monotonic() < deadline, processes(tmp_path / FOLDER)
        second = group.wait_until_ready()
        assert group.stop() == 0
    for one in second:
        assert not Path(f"/proc/{one.pid}").exists(), one
    assert not processes(tmp_path / FOLDER) and not list((tmp_path / FOLDER).glob("*.sock"))
    assert "drained" in (tmp_path / "var/log/gy.log").read_text("utf-8")


def test_a_take_over_under_the_supervisor_as_the_docs_have_it(tmp_path: Path) -> None:
    docs = data_path("conf").parent / "docs/UPGRADING.md"
    programs = [
        line[4:] for line in docs.read_text("utf-8").splitlines() if re.match(r"    (\[program:|[a-z_]+ = )", line)
    ]
    shipped = data_path("conf/supervisord.conf").read_text("utf-8")
    (tmp_path / "conf").write_text("\n".join([shipped[: shipped.index("; Charging.")], *programs]))
    write_config(tmp_path / "mubss.toml", free_port(), free_port())
    set_up(load(tmp_path / "mubss.toml", {}), with_demo=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MUBSS_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"

    def control(*words: str) -> str:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", "conf", *words]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False).stdout

    def until(name: str, other: str) -> int:
        """The process of mubss-gy once it is `name`'s alone, and supervisord has seen the end of `other`'s."""
        deadline, told = time.monotonic() + WAIT_SECONDS, ""
        while True:
            assert time.monotonic() < deadline, told
            told = control("status")
            [pid] = re.findall(rf"{name} +RUNNING +pid (\d+)", told) or [""]
            ready = {str(one.pid) for one in processes(tmp_path / FOLDER) if one.state == "ready"}
            if ready == {pid} and not re.search(rf"{other} +(RUNNING|STARTING|BACKOFF|STOPPING)", told):
                return int(pid)

    command = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", "conf"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as all_:
        try:
            pids = [until("gy-a", "gy-b")]
            control("start", "gy-b")
            pids.append(until("gy-b", "gy-a"))
            assert re.search(r"gy-a +EXITED", control("status")), "with 0, and so it is left alone"
            os.kill(pids[-1], signal.SIGKILL)
            pids.append(until("gy-b", "gy-a"))  # what is killed comes back all the same
            assert len(set(pids)) == 3
        finally:
            all_.terminate()
    assert "drained" in (tmp_path / "var/log/gy-a.log").read_text("utf-8")
    assert f"took over from process {pids[0]}, which drains" in (tmp_path / "var/log/gy-b.log").read_text("utf-8")


def test_the_demo_shows_the_whole_group(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MUBSS_")}
    command = [sys.executable, "-m", "mubss.cli.main", "demo", "--all", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    shown = told["processes"]
    assert told["serving"] is False
    assert [one["program"] for one in shown] == list(PROGRAMS)
    assert {one["state"] for one in shown} == {"ready"}


def test_every_program_is_supervised_and_has_time_to_drain() -> None:
    conf = RawConfigParser(comment_prefixes=(";",), inline_comment_prefixes=(" ;",))
    conf.read_string(data_path("conf/supervisord.conf").read_text("utf-8"))
    programs = [conf[name] for name in conf.sections() if name.startswith("program:")]
    assert {one["command"].split()[0] for one in programs} == set(PROGRAMS)
    for one in programs:
        assert one["autorestart"] == "true" and one.getint("stopwaitsecs") > drains_s(one["command"])


def test_every_program_has_a_unit_of_systemd() -> None:
    found = set()
    for file in data_path("conf/systemd").glob("*.service"):
        unit = RawConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(file.read_text("utf-8"))
        command = unit["Service"]["ExecStart"].removeprefix("/opt/mubss/bin/")
        assert unit["Service"].getint("TimeoutStopSec") > drains_s(command)
        assert unit["Service"]["KillMode"] == "mixed"  # or systemd would signal the workers of mubss-gy as well
        found.add(command.split()[0])
    assert found == set(PROGRAMS)


def drains_s(command: str) -> int:
    """Seconds that a program may take to end."""
    config = load(None, {})
    return {"mubss-gy": config.gy.drain_seconds + 2, "mubss-crm": config.crm.drain_seconds}.get(command.split()[0], 10)
