"""The door: every call but the health check carries a token, and its role must be enough.

Who is refused hears UNAUTHENTICATED or PERMISSION_DENIED and no more; why is in the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc

from mubss.core.roles import Principal, has_role
from mubss.crm.call import deny, request_id_of, stream, unary
from mubss.crm.permissions import LEAST_ROLE
from mubss.crm.traced import traced
from mubss.services.spans import Spans
from mubss.services.tokens import Keys, Terms, TokenRefused, verify
from mubss.storage import tokens
from mubss.storage.database import Store, StoreError

log = logging.getLogger("mubss.crm")

PACKAGE = "/mubss.crm.v1."
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection."
MAX_KNOWN = 1000  # tokens that are remembered
LOOK_SECONDS = 1  # for tokens that were revoked
_BEARER = "Bearer "


class AuthInterceptor(grpc.ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Checks tokens and roles, and hands handlers their Call."""

    def __init__(
        self,
        keys: Keys,
        terms: Terms,
        now_s: Callable[[], int],
        revoked: Callable[[], frozenset[str]],
        streams: int,
        spans: Spans | None = None,
    ) -> None:
        self._spans = spans
        self._keys = keys
        self._terms = terms
        self._now_s = now_s
        self._revoked = revoked
        self._streams = threading.BoundedSemaphore(streams)  # that may be under way
        self._known_by: dict[str, bytes] = {}  # the keys that `_known` was read with
        self._known: dict[str, Principal] = {}

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        method = details.method
        if method == HEALTH:
            return continuation(details)
        request_id = request_id_of(details.invocation_metadata)
        try:
            principal = self._principal(details.invocation_metadata)
        except TokenRefused as refused:
            fields = {"request_id": request_id, "method": method[:100]}
            log.info("%s, request %s: the token is refused: %s", method[:100], request_id, refused, extra=fields)
            return deny(grpc.StatusCode.UNAUTHENTICATED, request_id)
        if method.startswith(REFLECTION):
            return continuation(details)
        short = method.removeprefix(PACKAGE)
        least = LEAST_ROLE.get(short)
        if least is None or not method.startswith(PACKAGE):
            return continuation(details)  # there is no such method: grpc says so
        if not has_role(principal, least):
            text, who = "%s, request %s: %s is %s, not %s", principal.subject
            fields = {"request_id": request_id, "method": short, "subject": who}
            log.info(text, short, request_id, who, principal.role, least, extra=fields)
            return deny(grpc.StatusCode.PERMISSION_DENIED, request_id)
        handler = self._for(continuation(details), short, principal, request_id)
        if self._spans is not None:
            return traced(self._spans, handler, short, principal, request_id, details.invocation_metadata)
        return handler

    def _for(self, handler: Any, method: str, principal: Principal, request_id: str) -> grpc.RpcMethodHandler:
        """A call's own handler: it knows who calls."""
        forms = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            behaviour = stream(handler.unary_stream, method, principal, request_id, self._streams)
            return grpc.unary_stream_rpc_method_handler(behaviour, *forms)
        return grpc.unary_unary_rpc_method_handler(unary(handler.unary_unary, method, principal, request_id), *forms)

    def _principal(self, metadata: Any) -> Principal:
        given = [value for name, value in metadata or () if name == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith(_BEARER):
            raise TokenRefused(f"{len(given)} authorization headers; expected one with a Bearer token")
        principal = self._verified(given[0].removeprefix(_BEARER))
        if principal.token_id in self._revoked():
            raise TokenRefused(f"{principal.token_id} of {principal.subject} was revoked")
        return principal

    def _verified(self, token: str) -> Principal:
        """Whom a token stands for; it is read once while its key is in use and it is good.

        Reading it was a fifth of what a GetSubscriber cost the interpreter.
        """
        keys, now_s = self._keys.by_id, self._now_s()
        if self._known_by is not keys or len(self._known) >= MAX_KNOWN:
            self._known_by, self._known = keys, {}
        principal = self._known.get(token)
        if principal is None or principal.expires_s <= now_s:
            principal = self._known[token] = verify(token, keys, self._terms, now_s)
        return principal


class Revoked:
    """The ids of tokens that aren't taken any more, read again each second; when the store is away, as last read."""

    def __init__(self, store: Store, now_s: Callable[[], int]) -> None:
        self._store = store
        self._now_s = now_s
        self._ids = tokens.revoked(store, now_s())
        self._stopping = threading.Event()

    def __call__(self) -> frozenset[str]:
        return self._ids

    def start(self) -> None:
        """Looks from now on, in a thread of its own."""
        threading.Thread(target=self._look, name="revoked", daemon=True).start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()

    def look(self) -> None:
        """Reads them now."""
        self._ids = tokens.revoked(self._store, self._now_s())

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except StoreError as error:
                log.warning("which tokens were revoked isn't known anew: %s", error)
