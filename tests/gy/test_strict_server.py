"""The profile `strict` on a real connection, and whose requests are done here in every profile (RFC 6733 §6.1.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gy_wire import ERROR, GY, PROXIABLE, REQUEST, Raw, cer, failed, find, origin, request
from gy_world import GyServer, Person, World
from mubss.gy.avp import DiameterError, raw_avp
from mubss.gy.grammar import check_answer
from mubss.gy.message import Part, decode_header
from mubss.gy.routing import Routing

REALM = ("Destination-Realm", "mubss.example")
UNKNOWN = raw_avp(64_999, 0x40, b"1234")


def ccr_i(
    world: World, person: Person, *more: Part, host: str, without: str = "", realm: tuple[str, str] = REALM
) -> bytes:
    """A CCR-I that is right by every rule, but for what is added or left out."""
    parts: list[Part] = [
        ("Session-Id", f"{host};{world.session_id()}"),
        *origin(host),
        realm,
        GY,
        ("Service-Context-Id", "32251@3gpp.org"),
        ("CC-Request-Type", 1),
        ("CC-Request-Number", 0),
        ("Subscription-Id", [("Subscription-Id-Type", 0), ("Subscription-Id-Data", person.msisdn)]),
        ("Multiple-Services-Indicator", 1),
        ("Multiple-Services-Credit-Control", [("Requested-Service-Unit", []), ("Rating-Group", 1)]),
        *more,
    ]
    kept = [part for part in parts if isinstance(part, bytes) or part[0] != without]
    return request("CCR", *kept, application_id=4, flags=REQUEST | PROXIABLE)


@pytest.fixture(scope="module")
def strict(world: World) -> Iterator[GyServer]:
    with GyServer(world, "--profile", "strict") as server:
        yield server


CASES: list[tuple[str, dict[str, Any], list[Part], int, int, list[str]]] = [
    ("all is well", {}, [], 2001, 2001, []),
    ("an unknown AVP with M", {}, [UNKNOWN], 2001, 5001, ["64999"]),
    ("no Destination-Realm", {"without": "Destination-Realm"}, [], 2001, 5005, ["Destination-Realm"]),
    ("no Auth-Application-Id", {"without": "Auth-Application-Id"}, [], 2001, 5005, ["Auth-Application-Id"]),
    ("Requested-Action in a session", {}, [("Requested-Action", 0)], 2001, 5008, ["Requested-Action"]),
    ("Origin-Host twice", {}, [("Origin-Host", "other")], 2001, 5009, ["Origin-Host"]),
    ("the client's own realm", {"realm": ("Destination-Realm", "example")}, [], 2001, 3003, []),
    ("a realm of others", {"realm": ("Destination-Realm", "other.example")}, [], 3003, 3003, []),
    ("a host of others", {}, [("Destination-Host", "other.example")], 3002, 3002, []),
    ("our host", {}, [("Destination-Host", "OCS.mubss.example")], 2001, 2001, []),
]


@pytest.mark.conforms("RFC 6733 §7.1.5", "5001, 5005, 5008 and 5009 under strict, liberty under generic")
@pytest.mark.parametrize("what, changes, more, liberal, letter, at_fault", CASES, ids=[case[0] for case in CASES])
def test_what_is_tolerated_and_what_isnt(
    world: World,
    server: GyServer,
    strict: GyServer,
    what: str,
    changes: dict[str, Any],
    more: list[Part],
    liberal: int,
    letter: int,
    at_fault: list[str],
) -> None:
    person = world.person()
    for serving, expected in ((server, liberal), (strict, letter)):
        with Raw(serving.port) as peer:
            peer.host = "pgw.strict.example"
            assert find(peer.ask(cer(peer.host)), "Result-Code") == 2001
            answer = peer.ask(ccr_i(world, person, *more, host=peer.host, **changes))
            assert find(answer, "Result-Code") == expected, what
            assert bool(decode_header(answer).flags & ERROR) is (3000 <= expected < 4000)
            assert find(answer, "Session-Id") is not None
            assert failed(answer) == (at_fault if expected >= 5000 else [])
            check_answer(answer)


@pytest.mark.conforms("RFC 6733 §5.3.1", "a CER under strict")
def test_a_cer_is_held_to_the_letter_too(strict: GyServer) -> None:
    with Raw(strict.port) as peer:
        answer = peer.ask(request("CER", *origin("pgw.strict2.example"), GY))
        assert (find(answer, "Result-Code"), failed(answer)) == (5005, ["Host-IP-Address"])
        assert peer.closed()


@pytest.mark.conforms("RFC 6733 §5.5.1", "DWR and DPR under strict")
@pytest.mark.parametrize("name, missing", [("DWR", "Origin-Realm"), ("DPR", "Disconnect-Cause")])
def test_so_is_what_keeps_a_connection(server: GyServer, strict: GyServer, name: str, missing: str) -> None:
    parts = [*origin("pgw.strict3.example"), ("Disconnect-Cause", 0)][: 1 if name == "DWR" else 2]
    for serving, result_code in ((server, 2001), (strict, 5005)):
        with Raw(serving.port).open("pgw.strict3.example") as peer:
            answer = peer.ask(request(name, *parts))
            assert (find(answer, "Result-Code"), failed(answer)) == (result_code, [missing] * (result_code == 5005))


# ── routing ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 6733 §6.1.4", "Destination-Host and Destination-Realm: ours, 3002 or 3003")
@pytest.mark.parametrize(
    "host, realm, origin_realm, liberal, letter",
    [
        (None, None, None, 0, 0),
        (None, "MUBSS.example", "x", 0, 0),
        ("OCS.mubss.example", None, "x", 0, 0),
        ("ocs.mubss.example", "elsewhere", "x", 0, 0),  # it is for this very host
        ("ocs2.mubss.example", "mubss.example", "x", 0, 0),  # another server of the same store
        (None, "epc.mnc001.mcc001.3gppnetwork.org", "x", 0, 0),
        (None, "localdomain", "LOCALDOMAIN", 0, 3003),
        (None, "localdomain", None, 3003, 3003),
        ("dra.example", "mubss.example", "x", 3002, 3002),
        ("dra.example", "elsewhere", "x", 3003, 3003),
        ("ocs.mubss.example.evil", "mubss.example", "x", 3002, 3002),
        ("", "mubss.example", "x", 3002, 3002),
    ],
)
def test_whose_requests_are_done_here(
    host: str | None, realm: str | None, origin_realm: str | None, liberal: int, letter: int
) -> None:
    routing = Routing("ocs.mubss.example", "mubss.example", ["ocs*.mubss.example"], ["epc.*"])
    for strict, expected in ((False, liberal), (True, letter)):
        found = 0
        try:
            routing.check(host, realm, origin_realm, strict=strict)
        except DiameterError as error:
            found = error.result_code
        assert found == expected


def test_what_is_too_long_for_a_name_is_nobodys() -> None:
    routing = Routing("ocs.mubss.example", "mubss.example", ["*a*a*a*a*a*b"])
    with pytest.raises(DiameterError, match="3002"):
        routing.check("a" * 60_000, "mubss.example", "x")


@pytest.mark.conforms("RFC 6733 §6.1.6", "other hosts and realms by configuration")
def test_other_hosts_and_realms_are_configured(world: World, tmp_path: Path) -> None:
    file = tmp_path / "gy.toml"
    file.write_text('[gy]\nserved_hosts = ["ocs*.mubss.example"]\nserved_realms = ["epc.*"]\n')
    person = world.person()
    with GyServer(world, "--config", str(file)) as server, Raw(server.port).open() as peer:
        for host, realm, expected in (
            ("ocs2.mubss.example", "mubss.example", 2001),
            ("ocs2.mubss.example", "epc.example", 2001),
            ("dra.mubss.example", "epc.example", 3002),
            ("dra.mubss.example", "other.example", 3003),
        ):
            frame = ccr_i(world, person, ("Destination-Host", host), host=peer.host, realm=("Destination-Realm", realm))
            assert find(peer.ask(frame), "Result-Code") == expected
