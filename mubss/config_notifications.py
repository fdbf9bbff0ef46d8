"""Options of notifications, `[notifications]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_host, is_language, is_mail_pattern, is_mailbox_or_none, is_path_or_none, is_web_url
from mubss.core.notice_kinds import KINDS, NoticeRules
from mubss.options import option

LOG, SMTP, WEBHOOK = "log", "smtp", "webhook"
SINKS = (LOG, SMTP, WEBHOOK)


@dataclass(frozen=True, slots=True)
class NotificationOptions:
    """What subscribers are told, and how it reaches them."""

    kinds: tuple[str, ...] = option((), "What is told; nothing by default.", choices=KINDS)
    low_balance_micros: int = option(
        2_000_000,
        "A balance that falls below it is low, where the price plan names no low_balance; 0: only where it does.",
        low=0,
        high=1_000_000_000_000,
        unit="millionths of the currency",
    )
    bundle_percent: int = option(
        80, "How much of a bundle is used when it is first told; that all is, is told as well.", low=1, high=99
    )
    expiry_soon_hours: int = option(
        48, "How long before its end a bundle with units left is told of.", low=1, high=720, unit="hours"
    )
    language: str = option("en", "Of subscribers in whose language there are no texts.", check=is_language)
    operator_to: str = option(
        "", "Whom mails about the licence go to, if kinds has it.", check=is_mailbox_or_none
    )  # fmt: skip
    templates: str = option(
        "", "Folder with the operator's own texts, LANGUAGE.toml each; what they don't have is as it comes.",
        check=is_path_or_none,
    )  # fmt: skip
    sinks: tuple[str, ...] = option((LOG,), "Where notifications go: each to all of these.", choices=SINKS)
    poll_seconds: int = option(5, "How often due ones are looked for.", low=1, high=3600, unit="seconds")
    lease_seconds: int = option(
        120, "How long a process has for those it took before another may.", low=10, high=3600, unit="seconds"
    )
    tries: int = option(10, "After so many a notification is dead.", low=1, high=100, unit="tries")
    retry_seconds: int = option(
        30, "Wait before the second try; each further one doubles it.", low=1, high=3600, unit="seconds"
    )
    retry_limit_seconds: int = option(21_600, "The longest wait.", low=1, high=604_800, unit="seconds")
    timeout_seconds: int = option(10, "How long a server may take to answer.", low=1, high=60, unit="seconds")
    keep_days: int = option(30, "How long those that were sent or dropped are kept.", low=1, high=3650, unit="days")
    smtp_host: str = option("localhost", "The mail server.", check=is_host)
    smtp_port: int = option(587, "Its TCP port.", low=1, high=65_535)
    smtp_tls: str = option(
        "starttls", "How it is spoken to; none only without smtp_user.", choices=("starttls", "tls", "none")
    )
    smtp_ca_file: str = option("", "Whom its certificate may be from; the system's by default.", check=is_path_or_none)
    smtp_user: str = option("", "Name to log in with; none: no login.")
    smtp_password_file: str = option("", "File with the password, mode 600.", check=is_path_or_none)
    smtp_from: str = option("", "Who mails are from.", check=is_mailbox_or_none)
    smtp_to: str = option(
        "", "Whom they go to: {msisdn}@sms.example; none: to the subscriber's email, if it has one.",
        check=is_mail_pattern,
    )  # fmt: skip
    webhook_url: str = option("", "Where they are posted to: https://, or http:// on this machine.", check=is_web_url)
    webhook_secret_file: str = option(
        "", "File with 32 octets or more that posts are signed with, mode 600.", check=is_path_or_none
    )
    webhook_ca_file: str = option("", "Whom the server's certificate may be from.", check=is_path_or_none)

    @property
    def rules(self) -> NoticeRules | None:
        """What the ledger must know of it."""
        if not self.kinds:
            return None
        kinds = frozenset(self.kinds)
        return NoticeRules(kinds, self.low_balance_micros, self.bundle_percent, self.expiry_soon_hours * 3600)
