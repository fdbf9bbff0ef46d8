"""A mubss-gy of the demo's own: a child process, on a port that the system chooses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from mubss.core.errors import MubssError

START_SECONDS = 30
_LISTENING = re.compile(r"listening on \S+:(\d+)")
_STOP_SECONDS = 15  # gy.drain_seconds, and some


class ServerFailed(MubssError):
    """The child ended, or never listened; the text holds the last it said."""


class DemoServer:
    """Starts mubss-gy and waits until it listens; leaving the block stops it by SIGTERM.

    Its log goes to a file. It gets a session of its own, so that a Ctrl-C in the terminal is ours alone to act on.
    """

    def __init__(self, config_file: Path, log_file: Path) -> None:
        self.port = 0
        self._log_file = log_file
        self._last: deque[str] = deque(maxlen=5)
        self._settled = threading.Event()  # it listens, or has ended
        # The operator's own settings must not lead the demo to another store.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MUBSS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mubss.gy.main", "--config", str(config_file), "--port", "0"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environ,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="mubss-gy-log", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        try:
            if not self._settled.wait(START_SECONDS):
                raise ServerFailed(f"mubss-gy: not listening within {START_SECONDS} s; {self._said()}")
            if not self.port:
                raise ServerFailed(f"mubss-gy: ended with {self.process.wait()} before it listened; {self._said()}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM, and its exit code; SIGKILL where it doesn't drain in time."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        return code

    def _read(self) -> None:
        """Copies the log, and notes the port when it is told."""
        assert self.process.stderr is not None
        with self.process.stderr, self._log_file.open("w", encoding="utf-8") as log:
            for line in self.process.stderr:
                log.write(line)
                log.flush()
                self._last.append(line.strip())
                if not self.port and (found := _LISTENING.search(line)):
                    self.port = int(found[1])
                    self._settled.set()
        self._settled.set()

    def _said(self) -> str:
        return f"it said: {' | '.join(self._last) or 'nothing'} ({self._log_file})"
