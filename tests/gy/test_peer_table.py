"""Which peers may connect, from where, and which profile each has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gy_wire import Raw, cer, find
from gy_world import DATA, INITIAL, SMS, TERMINATION, VOICE, GyServer, World, data, octets
from mubss.config import load, with_profile
from mubss.config_gy import PROFILES
from mubss.core.errors import ConfigError
from mubss.gy.codec import Mscc
from mubss.gy.peer_options import peer_table
from mubss.gy.peer_table import MAX_REMEMBERED, PeerTable, row
from mubss.gy.profile import BUILT_IN, Change, Profile, make_profiles

GENERIC = Profile()
ROWS = [
    ("smf*.epc.example", "", [], "pattern"),
    ("smf1.epc.example", "", ["192.0.2.0/24", "::1"], "exact"),
    ("pgw.example", "one.example", [], "realm"),
    ("pgw.example", "*.two.example", ["198.51.100.7"], "other realm"),
]


def table(accept: str = "never") -> PeerTable:
    rows = [row(host, realm, networks, Profile(name)) for host, realm, networks, name in ROWS]
    return PeerTable(rows, accept, GENERIC)


@pytest.mark.conforms("RFC 6733 §2.6", "who may connect: by Origin-Host, Origin-Realm and address")
@pytest.mark.parametrize(
    "host, realm, address, admitted",
    [
        ("smf1.epc.example", "any.example", "192.0.2.200", True),
        ("SMF1.epc.EXAMPLE", "any.example", "::1", True),
        ("smf1.epc.example", "any.example", "192.0.3.1", False),  # the exact row counts, not the pattern
        ("smf22.epc.example", "any.example", "203.0.113.1", True),
        ("xsmf1.epc.example", "any.example", "203.0.113.1", False),
        ("smf1.epc.example.evil", "any.example", "192.0.2.1", False),
        ("smf1xepc.example", "any.example", "192.0.2.1", False),  # a dot is a dot
        ("pgw.example", "ONE.example", "203.0.113.1", True),
        ("pgw.example", "a.two.example", "198.51.100.7", True),
        ("pgw.example", "a.two.example", "198.51.100.8", False),
        ("pgw.example", "three.example", "198.51.100.7", False),
    ],
)
def test_a_peer_is_known_by_host_realm_and_address(host: str, realm: str, address: str, admitted: bool) -> None:
    assert table().admits(host, realm, address) is admitted


@pytest.mark.conforms("RFC 6733 §2.6", "strangers: none, those of this machine, or all")
@pytest.mark.parametrize(
    "accept, address, admitted",
    [
        ("never", "127.0.0.1", False),
        ("loopback", "127.0.0.1", True),
        ("loopback", "::1", True),
        ("loopback", "192.0.2.1", False),
        ("always", "192.0.2.1", True),
    ],
)
def test_peers_that_no_row_names(accept: str, address: str, admitted: bool) -> None:
    assert table(accept).admits("who.example", "example", address) is admitted


def test_a_listed_peer_is_not_unknown_from_elsewhere() -> None:
    assert not table("always").admits("smf1.epc.example", "example", "203.0.113.1")


@pytest.mark.parametrize(
    "host, realm, expected",
    [
        ("smf1.epc.example", "", "exact"),
        ("smf2.epc.example", "", "pattern"),
        ("pgw.example", "one.example", "realm"),
        ("pgw.example", "x.two.example", "other realm"),
        ("pgw.example", "three.example", "generic"),
    ],
)
def test_the_profile_is_that_of_the_row(host: str, realm: str, expected: str) -> None:
    assert table().profile(host, realm).name == expected


@pytest.mark.conforms("RFC 6733 §2.8", "a client behind an agent has a profile of its own")
def test_a_client_behind_an_agent_has_its_own_profile_or_the_agents() -> None:
    agent = Profile("agent")
    assert table().profile("smf1.epc.example", "", agent).name == "exact"
    assert table().profile("who.example", "", agent).name == "agent"


def test_names_that_peers_make_up_dont_fill_memory() -> None:
    made = table()
    for number in range(2 * MAX_REMEMBERED):
        made.profile(f"smf{number}.epc.example", "")
    assert len(made._found) == MAX_REMEMBERED
    assert made.profile("smf9999.epc.example", "").name == "pattern"


def test_what_is_too_long_for_a_name_is_no_peers() -> None:
    made = PeerTable([row("*", "", [], Profile("any"))], "never", GENERIC)
    assert made.profile("a" * 255, "b" * 255).name == "any"
    assert made.profile("a" * 256, "b").name == made.profile("a", "b" * 256).name == "generic"
    assert not made.admits("a" * 256, "b", "127.0.0.1")
    assert len(made._found) == 1


# ── profiles ───────────────────────────────────────────────────────────────────────────────────────


def test_the_configuration_knows_what_is_built_in() -> None:
    assert tuple(BUILT_IN) == PROFILES
    assert make_profiles(GENERIC)["generic"] == GENERIC


def test_a_profile_has_the_servers_own_defaults_but_for_what_it_names() -> None:
    generic = Profile(subscription_order=("imsi",), default_context="x@y", deadline_ms=2000)
    made = make_profiles(generic)
    assert made["ergw"].subscription_order == ("imsi",)
    assert (made["kamailio"].deadline_ms, made["magma"].deadline_ms) == (5000, 2000)
    assert (made["strict"].default_context, made["kamailio"].default_context) == ("x@y", VOICE)


def test_an_operator_changes_profiles_and_makes_new_ones() -> None:
    changes = [
        Change("seagull", "generic", {"default_subscriber": "e164:49301"}),
        Change("lab", "seagull", {"deadline_ms": 1}),
        Change("lab2", "lab", {}),
    ]
    made = make_profiles(GENERIC, changes)
    assert made["seagull"].knows_tariff_change is False
    assert (made["lab2"].default_subscriber, made["lab2"].deadline_ms, made["lab2"].name) == ("e164:49301", 1, "lab2")


CONFIGURATION = """
[gy]
accept_unknown_peers = "always"
profile = "mine"
[[gy.profiles]]
name = "mine"
base = "cisco-pgw"
strict = "yes"
subscription_id_order = ["nai"]
default_service_context = "32274@3gpp.org"
default_subscriber = "e164:49301234567"
default_rating_group = 0
unknown_sessions = "charge"
reboot_ends_sessions = "no"
deadline_ms = 77
out_of_credit = "command"
threshold_percent = 0
holding_time_seconds = 5
tariff_time_change = "no"
credit_pools = "no"
balance_information = "always"
session_failover = "not-sent"
failure_handling = "continue"
[[gy.profiles]]
name = "magma"
tariff_time_change = "yes"
[[gy.peers]]
origin_host = "feg.*"
profile = "magma"
[[gy.peers]]
origin_host = "other"
"""


def test_the_configuration_says_it_all(tmp_path: Path) -> None:
    file = tmp_path / "mubss.toml"
    file.write_text(CONFIGURATION)
    made = peer_table(load(file, {}).gy)
    assert (
        made.profile("who", "")
        == made.profile("other", "")
        == Profile(
            "mine",
            True,
            ("nai",),
            SMS,
            "e164:49301234567",
            0,
            True,
            False,
            77,
            True,
            0,
            5,
            False,
            False,
            "always",
            None,
            1,
        )
    )
    magma = made.profile("feg.example", "")
    assert (magma.name, magma.knows_tariff_change, magma.default_context) == ("magma", True, DATA)


@pytest.mark.parametrize(
    "text, fault",
    [
        ('[gy]\nprofile = "opengs"', "gy.profile = 'opengs' ({file}): no such profile; did you mean \"open5gs\"?"),
        (
            '[[gy.peers]]\norigin_host = "a"\nprofile = "magna"',
            "gy.peers[0].profile = 'magna' ({file}): no such profile; did you mean \"magma\"?",
        ),
        (
            '[[gy.profiles]]\nname = "a"\nbase = "b"\n[[gy.profiles]]\nname = "b"',
            "gy.profiles[0].base = 'b' ({file}): known: " + ", ".join(PROFILES),
        ),
        (
            '[[gy.profiles]]\nname = "a"\n[[gy.profiles]]\nname = "a"',
            "gy.profiles: name 'a' stands twice ({file}); expected each profile once",
        ),
        (
            '[[gy.peers]]\norigin_host = "a"\nrealm = "R"\n[[gy.peers]]\norigin_host = "A"\nrealm = "r"',
            "gy.peers: origin_host 'a' with realm 'r' stands twice ({file}); expected each peer once",
        ),
        (
            '[[gy.peers]]\norigin_host = "a b"',
            "gy.peers[0].origin_host = 'a b' ({file}:2): expected a DiameterIdentity, or a pattern of one like "
            '"*.epc.example"',
        ),
        (
            '[[gy.peers]]\norigin_host = "a"\naddresses = ["192.0.2.300"]',
            "gy.peers[0].addresses = ['192.0.2.300'] ({file}:3): expected an IP address or a network like "
            '"192.0.2.0/24"',
        ),
        (
            '[[gy.profiles]]\nname = "a"\ndefault_subscriber = "49301"',
            "gy.profiles[0].default_subscriber = '49301' ({file}:3): expected one like \"e164:49170123456\"",
        ),
    ],
)
def test_what_is_wrong_with_profiles_is_said(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "mubss.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file, {})
    assert str(raised.value) == fault.replace("{file}", str(file))


def test_the_command_line_names_a_profile() -> None:
    assert with_profile(load(None, {}), "xk6").gy.profile == "xk6"
    with pytest.raises(ConfigError, match=r"gy.profile: 'kamalio'; no such profile; did you mean \"kamailio\"\?"):
        with_profile(load(None, {}), "kamalio")


# ── a running server ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", ["1", "2"])
def test_profiles_reach_the_peers(world: World, tmp_path: Path, workers: str) -> None:
    person = world.person()
    file = tmp_path / "gy.toml"
    file.write_text(
        f'[[gy.profiles]]\nname = "seagull"\ndefault_subscriber = "e164:{person.msisdn}"\n'
        '[[gy.peers]]\norigin_host = "seagull*"\nprofile = "seagull"\n'
    )
    arguments = ["--config", str(file), "--workers", workers, "--profile", "magma"]
    with GyServer(world, *arguments) as server:
        for host, profile, results in (("seagull1.example", "seagull", 2001), ("who.example", "magma", 5030)):
            with Raw(server.port) as peer:
                peer.host = host
                assert find(peer.ask(cer(host)), "Result-Code") == 2001
                server.wait_for(f"{host} at 127.0.0.1 is open, profile {profile}")
                answer = peer.charge(data(INITIAL, 0, world.session_id(), None))
                assert answer.answer.result_code == results


def test_a_profile_may_charge_sessions_never_seen(world: World, tmp_path: Path) -> None:
    person = world.person()
    file = tmp_path / "gy.toml"
    file.write_text('[[gy.profiles]]\nname = "lab"\nunknown_sessions = "charge"\n')
    with GyServer(world, "--profile", "lab", "--config", str(file)) as server, Raw(server.port).open() as peer:
        last = data(TERMINATION, 7, world.session_id(), person, Mscc(1, used=octets(1)))
        answers = [peer.charge(replace(last)).answer for _ in range(2)]
        assert [one.result_code for one in answers] == [2001, 2001]
        assert (
            peer.charge(data(TERMINATION, 7, world.session_id(), None, Mscc(1, used=octets(1)))).answer.result_code
            == 5030
        )
    assert (world.spent(person), len(world.usage(person))) == (20_000, 1)


@pytest.mark.conforms("RFC 6733 §2.8", "a client behind an agent is served by its own name")
def test_a_client_behind_an_agent_is_served_by_its_own_name(world: World, tmp_path: Path) -> None:
    person = world.person()
    file = tmp_path / "gy.toml"
    file.write_text(
        f'[[gy.profiles]]\nname = "lab"\ndefault_subscriber = "e164:{person.msisdn}"\n'
        '[[gy.peers]]\norigin_host = "behind.example"\nprofile = "lab"\n'
    )
    with GyServer(world, "--config", str(file)) as server, Raw(server.port).open("agent.example") as peer:
        results: list[Any] = []
        for host in ("behind.example", "other.example", "agent.example"):
            request = data(INITIAL, 0, world.session_id(), None, origin_host=host, origin_realm="example")
            results.append(peer.charge(request).answer.result_code)
        assert results == [2001, 5030, 5030]
