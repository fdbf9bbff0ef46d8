"""TLS, logins and unix sockets against a real server with certificates of our own; each refusal is one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mysqld_tools import Bench, until

from certificates import OVER, Authority
from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.mysql.address import parse
from mubss.xdev.store import open_store
from mysqld.binaries import find_or_fetch
from mysqld.server import Server

GRANT = "GRANT SELECT ON performance_schema.replication_group_members TO {}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's, a stranger's, and what the first has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder, "ca")
    Authority(folder, "stranger")
    authority.issue("server", "localhost")
    authority.issue("old", "localhost", OVER)
    authority.issue("client", "mubss")
    return folder


def serve(folder: Path, certificates: Path, name: str) -> Iterator[Server]:
    options = [
        f"--ssl-ca={certificates}/ca.pem",
        f"--ssl-cert={certificates}/{name}.pem",
        f"--ssl-key={certificates}/{name}.key",
    ]
    server = Server(folder, find_or_fetch(), fast=True, options=options)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def secure(mysql: Server, tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Server]:
    """A server whose certificate is good for the name localhost."""
    yield from serve(tmp_path_factory.mktemp("secure"), certificates, "server")


@pytest.fixture(scope="module")
def expired(mysql: Server, tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Server]:
    """A server whose certificate has run out."""
    yield from serve(tmp_path_factory.mktemp("expired"), certificates, "old")


def cipher(url: str) -> str:
    """How the session of a store is encrypted; "" where it isn't."""
    store = open_store(url)
    try:
        [(_, value)] = store.run(lambda session: session.rows("SHOW STATUS LIKE 'Mysqlx_ssl_cipher'"))  # type: ignore[attr-defined]
        return str(value)
    finally:
        store.close()


def refusal(url: str) -> str:
    """The one line that a store is refused with."""
    store = open_store(url)
    with pytest.raises(StoreUnavailable) as caught:
        Bench(store).ids()
    store.close()
    text = str(caught.value)
    password = parse(url).password
    assert "\n" not in text and password not in text
    return text


def at(server: Server, host: str, query: str = "", user: str = "mubss") -> str:
    """The store of a user by a host's name."""
    url = server.url(user, "mubss_tls").replace("127.0.0.1", host)
    return f"{url}?{query}"


@pytest.mark.parametrize("mode", ["", "ssl-mode=preferred", "ssl-mode=required"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_modes_that_ask_for_no_certificate_take_any(secure: Server, expired: Server, host: str, mode: str) -> None:
    for server in (secure, expired):
        assert cipher(at(server, host, mode))


def test_a_certificate_is_checked_for_its_authority_and_its_name(secure: Server, certificates: Path) -> None:
    ca = f"ssl-ca={certificates}/ca.pem"
    assert cipher(at(secure, "localhost", f"ssl-mode=verify-identity&{ca}"))
    assert cipher(at(secure, "127.0.0.1", f"ssl-mode=verify-ca&{ca}"))
    text = refusal(at(secure, "127.0.0.1", f"ssl-mode=verify-identity&{ca}"))
    assert "certificate is not valid for '127.0.0.1'" in text
    for mode in ("verify-ca", "verify-identity"):
        stranger = f"ssl-mode={mode}&ssl-ca={certificates}/stranger.pem"
        assert re.search("certificate", refusal(at(secure, "localhost", stranger)))


@pytest.mark.parametrize("mode", ["verify-ca", "verify-identity"])
def test_a_certificate_that_has_run_out_is_refused(expired: Server, certificates: Path, mode: str) -> None:
    assert "expired" in refusal(at(expired, "localhost", f"ssl-mode={mode}&ssl-ca={certificates}/ca.pem"))


def test_a_user_that_must_show_a_certificate(secure: Server, certificates: Path) -> None:
    password = secure.password("shown")
    secure.sql(f"CREATE USER shown IDENTIFIED BY '{password}' REQUIRE X509", "CREATE SCHEMA IF NOT EXISTS mubss_tls")
    secure.sql("GRANT ALL ON mubss_tls.* TO shown", GRANT.format("shown"))
    shows = f"ssl-cert={certificates}/client.pem&ssl-key={certificates}/client.key"
    assert cipher(at(secure, "localhost", shows, "shown"))
    assert "shown" in refusal(at(secure, "localhost", "", "shown"))


def test_without_tls_a_login_works_once_the_server_has_seen_the_password_in_tls(secure: Server) -> None:
    password = secure.password("plain")
    secure.sql(f"CREATE USER plain IDENTIFIED BY '{password}'", GRANT.format("plain"))
    open_text = at(secure, "127.0.0.1", "ssl-mode=disabled", "plain")
    text = refusal(open_text)
    assert "one login in TLS since it started" in text and "ssl-mode=required does that" in text
    assert cipher(at(secure, "127.0.0.1", "", "plain"))
    assert cipher(open_text) == ""
    assert cipher(f"{open_text}&auth=SHA256_MEMORY") == ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl-mode=disabled&auth=PLAIN", "auth=PLAIN would show"),
        ("ssl-mode=disabled&auth=MYSQL41", "Access denied|Invalid authentication"),
        ("auth=MYSQL41", "Access denied|Invalid authentication"),
    ],
)
def test_mechanisms_that_can_not_be_used(secure: Server, query: str, expected: str) -> None:
    assert re.search(expected, refusal(at(secure, "127.0.0.1", query)))


def test_a_unix_socket_needs_no_tls(secure: Server) -> None:
    url = re.sub(r"@[^/]*", f"@({secure.socket})", secure.url(schema="mubss_tls"))
    assert cipher(url) == "" and cipher(f"{url}?ssl-mode=required") == ""
    gone = url.replace(secure.socket, f"{secure.socket}.gone")
    assert "No such file" in refusal(gone)


def test_a_wrong_password_an_unknown_user_and_a_schema_that_is_not_there(secure: Server) -> None:
    wrong = re.sub(r":[^:@]*@", ":wrong-secret@", secure.url(schema="mubss_tls"))
    text = refusal(wrong)
    assert re.search("user|password", text) and "wrong-secret" not in text
    assert refusal(wrong.replace("mubss:", "nobody:"))


def test_a_server_without_tls(mysql: Server, tmp_path: Path) -> None:
    server = Server(tmp_path / "bare", find_or_fetch(), fast=True, options=["--tls-version="])
    try:
        server.folder.mkdir()
        server._initialize()
        server._spawn()  # `start` would wait until it answers in TLS
        until(lambda: "TLS can't be had" in refusal(server.url()))
        assert "ssl-mode=required needs it" in refusal(server.url())
    finally:
        server.remove()
