"""What we send and take is read by wireshark's dissectors, which others wrote from the same RFCs: no fault is found."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gy_wire import PROXIABLE, REQUEST, Raw, cer, dwr, find, origin, request
from gy_world import EURO, EVENT, INITIAL, SMS, UPDATE, VOICE, GyServer, Person, World, data, octets
from mubss.gy.avp import encode_avp
from mubss.gy.codec import Ccr, Mscc, Units, encode_ccr
from mubss.gy.message import Identity, decode_header, decode_message
from peers import program
from tests.vectors.load import every, load

OURS = "tcp.srcport == 3868"
WRONG = "_ws.malformed || _ws.expert.severity == error"
DOUBTFUL = f"{WRONG} || _ws.expert.severity == warning || diameter.avp.unknown || diameter.unknown_vendor"
PROXY = ("Proxy-Info", [("Proxy-Host", "dra.example"), ("Proxy-State", b"42")])
ORDER = {"i": 0, "u": 1, "t": 2, "e": 3}


@pytest.fixture(scope="module")
def tshark() -> str:
    return program("tshark", "tshark")


@pytest.fixture(scope="module")
def world(tshark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """On SQLite alone: what is sent is the same on any store."""
    made = World(f"sqlite:///{tmp_path_factory.mktemp('world')}/mubss.db")
    yield made
    made.close()


class Capture:
    """A file that a server or `mubss gy trace` wrote, as tshark reads it."""

    def __init__(self, tshark: str, file: Path) -> None:
        self._command = [tshark, "-n", "-r", str(file), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]

    def lines(self, condition: str, *fields: str) -> list[str]:
        """A line for each packet that meets the condition: its summary, or the values of those fields."""
        wanted = ["-T", "fields", *(part for field in fields for part in ("-e", field))] if fields else []
        done = subprocess.run(
            [*self._command, "-Y", condition, *wanted], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def faults(self, condition: str) -> list[str]:
        """Which messages, and what is said of them."""
        return self.lines(condition, "frame.number", "diameter.cmd.code", "diameter.Result-Code", "_ws.expert.message")


def charge(world: World, peer: Raw, person: Person, kind: int, number: int, session: str, *msccs: Mscc) -> bytes:
    """A request of a data session; gives its answer."""
    ccr = data(kind, number, session, person, *msccs)
    ccr.origin_host, ccr.origin_realm = peer.host, "example"
    ccr.destination_realm = "mubss.example"
    return peer.ask(encode_ccr(ccr))


def play_vectors(world: World, server: GyServer) -> int:
    """Every client's messages; gives how many were exchanged."""
    count = 0
    for client in sorted({client for client, _ in every()}):
        known = [name for one, name in every() if one == client]
        with Raw(server.port) as peer:
            if "cer" in known:
                peer.host = find(load(client, "cer"), "Origin-Host")
                assert find(peer.ask(load(client, "cer")), "Result-Code") == 2001
            else:
                peer.open()
            count += 2
            person = world.person()
            for name in sorted((name for name in known if name != "cer"), key=lambda name: ORDER[name.split("_")[1]]):
                assert find(peer.ask(person.in_place_of_the_vectors(load(client, name))), "CC-Request-Type")
                count += 2
            bye = request("DPR", *origin(peer.host), ("Disconnect-Cause", 2))
            assert find(peer.ask(bye), "Result-Code") == 2001
            count += 2
    return count


def play_sessions(world: World, server: GyServer) -> int:
    """Final units, free ones, prices, a session told by RAR and one by ASR, watchdogs; gives how many messages."""
    poor, rich, session = world.person(0, micros=100_000), world.person(), world.session_id()
    with Raw(server.port).open() as peer:
        answers = [
            charge(world, peer, poor, INITIAL, 0, session, Mscc(1, requested=Units())),
            charge(world, peer, poor, UPDATE, 1, session, Mscc(1, requested=Units(), used=octets(4_000_000))),
            charge(
                world, peer, rich, INITIAL, 0, session + "r", Mscc(1, requested=Units()), Mscc(99, requested=Units())
            ),
            peer.ask(dwr(peer.host)),
        ]
        assert b"\0\0\x01\xae" in answers[0], "a Final-Unit-Indication"
        world.top_up(poor, EURO)
        world.set_state(rich, "suspended")
        for _ in range(2):
            frame = peer.receive()
            parts = [("Session-Id", find(frame, "Session-Id")), ("Result-Code", 2001), *origin(peer.host)]
            header = decode_header(frame)
            ids = {"hop_by_hop": header.hop_by_hop, "end_to_end": header.end_to_end, "application_id": 4}
            peer.send(request(header.command_code, *parts, flags=PROXIABLE, **ids))
        for action in (0, 1, 2, 3):
            ccr = data(EVENT, action, world.session_id(), poor, Mscc(None, [1], Units(service_specific_units=1)))
            ccr.requested_action, ccr.service_context_id = action, SMS
            answers.append(peer.ask(complete(ccr, peer)))
        call = data(INITIAL, 0, world.session_id(), poor, service_context_id=VOICE, requested=Units(time_s=60))
        call.msccs = []
        answers.append(peer.ask(complete(call, peer)))
        long = data(INITIAL, 0, world.session_id(), poor, Mscc(1))
        proxy_state = ("Proxy-State", bytes(50_000))
        long.proxy_infos = [encode_avp("Proxy-Info", [("Proxy-Host", host), proxy_state]) for host in ("a", "b", "c")]
        answers.append(peer.ask(complete(long, peer)))
        assert [find(answer, "Result-Code") for answer in answers] == [2001] * len(answers)
        server.process.terminate()
        goodbye = peer.receive()
        peer.send(decode_message(goodbye).answer(2001, Identity(peer.host, "example")))
        assert peer.closed()
    return 2 * (1 + len(answers) + 2 + 1)


def complete(ccr: Ccr, peer: Raw) -> bytes:
    """A request with all that RFC 8506 wants in it."""
    ccr.origin_host, ccr.origin_realm, ccr.destination_realm = peer.host, "example", "mubss.example"
    return encode_ccr(ccr)


def test_good_messages_of_both_sides(world: World, tshark: str, tmp_path: Path) -> None:
    file = tmp_path / "good.pcap"
    with GyServer(world, capture_file=file, served_realms="dest.realm", max_message_octets=1_000_000) as server:
        count = play_vectors(world, server) + play_sessions(world, server)
        server.wait_until_ended()
    assert file.stat().st_mode & 0o777 == 0o600
    capture = Capture(tshark, file)
    assert len(capture.lines("diameter")) == count
    [theirs] = capture.faults(WRONG)  # Kamailio sends "tel:+…" as an E164 Subscription-Id
    assert theirs.partition("\t")[2] == "272\t\t" + ",".join(["Country Code contains non-decimal digits"] * 2)
    assert capture.faults(f"{OURS} && ({DOUBTFUL})") == []
    commands = capture.lines(f"{OURS} && diameter.flags.request == 1", "diameter.cmd.code")
    assert sorted(commands) == ["258", "274", "282"], "RAR, ASR and DPR are ours"


def errors(world: World) -> list[tuple[bytes, int]]:
    """Requests that can't be taken, and the Result-Code that each gets."""
    person, session = world.person(), ("Session-Id", "s;1")
    whole = [session, *origin("pgw.example"), ("Destination-Realm", "mubss.example"), ("Auth-Application-Id", 4)]
    number = encode_avp("CC-Request-Number", 0)

    def ccr(**more: object) -> bytes:
        made = data(INITIAL, 0, world.session_id(), person, Mscc(5, requested=Units()))
        made.origin_host, made.origin_realm, made.destination_realm = "pgw.example", "example", "mubss.example"
        made.proxy_infos = [encode_avp(*PROXY)]
        for name, value in more.items():
            setattr(made, name, value)
        return encode_ccr(made)

    return [
        (request(999, session, PROXY), 3001),
        (request(265, *origin("pgw.example"), application_id=1), 3007),
        (request("RAR", *whole, application_id=4, flags=REQUEST | PROXIABLE), 3001),
        (ccr(destination_host="other.example"), 3002),
        (ccr(destination_realm="nowhere.example"), 3003),
        (request("DWR", *origin("pgw.example"), flags=REQUEST | 0x20), 3008),
        (ccr(flags=0xE0), 3008),
        (ccr(application_id=3), 3007),
        (ccr(cc_request_number=None), 5005),
        (ccr(session_id=None), 5005),
        (ccr(cc_request_type=None), 5005),
        (ccr(cc_request_type=9), 5004),
        (ccr(cc_request_type=EVENT, requested_action=7), 5004),
        (ccr(user_name="name").replace(b"name", b"\xff\xfe\xfd\xfc"), 5004),
        (ccr().replace(number, number[:7] + b"\x0b" + number[8:]), 5014),
        (ccr(subscription_ids=[(0, "999799999999")]), 5030),
        (ccr(cc_request_type=UPDATE), 5002),
        (ccr(service_context_id="1@x"), 2001),  # 5031 in the MSCC
        (request("DWR", b"\0\0\x01\x08\x40\0\0\x07"), 5014),
        (request("DPR", *origin("pgw.example"), b"\0\0\x01\x11\x40\0\0\x09abcd"), 5014),
        (request("CCR", *whole, ("CC-Request-Type", 1), ("CC-Request-Type", 2), application_id=4), 5009),
        (encode_ccr(data(INITIAL, 0, world.session_id(), world.person(0), Mscc(1))), 2001),  # 4012 in the MSCC
    ]


STRANGERS: list[tuple[bytes, int]] = [
    (request("CER", ("Origin-Realm", "example")), 5005),
    (cer("lte.example", ("Auth-Application-Id", 16777251)), 5010),
    (request("CER", *origin("bad.example"), b"\0\0\1\x09\x40\0\0\xffxyz\0"), 5014),
    (b"\x01\xff\xff\xfc" + cer()[4:], 5015),
    (b"\x02" + cer()[1:], 5011),
]


def test_our_answers_to_what_is_wrong(world: World, tshark: str, tmp_path: Path) -> None:
    """What others made of the wrong requests is theirs; our answers to them are right."""
    file = tmp_path / "bad.pcap"
    with GyServer(world, capture_file=file) as server:
        with Raw(server.port).open("pgw.example") as peer:
            wrong = errors(world)
            for index, (frame, result_code) in enumerate(wrong):
                assert find(peer.ask(frame), "Result-Code") == result_code, index
        for frame, result_code in STRANGERS:
            with Raw(server.port) as stranger:
                assert find(stranger.ask(frame), "Result-Code") == result_code
    never = {"capture_file": tmp_path / "never.pcap", "accept_unknown_peers": "never"}
    with GyServer(world, **never) as server, Raw(server.port) as stranger:
        assert find(stranger.ask(cer()), "Result-Code") == 3010
    expected = {
        "bad": [
            # the command that was asked for, and the Session-Id that was missing: of minimum length (RFC 6733 §7.1.5)
            "999\t3001\tUnknown command, if you know what this is you can add it to dictionary.xml",
            "272\t5005\tData is empty",
        ],
        "never": [],
    }
    for name, count in (("bad", 1 + len(wrong) + len(STRANGERS)), ("never", 1)):
        capture = Capture(tshark, tmp_path / f"{name}.pcap")
        assert len(capture.lines(f"{OURS} && diameter")) == count
        found = capture.faults(f"{OURS} && ({DOUBTFUL})")
        assert [line.partition("\t")[2] for line in found] == expected[name]
    assert len(Capture(tshark, file).lines(f"{OURS} && diameter.flags.error == 1")) == 8
