"""Notifications over gRPC: what is told, what is dead, the texts; and mubss-crm delivers them by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from crm_world import PREPAID, CrmWorld, refused
from mubss.crm.notifications import Delivery
from mubss.services.lifecycle import find_subscriber
from mubss.storage import notifications as storage
from mubss.storage.database import Doc

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
NOBODY = "0" * 32


@pytest.fixture
def quiet(crm: CrmWorld) -> Iterator[CrmWorld]:
    """Without notifications of other tests."""
    yield crm
    crm.store.run(lambda session: session.collection(storage.NOTIFICATIONS).remove("true").execute())


def added(crm: CrmWorld, cause: str, state: str = storage.NEW, due_s: int = 2**40) -> str:
    """A notification, due in the far future."""
    person = find_subscriber(crm.store, PREPAID)["_id"]
    doc: Doc = {**storage.make("suspended", person, "en", cause, {"units": 7}, 1000, due_s), "state": state}
    crm.store.run(lambda session: session.collection(storage.NOTIFICATIONS).add_many([doc]))
    return str(doc["_id"])


def test_dead_ones_are_tried_again_or_taken_off_the_list(quiet: CrmWorld) -> None:
    dead = [added(quiet, f"dead {number}", storage.DEAD) for number in range(3)]
    new = added(quiet, "new")
    found = quiet.call("Notifications/ListNotifications", state="dead", subscriber=PREPAID, kind="suspended")
    assert {one.id for one in found.notifications} == set(dead)
    assert found.notifications[0].values["units"] == "7" and found.notifications[0].made_s == 1000
    acknowledged = quiet.call("Notifications/AcknowledgeNotifications", ids=dead[:1]).notifications
    assert [(one.id, one.state) for one in acknowledged] == [(dead[0], "acknowledged")]
    code, text = refused(lambda: quiet.call("Notifications/RetryNotifications", ids=[dead[1], new]))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "is new" in text
    assert len(quiet.call("Notifications/ListNotifications", state="dead").notifications) == 2, "none was changed"
    again = quiet.call("Notifications/RetryNotifications", ids=[dead[1], dead[1]]).notifications
    assert [one.id for one in again] == [dead[1]] and again[0].state == "new"


def test_pages(quiet: CrmWorld) -> None:
    made = {added(quiet, f"page {number}") for number in range(5)}
    found: list[str] = []
    token = ""
    while True:
        page = quiet.call("Notifications/ListNotifications", page_size=2, page_token=token)
        found += [one.id for one in page.notifications]
        token = page.next_page_token
        if not token:
            break
    assert set(found) == made and len(found) == 5


def test_texts(crm: CrmWorld) -> None:
    every = crm.call("Notifications/ListTemplates").templates
    english = crm.call("Notifications/ListTemplates", language="en").templates
    assert [one for one in every if one.language == "en"] == list(english) and len(every) > len(english)
    [topup] = [one for one in english if one.kind == "topup"]
    assert topup.subject and "{amount}" in topup.text and set(topup.fields) == {"msisdn", "amount", "balance"}


def test_a_test_message(crm: CrmWorld) -> None:
    [result] = crm.call("Notifications/TestNotification", subscriber=PREPAID).results
    assert (result.sink, result.fault) == ("log", "")


def test_what_is_due_is_delivered_beside_the_calls(quiet: CrmWorld) -> None:
    wanted = added(quiet, "due", due_s=1000)
    told = threading.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if wanted in record.getMessage():
                told.set()

    heard, log = Heard(), logging.getLogger("mubss.notifications")
    before = log.level
    log.addHandler(heard)
    log.setLevel(logging.INFO)
    delivery = Delivery(quiet.office)
    delivery.start()
    try:
        assert told.wait(30)
    finally:
        delivery.stop()
        log.removeHandler(heard)
        log.setLevel(before)
    [found] = quiet.call("Notifications/ListNotifications", state="sent").notifications
    assert (found.id, list(found.done)) == (wanted, ["log"])


def test_where_mail_goes(crm: CrmWorld) -> None:
    name, address = "<b>Ann</b> & Söhne", "1 High Street\nLeeds"
    fields = {"plan": "demo-prepaid", "email": "ann+x@mail.example", "name": name, "address": address}
    made = crm.write("Subscribers/CreateSubscriber", msisdn="999730000001", **fields)
    assert (made.email, made.name, made.address) == ("ann+x@mail.example", name, address)
    after = crm.write("Subscribers/UpdateSubscriber", subscriber=made.msisdn, version=1, email="", name="Bob")
    assert (after.email, after.name, after.address, after.version) == ("", "Bob", address, 2)
    assert find_subscriber(crm.store, made.msisdn)["email"] == ""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"email": "x"}, "email: "),
        ({"email": "a@b.c\nBcc: d@e.f"}, "email: "),
        ({"email": f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 63}.f"}, "email: "),
        ({"email": "a@b@c.d"}, "email: "),
        ({"email": "é@b.c"}, "email: "),
        ({"name": "x" * 81}, "name: "),
        ({"name": "a\nb"}, "name: "),
        ({"address": "\n" * 6}, "address: "),
        ({"language": ""}, "language: "),
    ]
    for fields, named in wrong:
        update = {"subscriber": made.msisdn, "version": 2, **fields}
        code, text = refused(lambda update=update: crm.write("Subscribers/UpdateSubscriber", **update))
        assert code is INVALID and text.startswith(named) and "Bcc" not in text


@pytest.mark.parametrize(
    ("name", "fields", "code", "named"),
    [
        ("ListNotifications", {"state": "asleep"}, INVALID, "state: "),
        ("ListNotifications", {"kind": "joke"}, INVALID, "kind: "),
        ("ListNotifications", {"subscriber": "x"}, INVALID, "subscriber: "),
        ("ListNotifications", {"page_size": -1}, INVALID, "page_size: "),
        ("ListNotifications", {"page_token": "OTk5OTk5OTk="}, INVALID, "page_token: "),
        ("RetryNotifications", {"ids": []}, INVALID, "ids: "),
        ("RetryNotifications", {"ids": [NOBODY] * 501}, INVALID, "ids: "),
        ("RetryNotifications", {"ids": [NOBODY]}, NOT_FOUND, "ids: "),
        ("AcknowledgeNotifications", {"ids": ["' OR 1=1"]}, INVALID, "ids: "),
        ("AcknowledgeNotifications", {"ids": [NOBODY]}, NOT_FOUND, "ids: "),
        ("ListTemplates", {"language": "../en"}, INVALID, "language: "),
        ("TestNotification", {"subscriber": ""}, INVALID, "subscriber: "),
        ("TestNotification", {"subscriber": "999799999999"}, NOT_FOUND, "subscriber: "),
    ],
)
def test_fields_that_cant_be_taken(
    crm: CrmWorld, name: str, fields: dict[str, Any], code: grpc.StatusCode, named: str
) -> None:
    found, text = refused(lambda: crm.call(f"Notifications/{name}", **fields))
    assert found is code and text.startswith(named), text
