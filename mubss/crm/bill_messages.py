"""Documents of bills as messages of proto/crm.proto."""

from __future__ import annotations

from mubss.pb import crm_pb2 as pb
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
    "credit_notes",
    "credits",
    "fault",
)


def bill(doc: Doc, lines: bool = True) -> pb.Bill:
    """A bill, statement or credit note."""
    made = pb.Bill(id=doc["_id"], **{name: doc[name] for name in _PLAIN if name in doc})
    made.settled.CopyFrom(settled(doc))
    made.reason = doc.get("void_reason") or doc.get("reason") or ""
    document = doc.get("document") or {}
    made.pdf_octets, made.pdf_pages = document.get("octets", 0), document.get("pages", 0)
    if lines:
        made.lines.extend(map(_line, doc["lines"]))
        made.taxes.extend(pb.BillTax(**tax) for tax in doc["taxes"])
    return made


def settled(doc: Doc) -> pb.BillSettled:
    """What is paid and credited of a bill, and what is open."""
    return pb.BillSettled(**doc.get("settled", {}))


def payment(paid: Doc, after: Doc) -> pb.Payment:
    """A payment, and the bill after it."""
    names = ("number", "reference", "amount", "used", "currency", "decimals", "at_s")
    return pb.Payment(**{name: paid[name] for name in names}, state=after["state"], settled=settled(after))


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
