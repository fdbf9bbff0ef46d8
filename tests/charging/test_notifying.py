"""Notifications on their way, on both stores: leases, languages, tries, the dead, real servers that refuse first."""

from __future__ import annotations

import hmac
import json
import logging
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import bill_office
from certificates import Authority
from charging_world import World
from core_builders import NOW_S
from mail_server import mail_server, trickling_server, web_server
from mubss.charging.order import Order
from mubss.charging.provision import NewAccount, open_accounts
from mubss.config import Config, load
from mubss.core.errors import ConfigError, InputError
from mubss.core.model import BuyBundle, Movement, Rules, StopBundle
from mubss.core.notice_kinds import KINDS, NoticeRules
from mubss.core.tariff import Bundle
from mubss.runtime import TextFormatter
from mubss.services import notifying
from mubss.services.billing import bill_run
from mubss.services.notice_sinks import Message, NotTaken, Sink, Undeliverable, open_sinks
from mubss.services.notice_texts import load_texts
from mubss.services.notifying import (
    Delivered,
    Post,
    acknowledge,
    backoff_s,
    deliver,
    forget_old,
    retry,
    send_test,
    take,
)
from mubss.storage import notifications as storage
from mubss.storage.database import open_database
from test_bill_run import PERIOD, RUN, people
from test_dunning import LADDER, ONE, a_pass

MSISDN = "491700000001"
DAY_S = 86_400
TALK = Bundle("TALK", "", "EUR", 0, ("DATA",), (), 1_000, 30 * DAY_S, 100, renews=True)
OPTIONS = {
    "MUBSS_NOTIFICATIONS__TRIES": "4",
    "MUBSS_NOTIFICATIONS__RETRY_SECONDS": "30",
    "MUBSS_NOTIFICATIONS__RETRY_LIMIT_SECONDS": "100",
}


class Shelf:
    """A sink that keeps what it takes; of each that comes the next of `faults` is raised first."""

    def __init__(self, name: str = "shelf", *faults: Exception) -> None:
        self.name, self.faults = name, list(faults)
        self.taken: list[Message] = []
        self.offered: list[str] = []

    def send(self, message: Message, now_s: int) -> None:
        self.offered.append(message.id)
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append(message)


class Office:
    """A world with subscribers that are told something."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        world.tables = replace(world.tables, bundles={"TALK": TALK})
        self.account = self.subscriber(MSISDN)
        self.engine = world.engine(rules=Rules(notices=NoticeRules(frozenset(KINDS), 2_000_000)))

    def subscriber(self, msisdn: str, **more: Any) -> str:
        person = {"msisdn": msisdn, "language": "en", **more}
        new = NewAccount("prepaid", "demo-prepaid", "EUR", (f"e164:{msisdn}",), 10_000_000, 0, person)
        return open_accounts(self.world.store, [new], self.world.clock.now_ms)[0]

    def config(self, **options: object) -> Config:
        named = {f"MUBSS_NOTIFICATIONS__{name}".upper(): str(value) for name, value in options.items()}
        return load(None, {"MUBSS_GENERAL__DATA_DIR": str(self.folder), **OPTIONS, **named})

    def post(self, *sinks: Sink, config: Config | None = None) -> Post:
        config = config or self.config()
        return Post(
            self.world.store,
            lambda: self.world.tables,
            load_texts(config),
            sinks or open_sinks(config),
            config.notifications,
            lambda: self.world.clock.now_ms // 1000,
        )

    def do(self, *commands: Any, account: str = "") -> None:
        for command in commands:
            [order] = self.engine.execute([Order(command, account=account or self.account)])
            assert order.error is None

    def top_up(self, times: int = 1) -> None:
        self.do(*[Movement("topup", 1_000_000)] * times)

    def docs(self) -> list[dict[str, Any]]:
        return self.world.all("notifications")

    def pass_time(self, seconds: int) -> None:
        self.world.clock.now_ms += seconds * 1000


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    """On both stores."""
    return Office(world, tmp_path)


@pytest.fixture
def small_office(tmp_path: Path) -> Iterator[Office]:
    """For what has little to do with the store: on SQLite alone."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    yield Office(world, tmp_path)
    world.store.close()


def test_a_notification_is_delivered_once_in_the_subscribers_language(office: Office) -> None:
    others = [office.subscriber(f"49170000001{number}", language=one) for number, one in enumerate(("de-AT", "xx"))]
    for account in (office.account, *others):
        office.do(Movement("topup", 5_000_000, "shop"), account=account)
    shelf = Shelf()
    post = office.post(shelf)
    assert deliver(post) == Delivered(sent=3)
    texts = {message.subscriber: (message.language, message.text) for message in shelf.taken}
    english = "We received 5.00 EUR. Your balance is 15.00 EUR."
    assert texts[office.account] == ("en", english)
    assert texts[others[0]] == ("de", "Wir haben 5.00 EUR erhalten. Ihr Guthaben beträgt 15.00 EUR.")
    assert texts[others[1]] == ("en", english)
    office.pass_time(10 * DAY_S)
    assert deliver(post) == Delivered() and len(shelf.offered) == 3
    assert {(doc["state"], doc["tries"], tuple(doc["done"])) for doc in office.docs()} == {("sent", 1, ("shelf",))}


def test_one_that_isn_t_taken_is_tried_later_and_later_and_then_is_dead(office: Office) -> None:
    office.top_up()
    shelf = Shelf("shelf", *[NotTaken("shelf: full")] * 9)
    post = office.post(shelf)
    for wait_s in (30, 60, 100):
        assert deliver(post) == Delivered(waiting=1)
        assert office.docs()[0]["why"] == "shelf: full"
        office.pass_time(wait_s - 1)
        assert deliver(post) == Delivered()
        office.pass_time(1)
    assert deliver(post) == Delivered(dead=1)
    [dead] = storage.find(office.world.store, storage.Wanted("dead"), 10)
    assert (dead["tries"], dead["why"]) == (4, "shelf: full")
    office.pass_time(100 * DAY_S)
    assert deliver(post) == Delivered()
    shelf.faults.clear()
    retry(office.world.store, [dead["_id"]], NOW_S)
    assert deliver(post) == Delivered(sent=1)
    assert shelf.offered == [dead["_id"]] * 5, "always under the same id"
    assert "why" not in office.docs()[0]


def test_the_waits_are_bounded(small_office: Office) -> None:
    options = small_office.config().notifications
    assert [backoff_s(options, tries) for tries in (0, 1, 2, 3, 4, 100)] == [30, 30, 60, 100, 100, 100]


def test_a_sink_that_took_it_isn_t_asked_again(small_office: Office) -> None:
    small_office.top_up()
    good, bad = Shelf("good"), Shelf("bad", NotTaken("bad: full"), NotTaken("bad: full"))
    post = small_office.post(good, bad)
    for result in (Delivered(waiting=1), Delivered(waiting=1), Delivered(sent=1)):
        assert deliver(post) == result
        small_office.pass_time(DAY_S)
    assert (len(good.offered), len(bad.offered)) == (1, 3)


def test_what_no_try_will_deliver_is_dead_at_once(small_office: Office) -> None:
    small_office.top_up()
    assert deliver(small_office.post(Shelf("shelf", Undeliverable("shelf: no address")))) == Delivered(dead=1)
    [dead] = small_office.docs()
    assert (dead["state"], dead["tries"], dead["why"]) == ("dead", 1, "shelf: no address")


def test_a_process_that_dies_leaves_it_to_the_next(office: Office) -> None:
    office.top_up(3)
    store = office.world.store
    lost = take(store, NOW_S, 120)  # and nobody hears of that process again
    assert len(lost) == 3 and take(store, NOW_S, 120) == [] and take(store, NOW_S + 119, 120) == []
    shelf = Shelf()
    office.pass_time(120)
    assert deliver(office.post(shelf)) == Delivered(sent=3)
    assert {doc["tries"] for doc in office.docs()} == {2}


def test_who_comes_back_after_its_lease_changes_nothing(office: Office) -> None:
    office.top_up()

    class Slow(Shelf):
        def send(self, message: Message, now_s: int) -> None:
            office.pass_time(500)  # another process takes and delivers it meanwhile
            assert deliver(office.post(Shelf("slow"))) == Delivered(sent=1)
            raise NotTaken("slow: it took too long")

    deliver(office.post(Slow("slow")))
    [doc] = office.docs()
    assert (doc["state"], doc["tries"]) == ("sent", 2) and "why" not in doc


def test_what_a_lease_has_no_time_for_is_given_back(small_office: Office) -> None:
    small_office.top_up(3)

    class Slow(Shelf):
        def send(self, message: Message, now_s: int) -> None:
            super().send(message, now_s)
            small_office.pass_time(100)

    shelf = Slow()
    assert deliver(small_office.post(shelf)) == Delivered(sent=3)
    assert len(shelf.offered) == 3 == len(set(shelf.offered)), "two of the first lease, the third of another"
    assert {doc["tries"] for doc in small_office.docs()} == {1}


def test_a_stop_gives_back_what_was_taken(office: Office) -> None:
    office.top_up(3)
    shelf = Shelf()
    assert deliver(office.post(shelf), lambda: bool(shelf.offered)) == Delivered(sent=1)
    assert sorted((doc["state"], doc["tries"]) for doc in office.docs()) == [("new", 0), ("new", 0), ("sent", 1)]
    assert deliver(office.post(shelf)) == Delivered(sent=2)


def test_two_at_once_deliver_each_once(office: Office) -> None:
    office.top_up(120)
    shelves = [Shelf(), Shelf()]
    together = threading.Barrier(2)
    faults: list[Exception] = []

    def work(shelf: Shelf) -> None:
        store = open_database(office.world.url)
        try:
            together.wait()
            deliver(replace(office.post(shelf), store=store))
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(shelf,)) for shelf in shelves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    offered = shelves[0].offered + shelves[1].offered
    assert len(offered) == 120 == len(set(offered))
    assert {doc["state"] for doc in office.docs()} == {"sent"}


def test_the_end_of_a_bundle_is_told_only_if_something_is_left(office: Office) -> None:
    shelf = Shelf()
    post = office.post(shelf)
    office.do(BuyBundle("TALK"))
    office.do(BuyBundle("TALK"))  # the one before doesn't renew any more, this one does
    office.pass_time(28 * DAY_S + 1800)
    assert deliver(post) == Delivered(sent=1, dropped=1)
    assert shelf.taken[0].text.startswith("Your bundle TALK ends on 2026-12-16 13:00; 1 kB are left.")
    assert {doc.get("why") for doc in office.docs()} == {None, "the bundle renews"}


def test_a_bundle_that_was_stopped_is_told_of(small_office: Office) -> None:
    shelf = Shelf()
    small_office.do(BuyBundle("TALK"), StopBundle("TALK"))
    assert deliver(small_office.post(shelf)) == Delivered()
    small_office.pass_time(29 * DAY_S)
    assert deliver(small_office.post(shelf)) == Delivered(sent=1)
    small_office.do(BuyBundle("TALK"), StopBundle("TALK"))
    small_office.pass_time(60 * DAY_S)
    assert deliver(small_office.post(shelf)) == Delivered(dropped=1), "nobody delivered it while it was of use"


def test_a_bill_is_told_with_its_number(office: Office) -> None:
    office.world.clock.now_ms = PERIOD.start_s * 1000
    people(office.world, 1)
    [billed] = bill_run(office.world.store, office.engine, office.world.tables, RUN, PERIOD.end_s + 3600)
    assert billed.bill is not None
    shelf = Shelf()
    office.world.clock.now_ms = (PERIOD.end_s + DAY_S) * 1000
    assert deliver(office.post(shelf)) == Delivered(sent=1)
    number, day = billed.bill["number"], billed.bill["due_day"]
    assert shelf.taken[0].text == f"Your bill {number} is ready: 15.00 EUR, to be paid by {day}."
    now_s = PERIOD.end_s + DAY_S
    lost = storage.make("bill_ready", billed.account, "en", "bill 2", {"bill": "0" * 32}, now_s)
    gone = storage.make("suspended", "nobody", "en", "x", {}, now_s)
    poor = storage.make("dunning_remind", billed.account, "en", "bill 3", {}, now_s)
    office.world.store.run(lambda session: session.collection("notifications").add_many([lost, gone, poor]))
    assert deliver(office.post(shelf)) == Delivered(dropped=2, dead=1)
    whys = {doc["why"] for doc in office.docs() if "why" in doc}
    assert {"there is no such bill, or it was taken back", "there is no such subscriber any more"} < whys
    assert any("its text can't be made" in why for why in whys)


def test_each_step_of_dunning_is_told(small_office: Office) -> None:
    world = small_office.world
    world.tables = replace(world.tables, dunning=LADDER)
    accounts = bill_office.people(world, 1)
    bill_office.run(world)
    bill_office.format_all(world)
    for days in (3, 12, 25):
        assert len(a_pass(world, days)) == 1
    shelf = Shelf()
    assert deliver(small_office.post(shelf)) == Delivered(sent=3)
    texts = {message.kind: message.text for message in shelf.taken}
    assert (
        texts["dunning_remind"]
        == f"Your bill {ONE} was to be paid by 2026-11-18; 15.00 EUR are open. Please pay them now."
    )
    assert texts["dunning_warn"].startswith(f"Your bill {ONE} is 12 days overdue; 15.00 EUR are open.")
    assert f"15.00 EUR of your bill {ONE} are open" in texts["dunning_suspend"]
    assert {message.subscriber for message in shelf.taken} == set(accounts)


def test_the_dead_are_retried_or_acknowledged_by_their_ids(office: Office) -> None:
    office.top_up(3)
    deliver(office.post(Shelf("shelf", *[Undeliverable("shelf: no")] * 2)))
    dead = [doc["_id"] for doc in office.docs() if doc["state"] == "dead"]
    [sent] = [doc["_id"] for doc in office.docs() if doc["state"] == "sent"]
    store = office.world.store
    for change in (retry, acknowledge):
        for ids, fault in (
            ([dead[0], sent], f"id: {sent} is sent; expected a dead one"),
            ([dead[0], "nothing"], "id: 'nothing'; expected that of a notification"),
            (["x" * 5000], "id: 'xxx"),
        ):
            with pytest.raises(InputError) as caught:
                change(store, ids, NOW_S)
            assert str(caught.value).startswith(fault)
            assert len(storage.find(store, storage.Wanted("dead"), 9)) == 2
    retry(store, [dead[0]], NOW_S)
    acknowledge(store, [dead[1]], NOW_S)
    assert {doc["_id"]: doc["state"] for doc in office.docs()}[dead[0]] == "new"
    assert {doc["_id"]: doc["state"] for doc in office.docs()}[dead[1]] == "acknowledged"


def test_what_is_settled_is_forgotten_the_dead_are_not(office: Office) -> None:
    office.top_up(3)
    deliver(office.post(Shelf("shelf", Undeliverable("no"))))
    store, options = office.world.store, office.config().notifications
    forget_old(store, options, NOW_S + 30 * DAY_S)
    assert len(office.docs()) == 3
    forget_old(store, options, NOW_S + 30 * DAY_S + 1)
    assert [doc["state"] for doc in office.docs()] == ["dead"]


def test_a_mail_server_that_refuses_and_then_takes(small_office: Office) -> None:
    small_office.top_up()
    with mail_server() as mails:
        mails.answers = ["451 later", "554 no"]
        config = small_office.config(
            sinks="smtp",
            smtp_host="127.0.0.1",
            smtp_port=mails.port,
            smtp_tls="none",
            smtp_from="bss@op.example",
            smtp_to="{msisdn}@sms.example",
        )
        post = small_office.post(config=config)
        for why in ("451", "554"):
            assert deliver(post) == Delivered(waiting=1)
            assert why in small_office.docs()[0]["why"]
            small_office.pass_time(DAY_S)
        assert deliver(post) == Delivered(sent=1)
        [mail] = mails.taken
        [doc] = small_office.docs()
        assert mails.offered == [f"<{doc['_id']}@op.example>"] * 3
        assert (mail["To"], mail["From"], mail["Subject"]) == (
            f"{MSISDN}@sms.example",
            "bss@op.example",
            "Thank you for your payment",
        )
        assert "We received 1.00 EUR" in str(mail.get_payload())
    small_office.top_up()
    assert deliver(post) == Delivered(waiting=1)
    assert "refused" in max(doc.get("why", "") for doc in small_office.docs()), "nobody listens there any more"


def test_a_mail_goes_to_the_subscribers_own_address_in_any_script(small_office: Office) -> None:
    account = small_office.subscriber("491700000002", language="ar", email="someone@home.example")
    small_office.do(Movement("topup", 1_000_000), account=account)
    small_office.top_up()
    with mail_server() as mails:
        options = {"smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_tls": "none", "smtp_from": "bss@op.example"}
        assert deliver(small_office.post(config=small_office.config(sinks="smtp", **options))) == Delivered(
            sent=1, dead=1
        )
        [mail] = mails.taken
    assert mail["To"] == "someone@home.example" and mail["Content-Language"] == "ar"
    assert "استلمنا 1.00 EUR" in mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert {doc.get("why") for doc in small_office.docs()} == {None, "smtp: the subscriber has no address of mail"}


@pytest.mark.parametrize("address", ["a@b.example\r\nBcc: c@d.example", "two@a.example,three@b.example", "nobody", "@"])
def test_an_address_that_is_none(small_office: Office, address: str) -> None:
    account = small_office.subscriber("491700000002", email=address)
    small_office.do(Movement("topup", 1_000_000), account=account)
    with mail_server() as mails:
        options = {"smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_tls": "none", "smtp_from": "bss@op.example"}
        assert deliver(small_office.post(config=small_office.config(sinks="smtp", **options))) == Delivered(dead=1)
        assert mails.offered == []


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path, "ca")
    made.issue("server", "localhost")
    return made


def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
    return context


def secret(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_mail_by_tls_with_a_login(small_office: Office, authority: Authority) -> None:
    small_office.top_up()
    password = secret(small_office.folder / "password", "wrong\n")
    with mail_server(server_context(authority), login=True) as mails:
        options: dict[str, object] = {
            "sinks": "smtp",
            "smtp_host": "localhost",
            "smtp_port": mails.port,
            "smtp_from": "bss@op.example",
            "smtp_to": "{msisdn}@sms.example",
            "smtp_user": "bss",
            "smtp_password_file": password,
        }
        assert deliver(small_office.post(config=small_office.config(**options))) == Delivered(waiting=1)
        assert "certificate" in small_office.docs()[0]["why"] and mails.users == [], "no password for a stranger"
        options["smtp_ca_file"] = authority.file
        small_office.pass_time(DAY_S)
        assert deliver(small_office.post(config=small_office.config(**options))) == Delivered(waiting=1)
        assert "535" in small_office.docs()[0]["why"] and "wrong" not in small_office.docs()[0]["why"]
        secret(password, "correct")
        small_office.pass_time(DAY_S)
        assert deliver(small_office.post(config=small_office.config(**options))) == Delivered(sent=1)
        assert mails.users[-1] == "bss:correct" and mails.ciphers[-1] is not None


def test_a_webhook_that_refuses_and_then_takes(small_office: Office, authority: Authority) -> None:
    small_office.top_up()
    key = secret(small_office.folder / "webhook", "k" * 32)
    with web_server(server_context(authority)) as posts:
        posts.answers = [503, 307, 200]
        config = small_office.config(
            sinks="webhook",
            webhook_url=f"https://localhost:{posts.port}/told?by=bss",
            webhook_secret_file=key,
            webhook_ca_file=authority.file,
        )
        post = small_office.post(config=config)
        for why in ("webhook: status 503", "webhook: status 307"):
            assert deliver(post) == Delivered(waiting=1)
            assert small_office.docs()[0]["why"] == why
            small_office.pass_time(DAY_S)
        now_s = small_office.world.clock.now_ms // 1000
        assert deliver(post) == Delivered(sent=1)
        [doc] = small_office.docs()
        assert [path for path, _, _ in posts.came] == ["/told?by=bss"] * 3, "a redirect isn't followed"
        assert {headers["Mubss-Notification-Id"] for _, headers, _ in posts.came} == {doc["_id"]}
        _, headers, body = posts.came[-1]
        signed = hmac.new(b"k" * 32, f"{now_s}.".encode() + body, sha256).hexdigest()
        assert headers["Mubss-Signature"] == f"t={now_s},v1={signed}"
        told = json.loads(body)
        assert (told["id"], told["kind"], told["msisdn"]) == (doc["_id"], "topup", MSISDN)
        assert told["values"]["balance_micros"] == 11_000_000 and told["text"].startswith("We received")
    small_office.top_up()
    assert deliver(post) == Delivered(waiting=1)


def test_a_webhook_of_another_authority_gets_nothing(small_office: Office, authority: Authority) -> None:
    small_office.top_up()
    key = secret(small_office.folder / "webhook", "k" * 32)
    with web_server(server_context(authority)) as posts:
        options = {"webhook_url": f"https://localhost:{posts.port}/", "webhook_secret_file": key}
        assert deliver(small_office.post(config=small_office.config(sinks="webhook", **options))) == Delivered(
            waiting=1
        )
        assert posts.came == [] and "certificate" in small_office.docs()[0]["why"]


@pytest.mark.parametrize(
    ("sink", "line"),
    [
        ("smtp", b"220-not yet\r\n"),
        ("smtp-tls", b"\x16\x03\x03\x00\x01\x00"),
        ("webhook", b"X-Header: more\r\n"),
        ("webhook", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_server_that_never_comes_to_an_end_holds_nobody_up(small_office: Office, sink: str, line: bytes) -> None:
    small_office.top_up()
    key = secret(small_office.folder / "webhook", "k" * 32)
    with trickling_server(line) as port:
        options = {
            "timeout_seconds": 1,
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_tls": "tls" if sink == "smtp-tls" else "none",
            "smtp_from": "bss@op.example",
            "smtp_to": "{msisdn}@sms.example",
            "webhook_url": f"http://127.0.0.1:{port}/",
            "webhook_secret_file": key,
        }
        config = small_office.config(sinks=sink.partition("-")[0], **options)
        assert deliver(small_office.post(config=config)) == Delivered(waiting=1)


def test_the_log_has_no_number_in_the_clear(small_office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert send_test(small_office.post(config=small_office.config()), MSISDN) == [("log", "")]
    [record] = [one for one in caplog.records if one.name == "mubss.notifications"]
    line = TextFormatter(masked=True).format(record)
    assert "This is a test message" in line and MSISDN not in line and "*001" in line


def test_a_test_message_tells_what_each_sink_said(small_office: Office) -> None:
    good, bad = Shelf("good"), Shelf("bad", NotTaken("bad: full"))
    assert send_test(small_office.post(good, bad), MSISDN) == [("good", ""), ("bad", "bad: full")]
    assert good.taken[0].text == f"This is a test message for {MSISDN}." and small_office.docs() == []


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"sinks": "smtp"}, "notifications.smtp_from: ''"),
        ({"sinks": "smtp", "smtp_from": "a@b.example", "smtp_user": "u", "smtp_tls": "none"}, "notifications.smtp_tls"),
        ({"sinks": "smtp", "smtp_from": "a@b.example", "smtp_user": "u", "smtp_password_file": "no"}, "no can't be re"),
        ({"sinks": "smtp", "smtp_from": "a@b.example", "smtp_ca_file": "no"}, "notifications.smtp_ca_file: no"),
        ({"sinks": "webhook"}, "notifications.webhook_url: ''"),
        ({"sinks": "webhook", "webhook_url": "https://a.example/"}, "notifications.webhook_secret_file: ''"),
        (
            {"sinks": "webhook", "webhook_url": "https://a.example/", "webhook_secret_file": "short"},
            "holds 5 octets; expected 32",
        ),
        ({"webhook_url": "http://a.example/"}, "notifications.webhook_url"),
        ({"webhook_url": "https://user:secret@a.example/"}, "notifications.webhook_url"),
        ({"webhook_url": "https://a.example:99999/"}, "notifications.webhook_url"),
        ({"webhook_url": "ftp://a.example/"}, "notifications.webhook_url"),
        ({"smtp_to": "someone@b.example"}, "notifications.smtp_to"),
        ({"smtp_from": "a b@c"}, "notifications.smtp_from"),
        ({"kinds": "low_balance,nothing"}, "notifications.kinds"),
        ({"language": "english"}, "notifications.language"),
        ({"language": "xx"}, "notifications.language: 'xx'; expected one of ar, de, en, es, fr"),
        ({"templates": "nowhere"}, "notifications.templates"),
    ],
)
def test_options_that_are_refused(small_office: Office, options: dict[str, Any], fault: str) -> None:
    secret(small_office.folder / "short", "short")
    with pytest.raises(ConfigError) as caught:
        small_office.post(config=small_office.config(**options))
    assert fault in str(caught.value) and "secret@" not in str(caught.value)


def test_the_operators_own_texts(small_office: Office) -> None:
    own = small_office.folder / "texts"
    own.mkdir()
    (own / "en.toml").write_text('[topup]\nsubject = "Paid"\ntext = "{amount} came, {msisdn}!"\n')
    (own / "pt-BR.toml").write_text('[topup]\nsubject = "Pago"\ntext = "{amount}"\n')
    account = small_office.subscriber("491700000002", language="pt-BR")
    small_office.top_up()
    small_office.do(Movement("topup", 1_000_000), account=account)
    shelf = Shelf()
    deliver(small_office.post(shelf, config=small_office.config(templates="texts")))
    assert sorted(message.text for message in shelf.taken) == ["1.00 EUR", f"1.00 EUR came, {MSISDN}!"]
    assert load_texts(small_office.config(templates="texts")).find("suspended", "pt-BR")[0] == "en"
    (own / "de.toml").write_text('[topup]\nsubject = "{x}"\ntext = ""\n[other]\n')
    (own / "en.toml").write_text("not toml")
    (own / "english.toml").write_text("")
    (own / "fr.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        load_texts(small_office.config(templates="texts"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and [line for line in lines if "en.toml" in line and "not TOML" in line]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What dead notifications are logged as stays out of the output of tests."""
    notifying.log.setLevel(logging.CRITICAL)
    yield
    notifying.log.setLevel(logging.NOTSET)
