"""`open_store`: from a URL to the engine that it names."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from mubss.xdev.api import Offload, Store, call_directly
from mubss.xdev.errors import StoreUrlError


def open_store(url: str, *, offload: Offload = call_directly, only_read: bool = False) -> Store:
    """The store that `url` names; nothing is opened before the first `run`.

    `sqlite:///relative/path`, `sqlite:////absolute/path`, with `?busy_timeout_ms=5000&cache_kib=8192`.
    `mysqlx://user:password@host:33060/schema`, see `mubss.xdev.mysql.address`.
    `offload` runs a function in a native thread and returns its result (gevent's threadpool.apply); the MySQL engine
    waits for sockets only and does without. With `only_read` the embedded engine leaves every file as it is; a server's
    files are its own business.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise StoreUrlError(
            f"store URL: expected sqlite:///path or mysqlx://user:password@host/schema, got {url[:80]!r}"
        )
    if scheme == "sqlite":
        return _open_sqlite(url, offload, only_read)
    if scheme == "mysqlx":
        return _open_mysql(url)
    raise StoreUrlError(f"store URL: no engine for {scheme!r}; known: sqlite, mysqlx")


def _open_mysql(url: str) -> Store:
    from mubss.xdev.mysql.address import parse  # a process on SQLite never loads the X Protocol

    address = parse(url)
    from mubss.xdev.mysql.store import MysqlStore

    return MysqlStore(url, address)


def _open_sqlite(url: str, offload: Offload, only_read: bool) -> Store:
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.netloc:
        raise StoreUrlError(f"store URL: sqlite has no host: expected sqlite:///path, got sqlite://{parts.netloc}…")
    if not path or path.endswith("/") or path == ":memory:" or "\0" in path:
        raise StoreUrlError(f"store URL: expected the path of a file after sqlite:///, got {path!r}")
    if parts.fragment:
        raise StoreUrlError("store URL: '#' in a path must be written %23")
    options = {"busy_timeout_ms": 5000, "cache_kib": 8192}
    limits = {"busy_timeout_ms": (1, 600_000), "cache_kib": (64, 1_048_576)}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in options:
            raise StoreUrlError(f"store URL: sqlite has no option {name!r}; known: {', '.join(options)}")
        low, high = limits[name]
        if not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            raise StoreUrlError(f"store URL: {name}: expected an integer from {low} to {high}, got {value!r}")
        options[name] = int(value)
    if only_read:
        from mubss.xdev.sqlite.reader import SqliteReader

        return SqliteReader(url, path, offload=offload, **options)
    from mubss.xdev.sqlite.engine import SqliteStore  # a process on MySQL never loads sqlite3

    return SqliteStore(url, path, offload=offload, **options)
