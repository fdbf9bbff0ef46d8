"""RPCs as spans, where somebody wants them; a caller that sends a traceparent is who they belong to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc

from mubss.core.roles import Principal
from mubss.services.spans import Spans

FAULTS = frozenset(("UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"))
MAX_TRACEPARENT = 100  # letters; one has 55


def traced(
    spans: Spans, handler: grpc.RpcMethodHandler, method: str, principal: Principal, request_id: str, metadata: Any
) -> grpc.RpcMethodHandler:
    """The same handler, which leaves a span."""
    about = {"rpc.method": method, "mubss.request_id": request_id, "enduser.id": principal.subject}
    parent = next((value for name, value in metadata or () if name == "traceparent"), "")
    parent = parent if isinstance(parent, str) and len(parent) <= MAX_TRACEPARENT else ""

    def record(context: grpc.ServicerContext, began_s: float, *, failed: bool) -> None:
        code = context.code()
        name = code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN" if failed else "OK"
        error = name if name in FAULTS else ""
        spans.record(
            f"rpc {method}",
            began_s,
            time.perf_counter(),
            {**about, "rpc.grpc.status": name},
            error=error,
            traceparent=parent,
        )

    def unary(request: Any, context: grpc.ServicerContext) -> Any:
        began_s, failed = time.perf_counter(), True
        try:
            answer = handler.unary_unary(request, context)
            failed = False
            return answer
        finally:
            record(context, began_s, failed=failed)

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        began_s, failed = time.perf_counter(), True
        try:
            yield from handler.unary_stream(request, context)
            failed = False
        finally:
            record(context, began_s, failed=failed)

    forms = handler.request_deserializer, handler.response_serializer
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, *forms)
    return grpc.unary_unary_rpc_method_handler(unary, *forms)
