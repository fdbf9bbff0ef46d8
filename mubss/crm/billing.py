"""The Billing service of proto/crm.proto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mubss.core import activity
from mubss.core.errors import InputError
from mubss.crm import fields
from mubss.crm.audited import audited_store
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services import activities as service
from mubss.services.activities import BillingWanted
from mubss.services.control import FOLDER
from mubss.storage import activities as storage
from mubss.storage.database import Doc

WATCH_SECONDS = 0.5  # between two looks at an activity
_STATES = (activity.NEW, activity.RUNNING, *activity.ENDED)


class Billing:
    """Bill runs."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def queue_billing(self, request: Any, call: Call) -> pb.Activity:
        """Queues a bill run; it needs no key, since the same cycle and period are the same run."""
        office = self._office
        period = fields.text(request, "period", 7)
        person = fields.subscriber(request) if request.subscriber else ""
        wanted = BillingWanted(request.cycle, period, person, request.dry_run)
        store = audited_store(office, call)
        queued = service.queue_billing(store, office.tables, wanted, call.principal.subject, office.now_s)
        service.nudge(office.config.resolve(FOLDER), request.cycle)
        return message(queued.activity)

    def get_activity(self, request: Any, _call: Call) -> pb.Activity:
        """One activity."""
        return message(self._get(request))

    def list_activities(self, request: Any, _call: Call) -> pb.ListActivitiesResponse:
        """Activities, the last first."""
        filters: dict[str, str | int] = {"billcycle": request.cycle} if request.cycle else {}
        if request.state:
            if request.state not in _STATES:
                raise InputError(f"state: {request.state[:20]!r}; expected one of {', '.join(_STATES)}")
            filters["state"] = request.state
        found = storage.find(self._office.store, filters, fields.page_size(request))
        return pb.ListActivitiesResponse(activities=map(message, found))

    def cancel_activity(self, request: Any, call: Call) -> pb.Activity:
        """Cancels one."""
        self._get(request)
        return message(service.cancel(audited_store(self._office, call), request.id, self._office.now_s))

    def watch_activity(self, request: Any, call: Call) -> Iterator[pb.Activity]:
        """It as it changes, until it has ended or nobody listens; who reads slowly gets fewer messages."""
        told = 0
        while not call.ended.is_set():
            doc = self._get(request)
            if doc["version"] != told:
                told = doc["version"]
                yield message(doc)
            if doc["state"] in activity.ENDED:
                return
            call.ended.wait(WATCH_SECONDS)

    def _get(self, request: Any) -> Doc:
        activity_id = fields.text(request, "id", 32, 1)
        doc = storage.get(self._office.store, activity_id)
        if doc is None:
            raise NotFound(f"id: {activity_id!r}; expected that of an activity")
        return doc


def message(doc: Doc) -> pb.Activity:
    """An activity's document as a message."""
    progress = doc.get("progress", {})
    counts = {name: progress.get(name, 0) for name in ("done", "of", "issued", "before", "parked")}
    return pb.Activity(
        id=doc["_id"],
        kind=doc["kind"],
        state=doc["state"],
        cycle=doc["billcycle"],
        period=doc.get("period", ""),
        dry_run=doc.get("dry_run", False),
        attempts=doc["attempts"],
        error=doc.get("error", ""),
        made_s=doc["made_s"],
        ended_s=doc.get("ended_s", 0),
        by=doc["by"],
        parked_accounts=[pb.ParkedAccount(**parked) for parked in doc.get("parked", ())],
        **counts,
    )
