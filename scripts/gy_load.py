#!/usr/bin/env python3
"""A Gy load generator in one plain process: sessions of I, U × n, T on random accounts, closed or open loop.

Requests are templates with the changing fields patched in, so that one core can load a server
on another. Prints one JSON object: rate, latencies, results.

    scripts/gy_load.py --port 3868 --in-flight 64 --seconds 10
    scripts/gy_load.py --port 3868 --offered 1000 --seconds 10
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from struct import Struct
from typing import Any

from mubss.gy.ccr_encode import encode_ccr
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits
from mubss.gy.message import Framer, Identity, decode_message, encode_request

_U32 = Struct(">I")
INITIAL, UPDATE, TERMINATION = 1, 2, 3
SESSION_ID_LETTERS = 44
FIRST_MSISDN = 999_700_000_001
PARKED_AT_ONCE = 256
PATIENCE_S = 10  # after the end of a run
UNANSWERED = 0  # instead of a Result-Code


class Template:
    """A CCR of one type, and where the fields that change lie in it."""

    def __init__(self, request_type: int, used_octets: int | None, groups: int = 1) -> None:
        asked = None if request_type == TERMINATION else Units()
        used = [] if used_octets is None else [UsedUnits(used_octets, reporting_reasons=[3])]
        ccr = Ccr(
            session_id="S" * SESSION_ID_LETTERS,
            origin_host="smf.load.example",
            origin_realm="load.example",
            destination_realm="mubss.example",
            auth_application_id=4,
            service_context_id="32251@3gpp.org",
            cc_request_type=request_type,
            cc_request_number=0x7A7A7A7A,
            event_timestamp_s=1_795_000_000,
            subscription_ids=[(1, "I" * 15), (0, "M" * 12)],
            multiple_services_indicator=1,
            requested_action=0,
            msccs=[Mscc(group, [], asked, used) for group in range(1, groups + 1)],
            called_station_id="internet",
            charging_id=4711,
            sgsn_mcc_mnc="99970",
            rat_type=6,
        )
        self.bytes = encode_ccr(ccr)
        self.session_id = self.bytes.index(b"S" * SESSION_ID_LETTERS)
        self.imsi = self.bytes.index(b"I" * 15)
        self.msisdn = self.bytes.index(b"M" * 12)
        self.number = self.bytes.index(b"zzzz")

    def fill(self, session_id: bytes, account: int, number: int, slot: int) -> bytes:
        """One request; `slot` comes back as the Hop-by-Hop id of its answer."""
        data = bytearray(self.bytes)
        data[12:16] = data[16:20] = _U32.pack(slot)
        data[self.session_id : self.session_id + SESSION_ID_LETTERS] = session_id
        data[self.imsi : self.imsi + 15] = b"%015d" % (FIRST_MSISDN * 1000 + account)
        data[self.msisdn : self.msisdn + 12] = b"%012d" % (FIRST_MSISDN + account)
        data[self.number : self.number + 4] = _U32.pack(number)
        return bytes(data)


class Sessions:
    """Slots, each playing one session after another."""

    def __init__(self, accounts: int, updates: int, seed: int, groups: int = 1, first: int = 0) -> None:
        self._first = first
        self._accounts = accounts
        self._last = updates + 1
        self._random = random.Random(seed)
        self._run = f"{seed & 0xFFFFFF:06x}{time.time_ns() & 0xFFFFFFFFFF:010x}"
        self._count = 0
        self._slots: dict[int, tuple[bytes, int, int]] = {}
        self._initial = Template(INITIAL, None, groups)
        self._update = Template(UPDATE, 700_000, groups)
        self._termination = Template(TERMINATION, 100_000, groups)

    def next_request(self, slot: int) -> bytes:
        """The slot's next request: of its session, or the first of a new one."""
        session_id, account, number = self._slots.get(slot, (b"", 0, self._last))
        if number == self._last:
            session_id, account, number = self._new_id(), self._first + self._random.randrange(self._accounts), -1
        number += 1
        self._slots[slot] = session_id, account, number
        if number == 0:
            template = self._initial
        else:
            template = self._termination if number == self._last else self._update
        return template.fill(session_id, account, number, slot)

    def begin(self, account: int, slot: int) -> bytes:
        """The first request of a session that nobody goes on with."""
        return self._initial.fill(self._new_id(), self._first + account, 0, slot)

    def _new_id(self) -> bytes:
        self._count += 1
        return f"smf.load.example;{self._run};{self._count:010d}".encode()


class Link:
    """One DIAMETER connection."""

    def __init__(self, host: str, port: int, index: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.framer = Framer()
        self.out: list[bytes] = []
        self.identity = Identity(f"smf{index}.load.example", "load.example")
        avps = [
            ("Origin-Host", self.identity.host),
            ("Origin-Realm", self.identity.realm),
            ("Host-IP-Address", "127.0.0.1"),
            ("Vendor-Id", 0),
            ("Product-Name", "gy_load"),
            ("Auth-Application-Id", 4),
        ]
        self.socket.sendall(encode_request("CER", 1, 1, avps))
        answers: list[bytes] = []
        while not answers:
            answers = self.framer.feed(self.socket.recv(65_536))
        result = decode_message(answers[0]).find("Result-Code")
        if result != 2001:
            sys.exit(f"the server refused the CER: {result}")

    def flush(self) -> None:
        """Sends what was queued, in one write."""
        if self.out:
            self.socket.sendall(b"".join(self.out))
            self.out.clear()


class Load:
    """The loop: reads answers, measures, sends what is next."""

    def __init__(self, links: list[Link], sessions: Sessions) -> None:
        self.links = links
        self.sessions = sessions
        self.sent: dict[int, float] = {}
        self.latencies: list[float] = []
        self.results: Counter[int] = Counter()
        self._selector = selectors.DefaultSelector()
        for link in links:
            self._selector.register(link.socket, selectors.EVENT_READ, link)

    def send(self, slot: int, at: float, request: bytes = b"") -> None:
        """Queues the slot's next request, or this one; its latency counts from `at`."""
        self.sent[slot] = at
        self.links[slot % len(self.links)].out.append(request or self.sessions.next_request(slot))

    def poll(self, timeout: float, again: Callable[[int, float], None]) -> None:
        """Takes the answers that are there; `again(slot, now)` says what follows each."""
        for key, _ in self._selector.select(timeout):
            link: Link = key.data
            data = link.socket.recv(1 << 18)
            if not data:
                sys.exit("the server closed the connection")
            now = time.perf_counter()
            for frame in link.framer.feed(data):
                if frame[4] & 0x80:  # DWR, RAR or ASR
                    link.out.append(decode_message(frame).answer(2001, link.identity))
                    continue
                slot = int.from_bytes(frame[12:16], "big")
                at = self.sent.pop(slot, None)
                if at is None:
                    continue  # given up before
                self.latencies.append(now - at)
                # Session-Id (52 bytes with its head) comes first, the Result-Code's value 8 behind it.
                start = 20 + 8 + SESSION_ID_LETTERS + 8
                self.results[int.from_bytes(frame[start : start + 4], "big")] += 1
                again(slot, now)

    def forget(self) -> None:
        """What was measured so far."""
        self.latencies.clear()
        self.results.clear()

    def give_up(self) -> None:
        """What is still under way gets no answer: the server drops those that come past its deadline."""
        if self.sent:
            self.results[UNANSWERED] += len(self.sent)
            self.sent.clear()

    def flush(self) -> None:
        """One write for each link."""
        for link in self.links:
            link.flush()


def park(load: Load, accounts: int, each: int) -> None:
    """Opens so many sessions on each account, which then stay open."""
    waiting = (account for _ in range(each) for account in range(accounts))

    def again(slot: int, now: float) -> None:
        for account in waiting:
            load.send(slot, now, load.sessions.begin(account, slot))
            break

    for slot in range(PARKED_AT_ONCE):
        again(slot, time.perf_counter())
    load.flush()
    while load.sent:
        load.poll(5, again)
        load.flush()


def closed_loop(load: Load, in_flight: int, seconds: float) -> float:
    """Keeps `in_flight` requests under way; returns the seconds measured."""
    started = time.perf_counter()
    end = started + seconds
    for slot in range(in_flight):
        load.send(slot, time.perf_counter())
    load.flush()

    def again(slot: int, now: float) -> None:
        if now < end:
            load.send(slot, now)

    while load.sent and time.perf_counter() < end + PATIENCE_S:
        load.poll(1, again)
        load.flush()
    took = time.perf_counter() - started
    load.give_up()
    return took


def open_loop(
    load: Load, offered: int, seconds: float, every: float = 0, tell: Callable[[], None] | None = None
) -> float:
    """Offers so many requests a second, whatever comes back; latency counts from when each was due.

    With `every`, `tell` is called after so many seconds, again and again; what it tells of is then forgotten.
    Returns the seconds since that was last done, or since the start.
    """
    started = time.perf_counter()
    telling = started + every
    due = [(started + slot / offered, slot) for slot in range(offered // 4)]
    period = len(due) / offered  # a slot plays a request each period, if its last answer is there
    end = started + seconds
    waiting: set[int] = set()

    def again(slot: int, now: float) -> None:
        if slot in waiting:  # its turn came while the answer was outstanding
            waiting.discard(slot)
            load.send(slot, now)

    while True:
        now = time.perf_counter()
        while due and due[0][0] <= now:
            at, slot = heapq.heappop(due)
            if at >= end:
                continue
            heapq.heappush(due, (at + period, slot))
            if slot in load.sent:
                waiting.add(slot)
            else:
                load.send(slot, at)
        load.flush()
        if tell is not None and every and telling <= now < end:
            tell()
            load.forget()
            telling += every
        if now >= end and (not load.sent or now >= end + PATIENCE_S):
            load.give_up()
            return now - (telling - every)
        load.poll(max(0.0, min(due[0][0] - time.perf_counter() if due else 0.01, 0.01)), again)


def percentile_ms(ordered: list[float], share: float) -> float:
    """The latency that `share` of the requests stay below."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


def figures_of(load: Load, state: str, seconds: float) -> dict[str, Any]:
    """What was measured within these seconds."""
    ordered = sorted(load.latencies)
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
    return {
        "state": state,
        "requests": len(ordered),
        "rate": round(len(ordered) / max(seconds, 1e-9)),
        **({name: percentile_ms(ordered, share) for name, share in shares.items()} if ordered else {}),
        "results": {str(code or "unanswered"): count for code, count in sorted(load.results.items())},
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first account, counted from the lowest number")
    parser.add_argument("--updates", type=int, default=3, help="CCR-U of each session")
    parser.add_argument("--groups", type=int, default=1, help="rating groups of each request")
    parser.add_argument("--parked", type=int, default=0, help="sessions opened on each account before, and left open")
    parser.add_argument("--peers", type=int, default=4, help="connections")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--offered", type=int, default=0, help="requests/s of an open loop instead")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--every", type=float, default=0, help="seconds: an open loop tells figures so often, too")
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    peers = min(options.peers, options.in_flight) if not options.offered else options.peers
    links = [Link(options.host, options.port, index) for index in range(peers)]
    load = Load(links, Sessions(options.accounts, options.updates, options.seed, options.groups, options.first))
    park(load, options.accounts, options.parked)
    if options.warm_up:
        closed_loop(load, options.in_flight, options.warm_up)
    load.forget()
    print(json.dumps({"state": "measuring"}), flush=True)
    cpu = time.process_time()
    if options.offered:

        def tell() -> None:
            print(json.dumps(figures_of(load, "going on", options.every)), flush=True)

        took = open_loop(load, options.offered, options.seconds, options.every, tell)
    else:
        took = closed_loop(load, options.in_flight, options.seconds)
    figures = figures_of(load, "done", took)
    figures["client_us"] = round((time.process_time() - cpu) / max(1, figures["requests"]) * 1e6, 1)
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
