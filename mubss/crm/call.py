"""One call from its first check to its last trailer: who calls, whether they may, what goes wrong, what is logged.

A handler is a function of a request message and a Call. It returns a message, or for a stream an iterator of them, and
raises a MubssError for what it can't do.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore, Event
from typing import Any

import grpc

from mubss import metrics
from mubss.core.roles import Principal
from mubss.crm.statuses import DETAILS, MAX_MESSAGE_LETTERS, TooMany, code_of, details_of
from mubss.services.auditing import Act

log = logging.getLogger("mubss.crm")

REQUEST_ID = "request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Call:
    """What a handler may know of its call."""

    def __init__(self, method: str, principal: Principal, request_id: str, context: grpc.ServicerContext) -> None:
        self.method = method  # "Balances/TopUp"
        self.principal = principal
        self.request_id = request_id
        self.peer = context.peer()
        self.act: Act | None = None  # of a call that writes
        self.ended = Event()  # nobody waits for the answer any more
        if not context.add_callback(self.ended.set):
            self.ended.set()


_UNDER_WAY: set[Call] = set()


def _begin(call: Call) -> None:
    _UNDER_WAY.add(call)
    metrics.CRM_UNDER_WAY.set(len(_UNDER_WAY))


def _finish(call: Call) -> None:
    _UNDER_WAY.discard(call)
    metrics.CRM_UNDER_WAY.set(len(_UNDER_WAY))


def request_id_of(metadata: Any) -> str:
    """The caller's id of the call, or one of our own."""
    given = next((value for name, value in metadata or () if name == f"x-{REQUEST_ID}"), "")
    return given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def unary(handler: Callable[[Any, Call], Any], method: str, principal: Principal, request_id: str) -> Any:
    """The behaviour that grpc calls for one request and one answer."""

    def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
        call = Call(method, principal, request_id, context)
        started = time.perf_counter()
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        _begin(call)
        try:
            answer = handler(request, call)
        except Exception as error:
            _abort(call, context, error)
        finally:
            _finish(call)
            metrics.CRM_SECONDS.observe(time.perf_counter() - started, method)
        _log(call, "OK", started)
        return answer

    return behaviour


def stream(
    handler: Callable[[Any, Call], Iterator[Any]],
    method: str,
    principal: Principal,
    request_id: str,
    places: BoundedSemaphore,
) -> Any:
    """The behaviour for a stream of answers; grpc asks for the next when the one before is on its way.

    Each has a thread until it ends, however slowly it is read: `places` bounds them, so that other calls go on.
    """

    def behaviour(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        call = Call(method, principal, request_id, context)
        started = time.perf_counter()
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        if not places.acquire(blocking=False):
            _abort(call, context, TooMany("streams: as many are under way as may be; try again"))
        _begin(call)
        try:
            yield from handler(request, call)
        except Exception as error:
            _abort(call, context, error)
        finally:
            places.release()
            _finish(call)
        _log(call, "OK", started)

    return behaviour


def deny(code: grpc.StatusCode, request_id: str) -> grpc.RpcMethodHandler:
    """Refuses a call, and says no more than that; whatever it is a call of, one answer or a stream."""

    def behaviour(_request: Any, context: grpc.ServicerContext) -> Any:
        metrics.CRM_REFUSED.inc(code.name)
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        context.abort(code, code.name)

    return grpc.unary_unary_rpc_method_handler(behaviour)


def _abort(call: Call, context: grpc.ServicerContext, error: Exception) -> None:
    """Ends a call with an error's status; does not return."""
    code = code_of(error)
    if code is grpc.StatusCode.INTERNAL:
        text = "%s of %s, request %s failed"
        log.error(text, call.method, call.principal.subject, call.request_id, exc_info=error, extra=_fields(call))
        message = f"a fault of the server; request {call.request_id}"
    else:
        message = str(error)[:MAX_MESSAGE_LETTERS]
        text, subject = "%s of %s, request %s: %s, %s", call.principal.subject
        log.info(text, call.method, subject, call.request_id, code.name, message, extra=_fields(call))
    metrics.CRM_CALLS.inc(call.method, code.name)
    context.set_trailing_metadata(((REQUEST_ID, call.request_id), (DETAILS, details_of(code, message))))
    context.abort(code, message)


def _log(call: Call, outcome: str, started: float) -> None:
    metrics.CRM_CALLS.inc(call.method, outcome)
    took_ms = (time.perf_counter() - started) * 1000
    subject, request_id = call.principal.subject, call.request_id
    text = "%s of %s, request %s: %s in %.1f ms"
    log.debug(text, call.method, subject, request_id, outcome, took_ms, extra=_fields(call))


def _fields(call: Call) -> dict[str, str]:
    """What a line in the log has beside its text."""
    return {
        "request_id": call.request_id,
        "method": call.method,
        "subject": call.principal.subject,
        "peer": call.peer,
    }
