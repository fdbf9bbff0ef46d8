"""`mubss-gy --workers N`: the parent accepts, and hands each connection to the worker with the least load.

Peers are few and their connections long-lived, so the kernel's spreading over listening sockets would be
uneven. The parent also keeps the registry: a peer is judged against the connections of all workers.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.subprocess import Popen

from mubss.core.errors import ConfigError
from mubss.gy.link import Link
from mubss.gy.registry import LocalRegistry, Tell
from mubss.gy.server import Server
from mubss.gy.transport import Transport

log = logging.getLogger(__name__)

RESTART_SECONDS = 1
TURN_S = 0.000_001  # more than 0: everybody else has a turn before the next connection is taken up (connection.py)
REPORT_SECONDS = 1


class WorkerProcess:
    """A worker as its parent sees it."""

    def __init__(self, index: int, command: Callable[[int, int], list[str]]) -> None:
        self.index = index
        self.connections: set[int] = set()
        self.rate = 0  # requests in the last second
        self.ready = Event()
        self.was_ready = False
        self._command = command
        self.start()

    def start(self) -> None:
        """Starts the process, or another in place of one that ended."""
        self.rate = 0
        self.ready.clear()
        self.link, theirs = Link.pair()
        command = self._command(self.index, theirs.fileno())
        self.process = Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    @property
    def load(self) -> tuple[int, int]:
        """What a new connection adds to: connections first, since a new one's rate isn't known yet."""
        return len(self.connections), self.rate


class Parent:
    """Starts workers, starts them again when they die, and shares connections out."""

    def __init__(self, count: int, command: Callable[[int, int], list[str]]) -> None:
        self._workers = [WorkerProcess(index, command) for index in range(count)]
        self._registry = LocalRegistry(self._tell)
        self._drained = Event()
        self.ended: Callable[[int], None] = lambda _pid: None  # told of each worker that is gone, by its process id
        self._readers = [gevent.spawn(self._keep, worker) for worker in self._workers]

    def wait_until_ready(self) -> bool:
        """Whether every worker came up; one that ends before is not tried again."""
        for worker in self._workers:
            while not worker.ready.wait(0.1):
                if worker.process.poll() is not None:
                    return False
        return True

    @property
    def is_draining(self) -> bool:
        """Whether it was told to end."""
        return bool(self._drained.is_set())

    @property
    def pids(self) -> list[int]:
        """The workers that are up, as process ids."""
        return [worker.process.pid for worker in self._workers if worker.ready.is_set()]

    @property
    def connection_count(self) -> int:
        """Connections over all workers."""
        return sum(len(worker.connections) for worker in self._workers)

    def adopt(self, number: int, sock: socket.socket, remote: str, transport: Transport) -> None:
        """Hands a connection to the worker with the least load, to the next if that one has just died."""
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        for worker in sorted(ready, key=lambda one: one.load):
            worker.connections.add(number)
            named = {"connection": number, "remote": remote, "transport": transport.value}
            if worker.link.send("adopt", sock.fileno(), **named):
                break
            worker.connections.discard(number)
        else:
            log.warning("no worker is up: %s is closed", remote)
        sock.close()

    def make_room(self) -> bool:
        """Closes the oldest connection that hasn't said who it is, if there is one."""
        numbers = sorted(number for worker in self._workers for number in worker.connections)
        silent = next((number for number in numbers if not self._registry.knows(number)), None)
        if silent is not None:
            self._tell(silent, Tell.CLOSE)
        return silent is not None

    def reload_certificates(self) -> None:
        """Every worker reads the certificates again; one that starts meanwhile reads them anyway."""
        for worker in self._workers:
            worker.link.send("reload")

    def drain(self, seconds: int) -> None:
        """Has every worker drain, and waits for them to end."""
        self._drained.set()
        for worker in self._workers:
            worker.link.send("drain")
        with gevent.Timeout(seconds + 2, False):
            for worker in self._workers:
                worker.process.wait()
        for worker in self._workers:
            if worker.process.poll() is None:
                log.warning("worker %d didn't drain in time", worker.index)
                worker.process.kill()

    def _tell(self, number: int, what: Tell) -> None:
        for worker in self._workers:
            if number in worker.connections:
                worker.link.send("tell", connection=number, what=what.value)

    def _keep(self, worker: WorkerProcess) -> None:
        """Reads what a worker says until it ends; then starts another in its place."""
        while True:
            message, _ = worker.link.receive()
            if message is not None:
                self._handle(worker, message)
                continue
            worker.ready.clear()
            worker.link.close()
            worker.process.wait()
            self.ended(worker.process.pid)
            for number in list(worker.connections):
                self._release(worker, number)
            if self._drained.is_set() or not worker.was_ready:  # what can't even begin is not tried again
                return
            log.error("worker %d ended with %s: starting another", worker.index, worker.process.returncode)
            self._drained.wait(RESTART_SECONDS)
            if self._drained.is_set():
                return
            worker.start()

    def _handle(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        do, number = message["do"], message.get("connection", 0)
        if do == "ready":
            worker.was_ready = True
            worker.ready.set()
            log.info("worker %d is up, process %d", worker.index, worker.process.pid)
        elif do == "report":
            worker.rate = message["rate"]
        elif do == "claim":  # it may wait for another worker's connection to answer a probe
            gevent.spawn(self._claim, worker, number, message["origin_host"], message["origin_state_id"])
        elif do == "alive":
            self._registry.alive(number)
        elif do == "release":
            self._release(worker, number)

    def _claim(self, worker: WorkerProcess, number: int, origin_host: str, origin_state_id: int) -> None:
        admitted = self._registry.claim(number, origin_host, origin_state_id)
        if number not in worker.connections:  # it went away meanwhile
            self._registry.release(number)
        worker.link.send("admit", connection=number, admitted=admitted)

    def _release(self, worker: WorkerProcess, number: int) -> None:
        worker.connections.discard(number)
        self._registry.release(number)


class Worker:
    """A worker's side of its link: serves what the parent hands over. Also its server's Registry."""

    def __init__(self, link: Link, server: Server) -> None:
        self._link = link
        self._server = server
        self._claims: dict[int, AsyncResult[bool]] = {}
        server.registry = self

    def run(self, drained: Event) -> None:
        """Serves until the parent says drain, or is gone, or `drained` is set by a signal."""
        gevent.spawn(self._read, drained)
        gevent.spawn(self._report)
        self._link.send("ready")
        drained.wait()
        self._server.drain()

    def claim(self, connection: int, origin_host: str, origin_state_id: int) -> bool:
        answer: AsyncResult[bool] = AsyncResult()
        self._claims[connection] = answer
        self._link.send("claim", connection=connection, origin_host=origin_host, origin_state_id=origin_state_id)
        return bool(answer.get())

    def alive(self, connection: int) -> None:
        self._link.send("alive", connection=connection)

    def release(self, connection: int) -> None:
        claim = self._claims.pop(connection, None)
        if claim is not None:
            claim.set(False)
        self._link.send("release", connection=connection)

    def _read(self, drained: Event) -> None:
        while True:
            message, descriptor = self._link.receive()
            if message is None or message["do"] == "drain":
                drained.set()
                return
            if message["do"] == "reload":
                self._reload()
                continue
            number = message["connection"]
            if message["do"] == "adopt" and descriptor is not None:
                sock = socket.socket(fileno=descriptor)
                self._server.adopt(number, sock, message["remote"], Transport(message["transport"]))
                gevent.sleep(TURN_S)
            elif message["do"] == "admit":
                claim = self._claims.pop(number, None)
                if claim is not None:
                    claim.set(message["admitted"])
            elif message["do"] == "tell":
                self._server.tell(number, Tell(message["what"]))

    def _reload(self) -> None:
        """The files were well when the parent read them; if they no longer are, what was read before stays."""
        try:
            if self._server.certificates is not None:
                self._server.certificates.load()
        except ConfigError as error:
            log.error("the certificates stay as they were: %s", error)

    def _report(self) -> None:
        before = self._server.answered
        while True:
            gevent.sleep(REPORT_SECONDS)
            now = self._server.answered
            self._link.send("report", rate=now - before)
            before = now
