"""mysqlx:// URLs: which servers, who asks, which schema, and how.

    mysqlx://user:password@host/schema                      port 33060
    mysqlx://user:password@[host1:33060,host2,[::1]:33061]/schema?ssl-mode=verify-ca&ssl-ca=/etc/mubss/ca.pem
    mysqlx://user@[(address=host1:33060,priority=100),(address=host2,priority=50)]/schema
    mysqlx://user:password@(/var/run/mysqld/mysqlx.sock)/schema

Reserved characters in user, password and paths are written %40 and so on. The words are the official connectors' where
they have one; `answer-timeout` and `lock-wait` are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from mubss.xdev.errors import StoreUrlError
from mubss.xdev.mysql.compression import ALGORITHMS
from mubss.xdev.mysql.login import MECHANISMS

DEFAULT_PORT = 33060
SCHEME = "mysqlx://"
TLS_MODES = ("disabled", "preferred", "required", "verify-ca", "verify-identity")
MAX_HOSTS = 16

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?|(?=.*:.*:)[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]+)?")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_PRIORITY = re.compile(r"\(\s*address\s*=\s*(.+?)\s*,\s*priority\s*=\s*(\d{1,3})\s*\)")


class Host(NamedTuple):
    """One server: a host and port, or the path of a unix socket."""

    name: str
    port: int = DEFAULT_PORT
    priority: int = 0  # the highest is tried first

    @property
    def is_socket(self) -> bool:
        """Whether it is a unix socket: what only this machine can read needs no TLS."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        if self.is_socket:
            return self.name
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, read; its options have the names of the URL with _ for -."""

    hosts: tuple[Host, ...]
    user: str
    schema: str
    password: str = field(default="", repr=False)
    ssl_mode: str = "required"
    ssl_ca: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    auth: str = ""  # PLAIN in TLS and on unix sockets, else SHA256_MEMORY, else MYSQL41
    compression: str = "disabled"
    compression_algorithms: tuple[str, ...] = ()
    connect_timeout: int = 5_000  # ms, for one server, login included
    answer_timeout: int = 10_000  # ms, for the answers to what was sent at once
    lock_wait: int = 1  # s
    max_pool_size: int = 25  # connections of one process
    pool_queue_timeout: int = 5_000  # ms, for one of them


class _Option(NamedTuple):
    """What an option may be: one of `choices`, a whole number, or the path of a file."""

    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    several: bool = False


_MS = _Option(low=1, high=600_000)
_OPTIONS: dict[str, _Option] = {
    "ssl-mode": _Option(TLS_MODES),
    "ssl-ca": _Option(),
    "ssl-cert": _Option(),
    "ssl-key": _Option(),
    "auth": _Option(MECHANISMS),
    "compression": _Option(("disabled", "preferred", "required")),
    "compression-algorithms": _Option(tuple(ALGORITHMS), several=True),
    "connect-timeout": _MS,
    "answer-timeout": _MS,
    "lock-wait": _Option(low=1, high=3600),
    "max-pool-size": _Option(low=1, high=1000),
    "pool-queue-timeout": _MS,
}
_SHORT = {name.partition("_")[0]: name for name in ALGORITHMS}  # zstd, lz4, deflate


def parse(url: str) -> Address:
    """The address that a URL names; StoreUrlError says what can't be, and never shows the password."""
    rest, _, query = url.removeprefix(SCHEME).partition("?")
    if not url.startswith(SCHEME) or "#" in url:
        raise StoreUrlError("store URL: expected mysqlx://user:password@host:33060/schema ('#' is written %23)")
    authority, slash, schema = _cut(rest)
    if "@" in schema or "@" in query:  # a password cut at its '/' or '?': the rest of it must not be shown
        raise StoreUrlError(
            "store URL: '@' behind the host; within user, password and paths write %40, %2F for '/', %3F for '?'"
        )
    login, at, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    if not at or not user:
        raise StoreUrlError("store URL: expected a user in front of the host: mysqlx://user:password@host/schema")
    if not slash or not _SCHEMA.fullmatch(unquote(schema)):
        raise StoreUrlError(
            f"store URL: schema: expected up to 64 letters, digits and '_' after the host, got {schema[:80]!r}"
        )
    options = _read_options(query)
    return Address(_read_hosts(hosts), _text(user, "user"), unquote(schema), _text(password, "password"), **options)


def _cut(rest: str) -> tuple[str, str, str]:
    """What stands before the schema's slash, the slash, and the schema: a socket's path has slashes too."""
    opened = max(rest.rfind(")"), rest.rfind("]"))
    before, slash, schema = rest[opened + 1 :].partition("/")
    return rest[: opened + 1] + before, slash, schema


def _text(part: str, what: str) -> str:
    text = unquote(part, errors="surrogateescape")
    if "\0" in text or not text.isprintable():
        raise StoreUrlError(f"store URL: {what}: expected printable text in UTF-8")
    return text


def _read_hosts(text: str) -> tuple[Host, ...]:
    items = [text]
    if text.startswith("[") and text.endswith("]") and not _is_ipv6(text[1:-1]):
        items = _split(text[1:-1])
    hosts = [_read_host(item.strip()) for item in items]
    if not 0 < len(hosts) <= MAX_HOSTS:
        raise StoreUrlError(f"store URL: expected 1 to {MAX_HOSTS} hosts, got {len(hosts)}")
    if len({(host.name, host.port) for host in hosts}) < len(hosts):
        raise StoreUrlError("store URL: a host stands twice in it")
    return tuple(hosts)


def _is_ipv6(text: str) -> bool:
    return (
        text.count(":") > 1 and not set(text) & set("[](),") and re.fullmatch(r"[0-9A-Fa-f:.]+(%.+)?", text) is not None
    )


def _split(text: str) -> list[str]:
    """The items between the commas that stand in no parenthesis."""
    return re.split(r",(?![^(]*\))", text)


def _read_host(text: str) -> Host:
    priority = 0
    if found := _PRIORITY.fullmatch(text):
        text, priority = found[1], int(found[2])
        if priority > 100:
            raise StoreUrlError(f"store URL: priority: expected 0 to 100, got {priority}")
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    path = unquote(text)
    if path.startswith("/"):
        return Host(_text(path, "socket"), 0, priority)
    name, port = text, ""
    if found := re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text):
        name, port = found[1], found[2] or ""
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
    if not _HOST.fullmatch(name):
        raise StoreUrlError(f"store URL: expected a host name, an address or (/path/of/a/socket), got {text[:80]!r}")
    if port and not _is_integer(port, 1, 65_535):
        raise StoreUrlError(f"store URL: port: expected 1 to 65535, got {port[:20]!r}")
    return Host(name, int(port or DEFAULT_PORT), priority)


def _read_options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        known = _OPTIONS.get(name)
        if known is None:
            raise StoreUrlError(f"store URL: mysqlx has no option {name[:40]!r}; known: {', '.join(_OPTIONS)}")
        options[name.replace("-", "_")] = _read_option(name, value, known)
    if bool(options.get("ssl_cert")) != bool(options.get("ssl_key")):
        raise StoreUrlError("store URL: ssl-cert and ssl-key: expected both or neither")
    if options.get("ssl_mode", "").startswith("verify") and not options.get("ssl_ca"):
        raise StoreUrlError(f"store URL: ssl-mode={options['ssl_mode']}: expected ssl-ca, the file of the authority")
    return options


def _read_option(name: str, value: str, known: _Option) -> Any:
    if known.high:
        if not _is_integer(value, known.low, known.high):
            raise StoreUrlError(
                f"store URL: {name}: expected an integer from {known.low} to {known.high}, got {value[:20]!r}"
            )
        return int(value)
    if known.several:
        names = tuple(_SHORT.get(item, item) for item in value.lower().strip("[]").split(","))
        if not set(names) <= set(known.choices):
            raise StoreUrlError(f"store URL: {name}: expected some of {', '.join(_SHORT)}, got {value[:40]!r}")
        return names
    if known.choices:
        return _one_of(name, value, {choice.lower().replace("_", "-"): choice for choice in known.choices})
    if not value or "\0" in value:
        raise StoreUrlError(f"store URL: {name}: expected the path of a file, got {value[:80]!r}")
    return value


def _is_integer(text: str, low: int, high: int) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text) is not None and low <= int(text) <= high


def _one_of(name: str, value: str, choices: Mapping[str, str]) -> str:
    found = choices.get(value.lower().replace("_", "-"))
    if found is None:
        raise StoreUrlError(f"store URL: {name}: expected one of {', '.join(choices)}, got {value[:40]!r}")
    return found
