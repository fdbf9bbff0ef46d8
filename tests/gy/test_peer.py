"""The state machine of one connection: frames and time in, actions out (RFC 6733 §5, RFC 3539 §3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from gy_wire import (
    GY,
    PROXIABLE,
    REQUEST,
    RETRANSMITTED,
    VSAI,
    cer,
    cut,
    dwr,
    failed,
    find,
    names,
    origin,
    request,
    split,
)
from mubss.gy.avp import raw_avp
from mubss.gy.message import FrameError, Framer, Identity, Part, decode_header, encode_message
from mubss.gy.peer import BUSY, Action, Answered, Charge, Claim, Close, Peer, Send, Settings, State
from mubss.gy.peer_table import PeerTable
from mubss.gy.profile import Profile
from tests.vectors.load import every, load

OURS = Identity("ocs.mubss.example", "mubss.example", 1_795_000_000)
RELAY = ("Auth-Application-Id", 0xFFFFFFFF)
OTHER = ("Auth-Application-Id", 16_777_238)


def new_peer(*, remote: str = "127.0.0.1", jitter_s: int = 0, **settings: Any) -> Peer:
    return Peer(Settings(OURS, **settings), "127.0.0.2", remote, 1000, jitter_s)


def open_peer(host: str = "pgw.example", **settings: Any) -> Peer:
    peer = new_peer(**settings)
    assert peer.receive(cer(host), 1000) == [Claim(host, 0)]
    peer.admit(True)
    assert peer.state is State.OPEN
    return peer


def sent(actions: list[Action]) -> bytes:
    """The one message that the actions write."""
    [data] = [action.data for action in actions if isinstance(action, Send)]
    return data


def reason(actions: list[Action]) -> str:
    """Why the actions close; they do it last, and once."""
    assert [isinstance(action, Close) for action in actions] == [False] * (len(actions) - 1) + [True]
    return actions[-1].reason  # type: ignore[union-attr]


# ── capabilities ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 6733 §5.3", "credit control with or without Vendor-Id, or relay: common ground")
@pytest.mark.conforms("RFC 6733 §2.4", "a relay's CER shares every application")
@pytest.mark.parametrize(
    "applications",
    [
        [GY],
        [VSAI],
        [RELAY],
        [OTHER, GY],
        [OTHER, VSAI],
        [("Vendor-Specific-Application-Id", [("Vendor-Id", 10415), RELAY])],
        [("Vendor-Specific-Application-Id", [GY, ("Vendor-Id", 10415)])],
        [GY, ("Inband-Security-Id", 0)],
        [GY, ("Inband-Security-Id", 1), ("Inband-Security-Id", 0)],
        [GY, b"\0\0\xff\xff\x40\0\0\x0cabcd"],
    ],
    ids=str,
)
def test_a_cer_with_credit_control_or_relay_is_claimed(applications: list[Part]) -> None:
    peer = new_peer()
    assert peer.receive(cer("PGW.Example", *applications, state_id=7), 1000) == [Claim("pgw.example", 7)]
    assert (peer.state, peer.origin_host, peer.is_open) == (State.WAIT_CLAIM, "PGW.Example", False)
    answer = sent(peer.admit(True))
    assert peer.is_open
    assert find(answer, "Result-Code") == 2001


@pytest.mark.conforms("Rule 2", "every client's CER is accepted")
@pytest.mark.parametrize("client", sorted({client for client, name in every() if name == "cer"}))
def test_every_client_is_claimed(client: str) -> None:
    [claim] = new_peer().receive(load(client, "cer"), 1000)
    assert isinstance(claim, Claim)


@pytest.mark.conforms("RFC 6733 §5.3.2", "what a CEA holds, in its order")
@pytest.mark.conforms("RFC 8506 §1.3", "credit control is advertised")
def test_the_cea_says_what_is_served() -> None:
    peer = new_peer(product_name="ocs", vendor_id=5, firmware_revision=3)
    peer.receive(cer(), 1000)
    answer = sent(peer.admit(True))
    assert names(answer) == [
        "Result-Code",
        "Origin-Host",
        "Origin-Realm",
        "Host-IP-Address",
        "Vendor-Id",
        "Product-Name",
        "Supported-Vendor-Id",
        "Auth-Application-Id",
        "Inband-Security-Id",
        "Vendor-Specific-Application-Id",
        "Firmware-Revision",
        "Origin-State-Id",
    ]
    assert [find(answer, name) for name in names(answer) if name != "Vendor-Specific-Application-Id"] == [
        2001,
        "ocs.mubss.example",
        "mubss.example",
        "127.0.0.2",
        5,
        "ocs",
        10415,
        4,
        0,
        3,
        1_795_000_000,
    ]
    group = find(answer, "Vendor-Specific-Application-Id")
    assert [(node.name, node.value) for node in group] == [("Vendor-Id", 10415), ("Auth-Application-Id", 4)]
    header = decode_header(answer)
    assert (header.flags, header.command_code, header.application_id) == (0, 257, 0)
    assert (header.hop_by_hop, header.end_to_end) == (0x11, 0x22)


@pytest.mark.conforms("RFC 6733 §5.3", "3010 for a peer that isn't known")
@pytest.mark.parametrize("known", [False, True])
def test_who_is_known(known: bool) -> None:
    remote = "192.0.2.1"
    peer = new_peer(remote=remote, peers=PeerTable([], "always" if known else "loopback", Profile()))
    actions = peer.receive(cer("PGW.example"), 1000)
    if known:
        assert actions == [Claim("pgw.example", 0)]
        return
    assert find(sent(actions), "Result-Code") == 3010
    assert decode_header(sent(actions)).flags == 0x20
    assert reason(actions) == f"peer PGW.example at {remote} isn't known here"
    assert peer.state is State.CLOSED


def test_nobody_goes_by_our_own_name() -> None:
    actions = new_peer().receive(cer(OURS.host.upper()), 1000)
    assert find(sent(actions), "Result-Code") == 3010
    assert reason(actions) == f"{OURS.host.upper()} is this server's own name, expected the peer's"


@pytest.mark.conforms("RFC 6733 §5.3", "5010 without a common application")
@pytest.mark.conforms("RFC 6733 §6.10", "5017 where a peer wants security only within the connection")
@pytest.mark.parametrize(
    "applications, result_code",
    [
        ([OTHER], 5010),
        ([("Acct-Application-Id", 3)], 5010),
        ([("Vendor-Specific-Application-Id", [("Vendor-Id", 10415), OTHER])], 5010),
        ([("Vendor-Specific-Application-Id", [])], 5010),
        ([GY, ("Inband-Security-Id", 1)], 5017),
    ],
    ids=str,
)
def test_a_cer_without_common_ground_is_refused(applications: list[Part], result_code: int) -> None:
    peer = new_peer()
    actions = peer.receive(cer("pgw.example", *applications), 1000)
    answer = sent(actions)
    assert find(answer, "Result-Code") == result_code
    assert names(answer)[:4] == ["Result-Code", "Origin-Host", "Origin-Realm", "Host-IP-Address"]
    assert find(answer, "Auth-Application-Id") == 4
    assert "pgw.example" in reason(actions)
    assert "pgw.example" in find(answer, "Error-Message")


@pytest.mark.conforms("RFC 6733 §5.3.1", "5005 for a CER without Origin-Host or Origin-Realm")
@pytest.mark.parametrize(
    "avps, wrong, result_code",
    [
        ([("Origin-Realm", "example"), GY], "Origin-Host", 5005),
        ([("Origin-Host", "pgw.example"), GY], "Origin-Realm", 5005),
        ([("Origin-Host", ""), ("Origin-Realm", "example"), GY], "Origin-Host", 5005),
        ([("Origin-Host", "h" * 256), ("Origin-Realm", "example"), GY], "Origin-Host", 5004),
        ([("Origin-Host", "h"), ("Origin-Realm", "r" * 256), GY], "Origin-Realm", 5004),
    ],
)
def test_a_cer_without_a_name_is_told_which(avps: list[Part], wrong: str, result_code: int) -> None:
    peer = new_peer()
    actions = peer.receive(request("CER", *avps), 1000)
    answer = sent(actions)
    assert find(answer, "Result-Code") == result_code
    assert failed(answer) == [wrong]
    assert wrong in reason(actions)
    assert len(reason(actions)) < 120
    assert peer.state is State.CLOSED


@pytest.mark.conforms("RFC 6733 §5.6", "a CER that can't be read is answered and closes")
@pytest.mark.parametrize(
    "frame, result_code",
    [
        (request("CER", *origin("pgw.example"), b"\0\0\x01\x01\x40\0\0\x20abcd"), 5014),
        (request("CER", *origin("pgw.example"), ("Product-Name", ""), b"\0\0\x01\x0d\0\0\0\x0a\xff\xff\0\0"), 5004),
        (request("CER", *origin("pgw.example"), GY, flags=REQUEST | 0x20), 3008),
    ],
    ids=["length", "text", "flags"],
)
def test_a_cer_that_cant_be_read_is_answered_and_the_connection_closed(frame: bytes, result_code: int) -> None:
    peer = new_peer()
    actions = peer.receive(frame, 1000)
    assert find(sent(actions), "Result-Code") == result_code
    assert str(result_code) in reason(actions)
    assert peer.state is State.CLOSED


@pytest.mark.conforms("RFC 6733 §5.6", "nothing may come before a CER")
@pytest.mark.parametrize("name", ["DWR", "DPR", "CCR", 999])
def test_nothing_may_come_before_a_cer(name: str | int) -> None:
    peer = new_peer()
    actions = peer.receive(request(name, *origin("pgw.example")), 1000)
    assert len(actions) == 1
    assert "before a CER" in reason(actions)
    assert peer.state is State.CLOSED


def test_an_answer_is_no_cer() -> None:
    assert "before a CER" in reason(new_peer().receive(encode_message(257, 0, 0, 1, 1, [*origin("p.example")]), 1000))


@pytest.mark.conforms("RFC 6733 §5.6.4", "4003 for a second connection of a peer that lives")
def test_a_second_connection_is_told_that_there_is_one() -> None:
    peer = new_peer()
    peer.receive(cer(), 1000)
    actions = peer.admit(False)
    assert find(sent(actions), "Result-Code") == 4003
    assert reason(actions) == "this Origin-Host has a connection already"
    assert peer.admit(True) == []


def test_who_cant_wait_for_the_cea_is_closed() -> None:
    peer = new_peer()
    peer.receive(cer(), 1000)
    assert reason(peer.receive(dwr(), 1000)) == "a message before the answer to its CER"
    assert peer.admit(True) == []


# ── an open peer ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", [0x80, 0xC0, 0x90, 0xD0])
def test_a_ccr_is_handed_on(flags: int) -> None:
    frame = request("CCR", *origin("pgw.example"), application_id=4, flags=flags)
    assert open_peer().receive(frame, 1000) == [Charge(frame)]


@pytest.mark.conforms("RFC 6733 §5.5.2", "DWA with Origin-State-Id")
def test_a_dwr_is_answered() -> None:
    answer = sent(open_peer().receive(dwr(hop_by_hop=77), 1000))
    assert names(answer) == ["Result-Code", "Origin-Host", "Origin-Realm", "Origin-State-Id"]
    assert find(answer, "Result-Code") == 2001
    header = decode_header(answer)
    assert (header.flags, header.command_code, header.hop_by_hop, header.end_to_end) == (0, 280, 77, 77)


@pytest.mark.conforms("RFC 6733 §5.4.2", "DPA, then the end of the connection")
def test_a_dpr_is_answered_and_ends_it() -> None:
    peer = open_peer()
    actions = peer.receive(request("DPR", *origin("pgw.example"), ("Disconnect-Cause", BUSY)), 1000)
    assert find(sent(actions), "Result-Code") == 2001
    assert decode_header(sent(actions)).command_code == 282
    assert reason(actions) == "the peer said goodbye (DPR, BUSY)"
    assert not peer.is_open


@pytest.mark.conforms("RFC 6733 §5.6", "a CER on an open connection is answered")
def test_capabilities_may_be_exchanged_again() -> None:
    peer = open_peer()
    assert find(sent(peer.receive(cer(), 1000)), "Result-Code") == 2001
    assert peer.is_open


SESSION = ("Session-Id", "pgw.example;1;2")
PROXY = ("Proxy-Info", [("Proxy-Host", "dra.example"), ("Proxy-State", b"42")])


@pytest.mark.conforms("RFC 6733 §7.1.3", "3001, 3007 and 3008 with E, and the peer stays")
@pytest.mark.parametrize(
    "frame, result_code, flags",
    [
        (request(999), 3001, 0x20),
        (request(999, flags=REQUEST | PROXIABLE | RETRANSMITTED), 3001, 0x60),
        (request(265, application_id=1), 3007, 0x20),
        (request("RAR", SESSION, application_id=4, flags=REQUEST | PROXIABLE), 3001, 0x60),
        (request("DWR", flags=REQUEST | 0x20), 3008, 0x20),
        (request("DWR", b"\0\0\x01\x08\x40\0\0\x07"), 5014, 0),
        (request("DPR", ("Disconnect-Cause", 0), flags=REQUEST | 0x20), 3008, 0x20),
        (request("DPR", b"\0\0\x01\x11\x40\0\0\x09abcd"), 5014, 0),
    ],
    ids=range(8),
)
def test_a_request_that_cant_be_served_is_answered_and_the_peer_stays(
    frame: bytes, result_code: int, flags: int
) -> None:
    peer = open_peer()
    answer = sent(peer.receive(frame, 1000))
    assert find(answer, "Result-Code") == result_code
    assert decode_header(answer).flags == flags
    assert find(answer, "Origin-Host") == "ocs.mubss.example"
    assert peer.is_open


@pytest.mark.conforms("RFC 6733 §7.2", "an error repeats Session-Id and Proxy-Info")
def test_an_unknown_command_gets_its_session_and_proxies_back() -> None:
    answer = sent(open_peer().receive(request("STR", SESSION, *origin("pgw.example"), PROXY), 1000))
    assert names(answer) == [
        "Session-Id",
        "Result-Code",
        "Origin-Host",
        "Origin-Realm",
        "Error-Message",
        "Origin-State-Id",
        "Proxy-Info",
    ]
    assert find(answer, "Session-Id") == "pgw.example;1;2"
    assert [node.value for node in find(answer, "Proxy-Info")] == ["dra.example", b"42"]


@pytest.mark.parametrize("session_id", ["s;123", "s;12345", "s;12", "s;1234"])
def test_the_session_id_comes_back_whole_whatever_stands_beside_it(session_id: str) -> None:
    beside = [raw_avp(263, 0, b"another", 4_711), raw_avp(284, 0, b"proxy", 4_711), raw_avp(999, 0, b"12345")]
    twice = [("Session-Id", session_id), ("Session-Id", "second"), PROXY, PROXY]
    answer = sent(open_peer().receive(request("STR", *beside, *twice, *beside), 1000))
    assert [avp.value for avp in split(answer, 20) if avp.name == "Session-Id"] == [session_id]
    assert names(answer).count("Proxy-Info") == 2
    assert "284" not in names(answer)


def test_a_name_may_have_255_letters() -> None:
    assert new_peer().receive(cer("h" * 255), 1000) == [Claim("h" * 255, 0)]


@pytest.mark.conforms("RFC 6733 §7.1.3", "3007 to a CCR of another application is a whole CCA")
@pytest.mark.parametrize("application_id", [0, 3, 16_777_238, 0xFFFFFFFF])
def test_a_ccr_of_another_application_is_refused_as_a_cca(application_id: int) -> None:
    avps = [SESSION, *origin("pgw.example"), ("CC-Request-Type", 2), ("CC-Request-Number", 9), PROXY]
    frame = request("CCR", *avps, application_id=application_id, flags=REQUEST | PROXIABLE)
    answer = sent(open_peer().receive(frame, 1000))
    assert names(answer)[:7] == [
        "Session-Id",
        "Result-Code",
        "Origin-Host",
        "Origin-Realm",
        "Auth-Application-Id",
        "CC-Request-Type",
        "CC-Request-Number",
    ]
    assert find(answer, "Result-Code") == 3007
    assert find(answer, "CC-Request-Number") == 9
    assert "Proxy-Info" in names(answer)
    header = decode_header(answer)
    assert (header.flags, header.application_id, header.command_code) == (0x60, application_id, 272)


@pytest.mark.conforms("RFC 6733 §6.2.1", "answers of unknown Hop-by-Hop Identifier are dropped")
@pytest.mark.parametrize("code, state", [(280, State.OPEN), (282, State.OPEN), (257, State.OPEN), (272, State.OPEN)])
def test_answers_that_nobody_asked_for_are_let_go(code: int, state: State) -> None:
    peer = open_peer()
    assert peer.receive(encode_message(code, 0, 0, 1, 1, [("Result-Code", 2001), *origin("p.example")]), 1000) == []
    assert peer.state is state


# ── the watchdog: RFC 3539 §3.4.1, appendix A ──────────────────────────────────────────────────────


def watchdog(peer: Peer, *times_s: int) -> list[str]:
    """What the ticks at these times do: the command that is sent, "close" or "-"."""
    words = []
    for now_s in times_s:
        actions = peer.tick(now_s)
        if not actions:
            words.append("-")
        elif isinstance(actions[0], Close):
            words.append("close")
        else:
            header = decode_header(sent(actions))
            assert header.is_request
            words.append({280: "DWR", 282: "DPR"}[header.command_code])
    return words


def dwa(peer: Peer, now_s: int) -> None:
    assert peer.receive(encode_message(280, 0, 0, 1, 1, [("Result-Code", 2001), *origin("p.example")]), now_s) == []


@pytest.mark.conforms("RFC 3539 §3.4.1", "silence: DWR after Tw, suspect after another, closed after a third")
def test_silence_is_asked_then_suspected_then_closed() -> None:
    peer = open_peer(watchdog_s=30)
    assert watchdog(peer, 1029, 1030, 1031, 1059, 1060, 1089) == ["-", "DWR", "-", "-", "-", "-"]
    actions = peer.tick(1090)
    assert reason(actions) == "the watchdog had no answer for 2 × 30 s"
    assert peer.state is State.CLOSED


@pytest.mark.conforms("RFC 3539 §3.4.1", "a DWA begins Tw anew")
def test_a_dwa_puts_it_back_to_the_beginning() -> None:
    peer = open_peer(watchdog_s=30)
    assert watchdog(peer, 1030) == ["DWR"]
    dwa(peer, 1031)
    assert watchdog(peer, 1060, 1061, 1091, 1121) == ["-", "DWR", "-", "close"]


@pytest.mark.conforms("RFC 3539 §3.4.1", "a suspect that answers is trusted again")
def test_a_suspect_that_answers_is_trusted_again() -> None:
    peer = open_peer(watchdog_s=30)
    assert watchdog(peer, 1030, 1060) == ["DWR", "-"]
    dwa(peer, 1089)
    assert watchdog(peer, 1090, 1119, 1149, 1179) == ["-", "DWR", "-", "close"]


@pytest.mark.conforms("RFC 3539 §3.4.1", "other traffic resets the timer")
def test_traffic_is_as_good_as_a_dwa_for_the_time_being() -> None:
    peer = open_peer(watchdog_s=30)
    peer.heard(1029)
    assert watchdog(peer, 1058, 1059) == ["-", "DWR"]
    peer.receive(dwr(), 1060)
    # The DWR is still unanswered: silence makes a suspect at once (RFC 3539: OKAY and pending), traffic saves it.
    assert watchdog(peer, 1089, 1090) == ["-", "-"]
    peer.heard(1100)
    assert watchdog(peer, 1129, 1130, 1159, 1160) == ["-", "-", "-", "close"]


@pytest.mark.conforms("RFC 3539 §3.4.1", "Tw has a jitter of ±2 s, and is never below 6 s")
@pytest.mark.parametrize("watchdog_s, jitter_s, tw_s", [(30, 2, 32), (30, -2, 28), (6, -2, 6), (7, -2, 6), (6, 2, 8)])
def test_the_jitter_never_takes_it_below_6_seconds(watchdog_s: int, jitter_s: int, tw_s: int) -> None:
    peer = open_peer(watchdog_s=watchdog_s, jitter_s=jitter_s)
    assert watchdog(peer, 1000 + tw_s - 1, 1000 + tw_s) == ["-", "DWR"]


@pytest.mark.conforms("RFC 6733 §5.5.1", "what a DWR holds")
def test_a_dwr_says_who_asks() -> None:
    peer = open_peer(watchdog_s=30)
    first, second = sent(peer.tick(1030)), sent(peer.probe(1031))
    assert names(first) == ["Origin-Host", "Origin-Realm", "Origin-State-Id"]
    assert decode_header(first).flags == REQUEST
    assert decode_header(first).hop_by_hop != decode_header(second).hop_by_hop


@pytest.mark.parametrize("watchdog_s, cer_timeout_s", [(30, 10), (6, 10), (6, 300), (30, 1)])
def test_who_says_nothing_is_closed_in_time(watchdog_s: int, cer_timeout_s: int) -> None:
    peer = new_peer(watchdog_s=watchdog_s, cer_timeout_s=cer_timeout_s)
    closed_at = next(now_s for now_s in range(1000, 2000) if watchdog(peer, now_s) == ["close"])
    assert closed_at == 1000 + cer_timeout_s


def test_a_probe_asks_at_once() -> None:
    peer = open_peer(watchdog_s=30)
    assert decode_header(sent(peer.probe(1010))).command_code == 280
    assert watchdog(peer, 1030, 1039, 1040, 1069, 1070) == ["-", "-", "-", "-", "close"]
    assert new_peer().probe(1000) == []


# ── the end ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 6733 §5.4", "DPR, then requests are served until the DPA")
def test_a_disconnect_waits_for_the_dpa_and_still_charges() -> None:
    peer = open_peer()
    dpr = sent(peer.disconnect())
    assert names(dpr) == ["Origin-Host", "Origin-Realm", "Disconnect-Cause"]
    assert find(dpr, "Disconnect-Cause") == 0
    assert decode_header(dpr).flags == REQUEST
    frame = request("CCR", application_id=4)
    assert peer.receive(frame, 1000) == [Charge(frame)]
    assert find(sent(peer.receive(dwr(), 1000)), "Result-Code") == 2001
    answer = encode_message(282, 0, 0, 1, 1, [("Result-Code", 2001), *origin("p.example")])
    assert reason(peer.receive(answer, 1000)) == "goodbye (DPA)"
    assert peer.state is State.CLOSED


@pytest.mark.conforms("RFC 6733 §5.4", "only a DPA ends it")
def test_other_answers_are_no_goodbye() -> None:
    peer = open_peer()
    peer.disconnect()
    for code in (257, 271, 272, 280):
        assert peer.receive(encode_message(code, 0, 0, 1, 1, [("Result-Code", 2001)]), 1000) == []
    assert peer.state is State.CLOSING


@pytest.mark.conforms("RFC 6733 §8.3.2", "RAA and ASA are matched by End-to-End Identifier")
def test_answers_to_session_requests() -> None:
    peer = open_peer()
    experimental = ("Experimental-Result", [("Vendor-Id", 10415), ("Experimental-Result-Code", 4012)])
    for code, parts, expected in [
        (258, [("Result-Code", 2002)], [Answered(9, 2002)]),
        (274, [("Result-Code", 3002), ("Result-Code", 2001)], [Answered(9, 3002)]),
        (258, [experimental], [Answered(9, 4012)]),
        (258, [("Experimental-Result", [("Vendor-Id", 10415)])], []),
        (274, [], []),
    ]:
        assert peer.receive(encode_message(code, 0x40, 4, 1, 9, parts), 1000) == expected
    assert peer.receive(encode_message(258, 0x40, 4, 1, 9, [b"\0\0\x01\x0c\x40\0\0\x0a\0\0\0\0"]), 1000) == []


@pytest.mark.conforms("RFC 6733 §3", "Hop-by-Hop Identifiers of ours are unique on a connection")
def test_requests_of_ours_have_identifiers_of_their_own_hop() -> None:
    peer = open_peer()
    frames = [peer.request("RAR", [("Session-Id", "s")], 77, repeated=repeated) for repeated in (False, True)]
    headers = [decode_header(frame) for frame in frames]
    assert [header.flags for header in headers] == [0xC0, 0xD0]
    assert {header.end_to_end for header in headers} == {77}
    assert len({header.hop_by_hop for header in headers}) == 2


@pytest.mark.conforms("RFC 6733 §5.4", "both may send DPR at once")
def test_both_may_say_goodbye() -> None:
    peer = open_peer()
    peer.disconnect()
    actions = peer.receive(request("DPR", *origin("pgw.example"), ("Disconnect-Cause", 0)), 1000)
    assert find(sent(actions), "Result-Code") == 2001
    assert reason(actions)


def test_a_disconnect_of_what_never_opened_just_closes() -> None:
    assert reason(new_peer().disconnect()) == "shutting down"


@pytest.mark.conforms("RFC 6733 §7.1.5", "5011 and 5015 where a request's header can be read")
@pytest.mark.parametrize(
    "data, result_code",
    [
        (b"\x02" + dwr()[1:], 5011),
        (b"\x01\xff\xff\xfc" + dwr()[4:], 5015),
        (b"\x01\0\0\x12" + dwr()[4:], 5015),
        (b"\x01\0\0\x15" + dwr()[4:], 5015),
    ],
    ids=["version", "too long", "too short", "odd"],
)
def test_a_broken_stream_is_answered_where_it_can_be_and_closed(data: bytes, result_code: int) -> None:
    with pytest.raises(FrameError) as caught:
        Framer().feed(data)
    actions = open_peer().broken(caught.value)
    assert find(sent(actions), "Result-Code") == result_code
    assert reason(actions).startswith(f"{result_code}: ")
    assert len(new_peer().broken(caught.value)) == 1, "a stranger gets no answer"


def test_a_broken_answer_gets_none() -> None:
    with pytest.raises(FrameError) as caught:
        Framer().feed(b"\x01\xff\xff\xfc\0" + dwr()[5:])
    assert len(open_peer().broken(caught.value)) == 1


def test_the_answer_to_a_broken_stream_is_whole() -> None:
    with pytest.raises(FrameError) as caught:
        Framer().feed(b"\x01\xff\xff\xfc" + dwr()[4:])
    [whole] = cut(sent(open_peer().broken(caught.value)))
    assert names(whole) == ["Result-Code", "Origin-Host", "Origin-Realm", "Error-Message", "Origin-State-Id"]
