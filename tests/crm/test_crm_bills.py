"""What a clerk does with bills: PDFs, corrections, payments, and how little of the disk can be reached by them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import grpc
import pytest

from crm_world import POSTPAID, CrmWorld, refused
from mubss.services.audit_ledger import check
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run, period_for
from mubss.storage import bills as storage
from mubss.storage.database import Doc

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
STATE = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def billed(crm: CrmWorld) -> Iterator[CrmWorld]:
    """The demo's subscribers with their bills."""
    run_bills(crm)
    yield crm
    assert check(crm.store)[1] == []


def run_bills(crm: CrmWorld) -> None:
    office = crm.office
    period = period_for(office.tables, 3, "", office.now_s)
    list(bill_run(crm.store, office.engine, office.tables, Run(3, period), office.now_s))


def bill_of(crm: CrmWorld, **wanted: str) -> Any:
    """One of the demo's bills, chosen by its fields."""
    found = crm.call("Bills/ListBills", cycle=3, page_size=500).bills
    return next(one for one in found if all(getattr(one, name) == value for name, value in wanted.items()))


def changed(crm: CrmWorld, number: str, change: Callable[[Doc], Doc]) -> Doc:
    """What another program does to a bill."""
    doc = storage.by_number(crm.store, number)
    assert doc is not None
    after = {**change(doc), "version": doc["version"] + 1}
    crm.store.run(lambda session: session.collection(storage.BILLS).put_many([after]))
    return after


def pdf_of(crm: CrmWorld, number: str) -> tuple[Any, bytes]:
    """The head and the octets of a PDF."""
    head, *chunks = crm.client().stream("Bills/GetBillPdf", number=number)
    assert not head.data and all(0 < len(one.data) <= 65_536 and not one.sha256 for one in chunks)
    return head, b"".join(one.data for one in chunks)


def test_a_bill_is_void_and_made_again(billed: CrmWorld) -> None:
    bill = bill_of(billed, msisdn=POSTPAID)
    assert (bill.settled.open, bill.settled.paid) == (bill.total, 0)
    request = {"number": bill.number, "reason": "wrong <fee>", "idempotency_key": billed.key()}
    void = billed.call("Bills/VoidBill", **request)
    assert (void.state, void.reason, void.settled.open) == ("BILL_STATUS_VOID", "wrong <fee>", 0)
    assert billed.call("Bills/VoidBill", **request) == void
    code, text = refused(lambda: billed.write("Bills/VoidBill", number=bill.number, reason="again"))
    assert code is STATE and text.startswith("number: ")
    run_bills(billed)
    assert bill_of(billed, msisdn=POSTPAID, state="BILL_STATUS_NEW").total == bill.total


def test_a_void_in_many_hands_has_one_answer(billed: CrmWorld) -> None:
    bill = bill_of(billed, kind="postpaid", state="BILL_STATUS_NEW")
    request = {"number": bill.number, "reason": "twice", "idempotency_key": billed.key()}
    answers = at_once(8, lambda _: billed.call("Bills/VoidBill", **request).state)
    assert answers == ["BILL_STATUS_VOID"] * 8
    run_bills(billed)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What came of some calls at the same time; of one that was refused, its status."""
    found: list[Any] = []

    def call(number: int) -> None:
        try:
            found.append(work(number))
        except grpc.RpcError as error:
            found.append(error.code())

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_pdf_is_made_and_sent_whole(billed: CrmWorld) -> None:
    bill = bill_of(billed, kind="postpaid", state="BILL_STATUS_NEW")
    code, text = refused(lambda: pdf_of(billed, bill.number))
    assert code is STATE and "waits" in text
    made = billed.client().call("Bills/ReformatBill", number=bill.number)
    assert made.state in ("BILL_STATUS_UNPAID", "BILL_STATUS_PARTLY_PAID", "BILL_STATUS_PAID") and made.pdf_pages
    head, octets = pdf_of(billed, bill.number)
    assert octets.startswith(b"%PDF") and len(octets) == head.octets == made.pdf_octets
    assert (head.file_name, head.sha256) == (f"{bill.number}.pdf", sha256(octets).hexdigest())


def formatted(crm: CrmWorld) -> Any:
    """A bill that its subscriber has."""
    found = crm.call("Bills/ListBills", cycle=3, page_size=500).bills
    for one in found:
        if one.kind == "postpaid" and one.pdf_octets and one.settled.open:
            return one
    bill = next(one for one in found if one.kind == "postpaid" and one.state == "BILL_STATUS_NEW" and one.total)
    return crm.call("Bills/ReformatBill", number=bill.number)


def test_no_octets_but_the_bills_own_are_sent(billed: CrmWorld) -> None:
    bill = formatted(billed)
    doc = storage.by_number(billed.store, bill.number)
    assert doc is not None
    folder = billed.config.resolve(billed.config.billfmt.invoices)
    secret = billed.folder / "secret.pdf"
    secret.write_bytes(b"%PDF secret")
    (folder / "link.pdf").symlink_to(secret)
    for path in ("../secret.pdf", str(secret), "link.pdf", "nope.pdf", ".", "a\0b", "x" * 5000):
        changed(billed, bill.number, lambda doc, path=path: {**doc, "document": {**doc["document"], "path": path}})
        code, text = refused(lambda: pdf_of(billed, bill.number))
        assert code is NOT_FOUND and text.startswith("number: ") and "secret" not in text
    own = folder / doc["document"]["path"]
    content = own.read_bytes()
    own.write_bytes(content[:-1] + b"x")
    changed(billed, bill.number, lambda now: {**now, "document": doc["document"]})
    assert refused(lambda: pdf_of(billed, bill.number))[0] is grpc.StatusCode.UNAVAILABLE
    assert billed.call("Bills/ReformatBill", number=bill.number).pdf_octets == len(content)
    assert pdf_of(billed, bill.number)[1] == content


def test_who_stops_reading_a_pdf_stops_it(billed: CrmWorld) -> None:
    number = formatted(billed).number
    for _ in range(40):  # more than the server has threads
        stream = billed.client().stream("Bills/GetBillPdf", number=number)
        assert next(stream).octets
        stream.close()
    assert pdf_of(billed, number)[1]


def test_payments_and_a_credit_note(billed: CrmWorld) -> None:
    bill = formatted(billed)
    payment = {"number": bill.number, "amount": 1, "reference": "bank 1", "idempotency_key": billed.key()}
    first = billed.call("Bills/RecordPayment", **payment)
    assert (first.used, first.settled.open, first.state) == (1, bill.settled.open - 1, "BILL_STATUS_PARTLY_PAID")
    assert billed.call("Bills/RecordPayment", **payment) == first
    again = billed.write("Bills/RecordPayment", number=bill.number, amount=1, reference="bank 1")
    assert (again.at_s, again.settled) == (first.at_s, first.settled), "a reference is recorded once"
    code, text = refused(lambda: billed.write("Bills/RecordPayment", number=bill.number, amount=2, reference="bank 1"))
    assert code is INVALID and text.startswith("reference: ")
    answers = at_once(
        8, lambda _: billed.write("Bills/RecordPayment", number=bill.number, amount=2, reference="bank 2").used
    )
    assert answers == [2] * 8
    now = billed.call("Bills/GetBill", number=bill.number)
    assert now.settled.paid == bill.settled.paid + 3

    credit = {"number": bill.number, "amount": 5, "reason": "goodwill", "idempotency_key": billed.key()}
    note = billed.call("Bills/CreditBill", **credit)
    assert (note.kind, note.total, note.credits, note.reason) == ("credit_note", -5, bill.number, "goodwill")
    assert billed.call("Bills/CreditBill", **credit) == note
    whole = billed.write("Bills/CreditBill", number=bill.number, reason="all of it")
    after = billed.call("Bills/GetBill", number=bill.number)
    assert whole.total == 5 - bill.total and after.settled.open == 0 and after.state == "BILL_STATUS_PAID"
    assert list(after.credit_notes) == [note.number, whole.number] and after.settled.credited == bill.total
    code, text = refused(lambda: billed.write("Bills/CreditBill", number=bill.number, amount=1, reason="more"))
    assert code is INVALID and text.startswith("amount: ")
    code, _ = refused(lambda: billed.write("Bills/RecordPayment", number=note.number, amount=1, reference="x"))
    assert code is STATE


def test_bills_in_pages(billed: CrmWorld) -> None:
    whole = [one.number for one in billed.call("Bills/ListBills", page_size=500).bills]
    assert len(whole) > 3 and whole == sorted(whole, reverse=True)
    found: list[str] = []
    token = ""
    while True:
        page = billed.call("Bills/ListBills", page_size=2, page_token=token)
        found += [one.number for one in page.bills]
        token = page.next_page_token
        if not token:
            break
    assert found == whole


def test_what_is_overdue(billed: CrmWorld) -> None:
    run_bills(billed)
    numbers = []
    for bill in billed.call("Bills/ListBills", cycle=3, page_size=500).bills:
        if bill.kind == "postpaid" and bill.state == "BILL_STATUS_NEW" and len(numbers) < 3:
            changed(billed, bill.number, lambda doc: {**doc, "state": "BILL_STATUS_UNPAID", "due_day": "2020-01-31"})
            numbers.append(bill.number)
    assert numbers
    found: list[Any] = []
    token = ""
    while True:
        page = billed.call("Bills/ListOverdue", cycle=3, page_size=1, page_token=token)
        found += page.bills
        token = page.next_page_token
        if not token:
            break
    assert sorted(one.bill.number for one in found) == sorted(numbers)
    assert all(one.days > 2000 and one.dunning_step == 0 and not one.bill.lines for one in found)
    assert not billed.call("Bills/ListOverdue", cycle=7).bills


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("VoidBill", {"reason": ""}, "reason: "),
        ("VoidBill", {"reason": "x" * 201}, "reason: "),
        ("CreditBill", {"reason": " "}, "reason: "),
        ("CreditBill", {"reason": "x", "amount": -1}, "amount: -1"),
        ("CreditBill", {"reason": "x", "amount": 2**63 - 1}, "amount: "),
        ("RecordPayment", {"reference": "x", "amount": 0}, "amount: 0"),
        ("RecordPayment", {"reference": "x", "amount": 2**63 - 1}, "amount: "),
        ("RecordPayment", {"reference": "", "amount": 1}, "reference: "),
        ("RecordPayment", {"reference": "a\nb", "amount": 1}, "reference: "),
    ],
)
def test_a_field_that_cant_be_taken(billed: CrmWorld, name: str, fields: dict[str, Any], named: str) -> None:
    number = formatted(billed).number if name != "VoidBill" else bill_of(billed).number
    code, text = refused(lambda: billed.write(f"Bills/{name}", number=number, **fields))
    assert code is INVALID and text.startswith(named), text


@pytest.mark.parametrize("name", ["GetBillPdf", "ReformatBill", "VoidBill", "CreditBill", "RecordPayment"])
def test_bills_that_there_arent(billed: CrmWorld, name: str) -> None:
    fields = {
        "VoidBill": {"reason": "x", "idempotency_key": "none"},
        "CreditBill": {"reason": "x", "idempotency_key": "none"},
        "RecordPayment": {"reference": "x", "amount": 1, "idempotency_key": "none"},
    }.get(name, {})
    for number, code in (("INV-1", NOT_FOUND), ("' OR 1=1", NOT_FOUND), ("", INVALID), ("x" * 41, INVALID)):
        found, text = refused(lambda number=number: list_of(billed, f"Bills/{name}", number=number, **fields))
        assert found is code and text.startswith("number: ")


def list_of(crm: CrmWorld, name: str, **fields: Any) -> list[Any]:
    """A call's answer, or those of its stream."""
    return list(crm.client().stream(name, **fields)) if name.endswith("Pdf") else [crm.call(name, **fields)]
