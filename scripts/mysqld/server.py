"""One MySQL server on loopback, in a folder of its own: made, started, asked, stopped, killed.

What has to be known of it later (process, ports, passwords) stands in `state.json`, which only its owner can read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mubss.xdev.errors import StoreError
from mubss.xdev.mysql import messages, results
from mubss.xdev.mysql.address import parse
from mubss.xdev.mysql.link import Link, connect
from mubss.xdev.mysql.tls import make_context
from mysqld.binaries import Binaries
from ports import free_port

START_S, STOP_S = 60, 60
_DURABLE = ["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G"]
# With the defaults (100 MB, 10,000 pages/s, 10 %) pages are flushed in bursts: 9 to 37 ms at p99 of 2,000 CCR/s, not 5.
_DURABLE += ["--innodb-redo-log-capacity=1G", "--innodb-max-dirty-pages-pct-lwm=50"]
_DURABLE += ["--innodb-io-capacity=400", "--innodb-io-capacity-max=2000"]
_DURABLE += ["--binlog-cache-size=512K"]  # a batch of 30 CCRs is past the default, and goes through a file in /tmp
# For tests: what a killed process has written is still in the kernel's cache. A power failure would lose it.
_FAST = ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=128M"]
_COMMON = [
    "--bind-address=127.0.0.1",
    "--mysqlx-bind-address=127.0.0.1",
    "--report-host=127.0.0.1",
    "--secure-file-priv=",
    "--binlog-row-image=MINIMAL",
    "--max-connections=300",
    "--mysqlx-max-connections=300",
    "--log-error-verbosity=2",
]
_USERS = """
ALTER USER 'root'@'localhost' IDENTIFIED BY '{root}';
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '{root}';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS 'mubss'@'%' IDENTIFIED BY '{mubss}';
GRANT ALL ON `mubss%`.* TO 'mubss'@'%';
GRANT SELECT ON performance_schema.replication_group_members TO 'mubss'@'%';
"""


class ServerFailed(Exception):
    """It didn't start, or doesn't answer; one line says what its log says."""


class Server:
    """A server in `folder`; `options` are further ones of mysqld's, `settings` go into its environment."""

    def __init__(
        self,
        folder: Path,
        binaries: Binaries,
        *,
        fast: bool = False,
        options: Sequence[str] = (),
        name: str = "",
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder.absolute()
        self.name = name or folder.name
        self._binaries = binaries
        self._settings = settings
        self._options = [*_COMMON, *(_FAST if fast else _DURABLE), *options]
        self._state: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self._state = json.loads((self.folder / "state.json").read_text())

    # ── what it is ─────────────────────────────────────────────────────────────────────────────────

    @property
    def is_running(self) -> bool:
        """Whether its process lives: of that number, and started when it was."""
        pid = self._state.get("pid", 0)
        return bool(pid) and _started(pid) == self._state.get("started")

    @property
    def pid(self) -> int:
        """Its process."""
        return int(self._state["pid"])

    def port(self, which: str = "x") -> int:
        """Its port of the X Protocol ("x"), the classic one ("classic"), or one for other uses, the same for ever."""
        ports = self._state.setdefault("ports", {})
        if which not in ports:
            ports[which] = free_port()
            self._save()
        return int(ports[which])

    def password(self, user: str) -> str:
        """A user's password, made up when it is first asked for."""
        return str(self.adopt_password(user, self._state.get("passwords", {}).get(user) or secrets.token_hex(12)))

    def adopt_password(self, user: str, password: str) -> str:
        """Before the first start: a password that is to be the user's."""
        passwords = self._state.setdefault("passwords", {})
        if passwords.get(user) != password:
            passwords[user] = password
            self._save()
        return password

    def url(self, user: str = "mubss", schema: str = "mubss") -> str:
        """Where a store would be."""
        return f"mysqlx://{user}:{self.password(user)}@127.0.0.1:{self.port()}/{schema}"

    # ── start and stop ─────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time: two starts at once would both make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(OSError, ValueError):  # what another did meanwhile
                self._state = json.loads((self.folder / "state.json").read_text())
            yield

    def start(self) -> None:
        """Starts it, if it doesn't run, on the data that is there; returns when it answers."""
        with self.locked():
            if not self.is_running:
                if not (self.folder / "data" / "mysql.ibd").exists():
                    self._initialize()
                self._spawn()
            self._await()

    def stop(self) -> None:
        """Ends it in good order; by force if that takes too long."""
        if self.is_running:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
            if not self._gone(STOP_S):
                self.kill()

    def kill(self) -> None:
        """Ends it as a power cut of its process would."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
            self._gone(STOP_S)

    def freeze(self) -> None:
        """Stops its process without ending it: what a hanging machine looks like."""
        os.kill(self.pid, signal.SIGSTOP)
        while not all(_state(task) == "T" for task in Path(f"/proc/{self.pid}/task").glob("*/stat")):
            time.sleep(0.001)  # its threads stop one after another

    def thaw(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Ends it and removes its data."""
        self.kill()
        self._remove_sockets()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── asking it ──────────────────────────────────────────────────────────────────────────────────

    def sql(self, *statements: str, user: str = "root", timeout_s: float = 60) -> list[tuple[Any, ...]]:
        """Executes statements on a connection of their own; the rows of the last. StoreError as a store has it."""
        link = self.link(user)
        try:
            reply = None
            for statement in statements:
                [reply] = link.exchange([messages.statement(statement)], timeout_s)
                if reply.error is not None:
                    raise ServerFailed(f"{self.name}: {statement[:80]}: {reply.error}")
            return [] if reply is None else results.rows(reply)
        finally:
            link.bid_farewell()

    def link(self, user: str = "root") -> Link:
        """A connection."""
        address = parse(self.url(user))
        return connect(address.hosts[0], address, make_context(address))

    # ── within ─────────────────────────────────────────────────────────────────────────────────────

    def _initialize(self) -> None:
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        with open(self.folder / "error.log", "w") as log:
            done = subprocess.run(
                [*self._command(), "--initialize-insecure"], stdout=log, stderr=log, check=False, timeout=300
            )
        if done.returncode:
            raise ServerFailed(f"{self.name}: it can't be initialized: {self._last_error()}")

    def _command(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [*self._binaries.command, *user, f"--datadir={self.folder}/data"]

    def _spawn(self) -> None:
        users = {name: self.password(name) for name in ("root", "mubss")}
        init = self.folder / "init.sql"
        init.touch(mode=0o600)
        init.write_text("SET SESSION sql_log_bin = 0;" + _USERS.format(**users))
        self._remove_sockets()  # a killed server's, which would keep this one from starting
        with open(self.folder / "error.log", "a") as log:
            process = subprocess.Popen(
                [
                    *self._command(),
                    f"--port={self.port('classic')}",
                    f"--mysqlx-port={self.port('x')}",
                    f"--socket={self._sockets}.sock",
                    f"--mysqlx-socket={self.socket}",
                    f"--pid-file={self.folder}/pid",
                    f"--init-file={init}",
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._settings},
                start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
            )
        self._state |= {"pid": process.pid, "started": _started(process.pid)}
        self._save()

    @property
    def socket(self) -> str:
        """Its unix socket of the X Protocol."""
        return f"{self._sockets}.x.sock"

    @property
    def _sockets(self) -> str:
        return f"/tmp/mubss-mysql-{self.port()}"  # in the folder it could be too long: a path has 107 octets at most

    def _remove_sockets(self) -> None:
        for name in ("sock", "sock.lock", "x.sock", "x.sock.lock"):
            Path(f"{self._sockets}.{name}").unlink(missing_ok=True)

    def _await(self) -> None:
        """Waits until it answers over the X Protocol."""
        until = time.monotonic() + START_S
        why = ""
        while time.monotonic() < until:
            if not self.is_running:
                raise ServerFailed(f"{self.name}: it ended: {self._last_error()}")
            try:
                self.sql("SELECT 1")
                return
            except StoreError as error:
                why = str(error)
                time.sleep(0.05)
        raise ServerFailed(f"{self.name}: it doesn't answer: {why}")

    def _gone(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.is_running and time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)  # it is our child, if this process started it
            time.sleep(0.02)
        return not self.is_running

    def _last_error(self) -> str:
        try:
            lines = (self.folder / "error.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        errors = [line for line in lines[-200:] if "[ERROR]" in line] or lines[-1:] or ["its log is empty"]
        return errors[0].partition("[ERROR] ")[2] or errors[0]

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f"state-{os.getpid()}.json"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self._state))
        fresh.rename(self.folder / "state.json")


def _state(stat: Path) -> str:
    """A thread's state; "T" too for one that is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "T"


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; "" for one that isn't there, or is a corpse."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


if sys.platform != "linux":
    raise ServerFailed("scripts/mysql needs Linux: it knows processes by /proc")
