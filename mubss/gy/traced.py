"""A connection whose requests become spans. Others aren't of this class, so that tracing costs nobody else anything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mubss.charging.order import Order, Stages
from mubss.core.model import Result
from mubss.gy.codec import CcaAnswer, Ccr
from mubss.gy.connection import Connection
from mubss.gy.peer import Peer
from mubss.gy.profile import Profile
from mubss.gy.transport import Stream
from mubss.services.spans import Child, Spans

if TYPE_CHECKING:
    from mubss.gy.server import Server

FAULTS = (Result.TOO_BUSY, Result.UNABLE_TO_COMPLY)  # ours; others are the peer's, or answers like 2001


class TracedConnection(Connection):
    """`gy.ccr`, and in it decode, and charge with the batch's store and what was reckoned within.

    decode: from the message to its place in the queue; charge: from there to its answer; store: BEGIN to COMMIT.
    """

    def __init__(self, spans: Spans, server: Server, number: int, sock: Stream, remote: str, peer: Peer) -> None:
        super().__init__(server, number, sock, remote, peer)
        self._spans = spans
        self._said: tuple[Ccr, CcaAnswer] | None = None  # the last answer, until its span is made

    def _charge(self, frame: bytes) -> None:
        began_s = time.perf_counter()
        self._said = None
        super()._charge(frame)
        if (said := self._take_said()) is not None:  # it was refused, and no order made of it
            ccr, answer = said
            now_s = time.perf_counter()
            self._record(ccr, int(answer.result_code), began_s, now_s, [Child("decode", began_s, now_s)])

    def _submit(self, order: Order, octets: int) -> None:
        order.stages = Stages(time.perf_counter())
        super()._submit(order, octets)

    def _done(self, ccr: Ccr, profile: Profile, octets: int, received_ns: int, order: Order) -> None:
        before = self._take_said()  # it may come amid a `_charge` that had to wait
        super()._done(ccr, profile, octets, received_ns, order)
        said, self._said = self._said, before
        began_s, now_s, stages = received_ns * 1e-9, time.perf_counter(), order.stages
        if stages is None:
            return
        store = []
        if stages.committed_s:
            reckoned = Child("ledger", stages.read_s, stages.applied_s)
            about = {"mubss.batch_size": stages.batch_size}
            store = [Child("store", stages.begun_s, stages.committed_s, about, [reckoned])]
        children = [
            Child("decode", began_s, stages.queued_s),
            Child("charge", stages.queued_s, now_s, children=store),
        ]
        self._record(ccr, int(said[1].result_code) if said is not None else 0, began_s, now_s, children)

    def _take_said(self) -> tuple[Ccr, CcaAnswer] | None:
        said, self._said = self._said, None
        return said

    def _answer(self, ccr: Ccr, answer: CcaAnswer) -> None:
        self._said = ccr, answer
        super()._answer(ccr, answer)

    def _record(self, ccr: Ccr, result: int, began_s: float, ended_s: float, children: list[Child]) -> None:
        about: dict[str, str | int] = {
            "diameter.session_id": ccr.session_id or "",
            "diameter.cc_request_type": ccr.cc_request_type or 0,
            "diameter.cc_request_number": ccr.cc_request_number or 0,
            "diameter.peer": self.peer.origin_host,
            "diameter.result_code": result,
        }
        error = "the answer came too late and wasn't sent" if not result else ""
        if result in FAULTS:
            error = f"Result-Code {result}"
        self._spans.record("gy.ccr", began_s, ended_s, about, children, error=error)
