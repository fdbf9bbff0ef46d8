"""The Bills service of proto/crm.proto."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mubss.charging.order import Order
from mubss.core.dunning import days_overdue
from mubss.core.errors import InputError
from mubss.core.model import Account
from mubss.crm import bill_messages as messages
from mubss.crm import bill_pdf, fields
from mubss.crm.audited import audited_engine
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.once import Once
from mubss.crm.repeats import once_or_as_told
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services import bill_corrections as corrections
from mubss.services import lifecycle
from mubss.services.dunning import reactivate_if_paid
from mubss.storage import bills as storage
from mubss.storage.database import Doc

MAX_AMOUNT = 10**11  # minor units: in micros far within 64 bits


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
        size = fields.page_size(request)
        found = storage.find(store, filters, size, fields.page_after(request))
        token = fields.page_token(found[-1]["number"]) if len(found) == size else ""
        return pb.ListBillsResponse(bills=[messages.bill(doc, lines=False) for doc in found], next_page_token=token)

    def get_bill(self, request: Any, _call: Call) -> pb.Bill:
        """One bill with its lines."""
        return messages.bill(self._find(request))

    def get_bill_pdf(self, request: Any, _call: Call) -> Iterator[pb.BillPdf]:
        """A bill's PDF."""
        return bill_pdf.stream(self._office.config.resolve(self._office.config.billfmt.invoices), self._find(request))

    def reformat_bill(self, request: Any, call: Call) -> pb.Bill:
        """A bill's PDF is made again."""
        return messages.bill(bill_pdf.render_again(self._office, call, self._find(request)["number"]), lines=False)

    def void_bill(self, request: Any, call: Call) -> pb.Bill:
        """A bill that nobody has yet is taken back."""
        reason = fields.text(request, "reason", least=1)
        once = Once(self._office, call, request, pb.Bill)
        office = self._office

        def work() -> pb.Bill:
            number, engine = self._find(request)["number"], once.engine(_first_bill)
            return messages.bill(corrections.void(engine, office.store, number, reason, office.now_s), lines=False)

        return once_or_as_told(once, work)

    def credit_bill(self, request: Any, call: Call) -> pb.Bill:
        """A credit note is issued."""
        reason = fields.text(request, "reason", least=1)
        once = Once(self._office, call, request, pb.Bill)
        office, series = self._office, self._office.config.billing.credit_series

        def work() -> pb.Bill:
            doc, engine = self._find(request), once.engine(_first_bill)
            micros = _micros(request, doc) if request.amount else None
            note = corrections.credit(
                engine, office.store, office.tables, doc["number"], micros, reason, series, office.now_s
            )
            office.nudge()
            return messages.bill(note, lines=False)

        return once_or_as_told(once, work)

    def record_payment(self, request: Any, call: Call) -> pb.Payment:
        """A payment of a bill; a repeat of its reference is told as it was recorded, whatever the key."""
        reference = fields.text(request, "reference", least=1)
        once = Once(self._office, call, request, pb.Payment)
        office = self._office

        def work() -> pb.Payment:
            doc, engine = self._find(request), once.engine(_paid)
            paid = corrections.pay(engine, office.store, doc["number"], _micros(request, doc), reference, office.now_s)
            return messages.payment(paid.payment, paid.bill)

        told = once_or_as_told(once, work)
        if office.config.billing.reactivate_paid:  # a repeat makes up for a process that died before it
            reactivate_if_paid(audited_engine(office, call), office.store, self._find(request)["account"])
        office.nudge()
        return told

    def list_overdue(self, request: Any, _call: Call) -> pb.ListOverdueResponse:
        """Bills past their due day that aren't paid."""
        office = self._office
        today = datetime.fromtimestamp(office.now_s, office.tables.calendar.zone).date()
        size = fields.page_size(request)
        found = storage.overdue(
            office.store, today.isoformat(), request.cycle or None, fields.page_after(request), size
        )
        overdue = []
        for doc in found:
            last = (doc.get("dunned") or [{"step": 0, "action": ""}])[-1]
            days, bill = days_overdue(doc, today), messages.bill(doc, lines=False)
            overdue.append(
                pb.OverdueBill(bill=bill, days=days, dunning_step=last["step"], dunning_action=last["action"])
            )
        token = fields.page_token(found[-1]["_id"]) if len(found) == size else ""
        return pb.ListOverdueResponse(bills=overdue, next_page_token=token)

    def _find(self, request: Any) -> Doc:
        number = fields.text(request, "number", 40, 1)
        doc = storage.by_number(self._office.store, number)
        if doc is None:
            raise NotFound(f"number: {number!r}; expected that of a bill")
        return doc


def _micros(request: Any, bill: Doc) -> int:
    if not 0 < request.amount <= MAX_AMOUNT:
        raise InputError(f"amount: {request.amount}; expected 1 to {MAX_AMOUNT}, in minor units of the bill")
    return int(request.amount * 10 ** (6 - bill["decimals"]))


def _bills_of(order: Order) -> list[Doc]:
    return [guard.doc for guard in order.guards if guard.collection == storage.BILLS]


def _first_bill(order: Order, _account: Account) -> pb.Bill:
    """The bill that is void, or the credit note."""
    return messages.bill(_bills_of(order)[0], lines=False)


def _paid(order: Order, _account: Account) -> pb.Payment:
    [paid] = [guard.doc for guard in order.guards if guard.collection == storage.PAYMENTS]
    return messages.payment(paid, _bills_of(order)[0])
