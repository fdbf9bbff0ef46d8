"""Where notifications go: real mail servers and webhooks that refuse first, the log, and options that are refused."""

from __future__ import annotations

import hmac
import json
import logging
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from mail_server import mail_server, trickling_server, web_server
from mubss.core.errors import ConfigError
from mubss.core.model import Movement
from mubss.runtime import TextFormatter
from mubss.services.notice_sinks import NotTaken
from mubss.services.notice_texts import load_texts
from mubss.services.notifying import (
    Delivered,
    deliver,
    send_test,
)
from notice_office import DAY_S, MSISDN, Office, Shelf


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
