"""The PHP client and servers that break off, answer nonsense, or say just what they please over HTTP/2."""

from __future__ import annotations

import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import peers
from mubss.pb import crm_pb2 as pb
from mubss.services import private_ca
from php_player import Php, Refused
from raw_h2 import Http1, RawH2, Script, closed, data, headers, raw, reset

TOP_UP, WATCH = "Balances/TopUp", "Billing/WatchActivity"
ANSWER = pb.MovementResponse(account="a1", currency="EUR", balance_micros=5)


@pytest.fixture(scope="module")
def program() -> str:
    return peers.php()


class Tls(NamedTuple):
    """A certificate for localhost, and who vouches for it."""

    ca_file: str
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    made = private_ca.make_server(tmp_path_factory.mktemp("tls"), ["localhost"], int(time.time()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    context.set_alpn_protocols(["h2"])
    return Tls(str(made.ca), context)


@contextmanager
def player(program: str, address: str, **options: Any) -> Iterator[Php]:
    php = Php(program, address=address, token="t", **{"attempts": 1, "seconds": 20, **options})
    try:
        yield php
        php.close()
    finally:
        php.kill()


def framed(message: Any, flag: int = 0, length: int | None = None) -> bytes:
    octets = message if isinstance(message, bytes) else message.SerializeToString()
    return bytes((flag,)) + (len(octets) if length is None else length).to_bytes(4, "big") + octets


BEGIN = headers((":status", "200"), ("content-type", "application/grpc"))
OK = headers(("grpc-status", "0"), ends=True)
WHOLE = framed(ANSWER)


def said(status: str, message: str = "", *more: tuple[str, str]) -> Script:
    """An answer that is its status alone."""
    fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", status)]
    return [headers(*fields, ("grpc-message", message), *more, ends=True)]


def page(status: str, kind: str = "text/html") -> Script:
    """What a proxy answers."""
    return [headers((":status", status), ("content-type", kind)), data(b"<h1>no</h1>", ends=True)]


WRONG: dict[str, tuple[Script, str, str]] = {
    "a status alone": (said("5", "caf%C3%A9 100%25 a+b"), "NOT_FOUND", "café 100% a+b"),
    "no message": (said("9"), "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
    "no UTF-8": (said("3", "%C3%28 50% %zz"), "INVALID_ARGUMENT", "?( 50% %zz"),
    "trailers after headers": ([BEGIN, *[headers(("grpc-status", "7"), ends=True)]], "PERMISSION_DENIED", ""),
    "trailers after a message": ([BEGIN, data(WHOLE), headers(("grpc-status", "10"), ends=True)], "ABORTED", ""),
    "an unknown status": (said("99", "x"), "UNKNOWN", "grpc-status 99, x"),
    "a status of letters": (said("-1 OK"), "UNKNOWN", "grpc-status -1 OK"),
    "an empty status": (said(""), "UNKNOWN", "grpc-status"),
    "a page of a proxy": (page("503"), "UNAVAILABLE", "HTTP status 503"),
    "a page of another kind": (page("502", "application/grpc-web"), "UNAVAILABLE", "HTTP status 502"),
    "nobody there": (page("404"), "UNIMPLEMENTED", "HTTP status 404"),
    "a redirection": (page("302"), "UNKNOWN", "HTTP status 302"),
    "a page instead": (page("200"), "UNKNOWN", "the content-type is text/html"),
    "no trailers": ([BEGIN, data(WHOLE, ends=True)], "UNAVAILABLE", "broke off before its grpc-status"),
    "no message at all": ([BEGIN, OK], "INTERNAL", "no answer"),
    "two messages": ([BEGIN, data(WHOLE * 2), OK], "INTERNAL", "a second answer"),
    "half a message": ([BEGIN, data(WHOLE[:-1]), OK], "INTERNAL", "ends too soon"),
    "half a head": ([BEGIN, data(WHOLE + b"\0\0"), OK], "INTERNAL", "ends too soon"),
    "a compressed one": ([BEGIN, data(framed(ANSWER, flag=1)), OK], "INTERNAL", "the flag 1"),
    "a flag that there isn't": ([BEGIN, data(framed(ANSWER, flag=255)), OK], "INTERNAL", "the flag 255"),
    "a giant": ([BEGIN, data(framed(ANSWER, length=0xFFFFFFFF))], "RESOURCE_EXHAUSTED", "4294967295 octets"),
    "one octet too many": ([BEGIN, data(framed(bytes(1001))), OK], "RESOURCE_EXHAUSTED", "1001 octets"),
    "noise": ([BEGIN, data(framed(b"\x0a\xff\xff")), OK], "INTERNAL", "3 octets; expected a message of Mubss"),
    "text that isn't UTF-8": ([BEGIN, data(framed(b"\x0a\x01\xff")), OK], "INTERNAL", "3 octets"),
    "a reset: CANCEL": ([BEGIN, reset(8)], "CANCELLED", "err 8"),
    "a reset: ENHANCE_YOUR_CALM": ([BEGIN, reset(11)], "RESOURCE_EXHAUSTED", "err 11"),
    "a reset: INTERNAL_ERROR": ([BEGIN, reset(2)], "INTERNAL", "err 2"),
    "the end instead": ([closed], "UNAVAILABLE", ""),
    "the end amid a message": ([BEGIN, data(WHOLE[:7]), closed], "UNAVAILABLE", ""),
    "no HTTP/2": ([raw(b"\xff" * 64), closed], "UNAVAILABLE", ""),
}


# What is no answer to a call, and fine as a stream.
STREAMS = {"no message at all": "OK", "two messages": "OK"}


def refusal_of_stream(php: Php) -> str:
    try:
        list(php.stream("Billing/WatchActivity", id="x"))
    except Refused as refused:
        return refused.status
    return "OK"


@pytest.mark.parametrize("name", WRONG)
def test_answers_that_are_none(program: str, tls: Tls, name: str) -> None:
    script, status, text = WRONG[name]
    with (
        RawH2(tls.context, script) as server,
        player(program, server.address, caFile=tls.ca_file, maxOctets=1000) as php,
    ):
        with pytest.raises(Refused) as caught:
            php.call(TOP_UP, subscriber="1")
        assert caught.value.status == status and text in caught.value.message, caught.value
        assert refusal_of_stream(php) == STREAMS.get(name, status)


def test_a_server_that_speaks_http_1(program: str, tmp_path: Path) -> None:
    made = private_ca.make_server(tmp_path, ["localhost"], int(time.time()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    answer = raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
    with (
        Http1(context, [answer]) as server,
        player(program, server.address, caFile=str(made.ca)) as php,
        pytest.raises(Refused, match=r"HTTP/1\.1 200; expected HTTP/2") as caught,
    ):
        php.call(TOP_UP)
    assert caught.value.status == "UNAVAILABLE"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_messages_come_in_pieces(program: str, tls: Tls, size: int) -> None:
    activities = [pb.Activity(id=str(number), error="é" * number) for number in range(12)]
    octets = b"".join(map(framed, activities))
    pieces = [data(octets[at : at + size]) for at in range(0, len(octets), size)]
    with (
        RawH2(tls.context, [BEGIN, *pieces, OK]) as server,
        player(program, server.address, caFile=tls.ca_file, maxOctets=200) as php,
    ):
        assert list(php.stream(WATCH, id="x")) == activities


def test_an_empty_message_is_one(program: str, tls: Tls) -> None:
    with (
        RawH2(tls.context, [BEGIN, data(framed(b"")), OK]) as server,
        player(program, server.address, caFile=tls.ca_file) as php,
    ):
        assert php.call(TOP_UP) == pb.MovementResponse()


def details(*violations: tuple[str, str]) -> str:
    status = status_pb2.Status(code=3, message="no")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="x"))
    bad = [error_details_pb2.BadRequest.FieldViolation(field=field, description=text) for field, text in violations]
    status.details.add().Pack(error_details_pb2.BadRequest(field_violations=bad))
    return b64encode(status.SerializeToString()).decode()


@pytest.mark.parametrize(
    ("header", "violations"),
    [
        (details(("amount", "é"), ("plan", "x")), {"amount": "é", "plan": "x"}),
        (details(("amount", "x")).rstrip("="), {"amount": "x"}),
        (details(), {}),
        (b64encode(b"\x1a\xff\xff").decode(), {}),
        ("%%%", {}),
        ("", {}),
    ],
)
def test_fields_at_fault(program: str, tls: Tls, header: str, violations: dict[str, str]) -> None:
    script = said("3", "no", ("grpc-status-details-bin", header), ("request-id", "r1"))
    with (
        RawH2(tls.context, script) as server,
        player(program, server.address, caFile=tls.ca_file) as php,
        pytest.raises(Refused) as caught,
    ):
        php.call(TOP_UP)
    assert (caught.value.violations, caught.value.request_id, caught.value.message) == (violations, "r1", "no")


AWAY: Script = said("14", "too busy")
DONE: Script = [BEGIN, data(WHOLE), OK]


def keys(server: RawH2) -> list[str]:
    """The idempotency keys of the requests that came."""
    return [pb.TopUpRequest.FromString(body[5:]).idempotency_key for body in server.bodies]


@pytest.mark.parametrize(
    "first", [[AWAY, AWAY], [[closed], AWAY], [[BEGIN, closed], [closed]], [[*DONE, closed], AWAY], [page("503"), AWAY]]
)
def test_a_write_comes_again_with_its_key(program: str, tls: Tls, first: list[Script]) -> None:
    with (
        RawH2(tls.context, *first, DONE) as server,
        player(program, server.address, caFile=tls.ca_file, attempts=3) as php,
    ):
        assert php.call(TOP_UP, subscriber="1", amount_micros=5) == ANSWER
    found = keys(server)
    assert len(found) >= 3 and len(set(found)) == 1 and len(found[0]) == 32


def test_what_isnt_repeated(program: str, tls: Tls) -> None:
    for name, script, times in (
        (TOP_UP, AWAY, 3),
        ("Balances/GetBalance", AWAY, 3),
        (TOP_UP, said("10"), 1),
        (TOP_UP, said("13"), 1),
        ("Billing/CancelActivity", AWAY, 1),
    ):
        with (
            RawH2(tls.context, script) as server,
            player(program, server.address, caFile=tls.ca_file, attempts=3) as php,
        ):
            with pytest.raises(Refused):
                php.call(name)
            assert len(server.bodies) == times, (name, times)
    with RawH2(tls.context, AWAY) as server, player(program, server.address, caFile=tls.ca_file, attempts=3) as php:
        with pytest.raises(Refused):
            list(php.stream(WATCH, id="x"))
        assert len(server.bodies) == 1
    with (
        RawH2(tls.context, AWAY) as server,
        player(program, server.address, caFile=tls.ca_file, attempts=1000, seconds=0.5) as php,
    ):
        with pytest.raises(Refused) as caught:
            php.call(TOP_UP)
        assert caught.value.status == "UNAVAILABLE" and 1 < len(server.bodies) < 10, "until its deadline would pass"


def test_a_connection_is_kept_and_made_anew_when_it_was_closed(program: str, tls: Tls) -> None:
    with (
        RawH2(tls.context, DONE) as server,
        player(program, server.address, caFile=tls.ca_file) as php,
    ):
        for _ in range(3):
            assert php.call(TOP_UP) == ANSWER
        assert server.connections == 1
        server.drop()
        assert php.call(TOP_UP) == ANSWER
        assert server.connections == 2 and len(server.bodies) == 4


class Witness(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """A server's handler that tells what a call brought with it, and whether its client went away."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.left_s: float | None = None
        self.gone = threading.Event()

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_stream_rpc_method_handler(self._answer)

    def _answer(self, _request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.metadata = dict(context.invocation_metadata())
        self.left_s = context.time_remaining()
        context.add_callback(self.gone.set)
        yield pb.Activity(id="a").SerializeToString()
        if "endless" in self.metadata["x-request-id"]:
            self.gone.wait(60)


@pytest.fixture(scope="module")
def witness() -> Iterator[tuple[Witness, str]]:
    handler = Witness()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


def test_what_a_call_brings_with_it(program: str, witness: tuple[Witness, str]) -> None:
    seen, address = witness
    with player(program, address, seconds=5) as php:
        php.call("Billing/GetActivity", id="a", request_id="my.id-1")
        assert seen.metadata["authorization"] == "Bearer t" and seen.metadata["x-request-id"] == "my.id-1"
        assert seen.metadata["user-agent"] == "mubss-crm-php" and seen.left_s is not None and 0 < seen.left_s <= 5
        php.call("Billing/GetActivity", id="a", seconds=500_000)
        assert seen.left_s is not None and 400_000 < seen.left_s <= 500_000, "more than milliseconds can say"
        assert len(seen.metadata["x-request-id"]) == 16
        list(php.stream(WATCH, id="a"))
        assert seen.left_s is None or seen.left_s > 1e9, "grpc has both ways to say that there is none"


def test_who_stops_reading_cancels_the_call(program: str, witness: tuple[Witness, str]) -> None:
    seen, address = witness
    with player(program, address) as php:
        seen.gone.clear()
        assert [one.id for one in php.stream(WATCH, id="a", most=1, request_id="endless")] == ["a"]
        assert seen.gone.wait(30)
