"""The Sessions service of proto/crm.proto."""

from __future__ import annotations

from typing import Any

from mubss.core.outbox import ABORT
from mubss.crm import fields
from mubss.crm.audited import audited_engine
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle
from mubss.services import sessions as service


class Sessions:
    """Open credit-control sessions."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def list_sessions(self, request: Any, _call: Call) -> pb.ListSessionsResponse:
        """Those of a subscriber's account."""
        store = self._office.store
        account = lifecycle.find_account(store, lifecycle.find_subscriber(store, fields.subscriber(request)))
        return pb.ListSessionsResponse(sessions=map(_session, account["sessions"].values()))

    def abort_session(self, request: Any, call: Call) -> pb.AbortSessionResponse:
        """Tells its client to end it; told twice it is the same order."""
        office = self._office
        service.tell(audited_engine(office, call), office.store, fields.text(request, "session_id", 1024, 1), ABORT)
        office.nudge()
        return pb.AbortSessionResponse()


def _session(session: Any) -> pb.Session:
    return pb.Session(
        session_id=session["id"],
        peer=session["peer"],
        opened_s=session["opened_s"],
        expires_s=session["expires_s"],
        reserved_micros=session["reserved_micros"],
        units={code: meter["part"]["units"] for code, meter in session["services"].items()},
    )
