"""TLS: what each mode asks of the server's certificate, and what is said of files that can't be used."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from certificates import OVER, Authority
from mubss.xdev.errors import StoreAway, StoreUnavailable
from mubss.xdev.mysql.address import Address, Host
from mubss.xdev.mysql.tls import make_context, secure

HOST = Host("db.example")
ADDRESS = Address((HOST,), "u", "s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, another one, and what they have signed."""
    made = tmp_path_factory.mktemp("tls")
    ours, strangers = Authority(made, "ca"), Authority(made, "stranger")
    ours.issue("server", "db.example")
    ours.issue("elsewhere", "other.example")
    ours.issue("old", "db.example", OVER)
    ours.issue("client", "mubss")
    strangers.issue("forged", "db.example")
    (made / "text.pem").write_text("this is no certificate\n")
    (made / "empty.pem").write_bytes(b"")
    (made / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (made / "folder.pem").mkdir()
    return made


def meet(context: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, object]:
    """The client's side of a handshake, and the certificate that the server was shown."""
    ours, theirs = socket.socketpair()
    shown: dict[str, object] = {}

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as tls:
                shown["certificate"] = tls.getpeercert()
                tls.recv(1)
        except OSError:
            theirs.close()

    thread = Thread(target=serve)
    ours.settimeout(30)
    theirs.settimeout(30)
    thread.start()
    try:
        with secure(ours, HOST, context) as tls:
            shown["version"] = tls.version()
    finally:
        ours.close()
        thread.join()
    return shown


def server_of(folder: Path, certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
    return context


UNKNOWN, WRONG_NAME, EXPIRED = "unable to get local issuer", "certificate is not valid for 'db.example'", "has expired"


@pytest.mark.parametrize(
    ("mode", "certificate", "reason"),
    [
        ("preferred", "forged", ""),
        ("required", "server", ""),
        ("required", "forged", ""),
        ("required", "elsewhere", ""),
        ("required", "old", ""),
        ("verify-ca", "server", ""),
        ("verify-ca", "elsewhere", ""),
        ("verify-ca", "forged", UNKNOWN),
        ("verify-ca", "old", EXPIRED),
        ("verify-identity", "server", ""),
        ("verify-identity", "elsewhere", WRONG_NAME),
        ("verify-identity", "forged", UNKNOWN),
        ("verify-identity", "old", EXPIRED),
    ],
)
def test_what_a_mode_asks_of_a_certificate(folder: Path, mode: str, certificate: str, reason: str) -> None:
    context = make_context(replace(ADDRESS, ssl_mode=mode, ssl_ca=f"{folder}/ca.pem"))
    server = server_of(folder, certificate)
    if not reason:
        assert meet(context, server)["version"] == "TLSv1.3"
        return
    with pytest.raises(StoreUnavailable) as caught:
        meet(context, server)
    assert str(caught.value).startswith("db.example:33060: its certificate is refused: ")
    assert reason in str(caught.value)


def test_nothing_below_tls_1_2(folder: Path) -> None:
    context, server = make_context(ADDRESS), server_of(folder, "server")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert meet(context, server)["version"] == "TLSv1.2"


def test_the_client_shows_its_certificate(folder: Path) -> None:
    server = server_of(folder, "server")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(folder / "ca.pem")
    address = replace(ADDRESS, ssl_cert=f"{folder}/client.pem", ssl_key=f"{folder}/client.key")
    certificate = meet(make_context(address), server)["certificate"]
    assert isinstance(certificate, dict)
    assert certificate["subjectAltName"] == (("DNS", "mubss"),)


@pytest.mark.parametrize(("sent", "is_gone"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", False), (b"", True)])
def test_a_server_that_speaks_no_tls(sent: bytes, is_gone: bool) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with ours, theirs, pytest.raises(StoreUnavailable, match=r"^db\.example:33060: TLS can't be had: \S") as caught:
        secure(ours, HOST, make_context(ADDRESS))
    assert isinstance(caught.value, StoreAway) is is_gone


# ── files ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["preferred", "required", "verify-ca", "verify-identity"])
@pytest.mark.parametrize("name", ["missing.pem", "text.pem", "empty.pem", "broken.pem", "folder.pem", "client.key"])
def test_an_authority_that_cant_be_read(folder: Path, mode: str, name: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        make_context(replace(ADDRESS, ssl_mode=mode, ssl_ca=f"{folder}/{name}"))
    told, _, why = str(caught.value).partition(" (")
    assert told == f"ssl-ca: {folder}/{name}: no certificates can be read from it"
    assert len(why) > 4
    assert why.endswith(")")
    if name == "missing.pem":
        assert why == "No such file or directory)"


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        ("missing.pem", "client.key", "No such file or directory"),
        ("client.pem", "missing.key", "No such file or directory"),
        ("text.pem", "client.key", ""),
        ("empty.pem", "client.key", ""),
        ("broken.pem", "client.key", ""),
        ("client.pem", "text.pem", ""),
        ("client.pem", "client.pem", ""),
        ("client.pem", "server.key", "KEY_VALUES_MISMATCH"),
        ("client.pem", "client.secret", "it is encrypted; expected a key without a pass phrase"),
    ],
)
def test_a_certificate_and_key_that_cant_be_used(folder: Path, certificate: str, key: str, why: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        make_context(replace(ADDRESS, ssl_cert=f"{folder}/{certificate}", ssl_key=f"{folder}/{key}"))
    start = f"ssl-cert, ssl-key: {folder}/{certificate}, {folder}/{key}: not a certificate and its key ("
    assert str(caught.value).startswith(start + why)
    assert len(str(caught.value)) > len(start) + 3
    assert "\n" not in str(caught.value)
