"""Which messages a trace of a subscriber, a session or a peer takes."""

from __future__ import annotations

import pytest

from gy_wire import dwr, request
from mubss.gy import trace_match
from mubss.gy.avp import raw_avp
from mubss.gy.codec import Ccr, encode_ccr
from mubss.gy.message import encode_message
from mubss.gy.trace_match import Wanted

NUMBER, IMSI = "e164:999700000001", "imsi:999700000000001"


def ccr(session_id: str, *named: tuple[int, str], at_service: bool = False) -> bytes:
    made = Ccr(session_id=session_id, auth_application_id=4, cc_request_type=1, cc_request_number=0)
    if at_service:
        made.service_subscription_ids = list(named)
    else:
        made.subscription_ids = list(named)
    return encode_ccr(made)


def answer(session_id: str, command: int = 272) -> bytes:
    return encode_message(command, 0x40, 4, 1, 1, [("Session-Id", session_id), ("Result-Code", 2001)])


@pytest.mark.parametrize(
    "named",
    [
        [(0, "999700000001")],
        [(0, "tel:+9997-0000-0001")],
        [(2, "sip:+999700000001@ims.example;user=phone")],
        [(1, "999700000000001")],
        [(3, "0999700000000001@nai.epc.example")],
        [(4, "nobody"), (0, "+999700000001")],
    ],
    ids=str,
)
@pytest.mark.parametrize("at_service", [False, True])
def test_a_subscriber_however_it_is_written(named: list[tuple[int, str]], at_service: bool) -> None:
    wanted = Wanted([NUMBER, IMSI], "", "")
    assert not wanted.takes(answer("s;1"), "pgw.example")
    assert wanted.takes(ccr("s;1", *named, at_service=at_service), "pgw.example")
    assert wanted.takes(answer("s;1"), "pgw.example")
    assert wanted.takes(ccr("s;1"), "pgw.example"), "goes on without a name"
    assert wanted.takes(request("RAR", ("Session-Id", "s;1"), application_id=4), "pgw.example")
    assert wanted.takes(answer("s;1", 274), "pgw.example")
    assert not wanted.takes(ccr("s;2", (0, "999700000002")), "pgw.example")
    assert not wanted.takes(answer("s;2"), "pgw.example")
    assert not wanted.takes(dwr(), "pgw.example")


def test_a_request_that_cant_be_taken_is_shown_all_the_same() -> None:
    wanted = Wanted([NUMBER], "", "")
    whole = ccr("s;1", (0, "999700000001"))
    broken = whole + raw_avp(416, 0x40, b"\0")
    assert wanted.takes(broken[:1] + len(broken).to_bytes(3, "big") + broken[4:], "pgw.example")
    assert wanted.takes(answer("s;1"), "pgw.example")


def test_what_has_no_session_is_no_session_of_the_subscriber() -> None:
    wanted = Wanted([NUMBER], "", "")
    nameless = Ccr(cc_request_type=1, cc_request_number=0, subscription_ids=[(0, "999700000001")])
    assert wanted.takes(encode_ccr(nameless), "pgw.example")
    assert not wanted.takes(encode_ccr(Ccr(cc_request_type=1, cc_request_number=0)), "pgw.example")
    assert not wanted.takes(dwr(), "pgw.example")


def test_sessions_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_match, "MAX_SESSIONS", 2)
    wanted = Wanted([NUMBER], "", "")
    for number in (1, 2, 1, 3):
        assert wanted.takes(ccr(f"s;{number}", (0, "999700000001")), "")
    assert [wanted.takes(answer(f"s;{number}"), "") for number in (1, 2, 3)] == [True, False, True]


def test_a_session() -> None:
    wanted = Wanted([], "s;1", "")
    assert wanted.takes(ccr("s;1"), "x")
    assert wanted.takes(answer("s;1"), "x")
    assert not wanted.takes(ccr("s;11"), "x")
    assert not wanted.takes(dwr(), "x")
    assert not wanted.takes(raw_avp(1, 0, bytes(12)), "x"), "nothing of it can be read"


def test_a_peer() -> None:
    wanted = Wanted([], "", "PGW.example")
    assert wanted.takes(ccr("s;1"), "pgw.EXAMPLE")
    assert wanted.takes(dwr("pgw.example"), ""), "it hasn't said who it is otherwise"
    assert not wanted.takes(dwr("pgw.example"), "dra.example")
    assert not wanted.takes(dwr("smf.example"), "")
