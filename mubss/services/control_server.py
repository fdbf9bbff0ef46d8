"""The control socket of a process (control.py has the asking side).

Plain threading on purpose: in a gevent process it is patched, so callers are served by greenlets; elsewhere by threads.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack

from mubss.services.control import MAX_MESSAGE, short, sockets

log = logging.getLogger(__name__)

ASK_SECONDS = 2  # within which a caller has said what it wants
SEND_SECONDS = 60  # within which it has read an answer
MAX_CALLERS = 16
BACKLOG = 128

Handler = Callable[[dict[str, Any]], Generator[dict[str, Any], None, None]]
Talk = Callable[[socket.socket, dict[str, Any]], None]


class Control:
    """Answers callers by `handlers`: name → arguments → the maps to send, as they come.

    `talks` are those that need the caller's socket itself, because they pass descriptors or wait for its word.
    """

    def __init__(self, folder: Path, program: str) -> None:
        self.handlers: dict[str, Handler] = {}
        self.talks: dict[str, Talk] = {}
        self.path = folder / f"{program}-{os.getpid()}.sock"
        self._program = program
        self._listener: socket.socket | None = None
        self._callers = 0

    def start(self) -> None:
        """Listens; where that can't be the log says so, and all else goes on."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._remove_stale()
            listener = socket.socket(socket.AF_UNIX)
            umask = os.umask(0o177)  # 0600 from its first moment
            try:
                with short(self.path) as address:
                    listener.bind(address)
            finally:
                os.umask(umask)
            listener.listen(BACKLOG)
        except OSError as error:
            log.warning("%s: no control socket: %s", self.path, error.strerror or error)
            return
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="control", daemon=True).start()

    def stop(self) -> None:
        """Takes it away."""
        if self._listener is not None:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)  # a native thread sleeps in accept() through a mere close()
            except OSError:
                pass
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)

    def _remove_stale(self) -> None:
        """What processes left that ended without a word."""
        for pid, path in sockets(self.path.parent, self._program).items():
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                path.unlink(missing_ok=True)
            except OSError:
                continue  # it lives, as another user
        self.path.unlink(missing_ok=True)  # of one that had our number

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return  # stopped
            if self._callers >= MAX_CALLERS:
                caller.close()
            else:
                self._callers += 1
                threading.Thread(target=self._serve, args=(caller,), name="control", daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        try:
            with caller:
                caller.settimeout(ASK_SECONDS)
                request = read_map(caller)
                do = str(request.get("do"))
                talk, handler = self.talks.get(do), self.handlers.get(do)
                if talk is not None:
                    talk(caller, request)
                    return
                if handler is None:
                    known = ", ".join(sorted({*self.handlers, *self.talks}))
                    text = f"do: {do[:40]!r}; expected one of {known}"
                    caller.sendall(msgpack.packb({"error": text}))
                    return
                caller.settimeout(SEND_SECONDS)
                with closing(handler(request)) as replies:
                    for reply in replies:
                        caller.sendall(msgpack.packb(reply))
        except (OSError, ValueError, msgpack.UnpackException) as error:
            log.debug("a caller of the control socket: %s", error)
        except Exception:
            log.exception("a caller of the control socket can't be served")
        finally:
            self._callers -= 1


def read_map(caller: socket.socket, begun: bytes = b"") -> dict[str, Any]:
    """The next map that the other end says; ValueError where it says something else, or nothing.

    `begun` is what was read of it already.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=MAX_MESSAGE)
    unpacker.feed(begun)
    while True:
        for request in unpacker:
            if isinstance(request, dict):
                return request
            raise ValueError(f"{type(request).__name__}; expected a map")
        data = caller.recv(MAX_MESSAGE)
        if not data:
            raise ValueError("it said nothing")
        unpacker.feed(data)
