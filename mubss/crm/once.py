"""Writes that come once: what the first call of an idempotency key was answered commits with what it did.

A repeat, after a lost answer or a crash, finds that answer and moves nothing. Keys are the caller's own: of its subject
and the method.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from mubss.charging.engine import Engine
from mubss.charging.order import Change, Guard, GuardConflict, Order
from mubss.core.errors import MubssError
from mubss.core.identity import session_hash
from mubss.core.model import Account
from mubss.crm.audited import audited_engine, audited_store
from mubss.crm.call import Call
from mubss.crm.fields import idempotency_key
from mubss.crm.office import Office
from mubss.crm.statuses import KeyTaken
from mubss.storage import rpc_keys
from mubss.storage.database import Doc, DuplicateId, Store

M = TypeVar("M", bound=Message)


class Once(Generic[M]):
    """One write under its key. `engine` is the office's, whose orders then bring the key with them."""

    def __init__(self, office: Office, call: Call, request: Message, answer: type[M]) -> None:
        key = idempotency_key(request)
        self._office = office
        self._call = call
        self._answer = answer
        self._doc: Doc = {
            "_id": session_hash(f"{call.principal.subject}\0{call.method}\0{key}"),
            "digest": blake2b(request.SerializeToString(deterministic=True), digest_size=16).hexdigest(),
            "at_s": office.now_s,
        }

    @property
    def store(self) -> Store:
        """The office's, for a write that is no order: it is audited."""
        return audited_store(self._office, self._call)

    def do(self, work: Callable[[], M]) -> M:
        """The answer of `work`, or that of the first call; KeyTaken where that was another request."""
        known = rpc_keys.get(self._office.store, self._doc["_id"])
        return self._first(work) if known is None else self._replay(known)

    def do_unseen(self, work: Callable[[], M]) -> M:
        """As `do`, for work that is one order and nothing beside it: its guard finds a key that was used.

        So a first call doesn't look for the key, which is a question to the store less; a call that fails does: what
        it is refused may have come of the first one.
        """
        try:
            return self._first(work)
        except MubssError:
            known = rpc_keys.get(self._office.store, self._doc["_id"])
            if known is None:
                raise
            return self._replay(known)

    def _first(self, work: Callable[[], M]) -> M:
        try:
            return work()
        except GuardConflict as conflict:
            if conflict.collection != rpc_keys.KEYS or conflict.stored is None:
                raise
            return self._replay(conflict.stored)  # the same call was under way twice
        except DuplicateId as duplicate:
            known = rpc_keys.get(self._office.store, self._doc["_id"])
            if duplicate.document_id != self._doc["_id"] or known is None:
                raise
            return self._replay(known)

    def engine(self, answer: Callable[[Order, Account], M]) -> Engine:
        """An engine whose order brings the key with it; `answer` is what the call is answered when it is done."""

        def fill(order: Order, change: Change) -> Doc:
            return {"answer": _packed(answer(order, change.after))}

        return _Guarded(audited_engine(self._office, self._call), Guard(rpc_keys.KEYS, self._doc, None, fill))

    def doc(self, answer: M) -> Doc:
        """The key with its answer, to be added in the transaction of a write that is no order."""
        return {**self._doc, "answer": _packed(answer)}

    def _replay(self, stored: Doc) -> M:
        if stored["digest"] != self._doc["digest"]:
            raise KeyTaken("idempotency_key: it was used for another request; expected one of its own for each write")
        answer = self._answer()
        answer.ParseFromString(b64decode(stored["answer"]))
        return answer


class _Guarded(Engine):
    """Does orders by another engine, each with one more guard."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        self._inner = engine
        self._guard = guard

    def execute(self, orders: list[Order]) -> list[Order]:
        for order in orders:
            order.guards.append(self._guard)
        return self._inner.execute(orders)


def _packed(answer: Any) -> str:
    return b64encode(answer.SerializeToString()).decode()
