"""Rule 14: more than can be charged now. What opens something is refused first, what ends something never."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Self

import pytest

from gy_wire import WAIT_SECONDS, Raw, dwr, find, request
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.gy.codec import Mscc, Units, encode_ccr
from mubss.gy.message import ERROR, decode_header
from mubss.services.control import FOLDER, GY, ask

PATIENT = {"deadline_ms": 60_000, "store__busy_timeout_ms": 60_000}
MB = 1_000_000
STILL = 900  # hop-by-hop of the DWR that shows what was read


class Flood:
    """One peer with sessions open, whose requests can't be answered while the store is locked."""

    def __init__(self, world: World, server: GyServer, host: str = "") -> None:
        self.world = world
        self.peer = Raw(server.port).open(host)
        self.person: Person = world.person(100)
        self.session = world.session_id()
        self.peer.charge(data(INITIAL, 0, self.session, self.person, Mscc(1, requested=Units(MB))))
        self.numbers = iter(range(1, 900))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.peer.sock.close()

    def send(self, kind: int, count: int = 1) -> list[int]:
        """That many requests; gives their Hop-by-Hop Identifiers."""
        frames, sent = [], []
        for number in (next(self.numbers) for _ in range(count)):
            session = self.session if kind in (UPDATE, TERMINATION) else self.world.session_id()
            context: dict[str, Any] = {"service_context_id": SMS} if kind == EVENT else {}
            group = Mscc(None, [1]) if kind == EVENT else Mscc(1, used=octets(MB))
            context |= {"origin_host": self.peer.host, "hop_by_hop": number}
            frames.append(encode_ccr(data(kind, number, session, self.person, group, **context)))
            sent.append(number)
        self.peer.send(b"".join(frames))
        return sent

    def refused(self) -> list[int]:
        """The requests that got 3004 so far, by a DWR sent behind them, which is answered as ever."""
        self.peer.send(dwr(self.peer.host, hop_by_hop=STILL))
        found = []
        while (header := decode_header(answer := self.peer.receive())).hop_by_hop != STILL:
            assert (find(answer, "Result-Code"), header.flags & ERROR) == (3004, ERROR)
            found.append(header.hop_by_hop)
        return found

    def results(self, count: int) -> Counter[int]:
        """The Result-Codes of the next answers."""
        return Counter(find(self.peer.receive(), "Result-Code") for _ in range(count))


@pytest.mark.parametrize("option", ["max_pending_requests", "max_pending_per_peer"])
def test_rule_14_overload_refuses_initial_then_update_and_termination_never(world: World, option: str) -> None:
    with GyServer(world, **{option: 10}, **PATIENT) as server, Flood(world, server) as flood:
        with world.locked():
            flood.send(UPDATE, 10)
            assert flood.refused() == []
            first, event = flood.send(INITIAL), flood.send(EVENT)
            assert flood.refused() == [*first, *event], "at the limit nothing new begins"
            flood.send(UPDATE, 5)
            assert flood.refused() == []
            update = flood.send(UPDATE)
            assert flood.refused() == update, "at half as many more nothing goes on"
            flood.send(TERMINATION, 20)
            assert flood.refused() == [], "what ends is always taken, and a DWR answered"
        assert flood.results(35) == {2001: 16, 5002: 19}
        assert world.spent(flood.person, 100) == 16 * 20_000
        again = flood.peer.charge(data(INITIAL, 0, world.session_id(), flood.person))
        assert again.answer.result_code == 2001


def test_one_peers_flood_is_its_own(world: World) -> None:
    with (
        GyServer(world, max_pending_per_peer=10, **PATIENT) as server,
        Flood(world, server) as flood,
        Flood(world, server) as other,
    ):
        with world.locked():
            flood.send(UPDATE, 12)
            refused = flood.send(INITIAL, 3)
            assert flood.refused() == refused
            other.send(INITIAL, 3)
            assert other.refused() == []
        assert flood.results(12) == {2001: 12}
        assert other.results(3) == {2001: 3}


def pending(world: World, server: GyServer) -> int:
    """Requests under way, as the server says."""
    [answer] = ask(world.folder / FOLDER / f"{GY}-{server.process.pid}.sock", "status", WAIT_SECONDS)
    return int(answer["pending"])


@pytest.mark.parametrize("option", ["max_pending_requests", "max_pending_per_peer"])
def test_at_four_times_the_limit_reading_rests_and_goes_on(world: World, option: str) -> None:
    with (
        GyServer(world, **{option: 5}, **PATIENT) as server,
        Flood(world, server) as flood,
        Raw(server.port).open() as bystander,
    ):
        with world.locked():
            flood.send(TERMINATION, 20)
            deadline = time.monotonic() + WAIT_SECONDS
            while pending(world, server) < 20:
                assert time.monotonic() < deadline
            flood.send(TERMINATION, 100)
            assert find(bystander.ask(dwr(bystander.host)), "Result-Code") == 2001, "it went round meanwhile"
            assert pending(world, server) == 20, "what came behind the brake waits in the socket"
        assert flood.results(120) == {2001: 1, 5002: 119}
        assert flood.refused() == []


def test_the_engines_queue_takes_what_ends_a_session(world: World) -> None:
    with GyServer(world, charging__queue_limit=5, **PATIENT) as server, Flood(world, server) as flood:
        with world.locked():
            flood.send(UPDATE, 20)
            full = flood.refused()
            assert 10 <= len(full) <= 15, "five wait, and the lane may have taken up to five before"
            flood.send(TERMINATION, 10)
            assert flood.refused() == []
        assert flood.results(30 - len(full))[2001] == 20 - len(full) + 1


def test_other_requests_are_answered_meanwhile(world: World) -> None:
    with GyServer(world, max_pending_requests=5, **PATIENT) as server, Flood(world, server) as flood:
        with world.locked():
            flood.send(TERMINATION, 15)
            assert flood.refused() == []
            cer_again = Raw(server.port).open()
            assert find(cer_again.ask(dwr(cer_again.host)), "Result-Code") == 2001
            dpr = request("DPR", ("Origin-Host", cer_again.host), ("Origin-Realm", "example"), ("Disconnect-Cause", 2))
            assert find(cer_again.ask(dpr), "Result-Code") == 2001
        assert sum(flood.results(15).values()) == 15
