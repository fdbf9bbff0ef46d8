"""Shows messages to who asks by the control socket (`mubss gy trace`), and keeps all of them in gy.capture_file."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Generator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from gevent.event import Event

from mubss.config import Config
from mubss.core.errors import ConfigError
from mubss.gy import pcap
from mubss.gy.trace_match import Wanted

if TYPE_CHECKING:
    from mubss.gy.connection import Connection
    from mubss.gy.server import Server

log = logging.getLogger(__name__)

MAX_TRACES = 8  # at a time, of one process
MAX_SECONDS = 3600
MAX_WAITING = 1000  # messages that wait for who reads a trace; more are lost
MAX_WAITING_OCTETS = 4 << 20
IDLE_SECONDS = 1  # a trace that has nothing to show says so: thus a reader that is gone is noticed


class Sink(Protocol):
    """Who gets messages."""

    def take(self, connection: Connection, frame: bytes, now_us: int, *, is_ours: bool) -> None:
        """One whole message; it is never waited for."""
        ...


class Tracer:
    """What a server has as `tracer` while there are sinks."""

    def __init__(self) -> None:
        self.sinks: list[Sink] = []

    def note(self, connection: Connection, frame: bytes, *, is_ours: bool) -> None:
        """A message that came, or one of ours that is to leave."""
        now_us = time.time_ns() // 1000
        for sink in self.sinks:
            try:
                sink.take(connection, frame, now_us, is_ours=is_ours)
            except Exception:
                log.exception("a message of %s can't be traced", connection)


class Traces:
    """The traces of one process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._count = 0

    def add(self, sink: Sink) -> None:
        """From now on it gets every message."""
        if self._server.tracer is None:
            self._server.tracer = Tracer()
        self._server.tracer.sinks = [*self._server.tracer.sinks, sink]

    def remove(self, sink: Sink) -> None:
        """No longer."""
        tracer = self._server.tracer
        if tracer is not None:
            tracer.sinks = [one for one in tracer.sinks if one is not sink]
            if not tracer.sinks:
                self._server.tracer = None

    def follow(self, arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The control socket's "trace": `subscriber` (a list of identities), `session_id` or `peer`, for `seconds`.

        Yields {"pid"}, then a map for each message, then {"lost"}: messages that the reader was too slow for; and now
        and then an empty one.
        """
        try:
            seconds = min(int(arguments["seconds"]), MAX_SECONDS)
            subscriber = [str(one) for one in arguments["subscriber"]]
            wanted = Wanted(subscriber, str(arguments["session_id"]), str(arguments["peer"]))
        except (KeyError, TypeError, ValueError) as error:
            yield {"error": f"trace: {error!r:.100}; expected subscriber, session_id, peer and seconds"}
            return
        if self._count >= MAX_TRACES:
            yield {"error": f"{MAX_TRACES} traces are under way; wait for one to end"}
            return
        waiting = Waiting(wanted)
        self._count += 1
        self.add(waiting)
        try:
            yield {"pid": os.getpid()}
            yield from waiting.until(time.monotonic() + seconds)
            yield {"lost": waiting.lost}
        finally:
            self.remove(waiting)
            self._count -= 1


class Waiting:
    """The messages of one trace that its reader hasn't got yet."""

    def __init__(self, wanted: Wanted) -> None:
        self.lost = 0
        self._wanted = wanted
        self._messages: deque[dict[str, Any]] = deque()
        self._octets = 0
        self._some = Event()

    def take(self, connection: Connection, frame: bytes, now_us: int, *, is_ours: bool) -> None:
        """As of a Sink."""
        if not self._wanted.takes(frame, connection.peer.origin_host):
            return
        if self._messages and (len(self._messages) >= MAX_WAITING or self._octets + len(frame) > MAX_WAITING_OCTETS):
            self.lost += 1
            return
        self._octets += len(frame)
        self._messages.append(
            {
                "at_us": now_us,
                "is_ours": is_ours,
                "peer": connection.peer.origin_host,
                "connection": connection.number,
                "ends": connection.ends,
                "frame": frame,
            }
        )
        self._some.set()

    def until(self, end_s: float) -> Generator[dict[str, Any], None, None]:
        """What comes until then (of the monotonic clock)."""
        while (left_s := end_s - time.monotonic()) > 0:
            self._some.wait(min(left_s, IDLE_SECONDS))
            self._some.clear()
            if not self._messages:
                yield {}
            while self._messages:
                message = self._messages.popleft()
                self._octets -= len(message["frame"])
                yield message


class Capture:
    """gy.capture_file: written as the messages come, until it is full."""

    def __init__(self, path: Path, max_octets: int) -> None:
        self._path = path
        self._left = max_octets
        self._streams: WeakKeyDictionary[Connection, pcap.Stream] = WeakKeyDictionary()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise ConfigError(f"gy.capture_file: {path} can't be written: {error.strerror}") from error
        self._file = FileIO(descriptor, "w")  # without a buffer: it is whole even if we are killed
        self._write(pcap.header())

    def take(self, connection: Connection, frame: bytes, now_us: int, *, is_ours: bool) -> None:
        """As of a Sink."""
        if self._file.closed:
            return
        stream, octets = self._streams.get(connection), b""
        if stream is None:
            stream = self._streams[connection] = pcap.Stream(connection.ends)
            octets = stream.opening(now_us)
        self._write(octets + stream.message(frame, now_us, is_ours=is_ours))

    def _write(self, octets: bytes) -> None:
        if len(octets) > self._left:
            log.warning("gy.capture_file: %s is full (gy.capture_megabytes), and ends here", self._path)
            self._file.close()
            return
        self._left -= len(octets)
        try:
            self._file.write(octets)
        except OSError as error:
            log.warning("gy.capture_file: %s ends here: %s", self._path, error.strerror or error)
            self._file.close()


def start_capture(server: Server, config: Config, *, by_itself: bool = True) -> None:
    """Captures where the configuration says so; ConfigError where the file can't be written."""
    if not config.gy.capture_file:
        return
    path = config.resolve(config.gy.capture_file)
    if not by_itself:
        path = path.with_stem(f"{path.stem}-{os.getpid()}")
    server.traces.add(Capture(path, config.gy.capture_megabytes * 1_000_000))
    log.warning("every message is written to %s", path)
