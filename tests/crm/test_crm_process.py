"""mubss-crm as a process: what keeps it from starting, certificates and keys read again, the end, and kill -9."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from mubss_crm import Crm

from crm_world import PREPAID, refused
from licences import DemoLicence
from mail_server import web_server
from mubss.cli.init import set_up
from mubss.config import Config, load
from mubss.core.errors import ConfigError
from mubss.core.licence import DAY_S
from mubss.core.roles import ADMIN
from mubss.crm.tls import check_plain_text
from mubss.runtime import ExitCode
from mubss.services import private_ca
from mubss.services.audit_ledger import check
from mubss.services.tokens import Keys, issue, make_key, terms_of
from mubss.storage.database import open_database
from torture_flood import DESCRIPTORS, descriptors, memory_mb

EURO = 1_000_000


class Place:
    """A folder with a store, keys and certificates, and processes of mubss-crm on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.settings = {"MUBSS_STORE__URL": url, "MUBSS_GENERAL__DATA_DIR": str(folder), "MUBSS_CRM__PORT": "0"}
        self.config: Config = load(None, self.settings)
        set_up(self.config, with_demo=True)
        self.ca = self.certify()
        self.keys = self.config.resolve(self.config.crm.keys_folder)
        make_key(self.keys, "k1")

    def certify(self) -> bytes:
        """Makes a certificate; the authority's."""
        return private_ca.make_server(self.folder / "var/tls", ["localhost"], int(time.time())).ca.read_bytes()

    def token(self) -> str:
        """An admin's."""
        return issue(Keys(self.keys), terms_of(self.config.crm), "tester", ADMIN, 3600, int(time.time()))[0]

    def start(self, **more: str) -> subprocess.Popen[str]:
        """A process; the caller ends it."""
        variables = {**os.environ, **self.settings, **{f"MUBSS_CRM__{name}": value for name, value in more.items()}}
        return subprocess.Popen(
            [sys.executable, "-m", "mubss.crm.main"], env=variables, stderr=subprocess.PIPE, text=True
        )

    @contextmanager
    def serving(self, **more: str) -> Iterator[tuple[subprocess.Popen[str], Crm]]:
        """A process that listens, and a client."""
        process = self.start(**more)
        try:
            crm = Crm(f"localhost:{port_of(process)}", self.token(), self.ca)
            yield process, crm
            crm.close()
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that a process says it listens on."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on .*:(\d+)", line):
            return int(found[1])
    raise AssertionError("it ended")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/store.db", tmp_path)


def test_what_keeps_it_from_starting(place: Place) -> None:
    def told(**more: str) -> tuple[int, str]:
        process = place.start(**more)
        _, text = process.communicate(timeout=60)
        return process.returncode, text

    for more, text in (
        ({"TLS_CERTIFICATE": "none.pem"}, "`mubss tls init` makes one"),
        ({"TLS_KEY": "var/tls/ca.key"}, "expected a certificate and its own key"),
        ({"TLS_CLIENT_CA": "var/tls/crm.key"}, "crm.tls_client_ca"),
        ({"KEYS_FOLDER": "nowhere"}, "`mubss token key` makes one"),
    ):
        code, said = told(**more)
        assert code == ExitCode.CONFIG and text in said and "Traceback" not in said, said
    code, said = told(HOST="0.0.0.0")  # the demo's licence says so; who has another is told by test_plain_text
    assert code == ExitCode.LICENCE and "crm.host: '0.0.0.0'; expected a loopback address" in said, said
    (place.keys / "weak.key").write_bytes(b"x" * 31)
    (place.keys / "weak.key").chmod(0o600)
    assert "expected 32 to" in told()[1]


def test_plain_text_is_for_loopback_alone(place: Place) -> None:
    options = replace(place.config.crm, plain_text=True)
    check_plain_text(replace(place.config, crm=options))
    with pytest.raises(ConfigError, match="expected TLS, or a loopback address"):
        check_plain_text(replace(place.config, crm=replace(options, host="0.0.0.0")))


def test_a_second_one_on_the_port_is_refused(place: Place) -> None:
    process = place.start()
    port = port_of(process)
    other = place.start(PORT=str(port))
    _, said = other.communicate(timeout=60)
    assert other.returncode == ExitCode.CONFIG and "can't be listened on" in said
    process.terminate()
    process.communicate(timeout=60)


def test_keys_and_certificates_are_read_again(place: Place) -> None:
    with place.serving() as (process, crm):
        old_ca, old_token = place.ca, place.token()
        for file in (place.folder / "var/tls").glob("ca.*"):
            file.unlink()
        new_ca = place.certify()
        (place.keys / "k1.key").unlink()
        make_key(place.keys, "k2")
        assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("read again" in line for line in iter(process.stderr.readline, ""))
        address = crm.address
        fresh = Crm(address, place.token(), new_ca)
        assert fresh.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
        fresh.close()
        for token, ca, code in (
            (old_token, new_ca, grpc.StatusCode.UNAUTHENTICATED),
            (place.token(), old_ca, grpc.StatusCode.UNAVAILABLE),
        ):
            client = Crm(address, token, ca)
            assert refused(lambda client=client: client.call("System/GetSystem"))[0] is code
            client.close()


def test_nothing_is_written_once_the_licence_is_over(place: Place, tmp_path: Path) -> None:
    licence = DemoLicence(tmp_path / "licence")
    licence.ends(licence.now_s + DAY_S // 2, subscribers=21)  # no whole day; the demo has 20
    place.settings |= licence.variables
    with place.serving() as (process, crm):
        created = {"msisdn": "999811111111", "plan": "demo-prepaid"}
        crm.call("Subscribers/CreateSubscriber", idempotency_key="one", **created)
        more = {"msisdn": "999811111112", "plan": "demo-prepaid"}
        code, text = refused(lambda: crm.call("Subscribers/CreateSubscriber", idempotency_key="two", **more))
        assert code is grpc.StatusCode.FAILED_PRECONDITION and "licence.subscribers: 21; expected 22 or more" in text
        told = crm.call("System/GetSystem").licence
        assert (told.kind, told.state, told.days_left, told.subscribers, told.features) == (
            "demo",
            "expiring",
            0,
            21,
            127,
        )
        licence.ends(licence.now_s - DAY_S)
        assert process.stderr is not None
        assert any("nothing new begins" in line for line in iter(process.stderr.readline, ""))
        code, text = refused(
            lambda: crm.call("Balances/TopUp", idempotency_key="t", subscriber=PREPAID, amount_micros=1)
        )
        assert code is grpc.StatusCode.FAILED_PRECONDITION and "licence" in text
        assert crm.call("Subscribers/GetSubscriber", subscriber="999811111111").plan == "demo-prepaid"
        told = crm.call("System/GetSystem").licence
        assert told.state == "expired" and told.days_left < 0


def test_the_operator_is_told_of_a_licence_that_ends(place: Place, tmp_path: Path) -> None:
    licence = DemoLicence(tmp_path / "licence")
    with web_server() as posts:
        key = tmp_path / "webhook.key"
        key.write_text("k" * 32)
        key.chmod(0o600)
        place.settings |= licence.variables | {
            "MUBSS_NOTIFICATIONS__KINDS": "licence",
            "MUBSS_NOTIFICATIONS__SINKS": "webhook",
            "MUBSS_NOTIFICATIONS__POLL_SECONDS": "1",
            "MUBSS_NOTIFICATIONS__WEBHOOK_URL": f"http://127.0.0.1:{posts.port}/told",
            "MUBSS_NOTIFICATIONS__WEBHOOK_SECRET_FILE": str(key),
        }
        with place.serving() as (_, crm):
            while not (told := crm.call("Notifications/ListNotifications", kind="licence").notifications):
                pass
            while told[0].state != "sent":
                told = crm.call("Notifications/ListNotifications", kind="licence").notifications
        [(_, _, body)] = posts.came
    post = json.loads(body)
    assert (post["kind"], post["subscriber"], post["msisdn"]) == ("licence", "", "")
    assert "demo-1 is expiring" in post["text"] and "days left: 0" in post["text"]


def test_clients_must_show_a_certificate_where_that_is_asked(place: Place) -> None:
    with place.serving(TLS_CLIENT_CA="var/tls/ca.pem") as (_, crm):
        assert refused(lambda: crm.call("System/GetSystem"))[0] is grpc.StatusCode.UNAVAILABLE
        made = private_ca.make_client(place.folder / "var/tls", "shop", int(time.time()))
        pair = [made.key.read_bytes(), made.certificate.read_bytes()]
        credentials = grpc.ssl_channel_credentials(place.ca, *pair)
        with grpc.secure_channel(crm.address, credentials) as channel:
            do = channel.unary_unary("/mubss.crm.v1.System/GetSystem")
            assert do(b"", metadata=[("authorization", f"Bearer {place.token()}")], timeout=10)


def test_plain_text_on_loopback_and_reflection_when_asked_for(place: Place) -> None:
    with (
        place.serving(PLAIN_TEXT="true", REFLECTION="true") as (_, crm),
        grpc.insecure_channel(crm.address.replace("localhost", "127.0.0.1")) as channel,
    ):
        do = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        asked = bytes([0x3A, 0])  # list_services
        assert refused(lambda: list(do(iter([asked]), timeout=10)))[0] is grpc.StatusCode.UNAUTHENTICATED
        metadata = [("authorization", f"Bearer {place.token()}")]
        assert b"mubss.crm.v1.Balances" in b"".join(do(iter([asked]), metadata=metadata, timeout=10))


def test_who_says_nothing_or_says_it_slowly_is_closed_and_others_are_served(place: Place) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of TLS, cut off
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # of HTTP/2 in TLS, without the frame that must follow
    tls = ssl.create_default_context(cadata=place.ca.decode())
    tls.set_alpn_protocols(["h2"])
    with ExitStack() as stack, place.serving(HANDSHAKE_SECONDS="1") as (process, crm):
        assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID)
        before, before_mb = descriptors(process.pid), memory_mb(process.pid)
        where = ("localhost", int(crm.address.rpartition(":")[2]))
        held: list[socket.socket] = []
        for number in range(150):
            sock = stack.enter_context(socket.create_connection(where, 30))
            if number % 3 == 2:
                sock = stack.enter_context(tls.wrap_socket(sock, server_hostname="localhost"))
            sock.sendall((b"", hello, preface)[number % 3])
            held.append(sock)
        assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID)
        for sock in held:
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID)
        assert descriptors(process.pid) <= before + DESCRIPTORS
        assert memory_mb(process.pid, "VmHWM") - before_mb < 64


def test_what_is_under_way_is_ended_before_the_process(place: Place) -> None:
    with place.serving(DRAIN_SECONDS="2") as (process, crm):
        queued = crm.call("Billing/QueueBilling", cycle=3, dry_run=True)
        watching = crm.stream("Billing/WatchActivity", id=queued.id)
        assert next(watching).state == "NEW"
        process.terminate()
        code, _ = refused(lambda: list(watching))
        assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
        assert process.wait(60) == 0


def test_kill_9_during_top_ups_loses_and_doubles_nothing(empty_store_url: str, tmp_path: Path) -> None:
    place = Place(empty_store_url, tmp_path)
    answered: dict[str, int] = {}
    clients, rounds, each = 4, 3, 60
    killed = 0
    for turn in range(rounds):
        process = place.start()
        address, token = f"localhost:{port_of(process)}", place.token()
        enough = threading.Event()

        def work(
            number: int, turn: int = turn, address: str = address, token: str = token, enough: Any = enough
        ) -> None:
            crm = Crm(address, token, place.ca)
            for count in range(each):
                key = f"{number}-{count}"
                if key in answered and turn:
                    continue
                try:
                    answer = crm.call(
                        "Balances/TopUp",
                        subscriber=f"99970000000{number + 1}",
                        amount_micros=EURO,
                        idempotency_key=key,
                    )
                except grpc.RpcError:
                    break  # a later turn tries it again
                answered[key] = answer.balance_micros
                if len(answered) > (turn + 1) * clients * each // (rounds + 1):
                    enough.set()
            enough.set()
            crm.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        if turn < rounds - 1:
            enough.wait()
            process.kill()
            killed += 1
        for thread in threads:
            thread.join()
        process.terminate()
        process.communicate(timeout=60)
    assert len(answered) == clients * each and killed == rounds - 1
    store = open_database(place.config.store_url)
    topups = [
        posting
        for posting in store.run(lambda session: session.collection("postings").scan(limit=100_000))
        if posting["cause"]["kind"] == "topup" and posting["amount_micros"] == EURO
    ]
    assert len(topups) == clients * each
    assert check(store)[1] == []
    store.close()
