"""A receiver of OpenTelemetry's traces: a real HTTP server for OTLP that keeps the spans it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT_SECONDS = 60


class Span(NamedTuple):
    """One span as it came."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    begin_ns: int
    end_ns: int
    error: str  # "-": an error without words
    attributes: dict[str, Any]


class Receiver:
    """Listens on `url` while its block runs."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take(data)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, is_wanted: Callable[[Span], bool], times: int = 1) -> list[Span]:
        """The spans that are wanted, once there are so many."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while len(found := [one for one in self.spans if is_wanted(one)]) < times:
                assert self._changed.wait(deadline - time.monotonic()), self.spans
        return found

    def children(self, span: Span) -> dict[str, Span]:
        """Name → span, of those below one."""
        return {one.name: one for one in self.spans if one.parent == span.id and one.trace == span.trace}

    def _take(self, data: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(data)
        with self._changed:
            for resource in request.resource_spans:
                about = _plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans += [_span(one, about["service.name"]) for one in scope.spans]
            self._changed.notify_all()


def _span(one: Any, service: str) -> Span:
    error = (one.status.message or "-") if one.status.code == one.status.STATUS_CODE_ERROR else ""
    ids = one.trace_id, one.span_id, one.parent_span_id
    times = one.start_time_unix_nano, one.end_time_unix_nano
    return Span(service, one.name, *ids, *times, error, _plain(one.attributes))


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
