"""More than fits: new sessions are refused first, nothing that was taken is lost; a tariff that changes meanwhile."""

from __future__ import annotations

import threading
import time

import pytest

from gy_wire import WAIT_SECONDS, Raw, dwr, find, request
from gy_world import EVENT, INITIAL, SMS, TARIFF, TERMINATION, UPDATE, GyServer, World, data, octets
from mubss.gy.avp import encode_avp
from mubss.gy.codec import Mscc, Units, encode_ccr
from mubss.gy.message import decode_header
from mubss.refdata.form import parse
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import load

PATIENT = {"deadline_ms": 60_000, "store__busy_timeout_ms": 60_000}


@pytest.mark.conforms("RFC 6733 §7.1.3", "3004 for new sessions under load")
@pytest.mark.conforms("Rule 14", "new sessions are refused first")
def test_new_sessions_are_refused_first(world: World) -> None:
    person, session_id = world.person(), world.session_id()
    used = Mscc(1, requested=Units(1_000), used=octets(100_000))

    def frame(kind: int, number: int, session: str = session_id) -> bytes:
        return encode_ccr(data(kind, number, session, person, used, hop_by_hop=number))

    with GyServer(world, max_pending_requests=5, **PATIENT) as server, Raw(server.port).open() as peer:
        peer.ask(frame(INITIAL, 0))
        with world.locked():
            peer.send(b"".join(frame(UPDATE, number) for number in range(1, 6)))
            for kind in (INITIAL, EVENT):
                answer = peer.ask(frame(kind, 99, world.session_id()))
                assert (find(answer, "Result-Code"), decode_header(answer).hop_by_hop) == (3004, 99)
            peer.send(frame(TERMINATION, 6))
            assert decode_header(peer.ask(dwr(peer.host, hop_by_hop=77))).hop_by_hop == 77
        answers = [peer.receive() for _ in range(6)]
        assert [find(answer, "Result-Code") for answer in answers] == [2001] * 6
        assert peer.charge(data(INITIAL, 0, world.session_id(), person)).answer.result_code == 2001
    assert world.spent(person) == 20_000


@pytest.mark.conforms("RFC 6733 §7.1.3", "3004, and the repeat is done")
@pytest.mark.conforms("Rule 14", "a full queue is 3004, and a repeat is welcome")
def test_a_full_queue_is_3004_and_a_repeat_is_welcome(world: World) -> None:
    person = world.person()
    events = [
        encode_ccr(data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS, hop_by_hop=one))
        for one in range(20)
    ]
    with GyServer(world, charging__queue_limit=5, **PATIENT) as server, Raw(server.port).open() as peer:
        with world.locked():
            peer.send(b"".join(events) + dwr(peer.host, hop_by_hop=77))
            refused = []
            while decode_header(answer := peer.receive()).hop_by_hop != 77:
                refused.append(answer)
        assert 10 <= len(refused) <= 15, "five wait, and the lane may have taken up to five before"
        assert {find(answer, "Result-Code") for answer in refused} == {3004}
        done = [peer.receive() for _ in range(20 - len(refused))]
        assert {find(answer, "Result-Code") for answer in done} == {2001}
        for answer in refused:
            assert find(peer.ask(events[decode_header(answer).hop_by_hop]), "Result-Code") == 2001
    assert world.spent(person) == 20 * 80_000


def test_nothing_is_lost_of_what_a_peer_sends_ahead(world: World) -> None:
    """Far more than is taken at a time: what was refused comes again, and its turn comes."""
    person, session_id = world.person(100), world.session_id()
    count = 3_000
    frames = [
        encode_ccr(data(UPDATE, number, session_id, person, Mscc(1, used=octets(10_000)), user_name="x" * 100))
        for number in range(1, count + 1)
    ]
    with GyServer(world, max_pending_requests=50, **PATIENT) as server, Raw(server.port).open() as peer:
        peer.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
        peer.send(b"".join(frames))
        left = set(range(1, count + 1))
        while left:
            answers = [peer.receive() for _ in left]
            assert {find(answer, "Result-Code") for answer in answers} <= {2001, 3004}
            left -= {find(one, "CC-Request-Number") for one in answers if find(one, "Result-Code") == 2001}
            peer.send(b"".join(frames[number - 1] for number in sorted(left)))
        peer.charge(data(TERMINATION, count + 1, session_id, person, Mscc(1)))
    assert world.spent(person, 100) == count * 10_000 // 1_000_000 * 20_000


def offer(peer: Raw, frames: list[bytes]) -> tuple[int, memoryview]:
    """Sends until the server takes no more: how many messages that is, and what of the last one is still to be sent."""
    offered, sent = memoryview(b"".join(frames)), 0
    peer.sock.settimeout(0.5)
    try:
        while sent < len(offered):
            sent += peer.sock.send(offered[sent : sent + 65_536])
    except TimeoutError:
        pass  # it takes no more
    peer.sock.settimeout(WAIT_SECONDS)
    assert sent < 24 << 20, "what it reads and what the kernel's buffers hold"
    whole = -(-sent // len(frames[0]))
    return whole, offered[sent : whole * len(frames[0])]


def test_large_requests_under_way_are_weighed_not_counted(world: World) -> None:
    """60 MB offered while nothing can be charged: a few are read, the rest waits at the peer."""
    person, session_id = world.person(), world.session_id()
    proxy = encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)])
    frames = [
        encode_ccr(data(UPDATE, number, session_id, person, Mscc(1, used=octets(1_000)), proxy_infos=[proxy]))
        for number in range(1, 1_001)
    ]
    with GyServer(world, **PATIENT) as server, Raw(server.port).open() as peer:
        peer.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
        with world.locked():
            whole, rest = offer(peer, frames)
        sender = threading.Thread(target=peer.send, args=(rest,))
        sender.start()
        assert {find(peer.receive(), "Result-Code") for _ in range(whole)} == {2001}
        sender.join()
        peer.charge(data(TERMINATION, 2_000, session_id, person, Mscc(1)))
    [record] = world.usage(person)
    assert record["units"] == whole * 1_000


def test_who_reads_late_has_every_answer(world: World) -> None:
    """What it is slow to read isn't held against it: no more is read from it until it has caught up."""
    with GyServer(world) as server, Raw(server.port, receive_octets=4_096).open() as peer:
        frame = request("DWR", encode_avp("Proxy-Info", [("Proxy-Host", "x"), ("Proxy-State", b"x" * 60_000)]))
        whole, rest = offer(peer, [frame] * 1_000)
        sender = threading.Thread(target=peer.send, args=(rest,))
        sender.start()
        assert {find(peer.receive(), "Result-Code") for _ in range(whole)} == {2001}
        sender.join()


def test_a_new_tariff_is_in_force_within_seconds(empty_store_url: str) -> None:
    world = World(empty_store_url)
    person, session_id = world.person(), world.session_id()

    def sms(peer: Raw) -> None:
        ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
        assert peer.charge(ccr).answer.result_code == 2001

    with GyServer(world, charging__refdata_poll_seconds=1) as server, Raw(server.port).open() as peer:
        sms(peer)
        peer.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
        peer.charge(data(UPDATE, 1, session_id, person, Mscc(1, used=octets(1_000_000))))
        assert world.spent(person) == 100_000
        dearer = TARIFF.replace(b'price = "0.08"', b'price = "0.50"').replace(b'price = "0.02"', b'price = "1.00"')
        load(world.store, [parse("demo.toml", dearer)], operator_calendar("UTC"), int(time.time()))
        server.wait_for("reference data: version 2 is in force")
        sms(peer)
        assert world.spent(person) == 600_000
        last = data(TERMINATION, 2, session_id, person, Mscc(1, used=octets(1_000_000)))
        assert peer.charge(last).answer.result_code == 2001
        assert world.spent(person) == 1_600_000
    world.close()
