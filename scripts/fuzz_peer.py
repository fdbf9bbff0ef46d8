"""The state machine of a peer, fed by frames in each of its states, and what a charge asks of the ledger."""

from __future__ import annotations

from mubss.config import data_path
from mubss.core.tariff import Tables
from mubss.gy import credit
from mubss.gy.avp import DiameterError
from mubss.gy.codec import CcaAnswer, CcrError, decode_ccr, encode_cca
from mubss.gy.grammar import check_request
from mubss.gy.message import FrameError, Framer, Identity, decode_header, decode_message, encode_request
from mubss.gy.peer import Answered, Charge, Claim, Close, Peer, Send, Settings, State
from mubss.gy.profile import Profile
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import validate
from tests.vectors.load import every, load

OURS = Identity("ocs.mubss.example", "mubss.example", 7)
PROFILE = Profile(default_context="32251@3gpp.org")
TABLES: Tables = validate(read_files([data_path("conf/refdata/demo.toml")]), operator_calendar("UTC"))[1]
ORIGIN = [("Origin-Host", "pgw.example"), ("Origin-Realm", "example")]
MORE = [("Host-IP-Address", "127.0.0.1"), ("Vendor-Id", 10415), ("Product-Name", "x"), ("Auth-Application-Id", 4)]
CER = encode_request("CER", 1, 1, [*ORIGIN, *MORE])
DWR = encode_request("DWR", 2, 2, ORIGIN)
DPR = encode_request("DPR", 3, 3, [*ORIGIN, ("Disconnect-Cause", 0)])
STATES = (State.WAIT_CER, State.WAIT_CLAIM, State.OPEN, State.CLOSING)


def seeds() -> dict[str, bytes]:
    """The state by the first octet, then frames."""
    found = {f"{client}-{name}": b"\2" + load(client, name) for client, name in every()}
    found |= {f"from-{number}": bytes([number]) + CER + DWR + DPR for number in range(len(STATES))}
    raa = decode_message(encode_request("RAR", 4, 4, [("Session-Id", "s"), *ORIGIN], application_id=4))
    found["raa"] = b"\2" + raa.answer(2001, Identity("pgw.example", "example"))
    return found


def one_input(data: bytes) -> None:
    """Each request is answered, or the connection ends; no more is said once it has ended."""
    state = STATES[data[0] % len(STATES)] if data else State.WAIT_CER
    peer = Peer(Settings(OURS), "127.0.0.1", "127.0.0.1", 0, 0)
    if state is not State.WAIT_CER:
        peer.receive(CER, 0)
    if state in (State.OPEN, State.CLOSING):
        peer.admit(True)
    if state is State.CLOSING:
        peer.disconnect()
    broken = None
    try:
        frames = Framer().feed(data[1:])
    except FrameError as error:
        frames, broken = error.frames, error
    for now_s, frame in enumerate(frames):
        try:
            check_request(frame)
        except DiameterError:
            pass
        if not step(peer, frame, now_s):
            return
    if broken is not None:
        assert isinstance(peer.broken(broken)[-1], Close)


def step(peer: Peer, frame: bytes, now_s: int) -> bool:
    """Gives the peer a frame; whether it lives on."""
    header = decode_header(frame)
    actions = peer.receive(frame, now_s)
    assert actions or not header.is_request, "a request without an answer"
    for action in actions:
        if isinstance(action, Send):
            answer = decode_header(action.data)
            assert (answer.hop_by_hop, answer.end_to_end) == (header.hop_by_hop, header.end_to_end)
            assert Framer(1 << 24).feed(action.data) == [action.data]
        elif isinstance(action, Charge):
            charge(action.frame)
        elif isinstance(action, Claim):
            assert len(action.origin_host) <= 255
            peer.admit(bool(now_s & 1))
        elif isinstance(action, Answered):
            assert 0 <= action.result_code < 1 << 32
        else:
            assert peer.state is State.CLOSED
            return False
    peer.tick(now_s)
    return peer.state is not State.CLOSED


def charge(frame: bytes) -> None:
    """What the server does with a CCR before the store."""
    try:
        ccr = decode_ccr(frame)
    except CcrError as error:
        encode_cca(error.ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OURS)
        return
    try:
        command = credit.to_command(ccr, PROFILE, TABLES)
    except DiameterError as error:
        encode_cca(ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OURS)
    else:
        assert 0 < len(command.session_id) <= 1024 and len(command.requests) <= 256
