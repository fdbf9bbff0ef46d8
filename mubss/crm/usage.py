"""The Usage service of proto/crm.proto."""

from __future__ import annotations

from typing import Any

from mubss.core.allowance import Allowance
from mubss.core.errors import InputError
from mubss.core.explain import explain
from mubss.core.next_plan import plan_at
from mubss.crm import fields
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle
from mubss.storage import subscribers as storage
from mubss.storage.database import Doc

_LOOKED_AT = 5_000  # records, for one page of few that are wanted


class Usage:
    """What was used, and what it cost."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def list_usage(self, request: Any, _call: Call) -> pb.ListUsageResponse:
        """Usage records in pages; a page may hold fewer than asked for, the token tells whether more are to come."""
        store = self._office.store
        account_id = lifecycle.find_subscriber(store, fields.subscriber(request))["account"]
        size, after = fields.page_size(request), fields.page_number(request)
        service = fields.text(request, "service", 40)
        chosen: list[Doc] = []
        looked_at = 0
        while len(chosen) < size and looked_at < _LOOKED_AT:
            page = storage.page_of(store, storage.USAGE, account_id, after, fields.MAX_PAGE)
            looked_at += len(page)
            for record in page:
                after = record["sequence"]
                if _is_wanted(record, service, request.from_s, request.until_s):
                    chosen.append(record)
                    if len(chosen) == size:
                        break
            else:
                if len(page) < fields.MAX_PAGE:
                    return pb.ListUsageResponse(records=map(_record, chosen))
        return pb.ListUsageResponse(records=map(_record, chosen), next_page_token=fields.page_token(str(after)))

    def explain_charge(self, request: Any, _call: Call) -> pb.Explanation:
        """What usage would cost now, step by step."""
        office = self._office
        person = lifecycle.find_subscriber(office.store, fields.subscriber(request))
        account = lifecycle.find_account(office.store, person)
        service = fields.text(request, "service", 40, 1)
        called = fields.text(request, "called", 16).removeprefix("+")
        if called and not (called.isascii() and called.isdigit()):
            raise InputError(f"called: {called!r}; expected up to 15 digits")
        at_s = request.at_s or office.now_s
        free = {month: counters.get(service, 0) for month, counters in account["counters"].items()}
        paid = {month: counters.get(service, 0) for month, counters in account.get("paid", {}).items()}
        buckets = [bucket for bucket in account.get("buckets", ()) if service in bucket["services"]]
        allowance = Allowance(free, paid, buckets, account.get("since_s", 0))
        tables, plan = office.tables, plan_at(account, max(at_s, office.now_s))
        zone = tables.usage_zone(called, "")
        found = explain(tables, plan, service, zone, request.units, at_s, allowance)
        steps = [
            pb.ExplanationStep(kind=step.kind, units=step.units, name=step.name, micros=step.micros)
            for step in found.steps
        ]
        return pb.Explanation(plan=found.plan, zone=found.zone, charge_micros=found.charge_micros, steps=steps)


def _is_wanted(record: Doc, service: str, from_s: int, until_s: int) -> bool:
    return (
        service in ("", record["service"])
        and record["from_s"] >= from_s
        and (not until_s or record["from_s"] < until_s)
    )


def _record(doc: Doc) -> pb.UsageRecord:
    return pb.UsageRecord(
        sequence=doc["sequence"],
        service=doc["service"],
        from_s=doc["from_s"],
        until_s=doc["until_s"],
        units=doc["units"],
        free_units=doc["free_units"],
        bundle_units=doc.get("bundle_units", 0),
        charge_micros=doc["charge_micros"],
        zone=doc["zone"],
        called=doc.get("called", ""),
        source=doc.get("source", "gy"),
        corrects=int(doc["corrects"][-12:], 16) if "corrects" in doc else 0,  # its sequence, see sequence_id
    )
