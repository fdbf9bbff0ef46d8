"""Where notifications go: the log, a mail server, a server of the operator's by HTTP.

Each sink tells whether it took a message; it may get the same one again, under the same id, if its answer was lost.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit

from mubss.config import Config
from mubss.config_notifications import LOG, SMTP, WEBHOOK
from mubss.core.errors import ConfigError, MubssError
from mubss.services.bounded import Bounded
from mubss.services.secret_files import read_secret

log = logging.getLogger("mubss.notifications")

_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,255}", re.ASCII)
_SHOWN_LETTERS = 200
_MAIL_STEPS = 3  # times the timeout is what a mail may take: greeting and TLS, login, the mail itself


class NotTaken(MubssError):
    """A sink didn't take a message; another try may do better."""


class Undeliverable(MubssError):
    """No try will do better."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as its subscriber reads it."""

    id: str
    kind: str
    subscriber: str
    msisdn: str
    email: str
    language: str
    subject: str
    text: str
    values: dict[str, Any]
    made_s: int


class Sink(Protocol):
    """Takes messages."""

    name: str

    def send(self, message: Message, now_s: int) -> None:
        """Raises NotTaken or Undeliverable."""
        ...


class LogSink:
    """The log of the process; MSISDNs are masked there as everywhere."""

    name = LOG

    def send(self, message: Message, now_s: int) -> None:
        number = f"e164:{message.msisdn}"  # masked by the log's formatter
        text = message.text.replace(message.msisdn, number)
        log.info("notification %s, %s, to %s: %s", message.id, message.kind, number, text)


@dataclass(frozen=True, slots=True)
class MailServer:
    """How mails are sent. `to` is a pattern with {msisdn}, "" is the subscriber's own address."""

    host: str
    port: int
    tls: str  # starttls, tls or none
    sender: str
    to: str
    timeout_s: int
    context: ssl.SSLContext | None = None  # None where tls is none
    user: str = ""
    password: str = ""


class MailSink:
    """A mail server (RFC 5321), best by TLS. The Message-ID is the same in every try."""

    name = SMTP

    def __init__(self, server: MailServer) -> None:
        self._server = server

    def send(self, message: Message, now_s: int) -> None:
        server = self._server
        of_number = server.to and message.subscriber  # what is for the operator has no number
        to = server.to.replace("{msisdn}", message.msisdn) if of_number else message.email
        if not _ADDRESS.fullmatch(to):
            whose = "the subscriber" if message.subscriber else "notifications.operator_to"
            raise Undeliverable(f"smtp: {whose} has no address of mail")
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = server.sender, to, " ".join(message.subject.split())
        mail["Message-ID"] = f"<{message.id}@{server.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nothing answers it by itself
        mail["Mubss-Notification-Id"] = message.id
        mail.set_content(message.text)
        mail["Content-Language"] = message.language  # set_content would take it away
        try:
            with Bounded(server.timeout_s * _MAIL_STEPS) as limit, self._connect(limit) as link:
                link.send_message(mail)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotTaken(f"smtp: {_told(error)}") from None

    def _connect(self, limit: Bounded) -> smtplib.SMTP:
        server = self._server
        link = _MailLink(limit, server)
        try:
            if server.tls == "starttls":
                link.starttls(context=server.context)
            if server.user:
                link.login(server.user, server.password)
        except BaseException:
            link.close()
            raise
        return link


class _MailLink(smtplib.SMTP):
    """smtplib's client on a connection with a limit."""

    def __init__(self, limit: Bounded, server: MailServer) -> None:
        self._limit = limit
        self._server = server
        super().__init__(server.host, server.port, timeout=server.timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        link = self._limit.connect(host, port)
        link.settimeout(timeout)
        if self._server.tls == "tls" and self._server.context is not None:
            return self._server.context.wrap_socket(link, server_hostname=host)
        return link


class WebhookSink:
    """Posts JSON to a URL; a status of 2xx is taken, anything else isn't. Redirects aren't followed.

    `Mubss-Signature: t=SECONDS,v1=HEX` has HMAC-SHA-256 over the seconds, a dot and the body.
    """

    name = WEBHOOK

    def __init__(self, url: str, secret: bytes, timeout_s: int, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._authority = parts.netloc
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = secret
        self._timeout_s = timeout_s
        self._context = context if parts.scheme == "https" else None

    def send(self, message: Message, now_s: int) -> None:
        body = json.dumps(
            {
                "id": message.id,
                "kind": message.kind,
                "subscriber": message.subscriber,
                "msisdn": message.msisdn,
                "language": message.language,
                "subject": message.subject,
                "text": message.text,
                "values": message.values,
                "made_s": message.made_s,
            },
            ensure_ascii=False,
        ).encode()
        headers = {
            "Host": self._authority,
            "Content-Type": "application/json",
            "User-Agent": "mubss",
            "Mubss-Notification-Id": message.id,
            "Mubss-Signature": f"t={now_s},v1={sign(self._secret, now_s, body)}",
        }
        link = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            with Bounded(self._timeout_s) as limit:
                plain = limit.connect(self._host, self._port)
                context = self._context
                link.sock = plain if context is None else context.wrap_socket(plain, server_hostname=self._host)
                link.request("POST", self._path, body, headers)
                status = link.getresponse().status
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise NotTaken(f"webhook: {_told(error)}") from None
        finally:
            link.close()  # what the server says besides isn't read
        if not 200 <= status <= 299:
            raise NotTaken(f"webhook: status {status}")


def sign(secret: bytes, at_s: int, body: bytes) -> str:
    """The signature of a post, in hexadecimal digits."""
    return hmac.digest(secret, f"{at_s}.".encode() + body, sha256).hex()


def _told(error: Exception) -> str:
    """What went wrong, short: a server may say anything."""
    text = str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else " " for letter in text[:_SHOWN_LETTERS])


def open_sinks(config: Config) -> list[Sink]:
    """The sinks that are configured; ConfigError names the option that one of them lacks."""
    made: dict[str, Callable[[Config], Sink]] = {LOG: lambda _: LogSink(), SMTP: _mail, WEBHOOK: _webhook}
    return [made[name](config) for name in config.notifications.sinks]


def _mail(config: Config) -> Sink:
    options = config.notifications
    if not options.smtp_from:
        raise ConfigError("notifications.smtp_from: ''; expected who mails are from")
    if options.smtp_user and options.smtp_tls == "none":
        raise ConfigError("notifications.smtp_tls: none; expected starttls or tls: a password isn't sent in the clear")
    password = ""
    if options.smtp_user:
        file = config.resolve(options.smtp_password_file)
        password = read_secret(file, "notifications.smtp_password_file", least=1).decode(errors="replace")
    context = None if options.smtp_tls == "none" else _context(config, options.smtp_ca_file, "smtp_ca_file")
    return MailSink(
        MailServer(
            options.smtp_host,
            options.smtp_port,
            options.smtp_tls,
            options.smtp_from,
            options.smtp_to,
            options.timeout_seconds,
            context,
            options.smtp_user,
            password,
        )
    )


def _webhook(config: Config) -> Sink:
    options = config.notifications
    if not options.webhook_url:
        raise ConfigError("notifications.webhook_url: ''; expected where notifications are posted to")
    if not options.webhook_secret_file:
        raise ConfigError("notifications.webhook_secret_file: ''; expected the file that posts are signed with")
    secret = read_secret(config.resolve(options.webhook_secret_file), "notifications.webhook_secret_file")
    context = _context(config, options.webhook_ca_file, "webhook_ca_file")
    return WebhookSink(options.webhook_url, secret, options.timeout_seconds, context)


def _context(config: Config, ca_file: str, option: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(config.resolve(ca_file)) if ca_file else None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"notifications.{option}: {ca_file}: no certificates: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
