"""freeDiameter, which others wrote from the same RFCs, connects and stays: over TCP and over TLS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gy_tls import TlsServer, make_certificates
from gy_wire import WAIT_SECONDS
from gy_world import ROOT, GyServer, World
from licensed import without_options
from peers import program

HOST = "pgw.example"  # as its certificate names it
WATCHDOGS = 2  # of its own, each 6 s after the one before: the least that RFC 3539 allows


@pytest.fixture(scope="module")
def daemon() -> str:
    return program("freeDiameterd", "freediameterd, freediameter-extensions")


@pytest.fixture(scope="module")
def world(daemon: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """On SQLite alone: what is sent is the same on any store."""
    made = World(f"sqlite:///{tmp_path_factory.mktemp('world')}/mubss.db")
    yield made
    made.close()


class FreeDiameter:
    """A running daemon whose one peer is our server, and its log."""

    def __init__(self, daemon: str, folder: Path, port: int, *, tls: bool) -> None:
        file = folder / "freeDiameter.conf"
        file.write_text(
            f"""Identity = "{HOST}";
            Realm = "example";
            Port = 0;
            SecPort = 0;
            No_SCTP;
            No_IPv6;
            TwTimer = 6;
            TLS_Cred = "{folder}/pgw.pem", "{folder}/pgw.key";
            TLS_CA = "{folder}/ca.pem";
            LoadExtension = "dict_nasreq.fdx";
            LoadExtension = "dict_dcca.fdx";
            ConnectPeer = "ocs.mubss.example" {{ ConnectTo = "127.0.0.1"; Port = {port}; {"" if tls else "No_TLS;"} }};
            """
        )
        command = [daemon, "-c", str(file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log: list[str] = []

    def read_until(self, pattern: str) -> str:
        """Reads its log on to a line in which the pattern is found."""
        assert self.process.stdout is not None
        limit = threading.Timer(6 * WAIT_SECONDS, self.process.kill)
        limit.start()
        try:
            for line in self.process.stdout:
                self.log.append(line)
                if re.search(pattern, line):
                    return line
        finally:
            limit.cancel()
        raise AssertionError(f"{pattern!r} isn't in its log:\n{''.join(self.log)}")


def watchdogs(world: World) -> list[str]:
    """Follows the peer's messages until it has had that many of its DWRs answered."""
    environment = without_options()
    environment |= {"MUBSS_GENERAL__DATA_DIR": str(world.folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mubss.cli.main", "gy", "trace", "--peer", HOST, "--json"]
    command += ["--messages", str(2 * WATCHDOGS)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line)["command"] for line in done.stdout.splitlines()]


@pytest.mark.conforms("RFC 6733 §5.6", "freeDiameter reaches STATE_OPEN, over TCP and over TLS, and says goodbye")
@pytest.mark.conforms("RFC 3539 §3.4.1", "freeDiameter's watchdog is content")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_freediameter_reaches_open_and_stays(world: World, daemon: str, tmp_path: Path, transport: str) -> None:
    make_certificates(tmp_path)
    tls = transport == "tls"
    server = TlsServer(world, tmp_path) if tls else GyServer(world)
    with server:
        port = server.tls_port if isinstance(server, TlsServer) else server.port
        peer = FreeDiameter(daemon, tmp_path, port, tls=tls)
        try:
            peer.read_until(r"'STATE_OPEN'\s+'ocs\.mubss\.example'")
            server.wait_for(f"{HOST} at 127.0.0.1 is open")
            assert watchdogs(world) == ["DWR", "DWA"] * WATCHDOGS
            assert not [line for line in peer.log if re.search("ERROR|Invalid|SUSPECT", line)], "".join(peer.log)
            peer.process.terminate()
            peer.read_until("framework is terminated|STATE_ZOMBIE")
            server.wait_for(f"closing {HOST} at 127.0.0.1: the peer said goodbye")
        finally:
            peer.process.kill()
            peer.process.communicate()
