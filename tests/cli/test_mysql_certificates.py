"""Servers with settings of their own: certificates, TLS that is asked for, no writes. What is refused is one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import OVER, Authority
from mubss.runtime import ExitCode
from mysql_tools import MEMBERS, Programs, make_user
from mysqld.binaries import find_or_fetch
from mysqld.server import Server

AWAY = ExitCode.STORE_UNAVAILABLE
INIT, COMMAND, GY = ("mubss", "init"), ("mubss", "ledger", "check"), ("mubss-gy", "--port", "0")
ALL = (INIT, COMMAND, GY)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """It has signed a server's certificate, one that has expired, one of another name, and a client's."""
    made = Authority(tmp_path_factory.mktemp("ca"), "ca")
    made.issue("good", "localhost")
    made.issue("old", "localhost", OVER)
    made.issue("elsewhere", "db.example")
    made.issue("client", "mubss")
    return made


@pytest.fixture(scope="module")
def tls_server(mysql: Server, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of these tests' own; `showing` starts it again with another certificate."""
    folder = tmp_path_factory.mktemp("tls-server")
    server = showing(folder, authority, "good")
    yield server
    Server(folder, find_or_fetch()).remove()


def showing(folder: Path, authority: Authority, certificate: str) -> Server:
    """The server in `folder`, with that certificate."""
    Server(folder, find_or_fetch()).stop()
    path = authority.folder / certificate
    options = [f"--ssl-ca={authority.file}", f"--ssl-cert={path}.pem", f"--ssl-key={path}.key"]
    server = Server(folder, find_or_fetch(), fast=True, options=options)
    server.start()
    return server


@pytest.mark.parametrize(
    ("certificate", "mode", "said"),
    [
        ("good", "verify-identity", ""),
        ("elsewhere", "verify-ca", ""),
        ("elsewhere", "verify-identity", "certificate is not valid for 'localhost'"),
        ("old", "required", ""),
        ("old", "verify-ca", "certificate has expired"),
        ("old", "verify-identity", "certificate has expired"),
    ],
)
def test_certificates(
    tls_server: Server, authority: Authority, tmp_path: Path, certificate: str, mode: str, said: str
) -> None:
    server = showing(tls_server.folder, authority, certificate)
    url = server.url(schema="mubss_tls").replace("127.0.0.1", "localhost")
    programs = Programs(tmp_path, f"{url}?ssl-mode={mode}&ssl-ca={authority.file}")
    if not said:
        programs.ok("init")
        return
    for call in ALL:
        refusal = programs.refusal(*call, code=AWAY)
        assert refusal.startswith(f"localhost:{server.port()}: its certificate is refused: ")
        assert said in refusal


def test_a_user_who_must_show_a_certificate(tls_server: Server, authority: Authority, tmp_path: Path) -> None:
    server = showing(tls_server.folder, authority, "good")
    password = make_user(server, "shows", "ALL ON `mubss_tls`.*", MEMBERS, requires="REQUIRE X509")
    url = f"mysqlx://shows:{password}@localhost:{server.port()}/mubss_tls?ssl-mode=verify-ca&ssl-ca={authority.file}"
    programs = Programs(tmp_path, url)
    assert "access is denied" in programs.refusal(*INIT, code=AWAY)
    path = authority.folder / "client"
    programs.ok("init", url=f"{url}&ssl-cert={path}.pem&ssl-key={path}.key")


def test_a_server_that_wants_tls(tls_server: Server, tmp_path: Path) -> None:
    tls_server.sql("SET GLOBAL require_secure_transport = ON")
    programs = Programs(tmp_path, f"{tls_server.url()}?ssl-mode=disabled")
    try:
        assert "ssl-mode=required" in programs.refusal(*INIT, code=AWAY)
    finally:
        tls_server.sql("SET GLOBAL require_secure_transport = OFF")


def test_a_server_that_is_read_only(tls_server: Server, tmp_path: Path) -> None:
    programs = Programs(tmp_path, tls_server.url(schema="mubss_read_only"))
    programs.ok("init")
    tls_server.sql("SET GLOBAL super_read_only = ON")
    try:
        refusal = f"127.0.0.1:{tls_server.port()}: it is read-only"
        for call in (INIT, COMMAND):
            assert programs.refusal(*call, code=AWAY) == refusal
        assert programs.waits_for(*GY) == refusal  # as a member of a group is until it becomes the primary
    finally:
        tls_server.sql("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
