"""Where mubss-gy listens: addresses of both families, names, and SCTP where the kernel has it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import gevent
import pytest
from gevent import socket as green

from gy_tls import TlsServer, make_certificates
from gy_wire import Raw, cer, dwr, find
from gy_world import INITIAL, ROOT, GyServer, World, data
from licences import PlatformLicence
from licensed import without_options
from mubss.gy.transport import IPPROTO_SCTP, SctpSocket, Transport, prepare

HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


def has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.conforms("RFC 6733 §2.1", "IPv4 and IPv6")
@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize("hosts", ["127.0.0.1,::1", "::1, 127.0.0.1", "::", "0.0.0.0,::"])
def test_both_families_on_one_port(world: World, tmp_path: Path, hosts: str) -> None:
    licence = PlatformLicence(tmp_path)  # a demo's is for loopback alone
    with GyServer(world, "--host", hosts, entry=licence.entry, **licence.options) as server:
        for host in ("127.0.0.1", "::1"):
            with Raw(server.port, host=host) as peer:
                cea = peer.ask(cer(f"of{host.replace(':', '-')}.example"))
                assert (find(cea, "Result-Code"), find(cea, "Host-IP-Address")) == (2001, host)


def test_a_name_listens_on_what_it_stands_for(world: World) -> None:
    with GyServer(world, "--host", "localhost") as server, Raw(server.port) as peer:
        assert find(peer.ask(cer()), "Host-IP-Address") == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "gy.host, gy.port: 192.0.2.1 port 0 can't be listened on: Cannot assign requested address"),
        ("127.0.0.1,192.0.2.1", "gy.host, gy.port: 192.0.2.1 port [0-9]+ can't be listened on: Cannot assign"),
        ("no.such.host.invalid", "gy.host, gy.port: no.such.host.invalid port 0 can't be listened on: .+"),
        ("127.0.0.1,", "gy.host = '127.0.0.1,' .*: expected an IP address or a host name"),
        ("a b", "gy.host = 'a b' .*: expected an IP address or a host name"),
    ],
)
def test_addresses_that_cant_be_had(world: World, tmp_path: Path, host: str, said: str) -> None:
    licence = PlatformLicence(tmp_path)
    server = GyServer(world, wait=False, host=host, entry=licence.entry, **licence.options)
    server.wait_until_ended()
    assert server.process.returncode == 78
    assert server.find(said), server.log
    server.stop()


@pytest.mark.skipif(has_sctp(), reason="this kernel has SCTP; the next test plays over it")
def test_a_kernel_without_sctp_is_named(world: World) -> None:
    server = GyServer(world, wait=False, sctp=True)
    server.wait_until_ended()
    assert server.process.returncode == 78
    assert server.find("gy.sctp: this machine's kernel has no SCTP; load it"), server.log
    server.stop()


@pytest.mark.conforms("RFC 6733 §2.1", "SCTP where the kernel has it")
@pytest.mark.skipif(not has_sctp(), reason="this kernel has no SCTP; the test above says what is said then")
def test_a_session_over_sctp(world: World) -> None:
    with GyServer(world, sctp=True) as server, Raw(server.port) as peer:
        server.wait_for("listening on .*, SCTP")
        peer.sock.close()
        peer.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP)
        peer.sock.connect(("127.0.0.1", server.port))
        person, session = world.person(), world.session_id()
        assert peer.open().charge(data(INITIAL, 0, session, person)).answer.result_code == 2001


def test_each_message_is_a_user_message_of_its_own_over_sctp() -> None:
    ours, theirs = green.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps messages apart, as SCTP does
    frames = [dwr(hop_by_hop=number) for number in range(5)]
    with gevent.Timeout(10):
        SctpSocket(ours).sendall(b"".join(frames))
        assert [theirs.recv(65_536) for _ in frames] == frames
    ours.close()
    theirs.close()


def test_plain_tcp_sends_all_of_it_however_little_the_kernel_takes_at_once() -> None:
    data = bytes(20 << 20)  # more than the buffers on the way hold
    with green.socket() as door, green.socket() as sock:
        door.bind(("127.0.0.1", 0))
        door.listen()
        sock.connect(door.getsockname())
        theirs, _ = door.accept()
        ours = prepare(sock, Transport.TCP, None)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        reader = gevent.spawn(lambda: sum(map(len, iter(lambda: theirs.recv(1 << 20), b""))))
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        assert reader.get() == len(data)
        theirs.close()


def test_mubss_ccr_over_tls(world: World, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    person = world.person()
    environment = without_options() | {"MUBSS_STORE__URL": world.url, "PYTHONPATH": str(ROOT)}
    with TlsServer(world, tmp_path) as server:

        def ccr(*options: object) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "mubss.cli.main", "ccr", "session", "--msisdn", person.msisdn]
            command += ["--use", "1000000", "--last", "0", "--port", str(server.tls_port), *map(str, options)]
            return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

        ca = ("--tls", "--tls-ca", tmp_path / "ca.pem")
        ours = ("--tls-certificate", tmp_path / "pgw.pem", "--tls-key", tmp_path / "pgw.key")
        assert ccr(*ca, *ours, "--origin-host", "pgw.example").returncode == 0
        assert world.spent(person) == 20_000
        for options, said in [
            ((*ca, *ours, "--origin-host", "other.example"), "refused the connection of other.example: 3010"),
            ((*ca,), "TLS can't be had|the connection broke"),
            (("--tls", "--tls-ca", tmp_path / "other-ca.pem", *ours), "its certificate is refused"),
            (("--tls",), "--tls-ca: missing; expected with --tls"),
            (("--tls-ca", tmp_path / "ca.pem"), "--tls-ca: expected with --tls only"),
            (("--tls", "--tls-ca", tmp_path / "pgw.key"), "--tls-ca: .*expected certificates of authorities"),
        ]:
            done = ccr(*options)
            assert done.returncode != 0
            assert re.search(said, done.stderr), (options, done)
            assert len(done.stderr.splitlines()) == 1, done.stderr


def test_who_only_looks_whether_somebody_listens_fills_no_log(world: World) -> None:
    gone = " mubss.gy.connection: closing a peer at 127.0.0.1: the peer closed the connection$"
    with GyServer(world, general__log_level="debug") as server:
        Raw(server.port).sock.close()
        server.wait_for(f" debug{gone}")
        with Raw(server.port) as peer:
            peer.send(cer()[:8])
        server.wait_for(f" info{gone}")
        assert len(server.find(gone)) == 2
