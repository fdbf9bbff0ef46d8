"""Every Result-Code of the base protocol to bytes as they lie on the wire, under `generic` and `strict`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gy_wire import ERROR, Raw, cer, find, split
from gy_world import GyServer, World
from mubss.gy.grammar import check_answer
from mubss.gy.message import decode_header

# The AVPs of requests, from pgw.codes.example of the realm example.
SESSION = "00000107 4000001d 7067772e636f6465732e6578616d706c653b313b31 000000 "  # Session-Id pgw.codes.example;1;1
HOST = "00000108 40000019 7067772e636f6465732e6578616d706c65 000000 "  # Origin-Host
REALM = "00000128 4000000f 6578616d706c65 00 "  # Origin-Realm
OURS = "0000011b 40000015 6d756273732e6578616d706c65 000000 "  # Destination-Realm mubss.example
GY = "00000102 4000000c 00000004 "  # Auth-Application-Id
CONTEXT = "000001cd 40000016 3332323531403367 70702e6f7267 0000 "  # Service-Context-Id 32251@3gpp.org
FIRST = "000001a0 4000000c 00000001 0000019f 4000000c 00000000 "  # CC-Request-Type, CC-Request-Number
CCR = SESSION + HOST + REALM + OURS + GY + CONTEXT + FIRST
LOUD = "0000fde7 4000000c 31323334 "  # an unknown AVP with M
CAUSE = "00000111 4000000c 00000000 "  # Disconnect-Cause


class Case(NamedTuple):
    """A request's parts; the Result-Code that each profile answers, and what Failed-AVP holds beside that of strict."""

    what: str
    command: str
    application: str
    avps: str
    generic: int
    strict: int
    failed: str = ""
    length: int = 0  # that the header says; 0: the true one
    version: str = "01"


CASES = [
    Case("a command that nobody knows", "80 000fff", "00000000", HOST + REALM, 3001, 3001),
    Case("a command that is known, but not served", "c0 000113", "00000000", SESSION + HOST + REALM, 3001, 3001),
    Case("a host of others", "c0 000110", "00000004",
         CCR + "00000125 4000000d 6f74686572 000000", 3002, 3002),
    Case("a realm of others", "c0 000110", "00000004",
         CCR.replace(OURS, "0000011b 4000000d 6f74686572 000000 "), 3003, 3003),
    Case("an application that isn't served", "c0 000110", "00000003", CCR, 3007, 3007),
    Case("an application that isn't served, of another command", "c0 00010f", "00000003", SESSION + HOST, 3007, 3007),
    Case("E in a request", "a0 000118", "00000000", HOST + REALM, 3008, 3008),
    Case("P in a DWR", "c0 000118", "00000000", HOST + REALM, 2001, 3008),
    Case("a reserved bit of an AVP", "80 000118", "00000000",
         HOST + REALM.replace("40", "50", 1), 2001, 3009, REALM.replace("40", "50", 1)),
    Case("an unknown AVP with M", "80 000118", "00000000", HOST + REALM + LOUD, 2001, 5001, LOUD),
    Case("a value that isn't defined", "80 00011a", "00000000",
         HOST + REALM + CAUSE[:-2] + "9 ", 2001, 5004, CAUSE[:-2] + "9"),
    Case("text that isn't UTF-8", "80 000118", "00000000",
         "00000108 4000000a ffff 0000" + REALM, 5004, 5004, "00000108 4000000a ffff 0000"),
    Case("what is required isn't there", "c0 000110", "00000004",
         CCR.replace(CONTEXT, ""), 5030, 5005, "000001cd 40000008"),
    Case("two that say different things", "c0 000110", "00000004",
         CCR + "000001c7 4000000c 00000000 000001c8 40000008", 5030, 5007,
         "000001c7 4000000c 00000000 000001c8 40000008"),
    Case("what must not be there", "80 000118", "00000000", HOST + REALM + OURS, 2001, 5008, OURS),
    Case("one too many", "80 000118", "00000000", HOST + REALM + HOST, 2001, 5009, HOST),
    Case("another version", "80 000118", "00000000", HOST + REALM, 5011, 5011, version="02"),
    Case("a reserved bit of the header", "81 000118", "00000000", HOST + REALM, 2001, 5013),
    Case("a length that its type can't have", "80 00011a", "00000000",
         HOST + REALM + "00000111 4000000a 0000 0000", 5014, 5014, CAUSE),
    Case("a length beyond the message's end", "80 000118", "00000000",
         REALM + "00000108 400000ff 41424344", 5014, 5014, "00000108 40000009 00 000000"),
    Case("a message shorter than its header", "80 000118", "00000000", HOST + REALM, 5015, 5015, length=16),
    Case("a length that is no multiple of 4", "80 000118", "00000000", HOST + REALM, 5015, 5015, length=33),
]  # fmt: skip


def wire(case: Case) -> bytes:
    """The request: version and length, flags and command, application, both identifiers, AVPs."""
    avps = bytes.fromhex(case.avps)
    begin = bytes.fromhex(case.version) + (case.length or 20 + len(avps)).to_bytes(3, "big")
    return begin + bytes.fromhex(f"{case.command} {case.application} 00000011 00000022") + avps


@pytest.fixture(scope="module")
def strict(world: World) -> Iterator[GyServer]:
    with GyServer(world, "--profile", "strict") as server:
        yield server


def rows() -> Iterator[Any]:
    for case in CASES:
        section = "§7.1.3" if 3000 <= case.strict < 4000 else "§7.1.5"
        mark = pytest.mark.conforms(f"RFC 6733 {section}", f"{case.strict}: {case.what}")
        yield pytest.param(case, id=f"{case.strict}-{case.what}", marks=mark)


@pytest.mark.parametrize("case", list(rows()))
def test_each_result_code_with_its_failed_avp(server: GyServer, strict: GyServer, case: Case) -> None:
    for serving, expected in ((server, case.generic), (strict, case.strict)):
        with Raw(serving.port).open("pgw.codes.example") as peer:
            answer = peer.ask(wire(case))
            assert find(answer, "Result-Code") == expected, find(answer, "Error-Message")
            header = decode_header(answer)
            assert (header.hop_by_hop, header.end_to_end) == (0x11, 0x22)
            assert bool(header.flags & ERROR) is (3000 <= expected < 4000)
            held = b"".join(avp.data for avp in split(answer, 20) if avp.name == "Failed-AVP")
            assert held == (bytes.fromhex(case.failed) if expected == case.strict else b"")
            check_answer(answer)


@pytest.mark.conforms("RFC 6733 §7.1.5", "5010: no common application; 5012: groups beyond all depth")
def test_the_two_that_need_more_than_a_row(server: GyServer, strict: GyServer) -> None:
    depth = b""
    for _ in range(40):
        depth = (456).to_bytes(4, "big") + (0x40000008 + len(depth)).to_bytes(4, "big") + depth
    for serving in (server, strict):
        with Raw(serving.port) as peer:
            answer = peer.ask(cer("pgw.codes2.example", ("Auth-Application-Id", 9)))
            assert find(answer, "Result-Code") == 5010
            assert peer.closed()
        with Raw(serving.port).open("pgw.codes3.example") as peer:
            frame = wire(Case("deep", "80 000118", "00000000", HOST + REALM + depth.hex(), 5012, 5012))
            assert find(peer.ask(frame), "Result-Code") == 5012
