"""What texts in the configuration must look like: each check gives "" or what was expected. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

_HOST_NAME = re.compile(r"(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_WEB_URL = "a URL like https://crm.example/notifications; http:// only for localhost or 127.0.0.1"
_HOST_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,255}")


def is_host(text: str) -> str:
    """An IP address or a host name."""
    return "" if is_address(text) == "" or _HOST_NAME.fullmatch(text) else "an IP address or a host name"


def are_hosts(text: str) -> str:
    """Several of them, commas between."""
    return next((wrong for part in text.split(",") if (wrong := is_host(part.strip()))), "")


def is_address(text: str) -> str:
    """An IP address."""
    try:
        ip_address(text)
    except ValueError:
        return "an IP address"
    return ""


def is_network(text: str) -> str:
    """An IP address or a network."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return 'an IP address or a network like "192.0.2.0/24"'
    return ""


def is_pattern(text: str) -> str:
    """A DiameterIdentity, or a pattern of one."""
    return "" if _HOST_PATTERN.fullmatch(text) else 'a DiameterIdentity, or a pattern of one like "*.epc.example"'


def is_subscriber(text: str) -> str:
    """An identity of a subscriber, or none."""
    return "" if re.fullmatch(r"(e164:[0-9]{5,15}|imsi:[0-9]{14,15})?", text) else 'one like "e164:49170123456"'


def is_identity(text: str) -> str:
    """A DiameterIdentity (RFC 6733 §4.3.1)."""
    return "" if _HOST_NAME.fullmatch(text) else "a DiameterIdentity: a full host name in ASCII"


def is_context(text: str) -> str:
    """A Service-Context-Id."""
    return "" if text.isascii() and text else 'a Service-Context-Id like "32251@3gpp.org"'


def is_context_or_none(text: str) -> str:
    """The same, or nothing."""
    return is_context(text) if text else ""


def is_zone(text: str) -> str:
    """An IANA time zone."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return 'an IANA time zone like "Europe/Berlin"'
    return ""


def is_url(text: str) -> str:
    """Where a store is."""
    if re.fullmatch(r"(sqlite|mysqlx)://.+", text):
        return ""
    return "a URL like sqlite:///var/mubss.db or mysqlx://user:password@host:33060/mubss"


def is_series(text: str) -> str:
    """What bill numbers begin with."""
    return "" if re.fullmatch(r"[A-Z0-9]{1,8}", text) else "1 to 8 of A-Z 0-9"


def is_folder(text: str) -> str:
    """A path."""
    return "" if text.strip() and text.isprintable() else "a path"


def is_path_or_none(text: str) -> str:
    """The same, or nothing."""
    return is_folder(text) if text else ""


def is_language(text: str) -> str:
    """A language, as subscribers have one."""
    return "" if re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", text) else "a code like en or pt-BR"


def is_mailbox_or_none(text: str) -> str:
    """An address of mail, or none."""
    return "" if not text or _MAILBOX.fullmatch(text) else "an address like billing@operator.example"


def is_mail_pattern(text: str) -> str:
    """An address with a subscriber's number in it, or none."""
    fits = not text or ("{msisdn}" in text and _MAILBOX.fullmatch(text.replace("{msisdn}", "1")))
    return "" if fits else "an address like {msisdn}@sms.example"


def is_web_url(text: str) -> str:
    """Where a server of this machine, or one with TLS, is; or nothing."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return _WEB_URL
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))
    return "" if secure and is_host(host) == "" and "@" not in parts.netloc and not parts.fragment else _WEB_URL


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or (is_address(host) == "" and ip_address(host).is_loopback)


def is_iban(text: str) -> str:
    """An IBAN (ISO 13616) with right check digits, spaces allowed, or nothing."""
    plain = text.replace(" ", "")
    if not plain:
        return ""
    if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", plain):
        digits = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
        if int(digits) % 97 == 1:
            return ""
    return "an IBAN whose check digits are right"


def is_link(text: str) -> str:
    """A link for people, or nothing."""
    return "" if not text or re.fullmatch(r"https?://[^\s<>\"']+", text) else 'a link like "https://pay.example/"'


def is_service_units(text: str) -> str:
    """A service's code and a number of its units."""
    return (
        "" if re.fullmatch(r"[^\s:]{1,64}:[1-9][0-9]{0,14}", text) else 'a service and its units like "DATA:10000000"'
    )
