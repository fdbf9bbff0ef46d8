"""Runs the programs as processes of their own, on stores in MySQL that the test names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli_tools import Done
from licensed import PREFIX, without_options
from mubss.cli.demo_server import DemoServer
from mysqld.server import Server

MODULES = {"mubss": "mubss.cli.main", "mubss-gy": "mubss.gy.main"}
MEMBERS = "SELECT ON performance_schema.replication_group_members"


class Programs:
    """Calls them with `url` for the store, in a folder; none of them may print the password."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def __call__(self, program: str, *arguments: object, url: str = "") -> Done:
        """One call, whatever its exit code; `url` is another store."""
        url = url or self.url
        done = subprocess.run(
            [sys.executable, "-m", MODULES[program], *map(str, arguments)],
            cwd=self.folder,
            env=_environment(url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        password = url.split(":", 2)[2].rpartition("@")[0]
        assert password not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: object, url: str = "") -> Done:
        """A call of `mubss` that must succeed and say nothing on stderr."""
        done = self("mubss", *arguments, url=url)
        assert (done.code, done.err) == (0, ""), done
        return done

    def json(self, *arguments: object, url: str = "") -> Any:
        """The JSON of a call of `mubss` that must succeed."""
        return json.loads(self.ok(*arguments, "--json", url=url).out)

    def refusal(self, program: str, *arguments: object, code: int, url: str = "") -> str:
        """What a call says that must fail: one line on stderr, nothing else."""
        done = self(program, *arguments, url=url)
        assert (done.code, done.out) == (code, ""), done
        [line] = done.err.splitlines()
        assert line.startswith(f"{program}: ")
        return line.removeprefix(f"{program}: ")

    def first_line(self, program: str, *arguments: object, url: str = "") -> str:
        """The first line on stderr of a program, which is told to stop then, and must say nothing more."""
        command = [sys.executable, "-m", MODULES[program], *map(str, arguments)]
        environment = _environment(url or self.url)
        with subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            try:
                _, rest = process.communicate(timeout=60)
            finally:
                process.kill()
        assert rest == ""
        return line

    def waits_for(self, program: str, *arguments: object, url: str = "") -> str:
        """What of the store a program waits for; it must stop when it is told to."""
        return self.first_line(program, *arguments, url=url).partition("waiting for the store: ")[2].rstrip()

    @contextmanager
    def gy(self, *, url: str = "") -> Iterator[DemoServer]:
        """A running mubss-gy, which logs all there is to gy.log."""
        config, log = self.folder / "gy.toml", self.folder / "gy.log"
        text = f'[general]\nlog_level = "debug"\n[store]\nurl = {json.dumps(url or self.url)}\n[license]\n'
        text += "".join(
            f"{name} = {json.dumps(os.environ[PREFIX + name.upper()])}\n" for name in ("file", "state_file")
        )
        config.write_text(text)
        with DemoServer(config, log) as server:
            yield server


def _environment(url: str) -> dict[str, str]:
    return {**without_options(), "MUBSS_STORE__URL": url}


def make_user(server: Server, name: str, *grants: str, requires: str = "") -> str:
    """Makes a user with these rights, "SELECT, INSERT ON schema.*"; gives the password."""
    password = server.password(name)
    server.sql(
        f"DROP USER IF EXISTS '{name}'@'%'",
        f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}' {requires}",
        *(f"GRANT {grant} TO '{name}'@'%'" for grant in grants),
    )
    return password


def as_user(url: str, name: str, password: str) -> str:
    """The same store, asked as another user."""
    return f"mysqlx://{name}:{password}@{url.rpartition('@')[2]}"


def schema_of(url: str) -> str:
    """The schema that a URL names."""
    return urlsplit(url).path[1:]
