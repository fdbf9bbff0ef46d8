"""Every RPC that writes leaves one entry of the audit, through TLS on both engines; one that repeats or fails none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyrage
import pytest

from core_builders import ccr
from crm_world import POSTPAID, PREPAID, CrmWorld, refused
from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.model import RequestType, UnitRequest
from mubss.crm.audited import writes
from mubss.crm.permissions import LEAST_ROLE
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import load
from mubss.services.audit_chain import verify
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run, period_for
from mubss.services.formatting import Formatter
from mubss.storage import bills, notifications, rpc_keys
from mubss.storage.database import Doc, StoreUnavailable

EURO = 1_000_000
NUMBERS = iter(range(999_810_000_001, 999_899_999_999))


def entries(crm: CrmWorld) -> list[Doc]:
    return crm.store.run(lambda session: session.collection("audit").scan(limit=10_000))


def left_by(crm: CrmWorld, work: Callable[[], Any]) -> list[Doc]:
    known = {entry["_id"] for entry in entries(crm)}
    work()
    return [entry for entry in entries(crm) if entry["_id"] not in known]


def person(crm: CrmWorld, **fields: Any) -> Any:
    return crm.write("Subscribers/CreateSubscriber", msisdn=str(next(NUMBERS)), plan="demo-prepaid", **fields)


def state(name: str) -> Callable[[CrmWorld], Callable[[], Any]]:
    def ready(crm: CrmWorld) -> Callable[[], Any]:
        made = person(crm)
        if name == "Reactivate":
            crm.write("Subscribers/SuspendSubscriber", subscriber=made.msisdn)
        return lambda: crm.write(f"Subscribers/{name}Subscriber", subscriber=made.msisdn, reason="x")

    return ready


@pytest.fixture(scope="module", autouse=True)
def bundle(crm: CrmWorld, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One that can be bought, and renews."""
    file = tmp_path_factory.mktemp("ref") / "bundle.toml"
    fields = {"code": "TALK", "name": "Talk", "currency": "EUR", "price": "6.00", "validity": "month"}
    lines = [f'{name} = "{value}"' for name, value in fields.items()]
    file.write_text("\n".join(["[[bundles]]", *lines, 'services = ["VOICE"]', "units = 6000", "renews = true", ""]))
    load(crm.store, read_files([file]), operator_calendar("UTC"), crm.office.now_s)
    crm.office.refdata.poll()


def money(name: str, **fields: Any) -> Callable[[CrmWorld], Callable[[], Any]]:
    def ready(crm: CrmWorld) -> Callable[[], Any]:
        made = person(crm, balance_micros=100 * EURO)
        if name == "StopBundle":
            crm.write("Balances/BuyBundle", subscriber=made.msisdn, **fields)
        return lambda: crm.write(f"Balances/{name}", subscriber=made.msisdn, **fields)

    return ready


def updated(crm: CrmWorld) -> Callable[[], Any]:
    made = person(crm)
    return lambda: crm.write("Subscribers/UpdateSubscriber", subscriber=made.msisdn, version=1, language="fr")


def planned(crm: CrmWorld) -> Callable[[], Any]:
    made = person(crm)
    return lambda: crm.write("Subscribers/ChangePlan", subscriber=made.msisdn, plan="demo-prepaid")


def cancelled(crm: CrmWorld) -> Callable[[], Any]:
    queued = crm.call("Billing/QueueBilling", cycle=15, dry_run=True)
    return lambda: crm.call("Billing/CancelActivity", id=queued.id)


def renumbered(crm: CrmWorld) -> Callable[[], Any]:
    made = person(crm)
    new = str(next(NUMBERS))
    return lambda: crm.write("Subscribers/ChangeIdentity", subscriber=made.msisdn, version=1, msisdn=new)


def bill(name: str, is_formatted: bool, **fields: Any) -> Callable[[CrmWorld], Callable[[], Any]]:
    """A call about a bill that waits for its document, or has it."""

    def ready(crm: CrmWorld) -> Callable[[], Any]:
        office = crm.office
        period = period_for(office.tables, 3, "", office.now_s)
        list(bill_run(crm.store, office.engine, office.tables, Run(3, period), office.now_s))
        if is_formatted:
            with closing(Formatter(crm.store, office.config, lambda: office.tables, lambda: office.now_s)) as formatter:
                list(formatter.waiting())
        state = "BILL_STATUS_UNPAID" if is_formatted else "BILL_STATUS_NEW"
        found = crm.call("Bills/ListBills", cycle=3).bills
        numbers = iter([one.number for one in found if one.state == state and one.total >= 100])
        do = crm.call if name == "ReformatBill" else crm.write  # whose lease lasts when the audit fails
        return lambda: do(f"Bills/{name}", number=next(numbers), **fields)

    return ready


def batch(crm: CrmWorld) -> tuple[int, list[str]]:
    """A batch's number, and its PINs."""
    known = pyrage.x25519.Identity.generate()
    fields = {"count": 1, "value_micros": EURO, "currency": "EUR", "last_day": "2040-12-31"}
    head, *chunks, _ = crm.client().stream("Vouchers/MakeBatch", **fields, recipient=str(known.to_public()))
    rows = pyrage.decrypt(b"".join(one.data for one in chunks), [known]).decode().splitlines()[1:]
    return head.batch.number, [row.split(",")[1] for row in rows]


def voucher(crm: CrmWorld) -> Callable[[], Any]:
    made, (_, [pin]) = person(crm), batch(crm)

    def work() -> None:
        crm.write("Vouchers/RedeemVoucher", subscriber=made.msisdn, pin=pin)
        assert pin not in str(entries(crm))

    return work


def blocked(name: str) -> Callable[[CrmWorld], Callable[[], Any]]:
    def ready(crm: CrmWorld) -> Callable[[], Any]:
        number, _ = batch(crm)
        if name == "UnblockBatch":
            crm.call("Vouchers/BlockBatch", number=number)
        return lambda: crm.call(f"Vouchers/{name}", number=number)

    return ready


def blocked_one(name: str) -> Callable[[CrmWorld], Callable[[], Any]]:
    def ready(crm: CrmWorld) -> Callable[[], Any]:
        serial = f"{batch(crm)[0]:06}-0000001"
        if name == "UnblockVoucher":
            crm.call("Vouchers/BlockVoucher", serial=serial)
        return lambda: crm.call(f"Vouchers/{name}", serial=serial)

    return ready


def told(name: str) -> Callable[[CrmWorld], Callable[[], Any]]:
    def ready(crm: CrmWorld) -> Callable[[], Any]:
        made = person(crm)
        doc = {**notifications.make("suspended", made.id, "en", name, {}, 1, 2**40), "state": notifications.DEAD}
        crm.store.run(lambda session: session.collection(notifications.NOTIFICATIONS).add_many([doc]))
        return lambda: crm.call(f"Notifications/{name}", ids=[doc["_id"]])

    return ready


def priced(crm: CrmWorld) -> Callable[[], Any]:
    toml = '[[taxes]]\ncode = "NEW7"\nname = "New"\nrate_percent = "7"\n'
    version = crm.call("System/GetSystem").refdata_version
    return lambda: crm.call("Refdata/PutRefdata", version=version, toml=toml)


def aborted(crm: CrmWorld) -> Callable[[], Any]:
    made, name = person(crm, balance_micros=EURO), f"pgw;{next(NUMBERS)}"
    tables, identity = crm.office.tables, f"e164:{made.msisdn}"
    command = ccr(tables, RequestType.INITIAL, 0, UnitRequest("7", "DATA", requested_units=1000), session=name)
    command.identities = [identity]
    [order] = crm.office.engine.execute([Order(command, identities=[identity])])
    assert order.error is None and order.outcome is not None
    return lambda: crm.call("Sessions/AbortSession", session_id=name)


def priced_again(crm: CrmWorld) -> Callable[[], Any]:
    toml = f'[[taxes]]\ncode = "T{next(NUMBERS)}"\nname = "New"\nrate_percent = "7"\n'
    version = crm.call("System/GetSystem").refdata_version
    now = crm.call("Refdata/PutRefdata", version=version, toml=toml).version
    return lambda: crm.call("Refdata/RollbackRefdata", version=now, to_version=version)


CASES: dict[str, Callable[[CrmWorld], Callable[[], Any]]] = {
    "Subscribers/CreateSubscriber": lambda crm: lambda: person(crm, imsi="999810000000001"),
    "Subscribers/UpdateSubscriber": updated,
    "Subscribers/SuspendSubscriber": state("Suspend"),
    "Subscribers/BarSubscriber": state("Bar"),
    "Subscribers/ReactivateSubscriber": state("Reactivate"),
    "Subscribers/TerminateSubscriber": state("Terminate"),
    "Subscribers/ChangePlan": planned,
    "Balances/TopUp": money("TopUp", amount_micros=EURO, reference="shop"),
    "Balances/Adjust": money("Adjust", amount_micros=-EURO, reason="sorry"),
    "Balances/BuyBundle": money("BuyBundle", bundle="TALK"),
    "Balances/StopBundle": money("StopBundle", bundle="TALK"),
    "Billing/QueueBilling": lambda crm: lambda: crm.call("Billing/QueueBilling", cycle=3),
    "Billing/CancelActivity": cancelled,
    "Subscribers/ChangeIdentity": renumbered,
    "Bills/VoidBill": bill("VoidBill", False, reason="x"),
    "Bills/CreditBill": bill("CreditBill", True, reason="x", amount=100),
    "Bills/RecordPayment": bill("RecordPayment", True, amount=100, reference="bank"),
    "Bills/ReformatBill": bill("ReformatBill", True),
    "Vouchers/MakeBatch": lambda crm: lambda: batch(crm),
    "Vouchers/RedeemVoucher": voucher,
    "Vouchers/BlockBatch": blocked("BlockBatch"),
    "Vouchers/UnblockBatch": blocked("UnblockBatch"),
    "Vouchers/BlockVoucher": blocked_one("BlockVoucher"),
    "Vouchers/UnblockVoucher": blocked_one("UnblockVoucher"),
    "Notifications/RetryNotifications": told("RetryNotifications"),
    "Notifications/AcknowledgeNotifications": told("AcknowledgeNotifications"),
    "Notifications/TestNotification": lambda crm: (
        lambda: crm.call("Notifications/TestNotification", subscriber=PREPAID)
    ),
    "Refdata/PutRefdata": priced,
    "Refdata/RollbackRefdata": priced_again,
    "Sessions/AbortSession": aborted,
}
ABOUT_PEOPLE = ("Subscribers/", "Balances/")  # of whom the entry says who it was, and what changed


# What stands by itself: keys, tries of PINs, numbers given, batches whose PINs aren't out, clocks of other programs.
_BESIDE = {"audit", "audit_head", "rpc_keys", "voucher_doors", "counters", "tokens", "gy_peers"}


def books(crm: CrmWorld) -> dict[str, dict[str, Doc]]:
    """All that a write may change, by collection and id."""

    def read(session: Any) -> dict[str, dict[str, Doc]]:
        names = sorted(set(session.list_collections()) - _BESIDE)
        found = {name: {doc["_id"]: doc for doc in session.collection(name).scan(limit=100_000)} for name in names}
        for bill in found["bills"].values():  # who renders one takes it first
            bill.pop("lease", None)
            bill.pop("version")
        found["meta"].pop("voucher_pepper", None)
        making = {one for one, doc in found["voucher_batches"].items() if doc["state"] == "making"}
        found["voucher_batches"] = {one: doc for one, doc in found["voucher_batches"].items() if one not in making}
        found["vouchers"] = {one: doc for one, doc in found["vouchers"].items() if doc["batch"] not in making}
        return found

    return crm.store.run(read)


@pytest.mark.parametrize("method", CASES)
def test_one_entry_for_each_write_and_none_without(crm: CrmWorld, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = CASES[method](crm)
    before, sent = books(crm), list[Any]()

    def fails(*_given: Any) -> Doc:
        raise InputError("audit: full; expected room")

    with monkeypatch.context() as patch:
        patch.setattr("mubss.services.auditing.Act.outcome", fails)
        patch.setattr("mubss.services.notice_sinks.LogSink.send", lambda *given: sent.append(given))
        assert not left_by(crm, lambda: refused(work))
    assert books(crm) == before and not sent, "nothing is done whose entry can't be written"
    [entry] = left_by(crm, work)
    assert (entry["what"], entry["who"], entry["role"], entry["seq"]) == (method, "tester", "admin", 0)
    assert entry["from"].startswith("ipv") and entry["request"]
    assert not {"idempotency_key", "msisdn", "imsi"} & entry["fields"].keys()
    if method.startswith(ABOUT_PEOPLE):
        assert entry["before"] or entry["after"] or "Plan" in method
        assert crm.call("Subscribers/GetSubscriber", subscriber=f"id:{entry['subscriber']}")


def test_each_rpc_reads_or_has_its_case() -> None:
    written = {method for method in LEAST_ROLE if writes(method)}
    assert set(CASES) == written


def test_a_repeat_and_a_failure_leave_none(crm: CrmWorld) -> None:
    made = person(crm)
    top_up = {"subscriber": made.msisdn, "amount_micros": EURO, "idempotency_key": crm.key()}
    assert len(left_by(crm, lambda: crm.call("Balances/TopUp", **top_up))) == 1
    assert not left_by(crm, lambda: crm.call("Balances/TopUp", **top_up))
    assert not left_by(crm, lambda: refused(lambda: crm.write("Balances/TopUp", subscriber=made.msisdn)))
    assert not left_by(crm, lambda: refused(lambda: crm.write("Balances/TopUp", subscriber="1", amount_micros=EURO)))
    create = {"msisdn": str(next(NUMBERS)), "plan": "demo-prepaid", "idempotency_key": crm.key()}
    assert len(left_by(crm, lambda: crm.call("Subscribers/CreateSubscriber", **create))) == 1
    assert not left_by(crm, lambda: crm.call("Subscribers/CreateSubscriber", **create))
    taken = {"msisdn": create["msisdn"], "plan": "demo-prepaid"}
    assert not left_by(crm, lambda: refused(lambda: crm.write("Subscribers/CreateSubscriber", **taken)))
    put = {"version": crm.office.tables.version, "toml": ""}
    assert not left_by(crm, lambda: crm.call("Refdata/PutRefdata", **put)), "it changes nothing"
    number, _ = batch(crm)
    assert len(left_by(crm, lambda: crm.call("Vouchers/BlockBatch", number=number))) == 1
    assert not left_by(crm, lambda: crm.call("Vouchers/BlockBatch", number=number)), "it is blocked already"
    update = {"subscriber": made.msisdn, "version": 9, "language": "fr"}
    assert not left_by(crm, lambda: refused(lambda: crm.write("Subscribers/UpdateSubscriber", **update)))
    queue = {"cycle": 15}
    assert len(left_by(crm, lambda: crm.call("Billing/QueueBilling", **queue))) == 1
    assert not left_by(crm, lambda: crm.call("Billing/QueueBilling", **queue)), "it is queued already"
    assert not left_by(crm, lambda: refused(lambda: crm.call("Sessions/AbortSession", session_id="nope")))
    assert not left_by(crm, lambda: crm.call("Subscribers/GetSubscriber", subscriber=PREPAID))


def test_one_key_in_many_hands_leaves_one(crm: CrmWorld) -> None:
    made = person(crm)
    request = {"subscriber": made.msisdn, "amount_micros": EURO, "idempotency_key": crm.key()}

    def work() -> None:
        clients = [threading.Thread(target=lambda: crm.call("Balances/TopUp", **request)) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    assert len(left_by(crm, work)) == 1


def test_a_bill_that_cannot_be_rendered_says_so_and_the_audit_who_asked(crm: CrmWorld) -> None:
    bill("ReformatBill", True)(crm)
    number = crm.call("Bills/ListBills", subscriber=POSTPAID).bills[0].number
    doc = bills.by_number(crm.store, number)
    assert doc is not None
    broken = {**doc, "usage": [[1, 10**9]], "version": doc["version"] + 1}
    crm.store.run(lambda session: session.collection(bills.BILLS).put_many([broken]))
    [entry] = left_by(crm, lambda: refused(lambda: crm.call("Bills/ReformatBill", number=number)))
    assert (entry["what"], entry["fields"]) == ("Bills/ReformatBill", {"number": number})
    assert "are kept" in crm.call("Bills/GetBill", number=number).fault
    whole = {**doc, "version": doc["version"] + 9}
    crm.store.run(lambda session: session.collection(bills.BILLS).put_many([whole]))
    assert not left_by(crm, lambda: refused(lambda: crm.call("Bills/ReformatBill", number=f"{number}0")))


def test_who_paid_is_served_again_even_if_the_first_call_died_amid(
    crm: CrmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = crm.office.config
    monkeypatch.setattr(crm.office, "config", replace(config, billing=replace(config.billing, reactivate_paid=True)))
    bill("RecordPayment", True)(crm)
    found = [one for one in crm.call("Bills/ListBills", cycle=3).bills if one.state == "BILL_STATUS_UNPAID"]
    one = next(one for one in found if one.settled.open == one.total > 0)
    crm.write("Subscribers/SuspendSubscriber", subscriber=one.msisdn, reason="dunning: step 3")
    request = {"number": one.number, "amount": one.total, "reference": "bank 1", "idempotency_key": crm.key()}

    def dies(*_given: Any) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("mubss.crm.bills.reactivate_if_paid", dies)
        assert refused(lambda: crm.call("Bills/RecordPayment", **request))
    assert crm.call("Bills/GetBill", number=one.number).state == "BILL_STATUS_PAID"
    entry, *more = left_by(crm, lambda: crm.call("Bills/RecordPayment", **request))
    assert (entry["what"], len(more)) == ("Bills/RecordPayment", 0), "the payment itself was told before"
    assert [doc["state"] for doc in entry["after"].values() if "state" in doc] == ["active", "active"]
    assert crm.call("Subscribers/GetSubscriber", subscriber=one.msisdn).state == "active"
    assert not left_by(crm, lambda: crm.call("Bills/RecordPayment", **request))


def test_nobodys_number_is_in_an_entry_and_the_chain_holds(crm: CrmWorld) -> None:
    made = person(crm, imsi="999810000000077")
    crm.write("Subscribers/SuspendSubscriber", subscriber=made.msisdn, reason=f"{made.msisdn} was stolen")
    text = str(entries(crm))
    for digits in (made.msisdn, made.imsi, POSTPAID, PREPAID, crm.token()[:20]):
        assert digits not in text
    found = verify(crm.store)
    assert found.fault is None and found.seq == len(entries(crm))


def test_old_keys_are_forgotten(crm: CrmWorld) -> None:
    person(crm)
    assert rpc_keys.forget(crm.store, 0) == 0
    assert rpc_keys.forget(crm.store, crm.office.now_s + 1) > 0
    assert rpc_keys.forget(crm.store, crm.office.now_s + 1) == 0
