"""Mutants of real messages: the state machine and the credit layer answer or close, and raise nothing but their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gy_wire import ANY, cer, dwr, keeps_to_the_letter, request, split
from mubss.core.model import CreditControl, Outcome, Result, UnitAnswer
from mubss.core.tariff import Tables
from mubss.gy import credit
from mubss.gy.avp import split_avp
from mubss.gy.codec import CcaAnswer, CcrError, DiameterError, decode_cca, decode_ccr, encode_cca
from mubss.gy.credit_answer import to_answer
from mubss.gy.message import FrameError, Framer, Identity, decode_header
from mubss.gy.peer import Charge, Claim, Close, Peer, Send, Settings, State
from mubss.gy.profile import Profile
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import validate
from tests.vectors.load import every, load

OURS = Identity("ocs.mubss.example", "mubss.example", 7)
DEMO = Path(__file__).parents[2] / "conf/refdata/demo.toml"
TABLES: Tables = validate(read_files([DEMO]), operator_calendar("UTC"))[1]
PROFILE = Profile(default_context="32251@3gpp.org")

REAL = [load(*vector) for vector in every()] + [dwr(), request("DPR", ("Disconnect-Cause", 0)), request("STR")]
EDGES = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\x08",
    b"\0\0\1\xc8",
    b"\0\0\1\xbb",
]

Edit = tuple[str, int, int, bytes]
EDITS: st.SearchStrategy[list[Edit]] = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "cut", "insert", "copy", "twice", "swap"]),
        st.integers(0, 1 << 16),
        st.integers(0, 64),
        st.sampled_from(EDGES) | st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def mutant(frame: bytes, edits: list[Edit], keep_length: bool) -> bytes:
    """The message edited; its own length is put right unless that is to lie, too."""
    changed = bytearray(frame)
    for what, place, size, some in edits:
        at = place % len(changed) if changed else 0
        if what == "put":
            changed[at : at + len(some)] = some
        elif what == "cut":
            del changed[at : at + size]
        elif what == "insert":
            changed[at:at] = some
        elif what in ("twice", "swap"):
            changed = moved(bytes(changed), place, size if what == "swap" else None)
        else:
            changed[at:at] = changed[at - size : at]
    if not keep_length:
        changed += bytes(-len(changed) % 4 + max(0, 20 - len(changed)))
        changed[0:4] = (0x01000000 | len(changed)).to_bytes(4, "big")
    return bytes(changed)


def moved(frame: bytes, place: int, other: int | None) -> bytearray:
    """One whole AVP of the command again at its end, or in another's place; as it was where AVPs can't be found."""
    avps, pos = [], 20
    try:
        while pos < len(frame):
            stop = split_avp(frame, pos, len(frame))[4] + 3 & -4
            avps.append(frame[pos:stop])
            pos = stop
    except DiameterError:
        return bytearray(frame)
    if avps and other is None:
        avps.append(avps[place % len(avps)])
    elif avps and other is not None:
        one, two = place % len(avps), other % len(avps)
        avps[one], avps[two] = avps[two], avps[one]
    return bytearray(frame[:20] + b"".join(avps))


def peer_in(state: State) -> Peer:
    peer = Peer(Settings(OURS), "127.0.0.1", "127.0.0.1", 0, 0)
    if state is not State.WAIT_CER:
        peer.receive(cer(), 0)
    if state in (State.OPEN, State.CLOSING):
        peer.admit(True)
    if state is State.CLOSING:
        peer.disconnect()
    assert peer.state is state
    return peer


STATES = st.sampled_from([State.OPEN, State.OPEN, State.OPEN, State.WAIT_CER, State.WAIT_CLAIM, State.CLOSING])
MUTANTS = st.builds(mutant, st.sampled_from(REAL), EDITS, st.booleans())


@pytest.mark.conforms("RFC 6733 §5.6", "whatever comes in whatever state, it is answered or the connection closed")
@pytest.mark.conforms("RFC 6733 §6.2", "whatever comes, its answer keeps to the grammar")
@settings(max_examples=600)
@given(data=MUTANTS, state=STATES)
def test_every_request_is_answered_or_the_peer_closed(data: bytes, state: State) -> None:
    peer = peer_in(state)
    try:
        frames = Framer().feed(data)
    except FrameError as error:
        frames = error.frames
        actions = peer_in(state).broken(error)
        assert isinstance(actions[-1], Close)
        for action in actions[:-1]:
            assert isinstance(action, Send)
            readable(action.data)
            keeps_to_the_letter(action.data)
    for frame in frames:
        header = decode_header(frame)
        actions = peer.receive(frame, 1)
        if header.is_request:
            assert actions, "a request gets its answer, or the connection ends"
        for action in actions:
            if isinstance(action, Send):
                readable(action.data)
                keeps_to_the_letter(action.data)
                answer = decode_header(action.data)
                assert (answer.hop_by_hop, answer.end_to_end) == (header.hop_by_hop, header.end_to_end)
                assert not answer.is_request
            elif isinstance(action, Charge):
                charge(action.frame)
            elif isinstance(action, Claim):
                assert len(action.origin_host) <= 255
            else:
                assert action.reason
                assert peer.state is State.CLOSED
                return


def charge(frame: bytes) -> None:
    """What the server does with a CCR, without the store."""
    try:
        ccr = decode_ccr(frame)
        command = credit.to_command(ccr, PROFILE, TABLES)
    except CcrError as error:
        refused(
            encode_cca(error.ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OURS), error.result_code
        )
    except DiameterError as error:
        refused(encode_cca(ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OURS), error.result_code)
    else:
        bounded(command)
        answers = [UnitAnswer.to(one, "octets", Result.SUCCESS, 5) for one in command.requests]
        outcome = Outcome(command.number, command.end_to_end, Result.SUCCESS, answers, 80_000, "EUR")
        answer = encode_cca(ccr, to_answer(outcome, PROFILE, {"EUR": 978}), OURS)
        assert decode_cca(answer).session_id == ccr.session_id
        stored = to_answer(Outcome.from_list(outcome.to_list()), PROFILE, {"EUR": 978})
        assert encode_cca(ccr, stored, OURS) == answer


def readable(answer: bytes) -> list[str]:
    """The names of an answer's AVPs; the Session-Id is repeated with whatever it was padded with."""
    return [avp.name for avp in split(answer, 20, ANY)]


def refused(answer: bytes, result_code: int) -> None:
    """It can be read, AVP by AVP, and says why."""
    assert "Result-Code" in readable(answer)[:2]
    keeps_to_the_letter(answer)
    assert 3000 <= result_code < 6000


def bounded(command: CreditControl) -> None:
    """Whatever came, what is kept of it is small."""
    assert 0 < len(command.session_id) <= 1024
    assert len(command.peer) <= 255
    assert len(command.identities) <= 128
    assert all(len(identity) <= 20 for identity in command.identities)
    assert all(len(str(value)) <= 64 for value in command.facts.values())
    assert len({one.key for one in command.requests}) == len(command.requests) <= 256
    for one in command.requests:
        assert one.used_units is None or one.used_units >= 0
        assert one.requested_units is None or one.requested_units >= 0
        assert one.money_micros is None or one.money_micros >= 0


@pytest.mark.conforms("RFC 6733 §3", "noise is no message")
@settings(max_examples=300)
@given(data=st.binary(max_size=300), state=STATES)
def test_noise_is_no_message(data: bytes, state: State) -> None:
    peer, framer = peer_in(state), Framer()
    try:
        for at in range(0, len(data), 7):
            for frame in framer.feed(data[at : at + 7]):
                peer.receive(frame, 1)
    except FrameError as error:
        assert isinstance(peer.broken(error)[-1], Close)
