"""The PHP client against the real server, through TLS: every kind of call, refusals, deadlines, keys, streams."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyrage
import pytest

import peers
from crm_examples import EXAMPLES, php_call
from crm_world import POSTPAID, PREPAID, CrmWorld
from examples import RPCS, may_come_to
from mubss.core.roles import VIEWER
from mubss.pb import crm_pb2
from mubss.services import private_ca
from mubss.services.bill_group import Run
from mubss.services.billing import bill_run, period_for
from php_player import Misuse, Php, Refused
from proxy import Fault, Proxy

EURO = 1_000_000
CLIENT = Path(__file__).parents[2] / "clients/php"
NUMBERS = iter(range(999_720_000_001, 999_799_999_999))


@pytest.fixture(scope="module")
def program() -> str:
    return peers.php()


@contextmanager
def player(program: str, crm: CrmWorld, **options: Any) -> Iterator[Php]:
    """A client of the server; `options` are the constructor's."""
    ca_file = str(crm.folder / "var/tls/ca.pem")
    php = Php(program, **{"address": f"https://{crm.address}", "token": crm.token(), "caFile": ca_file, **options})
    try:
        yield php
        php.close()
    finally:
        php.kill()


@pytest.fixture(scope="module")
def php(program: str, crm: CrmWorld) -> Iterator[Php]:
    """An admin's client."""
    with player(program, crm) as one:
        yield one


@contextmanager
def billing(crm: CrmWorld) -> Iterator[None]:
    """A real `mubss-billing --cycle 3` on the server's store."""
    settings = {"MUBSS_STORE__URL": crm.config.store_url, "MUBSS_GENERAL__DATA_DIR": str(crm.folder)}
    command = [sys.executable, "-m", "mubss.workers.billing", "--cycle", "3"]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE)
    try:
        yield
        process.terminate()
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()


def test_a_subscriber_and_money(php: Php, crm: CrmWorld) -> None:
    made = php.call("Subscribers/CreateSubscriber", msisdn=str(next(NUMBERS)), plan="demo-prepaid", language="pt-BR")
    assert made == crm.call("Subscribers/GetSubscriber", subscriber=made.msisdn) and made.language == "pt-BR"
    fields = {"subscriber": made.msisdn, "amount_micros": 12 * EURO, "reference": "Straße 7 <b>"}
    assert php.call("Balances/TopUp", **fields).balance_micros == 12 * EURO
    [posting] = php.call("Balances/ListPostings", subscriber=made.msisdn).postings
    assert (posting.kind, posting.cause["reference"]) == ("topup", "Straße 7 <b>")
    adjusted = php.call("Balances/Adjust", subscriber=made.msisdn, amount_micros=-EURO, reason="x")
    assert adjusted.balance_micros == 11 * EURO


def test_one_key_moves_money_once(php: Php, crm: CrmWorld) -> None:
    before = crm.call("Balances/GetBalance", subscriber=PREPAID).balance_micros
    fields = {
        "subscriber": PREPAID,
        "amount_micros": EURO,
        "idempotency_key": "a key of the caller's".replace(" ", "-"),
    }
    first = php.call("Balances/TopUp", **fields)
    assert php.call("Balances/TopUp", **fields) == first
    same = php.call_object("Balances/TopUp", times=3, subscriber=PREPAID, amount_micros=EURO)
    assert {one.balance_micros for one in same} == {before + 2 * EURO}
    php.call("Balances/TopUp", subscriber=PREPAID, amount_micros=EURO)
    assert php.call("Balances/TopUp", subscriber=PREPAID, amount_micros=EURO).balance_micros == before + 4 * EURO
    with pytest.raises(Refused) as caught:
        php.call("Balances/TopUp", **{**fields, "amount_micros": 2 * EURO})
    assert caught.value.status == "FAILED_PRECONDITION" and caught.value.key == fields["idempotency_key"]


def test_usage_in_pages(php: Php, crm: CrmWorld) -> None:
    found, token = [], ""
    while True:
        page = php.call("Usage/ListUsage", subscriber=POSTPAID, page_size=4, page_token=token)
        found += page.records
        token = page.next_page_token
        if not token:
            break
    assert found and found == list(crm.call("Usage/ListUsage", subscriber=POSTPAID).records)


# What is read by a call alone; its answer must be what the Python client gets.
SAME: list[tuple[str, dict[str, Any]]] = [
    ("Subscribers/GetSubscriber", {"subscriber": PREPAID}),
    ("Subscribers/SearchSubscribers", {"type": "postpaid", "page_size": 3}),
    ("Subscribers/GetHistory", {"subscriber": POSTPAID}),
    ("Balances/GetBalance", {"subscriber": POSTPAID}),
    ("Usage/ExplainCharge", {"subscriber": POSTPAID, "service": "VOICE", "units": 6000, "called": "4930123456"}),
    ("Bills/ListBills", {"cycle": 3}),
    ("Sessions/ListSessions", {"subscriber": PREPAID}),
    ("Bills/ListOverdue", {"cycle": 3}),
    ("Vouchers/ListBatches", {}),
    ("Notifications/ListTemplates", {"language": "ar"}),
    ("Refdata/ListTables", {}),
    ("Refdata/GetRefdata", {"table": "price_plans"}),
    ("Refdata/ListRefdataVersions", {}),
    ("Refdata/DiffRefdata", {"from_version": 1}),
    ("Statistics/ListMetrics", {}),
    ("Statistics/GetSeries", {"metric": "usage", "period": "month", "group_by": ["plan"], "filters": {"plan": "P"}}),
    ("Refdata/DiffRefdata", {"toml": "[[taxes]]\ncode = 'T7'\nname = 'é <b>'\nrate_percent = '7'\n"}),
]


@pytest.mark.parametrize(("name", "fields"), SAME)
def test_php_reads_what_python_does(php: Php, crm: CrmWorld, name: str, fields: dict[str, Any]) -> None:
    assert php.call(name, **fields) == crm.call(name, **fields)


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("Subscribers/GetSubscriber", {"subscriber": "999799999999"}, "NOT_FOUND", ""),
    ("Subscribers/GetSubscriber", {"subscriber": "é\n100%"}, "INVALID_ARGUMENT", "subscriber"),
    ("Subscribers/SearchSubscribers", {"page_size": 501}, "INVALID_ARGUMENT", "page_size"),
    ("Balances/TopUp", {"subscriber": PREPAID, "amount_micros": -EURO}, "INVALID_ARGUMENT", "amount"),
    ("Subscribers/SuspendSubscriber", {"subscriber": PREPAID, "reason": "a\nb"}, "INVALID_ARGUMENT", "reason"),
    ("Balances/TopUp", {"subscriber": PREPAID, "reference": "x" * 2_000_000}, "RESOURCE_EXHAUSTED", ""),
]


@pytest.mark.parametrize(("name", "fields", "status", "field"), REFUSED)
def test_a_refusal_is_an_exception(php: Php, name: str, fields: dict[str, Any], status: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        php.call(name, **fields)
    refused = caught.value
    assert (refused.status, refused.method, list(refused.violations)) == (status, name, [field] if field else [])
    if field:
        assert refused.message == f"{field}: {refused.violations[field]}" and refused.request_id
    if fields["subscriber" if "subscriber" in fields else "page_size"] == "é\n100%":
        assert refused.message.startswith("subscriber: 'é\\n100%'; expected")


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("Balances/TopUp", {"amount": 5}, "Balances/TopUp: Invalid message property: amount"),
        ("Balances/TopUp", {"amount_micros": "five"}, "Balances/TopUp: "),
        ("Balances/Nope", {}, '"Balances/Nope": expected a call'),
        ("Billing/WatchActivity", {"id": "x"}, "Billing/WatchActivity: expected it by stream()"),
        ("Balances/GetBalance", {"seconds": -1}, "seconds: -1"),
        ("Balances/GetBalance", {"request_id": "a\r\nb: c"}, "requestId: "),
    ],
)
def test_a_call_that_cant_be_made(php: Php, name: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(Misuse, match=re.escape(text)):
        php.call(name, **fields)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"address": "localhost:50051"}, "address: "),
        ({"address": "http://crm.example:50051"}, "expected https"),
        ({"address": "https://localhost:50051/path"}, "address: "),
        ({"caFile": "/nowhere/ca.pem"}, 'caFile: "/nowhere/ca.pem"'),
        ({"seconds": 0}, "seconds: 0"),
        ({"attempts": 0}, "attempts, maxOctets: 0"),
    ],
)
def test_a_client_that_cant_be_made(program: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(Misuse, match=re.escape(text)):
        Php(program, **{"address": "https://localhost:50051", "token": "x", **options})


def test_tokens(program: str, crm: CrmWorld) -> None:
    for token, status in ((f"{crm.token()}x", "UNAUTHENTICATED"), (crm.token(VIEWER), "PERMISSION_DENIED")):
        with player(program, crm, token=token) as php, pytest.raises(Refused) as caught:
            php.call("Balances/TopUp", subscriber=PREPAID, amount_micros=EURO)
        assert (caught.value.status, caught.value.message) == (status, status) and caught.value.request_id
    for token in ("", "a\r\nx-evil: 1", "é"):
        with player(program, crm, token=token) as php, pytest.raises(Misuse, match="token: "):
            php.call("Balances/GetBalance", subscriber=PREPAID)


def test_strange_authorities_and_names_are_refused(program: str, crm: CrmWorld, tmp_path: Path) -> None:
    other = private_ca.make_server(tmp_path / "tls", ["localhost"], int(time.time())).ca
    for options, text in (
        ({"caFile": str(other)}, "certificate"),
        ({"caFile": None}, "certificate"),
        ({"address": f"https://127.0.0.1:{crm.server.port}"}, "127.0.0.1"),
    ):
        with player(program, crm, **options) as php, pytest.raises(Refused, match=text) as caught:
            php.call("Subscribers/GetSubscriber", subscriber=PREPAID)
        assert caught.value.status == "UNAVAILABLE"


def test_a_client_with_a_certificate(program: str, tmp_path: Path) -> None:
    crm = CrmWorld(f"sqlite:///{tmp_path}/store.db", tmp_path, tls_client_ca="var/tls/ca.pem")
    own = private_ca.make_client(tmp_path / "var/tls", "portal", int(time.time()))
    with player(program, crm) as php, pytest.raises(Refused) as caught:
        php.call("Subscribers/GetSubscriber", subscriber=PREPAID)
    assert caught.value.status == "UNAVAILABLE"
    with player(program, crm, certificate=str(own.certificate), key=str(own.key)) as php:
        assert php.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
    crm.close()


def test_a_deadline_that_passes(php: Php, program: str, crm: CrmWorld) -> None:
    queued = crm.call("Billing/QueueBilling", cycle=3, dry_run=True)
    seen = php.stream("Billing/WatchActivity", seconds=0.5, id=queued.id)
    assert next(seen) == queued
    with pytest.raises(Refused) as caught:
        next(seen)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert crm.call("Billing/CancelActivity", id=queued.id).state == "CANCELLED"
    fields = {"subscriber": PREPAID, "amount_micros": EURO, "idempotency_key": "a-lost-answer"}
    with Proxy(crm.server.port) as proxy, player(program, crm, address=f"https://localhost:{proxy.port}") as other:
        assert other.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
        proxy.arm(b"\x17\x03\x03", Fault.SILENCE)  # the next record of TLS
        with pytest.raises(Refused) as caught:
            other.call("Balances/TopUp", seconds=0.5, **fields)
        assert (caught.value.status, caught.value.key) == ("DEADLINE_EXCEEDED", "a-lost-answer")
        once = php.call("Balances/TopUp", **fields)
        assert other.call("Balances/TopUp", **fields) == once, "on a connection of its own"


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DEAFEN])
def test_a_connection_that_breaks_costs_nothing(program: str, crm: CrmWorld, fault: Fault) -> None:
    before = crm.call("Balances/GetBalance", subscriber=PREPAID).balance_micros
    with Proxy(crm.server.port) as proxy, player(program, crm, address=f"https://localhost:{proxy.port}") as php:
        for times in (1, 2):
            proxy.arm(b"\x17\x03\x03", fault)
            answer = php.call("Balances/TopUp", subscriber=PREPAID, amount_micros=EURO)
            assert answer.balance_micros == before + times * EURO and proxy.struck.is_set()


def test_a_bill_run_is_watched_to_its_end(php: Php, crm: CrmWorld) -> None:
    queued = php.call("Billing/QueueBilling", cycle=3)
    seen = php.stream("Billing/WatchActivity", seconds=120, meanwhile="Billing/GetActivity", id=queued.id)
    assert next(seen) == queued, "it comes before there is anything else to tell"
    with billing(crm):
        states = [one.state for one in seen]
    assert states[-1] == "DONE" and set(states[:-1]) <= {"NEW", "RUNNING"}
    [bill] = php.call("Bills/ListBills", subscriber=POSTPAID).bills
    whole = php.call("Bills/GetBill", number=bill.number)
    assert whole == crm.call("Bills/GetBill", number=bill.number) and whole.lines


def test_a_pdf_comes_as_a_stream_of_octets(php: Php, crm: CrmWorld) -> None:
    office = crm.office
    period = period_for(office.tables, 3, "", office.now_s)
    list(bill_run(crm.store, office.engine, office.tables, Run(3, period), office.now_s))
    [bill] = php.call("Bills/ListBills", subscriber=POSTPAID).bills
    with pytest.raises(Refused) as caught:
        list(php.stream("Bills/GetBillPdf", number=f"{bill.number}0"))
    assert caught.value.status == "NOT_FOUND"
    made = php.call("Bills/ReformatBill", number=bill.number)
    head, *chunks = php.stream("Bills/GetBillPdf", number=bill.number)
    octets = b"".join(one.data for one in chunks)
    assert (head.file_name, head.octets) == (f"{bill.number}.pdf", len(octets)) and octets.startswith(b"%PDF-")
    assert sha256(octets).hexdigest() == head.sha256 and made.pdf_octets == len(octets)


def test_vouchers_are_made_and_redeemed(php: Php, crm: CrmWorld) -> None:
    known = pyrage.x25519.Identity.generate()
    batch = {"count": 2, "value_micros": 10 * EURO, "currency": "EUR", "last_day": "2040-12-31"}
    head, *chunks, last = php.stream("Vouchers/MakeBatch", recipient=str(known.to_public()), **batch)
    sealed = b"".join(one.data for one in chunks)
    assert sha256(sealed).hexdigest() == head.sha256 and last.batch.state == "active"
    rows = pyrage.decrypt(sealed, [known]).decode().splitlines()[1:]
    [(serial, pin), (_, other)] = [row.split(",")[:2] for row in rows]
    person = php.call("Subscribers/CreateSubscriber", msisdn=str(next(NUMBERS)), plan="demo-prepaid").msisdn
    fields = {"subscriber": person, "pin": f"{pin[:4]} {pin[4:]}", "idempotency_key": crm.key()}
    done = php.call("Vouchers/RedeemVoucher", **fields)
    assert (done.serial, done.value_micros, done.balance_micros) == (serial, 10 * EURO, 10 * EURO)
    assert php.call("Vouchers/RedeemVoucher", **fields) == done, "a repeat by its key"
    for wrong in (pin, "0" * len(pin)):
        with pytest.raises(Refused) as caught:
            php.call("Vouchers/RedeemVoucher", subscriber=person, pin=wrong)
        assert (caught.value.status, list(caught.value.violations)) == ("INVALID_ARGUMENT", ["pin"])
        assert wrong not in caught.value.message
    assert php.call("Vouchers/LookupVoucher", serial=serial).state == "used"
    assert php.call("Vouchers/RedeemVoucher", subscriber=person, pin=other).balance_micros == 20 * EURO


def test_who_stops_reading_a_stream_may_go_on_calling(php: Php, crm: CrmWorld) -> None:
    queued = crm.call("Billing/QueueBilling", cycle=3, dry_run=True, period="2026-09")
    for _ in range(40):  # more than the server has threads: each of them must be free again
        assert list(php.stream("Billing/WatchActivity", most=1, id=queued.id)) == [queued]
    assert php.call("Billing/CancelActivity", id=queued.id).state == "CANCELLED"
    with pytest.raises(Refused) as caught:
        list(php.stream("Billing/WatchActivity", id="nope"))
    assert caught.value.status == "NOT_FOUND"


def test_the_example_runs(program: str, crm: CrmWorld) -> None:
    command = [program, str(CLIENT / "example.php"), f"https://{crm.address}", str(crm.folder / "var/tls/ca.pem"), "3"]
    environment = {**os.environ, "MUBSS_TOKEN": crm.token()}
    with billing(crm):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "balance 12.50 EUR, and after the same call again 12.50 EUR\nrefused: amount is -0.000001" in done.stdout
    assert re.search(r"bill run of \d{4}-\d\d: DONE, 10 of 10 accounts\n$", done.stdout)
    environment["MUBSS_TOKEN"] = "x"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith("Subscribers/CreateSubscriber: UNAUTHENTICATED: ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_documents_are_accepted(php: Php, name: str) -> None:
    try:
        php.run(name, php_call(name, RPCS[name]))
    except Refused as refused:
        assert refused.status in may_come_to(name), refused


def test_php_knows_every_call(program: str) -> None:
    text = f"require '{CLIENT}/autoload.php'; echo json_encode(Mubss\\Crm\\V1\\Methods::ALL);"
    known = subprocess.run([program, "-r", text], capture_output=True, text=True, check=True).stdout
    for service in crm_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            assert f'"{service.name}\\/{method.name}"' in known, "run: scripts/php_classes"
    code = f"""require '{CLIENT}/autoload.php';
    foreach (Mubss\\Crm\\V1\\Methods::ALL as $one) {{ new $one['request'](); new $one['answer'](); }} echo 'all';"""
    assert subprocess.run([program, "-r", code], capture_output=True, text=True, check=True).stdout == "all"
