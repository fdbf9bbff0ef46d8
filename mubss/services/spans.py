"""Traces for OpenTelemetry, where `tracing.url` names who takes them (OTLP over HTTP); else nothing of this is loaded.

What happened is told afterwards, from times that were noted, so that nobody waits for a span to be made:

    spans.record("gy.ccr", begin_s, end_s, {"diameter.session_id": …}, [Child("decode", begin_s, decoded_s)])

Times are seconds of `time.perf_counter`, the monotonic clock. Spans wait in a bounded queue; too many are dropped.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mubss import __version__
from mubss.config import Config
from mubss.core.errors import ConfigError
from mubss.runtime import mask_identities, one_line

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

MAX_WAITING = 8192  # spans
TOGETHER = 256  # spans in one post: a gevent program does nothing else while it writes them
POST_SECONDS = 3
DELAY_MS = 1000  # at most, until a span is posted
MAX_LETTERS = 300  # of an attribute

Attributes = Mapping[str, str | int]


@dataclass(slots=True)
class Child:
    """A part of what a span tells of."""

    name: str
    begin_s: float
    end_s: float
    attributes: Attributes = field(default_factory=dict)
    children: Sequence[Child] = ()


class Spans:
    """Makes spans."""

    def __init__(self, provider: TracerProvider, finish: Callable[[str], str] = mask_identities) -> None:
        """`finish` is done to every text: it masks identities, unless people want to see them."""
        self._provider = provider
        self._tracer = provider.get_tracer("mubss", __version__)
        self._finish = finish

    def record(
        self,
        name: str,
        begin_s: float,
        end_s: float,
        attributes: Attributes,
        children: Sequence[Child] = (),
        *,
        error: str = "",
        traceparent: str = "",
    ) -> None:
        """One span for what somebody asked of us; `traceparent` is who asked, as W3C's header says it."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        since_ns = time.time_ns() - int(time.perf_counter() * 1e9)  # of the monotonic clock's zero
        context = Context()
        if traceparent:
            context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context)
        span = self._tracer.start_span(
            name, context, SpanKind.SERVER, self._plain(attributes), start_time=since_ns + int(begin_s * 1e9)
        )
        if span.is_recording():
            if error:
                span.set_status(Status(StatusCode.ERROR, self._text(error)))
            for child in children:
                self._record_child(span, child, since_ns)
        span.end(since_ns + int(end_s * 1e9))

    def close(self) -> None:
        """Posts what waits, for a few seconds at most."""
        self._provider.shutdown()

    def _record_child(self, parent: Any, child: Child, since_ns: int) -> None:
        from opentelemetry.trace import set_span_in_context

        span = self._tracer.start_span(
            child.name,
            set_span_in_context(parent),
            attributes=self._plain(child.attributes),
            start_time=since_ns + int(child.begin_s * 1e9),
        )
        for one in child.children:
            self._record_child(span, one, since_ns)
        span.end(since_ns + int(child.end_s * 1e9))

    def _plain(self, attributes: Attributes) -> dict[str, str | int]:
        return {name: self._text(value) if isinstance(value, str) else value for name, value in attributes.items()}

    def _text(self, text: str) -> str:
        return self._finish(one_line(text[:MAX_LETTERS]))


def open_spans(program: str, config: Config) -> Spans | None:
    """What makes the spans of this process; None where nobody wants them. ConfigError where it can't."""
    options = config.tracing
    if not options.url:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        text = f"tracing.url: {options.url}: there is no {error.name}; expected `pip install mubss[otel]`, or no URL"
        raise ConfigError(text) from None
    about = {
        "service.name": program,
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(options.per_mille / 1000)),
        resource=Resource.create(about),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=options.url, timeout=POST_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=MAX_WAITING, max_export_batch_size=TOGETHER, schedule_delay_millis=DELAY_MS
        )
    )
    return Spans(provider, mask_identities if config.general.mask_msisdn else str)
