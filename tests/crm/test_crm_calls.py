"""Every call through TLS on both engines: what it does, and which fields it refuses."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from crm_world import POSTPAID, PREPAID, CrmWorld, refused
from mubss.services.activities import BillingWanted, queue_billing
from mubss.services.audit_ledger import check
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run, period_for

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
EURO = 1_000_000
NUMBERS = iter(range(999_710_000_001, 999_799_999_999))


def created(crm: CrmWorld, **fields: Any) -> Any:
    return crm.write("Subscribers/CreateSubscriber", **{"msisdn": str(next(NUMBERS)), "plan": "demo-prepaid", **fields})


def test_a_subscribers_life(crm: CrmWorld) -> None:
    made = created(crm, balance_micros=5 * EURO, language="de", imsi="999710000000001")
    assert (made.type, made.state, made.language, made.version) == ("prepaid", "active", "de", 1)
    for name in (made.msisdn, f"+{made.msisdn}", f"imsi:{made.imsi}", f"id:{made.id}"):
        assert crm.call("Subscribers/GetSubscriber", subscriber=name) == made
    suspended = crm.write("Subscribers/SuspendSubscriber", subscriber=made.msisdn, reason="lost <phone>")
    assert (suspended.state, suspended.state_reason, suspended.version) == ("suspended", "lost <phone>", 2)
    assert crm.write("Subscribers/ReactivateSubscriber", subscriber=made.msisdn).state == "active"
    barred = crm.write("Subscribers/BarSubscriber", subscriber=made.msisdn, reason="fraud")
    assert (barred.state, barred.state_reason) == ("barred", "fraud")
    ended = crm.write("Subscribers/TerminateSubscriber", subscriber=made.msisdn, reason="moved")
    assert ended.state == "terminated"
    code, text = refused(lambda: crm.write("Subscribers/ReactivateSubscriber", subscriber=made.msisdn))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "doesn't come back" in text
    states = [entry.state for entry in crm.call("Subscribers/GetHistory", subscriber=made.msisdn).entries]
    assert states == ["active", "suspended", "active", "barred", "terminated"]


def test_an_update_needs_the_version_that_was_read(crm: CrmWorld) -> None:
    made = created(crm)
    after = crm.write("Subscribers/UpdateSubscriber", subscriber=made.msisdn, version=1, language="fr")
    assert (after.language, after.version) == ("fr", 2)
    update = {"subscriber": made.msisdn, "version": 1, "language": "es"}
    code, text = refused(lambda: crm.write("Subscribers/UpdateSubscriber", **update))
    assert code is grpc.StatusCode.ABORTED and "expected 2" in text
    for fields, named in (
        ({"language": "x"}, "language: 'x'"),
        ({"bill_cycle": 99}, "bill_cycle: 99"),
        ({}, "language"),
    ):
        code, text = refused(
            lambda fields=fields: crm.write("Subscribers/UpdateSubscriber", subscriber=made.msisdn, version=2, **fields)
        )
        assert code is INVALID and named in text
    assert crm.write("Subscribers/UpdateSubscriber", subscriber=made.msisdn, version=2, bill_cycle=3).bill_cycle == 3


def test_a_shared_account(crm: CrmWorld) -> None:
    first = created(crm, balance_micros=9 * EURO)
    second = created(crm, plan="", account=first.msisdn)
    assert second.account == first.account and second.id != first.id and second.plan == "demo-prepaid"
    assert crm.call("Balances/GetBalance", subscriber=second.msisdn).balance_micros == 9 * EURO


def test_search_in_pages(crm: CrmWorld) -> None:
    wanted = {created(crm, bill_cycle=15).id for _ in range(5)}
    found, token = [], ""
    while True:
        page = crm.call("Subscribers/SearchSubscribers", bill_cycle=15, type="prepaid", page_size=2, page_token=token)
        assert len(page.subscribers) <= 2
        found += [one.id for one in page.subscribers]
        token = page.next_page_token
        if not token:
            break
    assert set(found) >= wanted and len(found) == len(set(found))
    assert not crm.call("Subscribers/SearchSubscribers", plan="nope").subscribers


def test_another_plan(crm: CrmWorld) -> None:
    made = created(crm)
    code, text = refused(lambda: crm.write("Subscribers/ChangePlan", subscriber=made.msisdn, plan="demo-postpaid"))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "postpaid" in text
    assert crm.write("Subscribers/ChangePlan", subscriber=made.msisdn, plan="demo-prepaid").version == 2


def test_another_number_and_another_sim(crm: CrmWorld) -> None:
    made, other = created(crm, imsi="999710000000021"), created(crm)
    new = str(next(NUMBERS))
    request = {"subscriber": made.msisdn, "version": 1, "msisdn": new, "idempotency_key": crm.key()}
    after = crm.call("Subscribers/ChangeIdentity", **request)
    assert (after.id, after.msisdn, after.imsi, after.version) == (made.id, new, made.imsi, 2)
    assert crm.call("Subscribers/ChangeIdentity", **request) == after, "the first answer, though the old number is gone"
    assert refused(lambda: crm.call("Subscribers/GetSubscriber", subscriber=made.msisdn))[0] is NOT_FOUND
    assert created(crm, msisdn=made.msisdn).id != made.id, "it is free"
    change = {"subscriber": f"id:{made.id}", "version": 2}
    for fields, code, named in (
        ({"msisdn": other.msisdn}, INVALID, "msisdn: "),
        ({"msisdn": "x"}, INVALID, "msisdn: "),
        ({"imsi": "9" * 5000}, INVALID, "imsi: "),
        ({"imsi": made.imsi}, INVALID, "msisdn, imsi"),
        ({}, INVALID, "msisdn, imsi"),
        ({"imsi": "", "version": 1}, grpc.StatusCode.ABORTED, "version: 1"),
    ):
        found, text = refused(lambda fields=fields: crm.write("Subscribers/ChangeIdentity", **{**change, **fields}))
        assert found is code and text.startswith(named), text
    assert crm.write("Subscribers/ChangeIdentity", **change, imsi="").imsi == ""


def test_one_number_for_many_goes_to_one(crm: CrmWorld) -> None:
    people = [created(crm) for _ in range(8)]
    new = str(next(NUMBERS))
    told: list[Any] = []

    def change(person: Any) -> None:
        fields = {"subscriber": person.msisdn, "version": 1, "msisdn": new}
        try:
            told.append(crm.write("Subscribers/ChangeIdentity", **fields).id)
        except grpc.RpcError as error:
            told.append(error.code())

    threads = [threading.Thread(target=change, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [one for one in told if isinstance(one, str)]
    assert told.count(INVALID) == 7 and crm.call("Subscribers/GetSubscriber", subscriber=new).id == winner


def test_money(crm: CrmWorld) -> None:
    made = created(crm)
    top_up = {
        "subscriber": made.msisdn,
        "amount_micros": 10 * EURO,
        "reference": "shop 7",
        "idempotency_key": crm.key(),
    }
    first = crm.call("Balances/TopUp", **top_up)
    assert (first.balance_micros, first.currency) == (10 * EURO, "EUR")
    assert (
        crm.write("Balances/Adjust", subscriber=made.msisdn, amount_micros=-EURO, reason="x").balance_micros == 9 * EURO
    )
    assert crm.call("Balances/TopUp", **top_up) == first, "the first answer, and nothing moved"
    code, text = refused(lambda: crm.call("Balances/TopUp", **{**top_up, "amount_micros": EURO}))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "another request" in text
    balance = crm.call("Balances/GetBalance", subscriber=made.msisdn)
    assert (balance.balance_micros, balance.available_micros, balance.decimals) == (9 * EURO, 9 * EURO, 2)
    assert balance.month and {one.service for one in crm.call("Balances/GetBalance", subscriber=POSTPAID).free_units}
    page = crm.call("Balances/ListPostings", subscriber=made.msisdn, page_size=1)
    assert [(one.kind, one.amount_micros, one.cause["reference"]) for one in page.postings] == [
        ("topup", 10 * EURO, "shop 7")
    ]
    rest = crm.call("Balances/ListPostings", subscriber=made.msisdn, page_token=page.next_page_token)
    assert [one.kind for one in rest.postings] == ["adjustment"] and not rest.next_page_token


def test_one_key_in_many_hands_moves_money_once(crm: CrmWorld) -> None:
    made = created(crm)
    request = {"subscriber": made.msisdn, "amount_micros": EURO, "idempotency_key": crm.key()}
    answers: list[Any] = []
    clients = [
        threading.Thread(target=lambda: answers.append(crm.call("Balances/TopUp", **request))) for _ in range(12)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(answers) == 12 and {answer.balance_micros for answer in answers} == {EURO}
    assert crm.call("Balances/GetBalance", subscriber=made.msisdn).balance_micros == EURO


def test_a_top_up_that_comes_again_when_all_is_different(crm: CrmWorld) -> None:
    made = created(crm)
    request = {"subscriber": made.msisdn, "amount_micros": EURO, "idempotency_key": crm.key()}
    first = crm.call("Balances/TopUp", **request)
    crm.write("Subscribers/ChangeIdentity", subscriber=made.msisdn, version=1, msisdn=str(next(NUMBERS)))
    assert crm.call("Balances/TopUp", **request) == first, "the number is nobody's"
    other = created(crm, msisdn=made.msisdn)
    assert crm.call("Balances/TopUp", **request) == first, "the number is another's"
    for account in (made, other):
        balance = crm.call("Balances/GetBalance", subscriber=f"id:{account.id}").balance_micros
        assert balance == (EURO if account is made else 0)
    for wrong in ({"amount_micros": 2 * EURO}, {"amount_micros": 0}, {"subscriber": "1234567"}):
        code, text = refused(lambda wrong=wrong: crm.call("Balances/TopUp", **request | wrong))
        assert code is grpc.StatusCode.FAILED_PRECONDITION and text.startswith("idempotency_key: "), (wrong, text)


def test_a_create_that_comes_again(crm: CrmWorld) -> None:
    fields = {"msisdn": str(next(NUMBERS)), "plan": "demo-prepaid", "idempotency_key": crm.key()}
    first = crm.call("Subscribers/CreateSubscriber", **fields)
    assert crm.call("Subscribers/CreateSubscriber", **fields) == first
    code, text = refused(lambda: crm.write("Subscribers/CreateSubscriber", msisdn=first.msisdn, plan="demo-prepaid"))
    assert code is INVALID and text.startswith("msisdn: ")


def test_usage_and_what_it_would_cost(crm: CrmWorld) -> None:
    everything = crm.call("Usage/ListUsage", subscriber=POSTPAID).records
    assert everything
    found, token = [], ""
    while True:
        page = crm.call("Usage/ListUsage", subscriber=POSTPAID, page_size=3, page_token=token)
        found += page.records
        token = page.next_page_token
        if not token:
            break
    assert found == list(everything)
    service = everything[0].service
    some = crm.call("Usage/ListUsage", subscriber=POSTPAID, service=service).records
    assert list(some) == [one for one in everything if one.service == service]
    since_s = everything[len(everything) // 2].from_s
    later = crm.call("Usage/ListUsage", subscriber=POSTPAID, from_s=since_s).records
    assert list(later) == [one for one in everything if one.from_s >= since_s]
    price = crm.call("Usage/ExplainCharge", subscriber=POSTPAID, service="VOICE", units=6000, called="4930123456")
    assert price.charge_micros == sum(step.micros for step in price.steps) and price.plan == "demo-postpaid"


def test_bills_and_runs(crm: CrmWorld) -> None:
    queued = crm.call("Billing/QueueBilling", cycle=3, dry_run=True)
    assert (queued.state, queued.kind, queued.by, queued.dry_run) == ("NEW", "FULL_BILLRUN", "tester", True)
    assert crm.call("Billing/QueueBilling", cycle=3, dry_run=True) == queued
    assert crm.call("Billing/GetActivity", id=queued.id) == queued
    assert queued in crm.call("Billing/ListActivities", cycle=3, state="NEW").activities
    seen = crm.client().stream("Billing/WatchActivity", id=queued.id)
    assert next(seen) == queued
    assert crm.call("Billing/CancelActivity", id=queued.id).state == "CANCELLED"
    assert [one.state for one in seen] == ["CANCELLED"]
    code, _ = refused(lambda: crm.call("Billing/CancelActivity", id=queued.id))
    assert code is INVALID
    office = crm.office
    period = period_for(office.tables, 3, "", office.now_s)
    issued = list(bill_run(crm.store, office.engine, office.tables, Run(3, period), office.now_s))
    [bill] = crm.call("Bills/ListBills", subscriber=POSTPAID).bills
    assert not bill.lines and bill.period == period.label and bill.state == "BILL_STATUS_NEW"
    whole = crm.call("Bills/GetBill", number=bill.number)
    assert whole.net == sum(line.amount for line in whole.lines) and whole.total == whole.net + whole.tax
    assert len(crm.call("Bills/ListBills", cycle=3, period=period.label).bills) == sum(
        one.bill is not None for one in issued
    )
    assert queue_billing(crm.store, office.tables, BillingWanted(3), "x", office.now_s).is_new


def test_sessions_and_the_system(crm: CrmWorld) -> None:
    assert not crm.call("Sessions/ListSessions", subscriber=PREPAID).sessions
    code, text = refused(lambda: crm.call("Sessions/AbortSession", session_id="nope"))
    assert code is INVALID and text.startswith("session: 'nope'")
    system = crm.call("System/GetSystem")
    assert system.processes[0].program == "mubss-crm" and system.store in ("sqlite", "mysql")


LONG = "x" * 201
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("Subscribers/GetSubscriber", {"subscriber": ""}, "subscriber"),
    ("Subscribers/GetSubscriber", {"subscriber": "1' OR '1"}, "subscriber"),
    ("Subscribers/GetSubscriber", {"subscriber": "9" * 5000}, "subscriber"),
    ("Subscribers/CreateSubscriber", {"idempotency_key": ""}, "idempotency_key"),
    ("Subscribers/CreateSubscriber", {"idempotency_key": "a b"}, "idempotency_key"),
    ("Subscribers/CreateSubscriber", {"idempotency_key": "k", "msisdn": "x"}, "msisdn"),
    ("Subscribers/SearchSubscribers", {"page_size": 501}, "page_size"),
    ("Subscribers/SearchSubscribers", {"page_size": -1}, "page_size"),
    ("Subscribers/SearchSubscribers", {"page_token": "é"}, "page_token"),
    ("Subscribers/SearchSubscribers", {"state": "asleep"}, "state"),
    ("Subscribers/SearchSubscribers", {"type": "both"}, "type"),
    ("Subscribers/SuspendSubscriber", {"idempotency_key": "k", "subscriber": PREPAID, "reason": LONG}, "reason"),
    ("Subscribers/SuspendSubscriber", {"idempotency_key": "k", "subscriber": PREPAID, "reason": "a\nb"}, "reason"),
    ("Balances/TopUp", {"idempotency_key": "k", "subscriber": PREPAID, "amount_micros": 0}, "amount"),
    ("Balances/TopUp", {"idempotency_key": "k", "subscriber": PREPAID, "amount_micros": -EURO}, "amount"),
    ("Balances/TopUp", {"idempotency_key": "k", "subscriber": PREPAID, "amount_micros": 1}, "amount"),
    ("Balances/Adjust", {"idempotency_key": "k", "subscriber": PREPAID, "amount_micros": EURO}, "reason"),
    ("Balances/Adjust", {"idempotency_key": "k", "subscriber": PREPAID, "reason": "x"}, "amount_micros"),
    ("Balances/ListPostings", {"subscriber": PREPAID, "page_token": "eHg="}, "page_token"),
    ("Usage/ExplainCharge", {"subscriber": PREPAID, "service": "VOICE", "units": 0}, "units"),
    ("Usage/ExplainCharge", {"subscriber": PREPAID, "service": "VOICE", "units": 1, "called": "abc"}, "called"),
    ("Billing/QueueBilling", {"cycle": 99}, "cycle"),
    ("Billing/QueueBilling", {"cycle": 3, "period": "2999-01"}, "period"),
    ("Billing/ListActivities", {"state": "LOST"}, "state"),
]


@pytest.mark.parametrize(("name", "fields", "field"), WRONG)
def test_a_field_that_cant_be_taken_is_named(crm: CrmWorld, name: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        crm.call(name, **fields)
    error = caught.value
    assert error.code() is INVALID, error
    [packed] = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(packed)
    bad = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad) and bad.field_violations[0].field == field


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Subscribers/GetSubscriber", {"subscriber": "999799999999"}),
        ("Subscribers/GetSubscriber", {"subscriber": "id:nope"}),
        ("Balances/GetBalance", {"subscriber": "imsi:999700000009999"}),
        ("Bills/GetBill", {"number": "INV-1"}),
        ("Billing/GetActivity", {"id": "x"}),
    ],
)
def test_what_isnt_there(crm: CrmWorld, name: str, fields: dict[str, Any]) -> None:
    assert refused(lambda: crm.call(name, **fields))[0] is NOT_FOUND


def test_a_request_of_megabytes_is_refused(crm: CrmWorld) -> None:
    code, _ = refused(lambda: crm.write("Balances/TopUp", subscriber=PREPAID, reference="x" * 5_000_000))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID


def test_the_books_are_right_after_all_that(crm: CrmWorld) -> None:
    assert check(crm.store)[1] == []
