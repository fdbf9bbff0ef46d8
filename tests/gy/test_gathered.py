"""`mubss-gy` seen over HTTP: its workers counted together, whatever dies; why it doesn't serve; who asks slowly."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

from gy_wire import WAIT_SECONDS, Raw
from gy_world import EVENT, ROOT, SMS, GyServer, World, data
from licensed import without_options
from monitoring import get, until, values
from mubss.gy.codec import Mscc
from mubss.services.http_port import MAX_CALLERS
from ports import free_port

METERED = {"metrics__enabled": "true", "metrics__look_seconds": 1}


def charge(world: World, peer: Raw, times: int) -> None:
    """So many events of a subscriber of its own."""
    person = world.person()
    for _ in range(times):
        ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
        assert peer.charge(ccr).answer.result_code == 2001


def answered(port: int) -> float:
    """CCAs with 2001 that were sent, over all peers."""
    return sum(value for name, value in values(port).items() if re.match(r"mubss_gy_answers_total.*2001", name))


def test_workers_are_counted_together_and_what_a_dead_one_had_counted_stays(world: World) -> None:
    port = free_port()
    with GyServer(world, "--workers", "2", metrics__gy_port=port, **METERED) as server:
        until(port, "/readyz", lambda answer: answer == (200, "ready\n"))
        with Raw(server.port).open("a.example") as one, Raw(server.port).open("b.example") as other:
            charge(world, one, 3)
            charge(world, other, 4)
            found = values(port)
            assert answered(port) == 7
            assert found["mubss_processes"] == 3 and found["mubss_gy_peers"] == 2
            assert found["mubss_gy_answer_seconds_count"] == found["mubss_batch_size_sum"] == 7
            assert found['mubss_store_seconds_count{step="begin"}'] == found['mubss_store_seconds_count{step="commit"}']
            if world.url.startswith("mysqlx"):
                assert sum(found[f'mubss_pool_connections{{state="{state}"}}'] for state in ("idle", "used")) >= 2
            workers = [int(pid) for pid in re.findall(r"worker \d is up, process (\d+)", server.log)]
            os.kill(workers[0], signal.SIGKILL)
            server.wait_for(r"worker \d is up, process", 3)
            assert answered(port) == 7 and values(port)["mubss_gy_peers"] == 1
        with Raw(server.port).open("c.example") as peer:
            charge(world, peer, 2)
            assert answered(port) == 9
        until(port, "/metrics", lambda answer: "mubss_gy_sessions 0.0" in answer[1])
        assert values(port)["mubss_store_up"] == 1


def test_it_says_why_it_does_not_serve(world: World) -> None:
    port = free_port()
    with GyServer(world, metrics__gy_port=port, drain_seconds=20, **METERED) as server:
        assert until(port, "/readyz", lambda answer: answer[0] == 200)[1] == "ready\n"
        with Raw(server.port).open() as peer:  # which won't answer the DPR
            server.process.send_signal(signal.SIGTERM)
            assert until(port, "/readyz", lambda answer: answer[0] == 503) == (503, "draining\n")
            assert get(port, "/healthz") == (200, "alive\n")
            assert values(port)["mubss_ready"] == 0
            peer.receive()
        server.wait_until_ended()
        assert server.process.returncode == 0


def test_who_asks_slowly_keeps_no_peer_waiting(world: World) -> None:
    port = free_port()
    with GyServer(world, metrics__gy_port=port, **METERED) as server, Raw(server.port).open() as peer:
        silent = [socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) for _ in range(2 * MAX_CALLERS)]
        for sock in silent[::2]:
            sock.sendall(b"GET /met")
        charge(world, peer, 3)
        for sock in silent:
            sock.close()
        until(port, "/metrics", lambda answer: "mubss_gy_answer_seconds_count 3.0" in answer[1])


def test_two_servers_want_two_ports(world: World) -> None:
    port = free_port()
    with GyServer(world, metrics__gy_port=port, **METERED):
        for workers in ("1", "2"):
            second = GyServer(world, "--workers", workers, wait=False, metrics__gy_port=port, **METERED)
            second.wait_until_ended()
            assert second.process.returncode == 71
            assert f"mubss-gy: metrics.gy_port: 127.0.0.1 port {port} is in use" in second.log


def test_a_log_that_nobody_reads_keeps_no_peer_waiting(world: World) -> None:
    """Its pipe takes 64 KB; each connection is two lines."""
    port, metered = free_port(), free_port()
    environment = without_options() | {
        "MUBSS_STORE__URL": world.url,
        "MUBSS_GENERAL__DATA_DIR": str(world.folder),
        "MUBSS_METRICS__ENABLED": "true",
        "MUBSS_METRICS__GY_PORT": str(metered),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "mubss.gy.main", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(metered, "/readyz", lambda answer: answer[0] == 200)
            for number in range(400):
                with Raw(port).open(f"{'x' * 50}{number}.example"):
                    pass
            with Raw(port).open() as peer:
                charge(world, peer, 2)
            assert values(metered)['mubss_log_lines_total{level="info"}'] > 800
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_SECONDS) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert len(process.stderr.read()) > 50_000  # all that the pipe took
