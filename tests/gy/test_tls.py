"""Gy over TLS on real sockets: who gets in, who doesn't and what the log says of it, what disturbs nobody."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from gy_tls import HOST, TlsServer, client, files, make_certificates
from gy_wire import WAIT_SECONDS, Raw, cer, dwr, find, names, request
from gy_world import INITIAL, TERMINATION, UPDATE, GyServer, World, data, octets
from mubss.gy.avp import encode_avp
from mubss.gy.codec import Mscc
from mubss.gy.message import decode_header

SHAKING = "closing a peer in its TLS handshake at 127.0.0.1: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = make_certificates(tmp_path_factory.mktemp("tls")).folder
    return made


@pytest.fixture(scope="module")
def tls_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """On SQLite alone: what is stored is the same as over TCP."""
    made = World(f"sqlite:///{tmp_path_factory.mktemp('world')}/mubss.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def secure(tls_world: World, folder: Path) -> Iterator[TlsServer]:
    with TlsServer(tls_world, folder) as running:
        yield running


def plays_a_session(world: World, peer: Raw) -> None:
    """Initial, update, termination: charged."""
    person, session_id = world.person(), world.session_id()
    assert peer.charge(data(INITIAL, 0, session_id, person, Mscc(1))).answer.result_code == 2001
    used = Mscc(1, used=octets(1_000_000))
    assert peer.charge(data(UPDATE, 1, session_id, person, used)).answer.result_code == 2001
    assert peer.charge(data(TERMINATION, 2, session_id, person, used)).answer.result_code == 2001
    assert world.spent(person) > 0
    assert not world.account(person)["sessions"]


def refused(peer: Raw, host: str = HOST) -> str:
    """The CER gets 3010 and the connection ends; gives what the answer says."""
    answer = peer.ask(cer(host))
    assert find(answer, "Result-Code") == 3010
    assert peer.closed()
    return str(find(answer, "Error-Message"))


@pytest.mark.conforms("RFC 6733 §13.1", "a session over TLS")
@pytest.mark.parametrize("certificate", ["pgw", "wild", "common"])
def test_a_session_over_tls(tls_world: World, secure: TlsServer, certificate: str) -> None:
    with secure.peer(certificate).open(HOST) as peer:
        assert isinstance(peer.sock, ssl.SSLSocket)
        assert peer.sock.version() == "TLSv1.3"
        plays_a_session(tls_world, peer)
        assert names(peer.ask(dwr(HOST))) == ["Result-Code", "Origin-Host", "Origin-Realm", "Origin-State-Id"]
        peer.ask(request("DPR", ("Origin-Host", HOST), ("Origin-Realm", "example"), ("Disconnect-Cause", 2)))
        assert peer.closed(), "by TLS's own goodbye: an end without it were an error here"


@pytest.mark.conforms("RFC 6733 §2.1", "TLS on a port of its own, TCP beside it")
def test_tls_1_2_and_plain_tcp_beside_it(tls_world: World, secure: TlsServer, folder: Path) -> None:
    context = client(folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Raw(secure.tls_port, tls=context).open(HOST) as peer, Raw(secure.port).open() as plain:
        plays_a_session(tls_world, peer)
        plays_a_session(tls_world, plain)


@pytest.mark.conforms("RFC 6733 §13.1", "a certificate must name the Origin-Host")
@pytest.mark.parametrize(
    ("certificate", "host", "named"),
    [
        ("pgw", "smf.example", "pgw.example"),
        ("wild", "a.pgw.example", "*.example"),
        ("common", "smf.example", "pgw.example"),
    ],
)
def test_a_certificate_of_another_name(secure: TlsServer, certificate: str, host: str, named: str) -> None:
    text = f"peer {host} at 127.0.0.1: its certificate names {named}"
    with secure.peer(certificate) as peer:
        assert refused(peer, host) == text
    secure.wait_for(re.escape(f"closing a peer at 127.0.0.1: {text}"))


@pytest.mark.parametrize(
    ("certificate", "alert", "said"),
    [
        ("", "CERTIFICATE_REQUIRED", "peer did not return a certificate"),
        ("old", "CERTIFICATE_EXPIRED", "its certificate is refused: certificate has expired"),
        ("stranger", "UNKNOWN_CA", "its certificate is refused: unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_cant_be_trusted(secure: TlsServer, certificate: str, alert: str, said: str) -> None:
    with secure.peer(certificate) as peer, pytest.raises(ssl.SSLError, match=alert):
        peer.receive()
    secure.wait_for(f"info mubss.gy.connection: {SHAKING}{said}$")


def test_tls_1_1_is_refused(secure: TlsServer, folder: Path) -> None:
    context = client(folder)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        Raw(secure.tls_port, tls=context)
    secure.wait_for(f"{SHAKING}unsupported protocol")


def test_a_peer_that_distrusts_us(secure: TlsServer, folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Raw(secure.tls_port, tls=client(folder, ca="other-ca"))
    secure.wait_for(f"{SHAKING}.*unknown ca")


@pytest.mark.parametrize(
    ("octets_sent", "said"),
    [
        (cer(HOST), "it speaks plain DIAMETER; expected TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "http request"),
        (bytes(300), ".+"),
        (b"\x16\x03\x01\xff\xff" + bytes(70_000), ".+"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", ".+"),
        (b"\x16\x03", "the peer closed the connection"),
        (b"", "the peer closed the connection"),
    ],
    ids=["DIAMETER", "HTTP", "zeros", "a long record", "a short hello", "half a record", "nothing"],
)
def test_what_is_no_tls_disturbs_nobody(tls_world: World, secure: TlsServer, octets_sent: bytes, said: str) -> None:
    with secure.peer().open(HOST) as good:
        before = len(secure.lines)
        with socket.create_connection(("127.0.0.1", secure.tls_port), WAIT_SECONDS) as sock:
            try:
                sock.sendall(octets_sent)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65_536):
                    pass
            except OSError:
                pass  # it was closed before all was sent
        plays_a_session(tls_world, good)
        assert [line for line in secure.lines[before:] if re.search(f" info .*: {SHAKING}{said}$", line)]
        others = [line for line in secure.lines[before:] if not re.search(f"{SHAKING}|{HOST} .* is open", line)]
        assert others == [], "one line of it, and none of anybody else"


def test_octets_that_are_no_record_after_the_handshake(secure: TlsServer) -> None:
    with secure.peer().open(HOST) as peer:
        with socket.socket(fileno=socket.dup(peer.sock.fileno())) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
            peer.receive()
    secure.wait_for(f"closing {HOST} at 127.0.0.1: TLS: decryption failed or bad record mac$")


@pytest.mark.parametrize("octets_sent", [b"", b"\x16\x03\x01\x02"], ids=["nothing", "half a hello"])
def test_a_handshake_that_hangs(tls_world: World, folder: Path, octets_sent: bytes) -> None:
    with TlsServer(tls_world, folder, cer_timeout_seconds=1) as server:
        with socket.create_connection(("127.0.0.1", server.tls_port), WAIT_SECONDS) as sock, server.peer() as silent:
            sock.sendall(octets_sent)
            server.wait_for(f"{SHAKING}no CER within 1 s$")
            assert sock.recv(1) == b""
            assert silent.closed()
        server.wait_for("closing a peer at 127.0.0.1: no CER within 1 s$")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_handshake_that_hangs_makes_room(tls_world: World, folder: Path, workers: str) -> None:
    with (
        TlsServer(tls_world, folder, "--workers", workers, max_peers=1, cer_timeout_seconds=300) as server,
        socket.create_connection(("127.0.0.1", server.tls_port), WAIT_SECONDS) as sock,
    ):
        sock.sendall(b"\x16")
        with server.peer().open(HOST) as peer:
            assert sock.recv(1) == b""
            plays_a_session(tls_world, peer)
        server.wait_for(f"{SHAKING}(room is needed for others|another connection takes its place)$")


def test_certificates_that_may_be_missing(tls_world: World, folder: Path) -> None:
    with TlsServer(tls_world, folder, tls_client_certificates="optional") as server:
        with server.peer("").open(HOST) as peer:
            plays_a_session(tls_world, peer)
        with server.peer() as peer:
            refused(peer, "smf.example")
        with server.peer("stranger") as peer, pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            peer.receive()


def test_certificates_that_nobody_asks_for(tls_world: World, folder: Path) -> None:
    with (
        TlsServer(tls_world, folder, tls_client_certificates="none", tls_client_ca="") as server,
        server.peer("stranger").open("anybody.example") as peer,
    ):
        plays_a_session(tls_world, peer)


def test_who_is_unknown_is_refused_whatever_its_certificate(tls_world: World, folder: Path) -> None:
    with TlsServer(tls_world, folder, accept_unknown_peers="never") as server, server.peer() as peer:
        assert refused(peer) == f"peer {HOST} at 127.0.0.1 isn't known here"


def test_many_and_large_messages(secure: TlsServer) -> None:
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)])
    with secure.peer().open(HOST) as peer:
        for _ in range(3):
            answer = peer.ask(request("DWR", ("Origin-Host", HOST), ("Origin-Realm", "example"), proxy))
            assert find(answer, "Result-Code") == 2001
        peer.send(b"".join(dwr(HOST, hop_by_hop=number) for number in range(500)))
        assert [decode_header(peer.receive()).hop_by_hop for _ in range(500)] == list(range(500))


def test_who_never_reads_is_closed(tls_world: World, folder: Path) -> None:
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)])
    frame = request("DWR", ("Origin-Host", HOST), ("Origin-Realm", "example"), proxy)
    with (
        TlsServer(tls_world, folder, send_buffer_octets=65_536) as server,
        Raw(server.tls_port, tls=client(folder), receive_octets=4096).open(HOST) as peer,
    ):
        try:
            for _ in range(1000):
                peer.send(frame)
        except OSError:
            pass  # closed, or it takes no more
        server.wait_for(f"closing {HOST} at 127.0.0.1: the peer doesn't read: [0-9]+ octets wait for it")
        with server.peer().open(HOST) as again:
            plays_a_session(tls_world, again)


def test_workers_serve_tls_and_drain_it(tls_world: World, folder: Path) -> None:
    server = TlsServer(tls_world, folder, "--workers", "2")
    with server.peer().open(HOST) as one, server.peer("wild").open("smf.example") as other, server.peer() as wrong:
        plays_a_session(tls_world, one)
        plays_a_session(tls_world, other)
        refused(wrong, "nobody.example")
        server.process.send_signal(signal.SIGTERM)
        for peer in (one, other):
            dpr = peer.receive()
            assert (decode_header(dpr).command_code, find(dpr, "Disconnect-Cause")) == (282, 0)
            peer.send(request("DPR", ("Result-Code", 2001), flags=0))
            assert peer.closed()
        server.wait_until_ended()
    assert server.process.returncode == 0
    server.stop()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_reads_the_certificates_again(tls_world: World, folder: Path, tmp_path: Path, workers: str) -> None:
    def show(certificate: str, ca: str) -> None:
        for name, option in [(f"{certificate}.pem", "cert"), (f"{certificate}.key", "key"), (f"{ca}.pem", "ca")]:
            (tmp_path / option).write_bytes((folder / name).read_bytes())

    show("ocs", "ca")
    options = {"tls_certificate": tmp_path / "cert", "tls_key": tmp_path / "key", "tls_client_ca": tmp_path / "ca"}
    with (
        TlsServer(tls_world, folder, "--workers", workers, **options) as server,
        server.peer().open(HOST) as kept,
    ):
        (tmp_path / "key").write_bytes((folder / "pgw.key").read_bytes())
        server.process.send_signal(signal.SIGHUP)
        stay = f"error mubss.gy: SIGHUP: the certificates stay as they were: gy.tls_key: {tmp_path}/key: not the key"
        server.wait_for(stay)
        with server.peer("wild").open("smf.example") as peer:
            plays_a_session(tls_world, peer)
        show("ocs-again", "other-ca")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP: the certificates are read again, for new connections")
        with server.peer("wild", ca="other-ca") as peer, pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            peer.receive()
        plays_a_session(tls_world, kept)
        kept.sock.close()
        with server.peer("stranger", ca="other-ca").open(HOST) as peer:
            plays_a_session(tls_world, peer)


@pytest.mark.skipif(which("openssl") is None, reason="openssl isn't installed")
def test_openssl_s_client_that_changes_keys(secure: TlsServer, folder: Path) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.tls_port}", "-CAfile", folder / "ca.pem"]
    command += ["-cert", folder / "pgw.pem", "-key", folder / "pgw.key", "-verify_return_error"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def read_until(wanted: bytes) -> None:
            seen = b""
            while wanted not in seen:
                octet = process.stdout.read(1)  # type: ignore[union-attr]
                assert octet, seen
                seen += octet

        read_until(b"Verify return code: 0 (ok)")
        process.stdin.write(cer(HOST))
        read_until(b"mubss")  # Product-Name of the CEA
        for number in range(3):
            process.stdin.write(b"K\n")
            read_until(b"KEYUPDATE")
            process.stdin.write(dwr(HOST, hop_by_hop=0x51525350 + number))
            read_until(b"QRS" + bytes([0x50 + number]))
        process.stdin.close()
        process.wait(WAIT_SECONDS)
    secure.wait_for(f"closing {HOST} at 127.0.0.1: the peer closed the connection")


# ── files that can't be used ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tls_certificate": ""}, "gy.tls_certificate: missing; expected a PEM file, since gy.tls_port is set"),
        (
            {"tls_certificate": "{}/none.pem"},
            "gy.tls_certificate: {}/none.pem: can't be read: No such file or directory; "
            "expected the server's certificate in PEM",
        ),
        ({"tls_key": "{}/"}, "gy.tls_key: {}: can't be read: Is a directory; expected its key in PEM"),
        (
            {"tls_key": "{}/pgw.key"},
            "gy.tls_key: {}/pgw.key: not the key of {}/ocs.pem; expected the one it was made with",
        ),
        (
            {"tls_key": "{}/ocs.secret"},
            "gy.tls_certificate, gy.tls_key: {}/ocs.pem, {}/ocs.secret: expected a certificate and its key in PEM "
            "(the key is encrypted; expected one without a pass phrase)",
        ),
        ({"tls_key": ""}, "gy.tls_certificate: {}/ocs.pem: expected a certificate and its key in PEM (*)"),
        (
            {"tls_certificate": "{}/ocs.key"},
            "gy.tls_certificate, gy.tls_key: {}/ocs.key, {}/ocs.key: expected a certificate and its key in PEM (*)",
        ),
        (
            {"tls_client_ca": ""},
            "gy.tls_client_ca: missing; expected a PEM file of the authorities that sign peers' certificates, "
            'since gy.tls_client_certificates is "required"; "none" lets peers in without',
        ),
        (
            {"tls_client_ca": "{}/ocs.key"},
            "gy.tls_client_ca: {}/ocs.key: expected certificates of authorities in PEM (*)",
        ),
        (
            {"tls_client_ca": "{}/pgw.pem"},
            "gy.tls_client_ca: {}/pgw.pem: expected certificates of authorities in PEM; there are others only",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("workers", ["1", "2"])
def test_files_that_cant_be_used(
    tls_world: World, folder: Path, workers: str, changes: dict[str, str], said: str
) -> None:
    options = files(folder) | {name: text.format(folder) for name, text in changes.items()}
    server = GyServer(tls_world, "--tls-port", "5658", "--workers", workers, wait=False, **options)
    server.wait_until_ended()
    assert server.process.returncode == 78
    wanted = re.escape(said.replace("{}", str(folder))).replace(r"\(\*\)", r"\(.+\)")
    assert [line for line in server.lines if re.fullmatch(f"mubss-gy: {wanted}", line)] == server.lines, server.log
    server.stop()


def test_a_certificate_that_has_expired_is_said_once(tls_world: World, folder: Path) -> None:
    with TlsServer(tls_world, folder, "--workers", "2", **files(folder, "old")) as server:
        [line] = server.find("warning")
        assert f"gy.tls_certificate: {folder}/old.pem: a certificate has expired, 2021-01-01 00:00:00+00:00" in line


def test_the_key_may_be_in_the_certificates_file(tls_world: World, folder: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((folder / "ocs.pem").read_bytes() + (folder / "ocs.key").read_bytes())
    options = {"general__data_dir": str(tmp_path), "tls_certificate": "both.pem", "tls_key": ""}
    with TlsServer(tls_world, folder, **options) as server, server.peer().open(HOST) as peer:
        plays_a_session(tls_world, peer)
