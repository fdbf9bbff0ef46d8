"""The demo's whole group: conf/supervisord.conf by the real supervisord, until every process is ready."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mubss.cli.demo_server import ServerFailed
from mubss.config import LOGS, Config, data_path
from mubss.services.control import FOLDER, PROGRAMS
from mubss.services.group import Running, processes
from mubss.services.private_ca import make_server
from mubss.services.tokens import make_key

START_SECONDS = 60
STOP_SECONDS = 150  # more than the longest stopwaitsecs
_LOOK_SECONDS = 0.2


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def prepare_crm(config: Config) -> list[str]:
    """What mubss-crm needs besides the store, as `mubss tls init` and `mubss token key` make it; what was made."""
    made = make_server(config.resolve(config.crm.tls_certificate).parent, ["localhost", "127.0.0.1"], int(time.time()))
    make_key(config.resolve(config.crm.keys_folder), "k1")
    return [
        f"{made.ca}: made, the authority that signed mubss-crm's certificate",
        f"{config.resolve(config.crm.keys_folder)}: a key for tokens made",
    ]


class DemoGroup:
    """Starts supervisord in the demo's folder; leaving the block stops it, and so the group, by SIGTERM."""

    def __init__(self, config: Config) -> None:
        self._folder = config.resolve(".")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MUBSS_")}
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
        conf = str(data_path("conf/supervisord.conf"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", conf],
            cwd=self._folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is ours alone to act on
        )

    def wait_until_ready(self) -> list[Running]:
        """The processes, once each program has one that is ready; ServerFailed where that takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            running = processes(self._folder / FOLDER)
            lacking = set(PROGRAMS) - {one.program for one in running if one.state == "ready"}
            if not lacking:
                return running
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"{', '.join(sorted(lacking))}: not ready; {self._folder / LOGS} says why")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> int:
        """SIGTERM, and supervisord's exit code when the group has drained."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
