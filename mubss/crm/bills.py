"""The Bills service of proto/crm.proto."""

from __future__ import annotations

from typing import Any

from mubss.crm import fields
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle
from mubss.storage import bills as storage
from mubss.storage.database import Doc

_PLAIN = (
    "number",
    "kind",
    "state",
    "account",
    "msisdn",
    "cycle",
    "period",
    "from_day",
    "until_day",
    "due_day",
    "issued_s",
    "currency",
    "decimals",
    "net",
    "tax",
    "total",
    "previous_due",
    "paid",
    "due",
)


class Bills:
    """Bills, statements and credit notes."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def list_bills(self, request: Any, _call: Call) -> pb.ListBillsResponse:
        """Bills without their lines, the last number first."""
        store = self._office.store
        filters: dict[str, str | int] = {}
        if request.subscriber:
            filters["account"] = lifecycle.find_subscriber(store, fields.subscriber(request))["account"]
        if request.cycle:
            filters["cycle"] = request.cycle
        if request.period:
            filters["period"] = fields.text(request, "period", 7)
        found = storage.find(store, filters, fields.page_size(request))
        return pb.ListBillsResponse(bills=[message(doc, lines=False) for doc in found])

    def get_bill(self, request: Any, _call: Call) -> pb.Bill:
        """One bill with its lines."""
        number = fields.text(request, "number", 40, 1)
        doc = storage.by_number(self._office.store, number)
        if doc is None:
            raise NotFound(f"number: {number!r}; expected that of a bill")
        return message(doc)


def message(doc: Doc, lines: bool = True) -> pb.Bill:
    """A bill's document as a message."""
    bill = pb.Bill(id=doc["_id"], **{name: doc[name] for name in _PLAIN if name in doc})
    if lines:
        bill.lines.extend(map(_line, doc["lines"]))
        bill.taxes.extend(pb.BillTax(**tax) for tax in doc["taxes"])
    return bill


def _line(line: Doc) -> pb.BillLine:
    return pb.BillLine(
        kind=line["kind"],
        code=line.get("code", ""),
        units=line.get("units", 0),
        free_units=line.get("free_units", 0) + line.get("bundle_units", 0),
        days=line.get("days", 0),
        of_days=line.get("of_days", 0),
        tax=line.get("tax", ""),
        amount=line["amount"],
    )
