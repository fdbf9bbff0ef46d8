"""A program seen from outside: /metrics, /healthz and /readyz on one port for all of its processes.

The port is that of the process that people started. Where others work for it (mubss-gy's workers, the shares of a bill
run) it has heard what they counted, and what one that ended had counted stays counted: a sum that fell would look like
a restart to Prometheus, and so like as many new events.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from mubss import metrics
from mubss.config import Config
from mubss.core.errors import PortInUse
from mubss.metrics import Counter, Histogram, Labels, Snapshot
from mubss.services.exposition import page
from mubss.services.http_port import HttpPort, Page

log = logging.getLogger(__name__)

Offload = Callable[[Callable[[], Any]], Any]

AGAIN_SECONDS = 1  # between two tries to get the port, for who takes over from another process
_PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
_STARTED_S = time.monotonic()


def _directly(work: Callable[[], Any]) -> Any:
    return work()


class Members:
    """What the processes of a program counted, together with this one."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._heard: dict[int, Snapshot] = {}
        self._gone: Snapshot = {}  # counts of those that ended

    def hear(self, member: int, snapshot: Snapshot) -> None:
        """What a process has counted since it began."""
        self._heard[member] = snapshot

    def leave(self, member: int) -> None:
        """A process ended; what it counted stays, what it was at is over."""
        last = self._heard.pop(member, None)
        if last is not None:
            growing = {one.name for one in metrics.METRICS if isinstance(one, (Counter, Histogram))}
            both = metrics.merged([self._gone, {name: given for name, given in last.items() if name in growing}])
            self._gone = {
                name: {"values": [[list(labels), value] for labels, value in values.items()]}
                for name, values in both.items()
            }

    def values(self) -> dict[str, dict[Labels, Any]]:
        """Metric → labels → value."""
        return metrics.merged([own(self._program), self._gone, *list(self._heard.values())])


def own(program: str) -> Snapshot:
    """What this process has counted and takes up now."""
    spent = os.times()
    metrics.CPU_SECONDS.values[()] = spent.user + spent.system
    metrics.UPTIME_SECONDS.set(int(time.monotonic() - _STARTED_S))
    metrics.PROCESSES.set(1)
    try:
        with open("/proc/self/statm", "rb") as file:
            metrics.MEMORY_BYTES.set(int(file.read().split()[1]) * _PAGE_OCTETS)
        metrics.OPEN_FILES.set(len(os.listdir("/proc/self/fd")))
    except (OSError, IndexError, ValueError):
        pass  # not Linux, or no descriptor is free
    return metrics.snapshot(program)


class Inside:
    """The port of a program.

    `obstacle` says why it doesn't serve just now, "" where it does; it is called before each page of metrics, too, so
    that it may hear of other processes (`members`) meanwhile.
    """

    def __init__(self, program: str, config: Config, obstacle: Callable[[], str]) -> None:
        self.members = Members(program)
        self.offload: Offload = _directly  # an event loop has others to serve while a page is written
        self._program = program
        self._options = config.metrics
        self._obstacle = obstacle
        self._port: HttpPort | None = None
        self._stopped = threading.Event()

    def start(self, *, is_patient: bool = False) -> None:
        """Answers from now on, if the configuration wants it; ConfigError where the port can't be had.

        `is_patient`: who takes over from a process that drains waits for its port, in the background.
        """
        option, number = self._options.port_of(self._program)
        if not self._options.enabled or not number:
            return
        page(self._program, {}, "")  # prometheus_client is loaded now, not while somebody waits for us
        try:
            self._open(option, number)
        except PortInUse as error:
            if not is_patient:
                raise
            log.warning("%s; tried again until it is free", error)
            threading.Thread(target=self._open_later, args=(option, number), name="http", daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        self._stopped.set()
        if self._port is not None:
            self._port.stop()

    def _open(self, option: str, number: int) -> None:
        pages = {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}
        port = HttpPort(self._options.host, number, option, pages)
        if self._stopped.is_set():
            port.stop()
            return
        self._port = port
        port.start()
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        log.info("metrics on %s:%d", host, port.port)

    def _open_later(self, option: str, number: int) -> None:
        while not self._stopped.wait(AGAIN_SECONDS):
            try:
                self._open(option, number)
                return
            except PortInUse:
                continue

    def _metrics(self, accept: str) -> Page:
        metrics.READY.set(not self._obstacle())
        values = self.members.values()
        return Page(*self.offload(lambda: page(self._program, values, accept)))

    def _healthz(self, _accept: str) -> Page:
        """That this is answered says it all: in a gevent program by the hub that serves peers."""
        return Page(b"alive\n")

    def _readyz(self, _accept: str) -> Page:
        why = self._obstacle()
        if why:
            return Page(f"{why}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Page(b"ready\n")
