"""Vouchers over gRPC: a batch whose PINs only the printer can read, and PINs that are good once."""

from __future__ import annotations

import logging
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from crm_world import PREPAID, CrmWorld, refused
from mubss.core.roles import AGENT
from mubss.services.audit_ledger import check
from mubss.services.sealing import unseal
from mubss.storage import vouchers as storage

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
EURO = 1_000_000
NUMBERS = iter(range(999_720_000_001, 999_720_999_999))
IDENTITY = pyrage.x25519.Identity.generate()
BATCH: dict[str, Any] = {"count": 3, "value_micros": 10 * EURO, "currency": "EUR", "last_day": "2040-12-31"}


def batch_of(crm: CrmWorld, **fields: Any) -> tuple[Any, list[str], list[str]]:
    """A batch, its serials and its PINs."""
    wanted = {**BATCH, "recipient": str(IDENTITY.to_public()), **fields}
    head, *chunks, last = crm.client().stream("Vouchers/MakeBatch", **wanted)
    sealed = b"".join(one.data for one in chunks)
    assert (head.batch.state, last.batch.state) == ("making", "active") and not head.data and not last.data
    assert (head.octets, head.sha256) == (len(sealed), sha256(sealed).hexdigest())
    rows = pyrage.decrypt(sealed, [IDENTITY]).decode().splitlines()[1:]
    return last.batch, [row.split(",")[0] for row in rows], [row.split(",")[1] for row in rows]


def someone(crm: CrmWorld) -> str:
    """A subscriber who tried no PIN yet."""
    return str(crm.write("Subscribers/CreateSubscriber", msisdn=str(next(NUMBERS)), plan="demo-prepaid").msisdn)


def test_a_batch_and_its_life(crm: CrmWorld) -> None:
    batch, serials, pins = batch_of(crm, remark="spring", length=16)
    assert (batch.count, batch.value_micros, batch.currency, batch.remark, batch.length) == (
        3, 10 * EURO, "EUR", "spring", 16,
    )  # fmt: skip
    assert len(set(pins)) == len(set(serials)) == 3 and {len(pin) for pin in pins} == {16}
    person = someone(crm)
    request = {"subscriber": person, "pin": pins[0], "idempotency_key": crm.key()}
    done = crm.call("Vouchers/RedeemVoucher", **request)
    assert (done.serial, done.value_micros, done.balance_micros) == (serials[0], 10 * EURO, 10 * EURO)
    assert crm.call("Vouchers/RedeemVoucher", **request) == done, "the first answer, and nothing moved"
    code, text = refused(lambda: crm.call("Vouchers/RedeemVoucher", **{**request, "pin": pins[1]}))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "another request" in text
    used = crm.call("Vouchers/LookupVoucher", serial=serials[0])
    assert (used.state, used.account, used.batch.number) == ("used", done.account, batch.number) and used.used_s
    assert crm.call("Vouchers/LookupVoucher", serial=serials[1].replace("-", "")).state == "unused"
    [listed] = [one for one in crm.call("Vouchers/ListBatches").batches if one.number == batch.number]
    assert listed.used == 1
    blocked = crm.call("Vouchers/BlockBatch", number=batch.number, reason="stolen")
    assert (blocked.state, blocked.reason) == ("blocked", "stolen")
    assert refused(lambda: crm.write("Vouchers/RedeemVoucher", subscriber=person, pin=pins[1]))[0] is INVALID
    assert crm.call("Vouchers/BlockBatch", number=batch.number).state == "blocked"
    assert crm.call("Vouchers/UnblockBatch", number=batch.number, reason="found").state == "active"
    spaced = f"{pins[1][:4]} {pins[1][4:8]}-{pins[1][8:]}"
    assert crm.write("Vouchers/RedeemVoucher", subscriber=person, pin=spaced).balance_micros == 20 * EURO
    lost = crm.call("Vouchers/BlockVoucher", serial=serials[2], reason="card lost")
    assert (lost.state, lost.reason, lost.batch.number) == ("blocked", "card lost", batch.number)
    assert (
        crm.call("Vouchers/BlockVoucher", serial=serials[2])
        == lost
        == crm.call("Vouchers/LookupVoucher", serial=serials[2])
    )
    assert refused(lambda: crm.write("Vouchers/RedeemVoucher", subscriber=person, pin=pins[2]))[0] is INVALID
    assert crm.call("Vouchers/UnblockVoucher", serial=serials[2]).state == "unused"
    code, text = refused(lambda: crm.call("Vouchers/BlockVoucher", serial=serials[0]))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "is used; expected one that is unused" in text
    assert refused(lambda: crm.call("Vouchers/BlockVoucher", serial="000099-0000001"))[0] is NOT_FOUND
    for fields in ({}, {"serial": "x"}, {"serial": serials[2], "reason": "a\nb"}):
        assert refused(lambda fields=fields: crm.call("Vouchers/BlockVoucher", **fields))[0] is INVALID
    assert check(crm.store)[1] == []


def test_an_rsa_key_as_the_recipient(crm: CrmWorld, folder: Path) -> None:
    key = generate_private_key(65537, 2048)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    answers = list(crm.client().stream("Vouchers/MakeBatch", **BATCH, recipient=public))
    content = unseal(b"".join(one.data for one in answers), str(folder / "key.pem"))
    assert content.startswith(b"serial,pin,") and content.count(b"\n") == 4


def test_a_batch_whose_stream_breaks_off_is_good_for_nothing(crm: CrmWorld) -> None:
    fresh = crm.client(token=crm.token())  # a connection in use may have grown to take it all at once
    stream = fresh.stream("Vouchers/MakeBatch", **{**BATCH, "count": 20_000}, recipient=str(IDENTITY.to_public()))
    number = next(stream).batch.number
    stream.close()
    batch = storage.get_batch(crm.store, number)
    assert batch is not None and batch["state"] == "making"
    code, text = refused(lambda: crm.call("Vouchers/UnblockBatch", number=number))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "unfinished" in text
    fresh.close()


def test_batches_in_pages(crm: CrmWorld) -> None:
    made = [batch_of(crm, count=1)[0].number for _ in range(3)]
    found: list[int] = []
    token = ""
    while True:
        page = crm.call("Vouchers/ListBatches", page_size=2, page_token=token)
        found += [one.number for one in page.batches]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(found, reverse=True) and set(made) <= set(found) and len(found) == len(set(found))


def test_one_pin_in_fifty_hands_is_redeemed_once(crm: CrmWorld) -> None:
    _, _, pins = batch_of(crm)
    people = [someone(crm) for _ in range(10)]
    won: list[str] = []
    told: set[tuple[grpc.StatusCode, str]] = set()
    start = threading.Barrier(50)

    def redeem(number: int) -> None:
        person = people[number % len(people)]
        start.wait()
        try:
            crm.write("Vouchers/RedeemVoucher", subscriber=person, pin=pins[0])
            won.append(person)
        except grpc.RpcError as error:
            told.add((error.code(), error.details()))

    threads = [threading.Thread(target=redeem, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(told) == 1 and next(iter(told))[0] is INVALID, told
    money = {one: crm.call("Balances/GetBalance", subscriber=one).balance_micros for one in people}
    assert money == {one: 10 * EURO if one == won[0] else 0 for one in people}


def test_one_call_in_many_hands_has_one_answer(crm: CrmWorld) -> None:
    _, _, pins = batch_of(crm)
    request = {"subscriber": someone(crm), "pin": pins[0], "idempotency_key": crm.key()}
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(crm.call("Vouchers/RedeemVoucher", **request))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and {one.balance_micros for one in answers} == {10 * EURO}


def test_every_wrong_pin_is_told_the_same(crm: CrmWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, _, pins = batch_of(crm)
    blocked, _, blocked_pins = batch_of(crm)
    crm.call("Vouchers/BlockBatch", number=blocked.number)
    expired, _, expired_pins = batch_of(crm)
    storage.change_batch(crm.store, expired.number, lambda doc: {**doc, "expires_s": 1, "version": doc["version"] + 1})
    crm.write("Vouchers/RedeemVoucher", subscriber=someone(crm), pin=pins[0])
    wrong = ["", "x", "0" * 14, "9" * 100_000, "é" * 14, "1' OR '1", pins[0], blocked_pins[0], expired_pins[0]]
    client = crm.client(token=crm.token(AGENT, "a shop with blanks, ünd more"))
    told = set()

    def redeem(person: str, pin: str) -> None:
        fields = {"subscriber": person, "pin": pin, "idempotency_key": crm.key()}
        told.add(refused(lambda: client.call("Vouchers/RedeemVoucher", **fields)))

    for pin in wrong:
        redeem(someone(crm), pin)
    person = someone(crm)
    for _ in range(8):  # the door shuts
        redeem(person, "0" * 14)
    redeem(person, pins[1])
    client.close()
    assert len(told) == 1, told
    [(code, text)] = told
    assert code is INVALID and text.startswith("pin: ")
    logged = caplog.text
    for pin in (*pins, *blocked_pins, *expired_pins, "9" * 20):
        assert pin not in logged and pin not in text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"count": 0}, "count: "),
        ({"count": 100_001}, "count: "),
        ({"count": -1}, "count: "),
        ({"value_micros": 0}, "value_micros: "),
        ({"value_micros": -EURO}, "value_micros: "),
        ({"value_micros": 1}, "value_micros: "),
        ({"value_micros": 2**63 - 1}, "value_micros: "),
        ({"currency": "XXX"}, "currency: "),
        ({"currency": "EURO"}, "currency: "),
        ({"bundle": "x"}, "value_micros: "),
        ({"value_micros": 0, "bundle": "nope"}, "bundle: "),
        ({"last_day": ""}, "last_day: "),
        ({"last_day": "2020-01-01"}, "last_day: "),
        ({"last_day": "9999-12-31"}, "last_day: "),
        ({"length": 9}, "length: "),
        ({"length": 31}, "length: "),
        ({"length": -1}, "length: "),
        ({"count": 100_000, "length": 10}, "length: "),
        ({"recipient": ""}, "recipient: "),
        ({"recipient": "age1x"}, "recipient: "),
        ({"recipient": "/etc/passwd"}, "recipient: "),
        ({"recipient": "-----BEGIN PUBLIC KEY-----\nx"}, "recipient: "),
        ({"recipient": "x" * 10_001}, "recipient: "),
        ({"remark": "x" * 201}, "remark: "),
        ({"remark": "a\nb"}, "remark: "),
    ],
)
def test_a_batch_that_cant_be_made(crm: CrmWorld, fields: dict[str, Any], named: str) -> None:
    wanted = {**BATCH, "recipient": str(IDENTITY.to_public()), **fields}
    code, text = refused(lambda: list(crm.client().stream("Vouchers/MakeBatch", **wanted)))
    assert code is INVALID and text.startswith(named), text


@pytest.mark.parametrize(
    ("name", "fields", "code", "named"),
    [
        ("RedeemVoucher", {"subscriber": PREPAID, "pin": "1"}, INVALID, "idempotency_key: "),
        ("RedeemVoucher", {"subscriber": "x", "pin": "1", "idempotency_key": "v"}, INVALID, "subscriber: "),
        (
            "RedeemVoucher",
            {"subscriber": "999720999999", "pin": "1", "idempotency_key": "v"},
            NOT_FOUND,
            "subscriber: ",
        ),
        ("BlockBatch", {"number": 0}, INVALID, "number: "),
        ("BlockBatch", {"number": 1_000_000}, INVALID, "number: "),
        ("BlockBatch", {"number": 999_999}, NOT_FOUND, "number: "),
        ("UnblockBatch", {"number": 999_999}, NOT_FOUND, "number: "),
        ("BlockBatch", {"number": 1, "reason": "x" * 201}, INVALID, "reason: "),
        ("LookupVoucher", {"serial": ""}, INVALID, "serial: "),
        ("LookupVoucher", {"serial": "1-2"}, INVALID, "serial: "),
        ("LookupVoucher", {"serial": "999999-9999999"}, NOT_FOUND, "serial: "),
        ("ListBatches", {"page_size": 501}, INVALID, "page_size: "),
        ("ListBatches", {"page_token": "eHg="}, INVALID, "page_token: "),
    ],
)
def test_fields_that_cant_be_taken(
    crm: CrmWorld, name: str, fields: dict[str, Any], code: grpc.StatusCode, named: str
) -> None:
    found, text = refused(lambda: crm.call(f"Vouchers/{name}", **fields))
    assert found is code and text.startswith(named), text
