"""Which messages a trace wants: a subscriber's, a session's or a peer's. Pure."""

from __future__ import annotations

from collections.abc import Collection

from mubss.gy.avp import DiameterError, split_avp
from mubss.gy.codec import Ccr, CcrError, decode_ccr
from mubss.gy.dictionary import BY_NAME, COMMAND_BY_SHORT
from mubss.gy.message import decode_header
from mubss.gy.subscription import EVERY_TYPE, identities

MAX_SESSIONS = 10_000  # of a subscriber, that are remembered
_CCR = COMMAND_BY_SHORT["CC"].code
_SESSION_ID, _ORIGIN_HOST = BY_NAME["Session-Id"].code, BY_NAME["Origin-Host"].code


class Wanted:
    """A subscriber by identities ("e164:…", "imsi:…"), a Session-Id, or a peer's Origin-Host; the others are empty.

    A subscriber's other messages are known by the Session-Id of a CCR that named it before.
    """

    def __init__(self, subscriber: Collection[str], session_id: str, peer: str) -> None:
        self._subscriber = frozenset(subscriber)
        self._session_id = session_id
        self._peer = peer.lower()
        self._sessions: dict[str, None] = {}  # the one heard of last stands last

    def takes(self, frame: bytes, origin_host: str) -> bool:
        """Whether it wants this message, from or to the peer `origin_host` ("" until its CER is read)."""
        if self._peer:
            return self._peer == (origin_host or _text(frame, _ORIGIN_HOST)).lower()
        header = decode_header(frame)
        if self._subscriber and header.command_code == _CCR and header.is_request:
            ccr = _ccr(frame)
            if not self._subscriber.isdisjoint(identities(ccr, EVERY_TYPE, "")):
                self._remember(ccr.session_id or "")
                return True
            return ccr.session_id in self._sessions
        session_id = _text(frame, _SESSION_ID)
        return bool(session_id) and (session_id == self._session_id or session_id in self._sessions)

    def _remember(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session_id] = None


def _ccr(frame: bytes) -> Ccr:
    """As much of it as can be read."""
    try:
        return decode_ccr(frame)
    except CcrError as error:
        return error.ccr


def _text(frame: bytes, code: int) -> str:
    """The first AVP of that code without vendor, as far as the message can be read; "" without one."""
    pos = 20
    while pos < len(frame):
        try:
            found, vendor_id, _, begin, stop = split_avp(frame, pos, len(frame))
        except DiameterError:
            break
        if found == code and not vendor_id:
            return frame[begin:stop].decode(errors="replace")
        pos = stop + 3 & -4
    return ""
