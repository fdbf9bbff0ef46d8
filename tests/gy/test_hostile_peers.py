"""Peers that are broken or mean harm: each is answered or closed with one clear log line, and nobody else notices."""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from gy_wire import PROXIABLE, REQUEST, WAIT_SECONDS, Raw, cer, dwr, failed, find, names, origin, request
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.gy.avp import encode_avp, raw_avp
from mubss.gy.codec import CcaAnswer, Mscc, encode_ccr
from mubss.gy.message import decode_header
from mubss.metrics import MAX_PEERS
from ports import free_port
from tests.vectors.load import every, load


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[GyServer]:
    """One that is quick to lose its patience."""
    with GyServer(world, cer_timeout_seconds=1, send_buffer_octets=65_536, deadline_ms=1_000) as running:
        yield running


@pytest.fixture(scope="module")
def person(world: World) -> Person:
    return world.person(1_000)


@pytest.fixture(scope="module")
def good(server: GyServer, person: Person, world: World) -> Iterator[Callable[[], None]]:
    """Makes sure that a peer who minds its manners still has its answers."""
    with Raw(server.port).open("good.example") as peer:

        def check() -> None:
            ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
            assert peer.charge(ccr).answer.result_code == 2001

        check()
        yield check


def ccr_of(world: World, person: Person, **more: object) -> bytes:
    ccr = data(INITIAL, 0, world.session_id(), person, Mscc(1))
    for name, value in more.items():
        setattr(ccr, name, value)
    return encode_ccr(ccr)


def nested(depth: int) -> bytes:
    """Groups within groups, each a Failed-AVP."""
    avp = encode_avp("Session-Id", "deep")
    for _ in range(depth):
        avp = raw_avp(279, 0x40, avp)
    return avp


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────

STRANGERS: dict[str, tuple[bytes, str]] = {
    "garbage": (bytes(range(7, 256)) * 8, "5011: version 7, expected 1"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: ocs\r\n\r\n", "5011: version 71, expected 1"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "5011: version 22, expected 1"),
    "zeros": (bytes(4_096), "5011: version 0, expected 1"),
    "16 MB": (b"\x01\xff\xff\xfc" + cer()[4:], "5015: message length 16777212"),
    "too short": (b"\x01\0\0\x10" + cer()[4:], "5015: message length 16"),
    "odd": (b"\x01\0\0\x21" + cer()[4:], "5015: message length 33"),
    "a CCR first": (request("CCR", *origin("x.example"), application_id=4), "command 272 before a CER"),
    "a DWR first": (dwr("x.example"), "command 280 before a CER"),
    "an answer first": (request("CER", *origin("x.example"), flags=0), "command 257 before a CER"),
    "nobody": (request("CER", ("Origin-Realm", "example")), "a CER that can't be taken: 5005: Origin-Host is missing"),
    "a lying length": (
        request("CER", b"\0\0\x01\x08\x40\0\0\x07host"),
        "a CER that can't be taken: 5014",
    ),
    "a cut AVP": (request("CER", b"\0\0\x01\x08\x40\0\0\xff" + b"x" * 24), "a CER that can't be taken: 5014"),
    "nested too deep": (request("CER", *origin("x.example"), nested(40)), "a CER that can't be taken: 5012"),
    "nested 3000 deep": (request("CER", *origin("x.example"), nested(3_000)), "a CER that can't be taken: 5012"),
    "no UTF-8": (request("CER", raw_avp(264, 0x40, b"\xff\xfe")), "a CER that can't be taken: 5004"),
    "endless name": (cer("h" * 50_000), "a CER that can't be taken: 5004: Origin-Host: 50000 letters"),
    "many AVPs": (request("CER", *[raw_avp(269, 0, b"")] * 5_000), "a CER that can't be taken: 5012"),
}


def settled(server: GyServer) -> int:
    """How many lines the log has once all that was done before is in it: a thread reads it, so lines come late."""
    with Raw(server.port).open() as last:
        pass
    server.wait_for(f"closing {last.host} at")
    return len(server.lines)


@pytest.mark.conforms("RFC 6733 §5.6", "what is no CER closes a new connection")
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_closed_with_one_line(server: GyServer, good: Callable[[], None], name: str) -> None:
    sent, reason = STRANGERS[name]
    before = settled(server)
    pattern = f"closing .*{reason[:20]}"
    said = len(server.find(pattern))  # of others that are closed for the same
    with Raw(server.port) as peer:
        peer.send(sent)
        try:
            peer.receive()
        except EOFError:
            pass  # no word: a stream that is no DIAMETER, or nothing to answer
        else:
            assert peer.closed()
    good()
    server.wait_for(pattern, said + 1)
    lines = server.lines[before:]
    assert len(lines) == 1, lines
    assert f"closing a peer at 127.0.0.1: {reason}" in lines[0]
    assert len(lines[0]) < 400


def test_a_name_cant_forge_a_line_of_the_log(server: GyServer, good: Callable[[], None]) -> None:
    with Raw(server.port) as peer:
        peer.ask(cer("evil\n2026-11-23T00:00:00.000Z info mubss: FORGED\x1b[31m"))
    good()
    server.wait_for(r"closing evil\\n2026-11-23T00:00:00.000Z info mubss: FORGED\\x1b\[31m at 127")
    assert not server.find("^2026-11-23T00:00:00.000Z")


@pytest.mark.conforms("RFC 6733 §5.6", "no CER in time closes")
def test_who_says_nothing_or_says_it_too_slowly_is_closed(server: GyServer, good: Callable[[], None]) -> None:
    before = settled(server)
    with Raw(server.port) as silent, Raw(server.port) as slow, Raw(server.port) as cut:
        slow.send(cer()[:10])
        cut.send(cer()[:-4])
        assert [peer.closed() for peer in (silent, slow, cut)] == [True] * 3
    good()
    server.wait_for("closing a peer at 127.0.0.1: no CER within 1 s", times=3)
    assert len(server.lines) == before + 3


# ── peers gone wrong ───────────────────────────────────────────────────────────────────────────────

BROKEN: dict[str, tuple[bytes, int, str]] = {
    "garbage": (b"\x07" * 64, 0, "5011: version 7, expected 1"),
    "another version": (b"\x02" + dwr()[1:], 5011, "5011: version 2, expected 1"),
    "16 MB": (b"\x01\xff\xff\xfc" + dwr()[4:], 5015, "5015: message length 16777212"),
    "too short": (b"\x01\0\0\x10" + dwr()[4:], 5015, "5015: message length 16"),
    "odd": (b"\x01\0\0\x21" + dwr()[4:], 5015, "5015: message length 33"),
}


@pytest.mark.conforms("RFC 6733 §7.1.5", "5011 and 5015 end a stream, after what came before is answered")
@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_is_answered_and_closed(server: GyServer, good: Callable[[], None], name: str) -> None:
    sent, result_code, reason = BROKEN[name]
    with Raw(server.port).open() as peer:
        before = settled(server)
        peer.send(dwr(peer.host, hop_by_hop=5) + sent + dwr(peer.host, hop_by_hop=6))
        assert decode_header(peer.receive()).hop_by_hop == 5, "what came before the fault is answered"
        if result_code:
            assert find(peer.receive(), "Result-Code") == result_code
        assert peer.closed()
        good()
        server.wait_for(f"closing {peer.host} at 127.0.0.1: {reason}")
        assert len(server.lines) == before + 1


@pytest.mark.conforms("RFC 6733 §7.1.5", "what can't be read is answered, and the peer stays")
def test_what_cant_be_read_is_answered_and_the_peer_stays(
    world: World, server: GyServer, person: Person, good: Callable[[], None]
) -> None:
    number = encode_avp("CC-Request-Number", 0)
    cases = [
        (request("DWR", nested(40)), 5012),
        (request("DWR", b"\0\0\x01\x08\x40\0\0\xff"), 5014),
        (request("DWR", raw_avp(264, 0x40, b"\xff\xff")), 5004),
        (request(4_711, nested(3_000)), 3001),
        (ccr_of(world, person).replace(number, number[:6] + b"\xff\xff" + number[8:]), 5014),
        (ccr_of(world, person)[:-4] + b"\0\0\0\1", 2001),
        (request("CCR", b"\0" * 12, application_id=4), 5014),
        (request("CCR", application_id=4), 5005),
        (request("CCR", nested(3_000), application_id=4), 5005),
        (request("CCR", *[("Session-Id", "a"), ("Session-Id", "b")], application_id=4), 5009),
        (request("CCR", *[("Proxy-Info", [])] * 65, application_id=4), 5009),
        (request("CCR", raw_avp(263, 0x40, b"\xff\xfe\xfd"), application_id=4), 5004),
        (ccr_of(world, person, session_id="s" * 50_000), 5004),
        (ccr_of(world, person, msccs=[Mscc(1, [1] * 64)] * 70), 2001),
        (ccr_of(world, person, msccs=[Mscc(1)] * 257), 5009),
    ]
    with Raw(server.port).open() as peer:
        for index, (frame, result_code) in enumerate(cases):
            answer = peer.ask(frame)
            assert find(answer, "Result-Code") == result_code, index
            assert decode_header(answer).hop_by_hop == decode_header(frame).hop_by_hop
            if result_code in (5004, 5005, 5009, 5014):
                assert failed(answer), index
        good()
        assert find(peer.ask(dwr(peer.host)), "Result-Code") == 2001


def test_bad_requests_by_the_thousand_dont_fill_the_log(server: GyServer, good: Callable[[], None]) -> None:
    with Raw(server.port).open() as peer:
        before = settled(server)
        peer.send(b"".join(request("CCR", application_id=4, hop_by_hop=number) for number in range(2_000)))
        assert [find(peer.receive(), "Result-Code") for _ in range(2_000)] == [5005] * 2_000
        good()
        lines = server.lines[before:]
    assert 1 <= len(lines) <= 12
    assert f"{peer.host} at 127.0.0.1 sent a CCR that can't be taken: 5005: Session-Id is missing" in lines[0]


STRANGE = ["\0", "\n\r\t", "\U0001f4de", "\ufffe", "'; DROP TABLE accounts; --", '"}]', "%s%n", "\u202e", "$.a[0]"]


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_strange_letters_are_letters(world: World, server: GyServer, good: Callable[[], None], text: str) -> None:
    person, session_id = world.person(), world.session_id() + text
    with Raw(server.port).open() as peer:
        for number, kind in enumerate([INITIAL, UPDATE, TERMINATION]):
            ccr = data(kind, number, session_id, person, Mscc(1, used=octets(5 * (kind > 1))), user_name=text)
            ccr.origin_host, ccr.called_station_id, ccr.called_party_address = text, text, text
            ccr.sgsn_mcc_mnc = text
            for _ in range(2):
                assert peer.charge(ccr).answer.result_code == 2001
                assert peer.charge(ccr).session_id == session_id
        nobody = data(TERMINATION, 9, session_id + "x", person, Mscc(1, used=octets(5)), origin_host=text)
        assert peer.charge(nobody).answer == CcaAnswer(5002)
    assert world.spent(person) == 20_000
    [record] = world.usage(person)
    assert (record["session_id"], record["peer"], record["apn"]) == (session_id, text, text)
    assert [one["session_id"] for one in world.suspense(session_id + "x")] == [session_id + "x"]
    good()


def test_metrics_have_bounded_names(world: World, person: Person) -> None:
    with (
        GyServer(world, metrics__enabled="true", metrics__gy_port=free_port()) as server,
        Raw(server.port).open() as peer,
    ):
        where = server.wait_for(r"metrics on (\S+)")[1]
        for kind in range(60):
            peer.charge(data(kind, 0, "", person))
        with urlopen(f"http://{where}/metrics", timeout=WAIT_SECONDS) as page:
            lines = [line for line in page.read().decode().splitlines() if line.startswith("mubss_gy_answers")]
    assert 5 <= len(lines) <= 6, lines


def test_metrics_by_peer_and_result_and_of_a_bounded_number_of_peers(world: World) -> None:
    with GyServer(world, metrics__enabled="true", metrics__gy_port=free_port()) as server:
        where = server.wait_for(r"metrics on (\S+)")[1]
        for number in range(MAX_PEERS + 5):
            with Raw(server.port).open(f"m{number}.example") as peer:
                peer.charge(data(INITIAL, 0, world.session_id(), None))
        with Raw(server.port).open("M0.example") as peer:
            peer.charge(data(INITIAL, 0, world.session_id(), world.person()))
            with urlopen(f"http://{where}/metrics", timeout=WAIT_SECONDS) as page:
                lines = page.read().decode().splitlines()
    answers = [line for line in lines if line.startswith("mubss_gy_answers_total{")]
    assert len(answers) == MAX_PEERS + 2
    assert 'mubss_gy_answers_total{peer="m0.example",result="2001",type="1"} 1.0' in answers
    assert 'mubss_gy_answers_total{peer="m0.example",result="5030",type="1"} 1.0' in answers
    assert 'mubss_gy_answers_total{peer="other",result="5030",type="1"} 5.0' in answers


# ── floods ─────────────────────────────────────────────────────────────────────────────────────────


def resident_octets(server: GyServer) -> int:
    """The memory of the server's process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def flood(peer: Raw, frame: bytes, times: int) -> None:
    """Sends without ever reading, until it is done or the server has had enough."""
    try:
        for _ in range(times):
            peer.send(frame)
    except OSError:
        pass  # closed, or it takes no more: either is the server's good right


@pytest.mark.parametrize("name", ["DWR", "CCR"])
def test_who_never_reads_is_closed_and_memory_stays_bounded(
    world: World, server: GyServer, person: Person, good: Callable[[], None], name: str
) -> None:
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)])  # the answer repeats it
    frame = (
        request("DWR", proxy) if name == "DWR" else ccr_of(world, person, cc_request_type=UPDATE, proxy_infos=[proxy])
    )
    good()
    before_octets, before = resident_octets(server), settled(server)
    with Raw(server.port, receive_octets=4_096).open() as peer:
        peer.sock.settimeout(WAIT_SECONDS)
        flood(peer, frame, 1_000)
        server.wait_for(f"closing {peer.host} at 127.0.0.1: the peer doesn't read: [0-9]+ octets wait for it")
    good()
    assert resident_octets(server) - before_octets < 32 << 20
    assert len(server.lines) == before + 2, "opened, and closed"


def test_a_peer_that_is_stuck_is_let_go_of(world: World) -> None:
    """Nothing can be written to it any more, so waiting for the last answers to go out must end."""
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)])
    with (
        GyServer(world, max_peers=1, deadline_ms=200, send_buffer_octets=1 << 30) as server,
        Raw(server.port, receive_octets=4_096).open() as stuck,
    ):
        stuck.send(request("DWR", proxy) * 90)  # 5.4 MB: more than the kernel takes, less than where we stop to read
        stuck.send(b"\x07" * 64)
        server.wait_for(f"closing {stuck.host} at 127.0.0.1: 5011")
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with Raw(server.port) as next_one:
                    next_one.open()
                break
            except EOFError:
                assert time.monotonic() < end, "the stuck peer still has the only place"


STORE_DESCRIPTORS = 24  # timers may open a few more connections to the store meanwhile; 200 peers would be more


def test_many_come_and_go(server: GyServer, good: Callable[[], None]) -> None:
    good()
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    before, lines = len(os.listdir(descriptors)), len(server.lines)
    for number in range(200):
        sock = socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS)
        if number % 4 == 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        elif number % 4 == 2:
            sock.sendall(cer(f"comes{number}.example"))
        elif number % 4 == 3:
            sock.sendall(cer()[:30])
        sock.close()
    good()
    for _ in range(1_000):
        closing = [line for line in server.lines[lines:] if "closing" in line]
        if len(closing) == 150 and len(os.listdir(descriptors)) <= before + STORE_DESCRIPTORS:
            break
        good()
    assert len(closing) == 150, "those that said nothing are told at debug"
    assert len(os.listdir(descriptors)) <= before + STORE_DESCRIPTORS
    others = [line for line in closing if not re.search("the peer closed the connection|the connection broke", line)]
    assert others == []


@pytest.mark.conforms("RFC 6733 §2.1", "many messages in one segment")
def test_many_requests_in_one_segment(server: GyServer, good: Callable[[], None]) -> None:
    with Raw(server.port).open() as peer:
        numbers = range(100, 600)
        peer.send(b"".join(dwr(peer.host, hop_by_hop=number) for number in numbers))
        assert [decode_header(peer.receive()).hop_by_hop for _ in numbers] == list(numbers)
    good()


@pytest.mark.conforms("RFC 6733 §2.1", "one message in many segments")
def test_one_request_in_many_segments(world: World, server: GyServer, person: Person, good: Callable[[], None]) -> None:
    with Raw(server.port) as peer:
        for frame in (cer("slow.example"), ccr_of(world, person), dwr("slow.example")):
            for at in range(len(frame)):
                peer.send(frame[at : at + 1])
            assert find(peer.receive(), "Result-Code") == 2001
    good()


def test_half_a_request_and_goodbye(world: World, server: GyServer, person: Person, good: Callable[[], None]) -> None:
    with Raw(server.port).open() as peer:
        peer.send(ccr_of(world, person)[:100])
    server.wait_for(f"closing {peer.host} at 127.0.0.1: the peer closed the connection")
    good()


def test_who_closes_its_side_still_gets_its_answers(world: World, server: GyServer, good: Callable[[], None]) -> None:
    person = world.person()
    with Raw(server.port).open() as peer:
        ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
        peer.send(encode_ccr(ccr))
        peer.sock.shutdown(socket.SHUT_WR)
        answer = peer.receive()
        assert (find(answer, "Result-Code"), names(answer)[0]) == (2001, "Session-Id")
        assert decode_header(answer).flags == PROXIABLE
        assert peer.closed()
    assert world.spent(person) == 80_000
    assert REQUEST == 0x80
    good()


@pytest.mark.parametrize("frame", [dwr(), request("DWR", *[raw_avp(269, 0, b"")] * 4_000)], ids=["small", "large"])
def test_a_peer_that_never_stops_leaves_the_others_their_turn(
    server: GyServer, good: Callable[[], None], frame: bytes
) -> None:
    served = threading.Event()

    def send(peer: Raw) -> None:
        blob = frame * (200_000 // len(frame))
        while not served.is_set():
            peer.send(blob)

    def read(peer: Raw) -> None:
        while peer.sock.recv(1 << 20):
            pass

    with Raw(server.port).open() as peer:
        threads = [threading.Thread(target=work, args=(peer,), daemon=True) for work in (send, read)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                good()
        finally:
            served.set()
            threads[0].join(WAIT_SECONDS)
            peer.sock.shutdown(socket.SHUT_WR)
            threads[1].join(WAIT_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    server.wait_for(f"closing {peer.host} at 127.0.0.1: the peer closed the connection")


@pytest.mark.conforms("Rule 7", "mutants of real requests move no money by mistake")
def test_mutants_of_real_requests_move_no_money_by_mistake(
    world: World, server: GyServer, good: Callable[[], None]
) -> None:
    """Whatever becomes of them, the ledger holds, and no fault of ours is among the answers."""
    person, rng = world.person(1_000), random.Random(20_261_123)
    real = [load(*vector) for vector in every() if vector[1] != "cer"]
    results: Counter[int] = Counter()
    with Raw(server.port).open() as peer:
        for number in range(400):
            frame = bytearray(person.in_place_of_the_vectors(rng.choice(real), session=f"{number % 100:02}"))
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(20, len(frame))
                frame[at] = rng.choice([0, 1, 3, 8, 127, 128, 255, frame[at] ^ 1 << rng.randrange(8)])
            results[find(peer.ask(bytes(frame)), "Result-Code")] += 1
    assert set(results) <= {2001, 3002, 3003, 4012, 5002, 5004, 5005, 5009, 5012, 5014, 5030, 5031}, results
    assert results[2001] > 20
    assert world.account(person)["sequence"] == len(world.postings(person)) + 1
    assert not server.find("fault of ours|can't be stored|error ")
    good()
