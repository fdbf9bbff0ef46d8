"""What each program of the group has in common: it can be asked how it does, and told to drain or to read again.

    with Process(CDR, config, facts, stopping.is_set, watch=watch) as process:
        …                                    var/run/mubss-cdr-<pid>.sock answers from here, and the port of metrics
        process.is_ready = True              "starting" → "ready"; told to stop: "draining"

`mubss status|drain|reload` ask by the control socket (control.py). Drain and reload are SIGTERM and SIGHUP to the
process that people started: each program has one way to end and one to read again, whoever asks for it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping
from types import FrameType, TracebackType
from typing import Any

from mubss import __version__
from mubss.config import Config
from mubss.runtime import mask_identities, one_line
from mubss.services.control import FOLDER
from mubss.services.control_server import Control
from mubss.services.inside import Inside, own
from mubss.services.watch import Watch

log = logging.getLogger(__name__)

MAX_ERROR = 300  # characters of the last error

Facts = Callable[[], Mapping[str, Any]]


class LastError(logging.Handler):
    """Keeps the last line that was logged as an error: a status tells it without anybody reading logs."""

    def __init__(self, *, masked: bool) -> None:
        super().__init__(logging.ERROR)
        self.found: dict[str, Any] | None = None
        self._masked = masked

    def emit(self, record: logging.LogRecord) -> None:
        """As logging calls it."""
        text = one_line(record.getMessage())[:MAX_ERROR]
        self.found = {"time_s": int(record.created), "text": mask_identities(text) if self._masked else text}


class Process:
    """One process of the group as `mubss status` sees it; `facts` gives what else its program tells of itself."""

    def __init__(
        self,
        program: str,
        config: Config,
        facts: Facts,
        is_stopping: Callable[[], bool],
        *,
        watch: Watch | None = None,
        leader: int = 0,
        has_port: bool = True,
    ) -> None:
        """`leader` is the process id to signal where that isn't this one: the parent of a worker.

        `has_port` False: what works but once leaves the port of metrics to who stays.
        """
        self.is_ready = False
        self.is_patient = False  # waits for the port of metrics, as who takes over from another process must
        self.watch = watch
        self.inside = Inside(program, config, self.obstacle)
        self.control = Control(config.resolve(FOLDER), program)
        self.control.handlers |= {"status": self._status, "drain": self._drain, "reload": self._reload}
        self.control.handlers["metrics"] = self._metrics
        self._program = program
        self._facts = facts
        self._is_stopping = is_stopping
        self._leader = leader or os.getpid()
        self._has_port = has_port and self._leader == os.getpid()
        self._started_s = int(time.monotonic())
        self._last_error = LastError(masked=config.general.mask_msisdn)

    def start(self) -> None:
        """Answers from now on; ConfigError where the port of metrics can't be had."""
        if self._has_port:
            self.inside.start(is_patient=self.is_patient)
        logging.getLogger().addHandler(self._last_error)
        self.control.start()
        if self.watch is not None:
            self.watch.start()

    def stop(self) -> None:
        """Answers no more."""
        if self.watch is not None:
            self.watch.stop()
        self.control.stop()
        self.inside.stop()
        logging.getLogger().removeHandler(self._last_error)

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> str:
        """starting, ready or draining."""
        return "draining" if self._is_stopping() else "ready" if self.is_ready else "starting"

    def obstacle(self) -> str:
        """Why it doesn't serve just now; "" where it does."""
        if self.state != "ready":
            return self.state
        return self.watch.obstacle() if self.watch is not None else ""

    def _metrics(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """What it has counted, for the process that shows it."""
        yield {"metrics": own(self._program), "obstacle": self.obstacle()}

    def _status(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Who it is, and how it does."""
        yield {
            **self._facts(),
            **(self.watch.facts() if self.watch is not None else {}),
            "program": self._program,
            "pid": os.getpid(),
            "leader": self._leader,
            "version": __version__,
            "uptime_s": int(time.monotonic()) - self._started_s,
            "state": self.state,
            "last_error": self._last_error.found,
        }

    def _drain(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        yield {"pid": self._leader}
        os.kill(self._leader, signal.SIGTERM)

    def _reload(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        yield {"pid": self._leader}
        os.kill(self._leader, signal.SIGHUP)


def nothing_to_reload() -> None:
    """For programs that keep nothing of a file: a SIGHUP, which would end them, is told and no more."""

    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        log.info("told to read its files again: this program keeps none; reference data is read by itself")

    signal.signal(signal.SIGHUP, on_hangup)
